/* Pruning within a limit on the loss of accuracy: of the way to its sparsity or budget as much as stays within. */
#include "prune/prune.h"
#include "tune/trials.h"

typedef struct limited {
    skive_context *ctx;
    skive_dataset *train, *validation;
    const skive_prune_options *o;
} limited;

static skive_status go(void *user, size_t level, skive_graph *copy, void *report) {
    const limited *l = user;
    return skv_prune_part(l->ctx, copy, l->train, l->validation, l->o, (double)level / SKIVE_PRUNE_LEVELS, report);
}

static void free_report(skive_context *ctx, void *report) { skive_prune_report_free(ctx, report); }

static skive_status check(const limited *l) {
    const skive_prune_options *o = l->o;
    const skive_train_options *t = o->finetune;
    const char *other = o->lossless || o->zeros                    ? "the removal of what does nothing"
                        : o->threshold > 0 || o->threshold_std > 0 ? "a threshold"
                        : o->n_ratios > 0                          ? "a sparsity of a layer's own"
                        : t->checkpoint || t->resume               ? "a checkpoint, which is of one run"
                        : t->log                                   ? "a log, which is of one run"
                                                                   : NULL;
    if (!other) return SKIVE_OK;
    return skv_fail_at(l->ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                       "a limit on the loss decides how much of a sparsity or of a budget is used: it cannot be "
                       "combined with %s",
                       other);
}

skive_status skv_prune_within(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                              const skive_prune_options *o, skive_prune_report *report) {
    limited l = {.ctx = ctx, .train = train, .validation = validation, .o = o};
    const skv_trials trials = {.ctx = ctx,
                               .graph = graph,
                               .validation = validation,
                               .levels = SKIVE_PRUNE_LEVELS,
                               .max_drop = o->max_drop,
                               .go = go,
                               .free_report = free_report,
                               .report_size = sizeof(skive_prune_report),
                               .user = &l};
    skive_prune_report of_best = {0};
    skive_control_report control = {0};
    skive_graph *best = NULL;
    SKV_TRY(check(&l));
    const skive_status status = skv_trials_run(&trials, &best, &of_best, &control);
    if (status == SKIVE_OK) skive_graph_take(graph, best);
    if (report && (status == SKIVE_OK || status == SKIVE_ERR_GOAL)) {
        *report = of_best;
        report->control = control;
    } else {
        skive_prune_report_free(ctx, &of_best);
    }
    return status;
}
