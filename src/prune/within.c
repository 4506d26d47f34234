/* Pruning within a limit on the loss of accuracy: how far towards its target it may go is found by bisection. Each
 * trial is the whole method, with fine-tuning where there is one, so that what is handed over was itself measured. */
#include "prune/prune.h"
#include "train/train.h"

typedef struct limited {
    skive_context *ctx;
    const skive_graph *graph;
    skive_dataset *train, *validation;
    const skive_prune_options *o;
    skive_control_report control;
    /* The last trial, and the one that goes furthest of those within the limit. */
    skive_graph *now, *best;
    skive_prune_report of_now, of_best;
    size_t level;
} limited;

/* Was the last trial within the limit? Then it goes further than all before that were. */
static void keep_last(limited *l) {
    if (l->now && l->control.applied == l->level) {
        skive_graph_free(l->best);
        skive_prune_report_free(l->ctx, &l->of_best);
        l->best = l->now;
        l->of_best = l->of_now;
        l->of_now = (skive_prune_report){0};
    } else {
        skive_graph_free(l->now);
        skive_prune_report_free(l->ctx, &l->of_now);
    }
    l->now = NULL;
}

static skive_status evaluate(void *user, size_t applied, skive_eval_report *out) {
    limited *l = user;
    const double reach = (double)applied / SKIVE_PRUNE_LEVELS;
    keep_last(l);
    l->level = applied;
    SKV_TRY(skive_graph_copy(l->ctx, l->graph, &l->now));
    SKV_TRY(skv_prune_part(l->ctx, l->now, l->train, l->validation, l->o, reach, &l->of_now));
    return skv_evaluate(l->ctx, l->now, l->validation, &(skv_evaluation){0}, out);
}

static skive_status check(const limited *l) {
    const skive_prune_options *o = l->o;
    const skive_train_options *t = o->finetune;
    const char *other = o->lossless || o->zeros                    ? "the removal of what does nothing"
                        : o->threshold > 0 || o->threshold_std > 0 ? "a threshold"
                        : o->n_ratios > 0                          ? "a sparsity of a layer's own"
                        : t->checkpoint || t->resume               ? "a checkpoint, which is of one run"
                        : t->log                                   ? "a log, which is of one run"
                                                                   : NULL;
    if (other)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "a limit on the loss decides how much of a sparsity or of a budget is used: it cannot be "
                           "combined with %s",
                           other);
    if (!l->validation)
        return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "a limit on the loss is measured on a validation set: there is none (--data)");
    return SKIVE_OK;
}

static skive_status infeasible(const limited *l) {
    const skive_control_report *r = &l->control;
    return skv_fail_at(l->ctx, SKIVE_ERR_GOAL, "max_drop",
                       "infeasible: not even a %dth of the way to the target stays within a drop of %g points on %lld "
                       "validation samples; the best found loses %.3g",
                       SKIVE_PRUNE_LEVELS, l->o->max_drop, (long long)r->samples, r->trials[r->best].drop);
}

static skive_status search(limited *l) {
    skive_eval_report original = {0};
    SKV_TRY(check(l));
    SKV_TRY(skv_evaluate(l->ctx, l->graph, l->validation, &(skv_evaluation){0}, &original));
    const skive_status status =
        skive_control_drop(l->ctx, SKIVE_PRUNE_LEVELS, &original, l->o->max_drop, evaluate, l, &l->control);
    skive_eval_report_free(l->ctx, &original);
    SKV_TRY(status);
    keep_last(l);
    if (!l->control.feasible) return infeasible(l);
    if (l->control.finest > 0 && l->o->max_drop < l->control.finest)
        skv_note(l->ctx,
                 "a drop of %g points is less than one of the %lld validation samples (%.3g points): only no drop at "
                 "all is within the limit",
                 l->o->max_drop, (long long)l->control.samples, l->control.finest);
    return SKIVE_OK;
}

skive_status skv_prune_within(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                              const skive_prune_options *o, skive_prune_report *report) {
    limited l = {.ctx = ctx, .graph = graph, .train = train, .validation = validation, .o = o};
    const skive_status status = search(&l);
    if (status == SKIVE_OK) {
        skive_graph_take(graph, l.best);
        l.best = NULL;
    }
    if (report && status == SKIVE_OK) {
        *report = l.of_best;
        l.of_best = (skive_prune_report){0};
    }
    if (report && (status == SKIVE_OK || status == SKIVE_ERR_GOAL)) report->control = l.control;
    skive_graph_free(l.now);
    skive_graph_free(l.best);
    skive_prune_report_free(ctx, &l.of_now);
    skive_prune_report_free(ctx, &l.of_best);
    return status;
}
