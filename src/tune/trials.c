#include "tune/trials.h"

#include <string.h>

#include "train/train.h"

typedef struct kept {
    skive_graph *graph;
    void *report;
} kept;

typedef struct trying {
    const skv_trials *t;
    skive_control_report *control;
    kept now, best; /* the last trial, and the one that goes furthest of those within the limit */
    size_t level;
} trying;

static void drop(const trying *s, kept *k) {
    skive_graph_free(k->graph);
    s->t->free_report(s->t->ctx, k->report);
    memset(k->report, 0, s->t->report_size);
    k->graph = NULL;
}

/* Was the last trial within the limit? Then it goes further than all before that were. */
static void keep_last(trying *s) {
    if (s->now.graph && s->control->applied == s->level) {
        const kept other = s->best;
        s->best = s->now;
        s->now = other;
    }
    drop(s, &s->now);
}

static skive_status evaluate(void *user, size_t applied, skive_eval_report *out) {
    trying *s = user;
    const skv_trials *t = s->t;
    keep_last(s);
    s->level = applied;
    SKV_TRY(skive_graph_copy(t->ctx, t->graph, &s->now.graph));
    SKV_TRY(t->go(t->user, applied, s->now.graph, s->now.report));
    return skv_evaluate(t->ctx, s->now.graph, t->validation, &(skv_evaluation){0}, out);
}

static skive_status search(trying *s) {
    const skv_trials *t = s->t;
    skive_control_report *r = s->control;
    skive_eval_report original = {0};
    if (!t->validation)
        return skv_fail_at(t->ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "a limit on the loss is measured on a validation set: there is none (--data)");
    SKV_TRY(skv_alloc_array(t->ctx, 1, t->report_size, &s->now.report));
    SKV_TRY(skv_alloc_array(t->ctx, 1, t->report_size, &s->best.report));
    SKV_TRY(skv_evaluate(t->ctx, t->graph, t->validation, &(skv_evaluation){0}, &original));
    const skive_status status = skive_control_drop(t->ctx, t->levels, &original, t->max_drop, evaluate, s, r);
    skive_eval_report_free(t->ctx, &original);
    SKV_TRY(status);
    keep_last(s);
    if (!r->feasible)
        return t->levels == 1
                   ? skv_fail_at(t->ctx, SKIVE_ERR_GOAL, "max_drop",
                                 "infeasible: there is one way to the target, and it loses %.3g points on %lld "
                                 "validation samples, over the limit of %g",
                                 r->trials[r->best].drop, (long long)r->samples, t->max_drop)
                   : skv_fail_at(t->ctx, SKIVE_ERR_GOAL, "max_drop",
                                 "infeasible: not even a %zuth of the way to the target stays within a drop of %g "
                                 "points on %lld validation samples; the best found loses %.3g",
                                 t->levels, t->max_drop, (long long)r->samples, r->trials[r->best].drop);
    return SKIVE_OK;
}

skive_status skv_trials_run(const skv_trials *t, skive_graph **out, void *report, skive_control_report *control) {
    trying s = {.t = t, .control = control};
    *out = NULL;
    const skive_status status = search(&s);
    if (status == SKIVE_OK) {
        *out = s.best.graph;
        s.best.graph = NULL;
        memcpy(report, s.best.report, t->report_size);
        memset(s.best.report, 0, t->report_size);
    }
    if (s.now.report) drop(&s, &s.now);
    if (s.best.report) drop(&s, &s.best);
    skv_free(t->ctx, s.now.report);
    skv_free(t->ctx, s.best.report);
    return status;
}
