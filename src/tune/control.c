/* The control of accuracy: bisection over choices ordered by harm. */
#include <math.h>

#include "tune/tune.h"

double skive_eval_drop(const skive_eval_report *a, const skive_eval_report *b) {
    if (!a || !b) return NAN;
    const bool places = a->task == SKIVE_TASK_PLACES && b->task == SKIVE_TASK_PLACES;
    return (a->hit && b->hit) || places ? 100 * (a->accuracy - b->accuracy) : 100 * (a->r2 - b->r2);
}

typedef struct control {
    skive_context *ctx;
    const skive_eval_report *original;
    double max_drop;
    skive_control_evaluate_fn evaluate;
    void *user;
    skive_control_report *report;
} control;

static skive_status try_one(control *c, size_t applied, bool *within) {
    skive_control_report *r = c->report;
    skive_eval_report now = {0};
    skive_paired_report paired;
    skive_control_trial *t = &r->trials[r->n_trials];
    SKV_TRY(c->evaluate(c->user, applied, &now));
    *t = (skive_control_trial){.applied = applied, .low = NAN, .high = NAN};
    t->drop = skive_eval_drop(c->original, &now);
    skive_status status = skive_compare_paired(c->ctx, c->original, &now, &paired);
    skive_eval_report_free(c->ctx, &now);
    SKV_TRY(status);
    if (isnan(t->drop))
        return SKV_FAIL(c->ctx, SKIVE_ERR_NUMERIC, "the loss of accuracy is not a number: the targets do not vary");
    if (c->original->hit) {
        t->low = -100 * paired.high;
        t->high = -100 * paired.low;
    }
    /* A drop of exactly the limit is within it; 1e-9 is what a difference of two fractions may be off by. */
    t->within = *within = t->drop <= c->max_drop + 1e-9;
    if (t->drop < r->trials[r->best].drop) r->best = r->n_trials;
    if (*within && applied > r->applied) {
        r->applied = applied;
        r->drop = t->drop;
        r->feasible = true;
    }
    r->n_trials++;
    return SKIVE_OK;
}

skive_status skive_control_drop(skive_context *ctx, size_t n, const skive_eval_report *original, double max_drop,
                                skive_control_evaluate_fn evaluate, void *user, skive_control_report *report) {
    SKV_NEED(ctx, "ctx, original, evaluate, report", ctx, original, evaluate, report);
    control c = {ctx, original, max_drop, evaluate, user, report};
    size_t good = 0, bad = n;
    bool within;
    *report = (skive_control_report){.samples = original->n};
    if (!(max_drop >= 0) || isinf(max_drop))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "the largest drop is %g; it must not be negative (percentage points)", max_drop);
    if (original->hit && original->n > 0) report->finest = 100.0 / (double)original->n;
    if (report->finest > 0 && max_drop < report->finest)
        skv_note(ctx,
                 "a drop of %g points is less than one of the %lld validation samples (%.3g points): only no drop at "
                 "all is within the limit",
                 max_drop, (long long)report->samples, report->finest);
    if (n == 0) return SKIVE_OK;
    SKV_TRY(try_one(&c, n, &within));
    if (within) return SKIVE_OK;
    while (bad - good > 1) {
        const size_t middle = good + (bad - good) / 2;
        SKV_TRY(try_one(&c, middle, &within));
        if (within)
            good = middle;
        else
            bad = middle;
    }
    return SKIVE_OK;
}
