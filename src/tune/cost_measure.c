/* Timing plans. Each round runs every plan once (short ones several times in a row), so that what changes over time,
 * such as the clock rate or another program, meets all alike; the median over the rounds leaves single disturbances
 * out. */
#include "exec/timing.h"
#include "tune/costs.h"

enum { ROUNDS = 15, MOST_REPEATS = 1000 };
#define SAMPLE \
    200e-6 /* seconds: what one sample of a short plan lasts at least, so that reading the clock is nothing */

typedef struct subject {
    const skive_plan *plan;
    skive_exec *exec;
    int repeats;
    double times[ROUNDS], reorders[ROUNDS];
} subject;

static double quantile(const double *sorted, size_t n, double p) {
    const double at = p * (double)(n - 1);
    const size_t low = (size_t)at;
    return low + 1 < n ? sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]) : sorted[low];
}

void skv_cost_settle(double *times, size_t n, double *median, double *spread) {
    skv_timing_sort(times, n);
    *median = quantile(times, n, 0.5);
    *spread = (quantile(times, n, 0.75) - quantile(times, n, 0.25)) / 2;
}

/* Random numbers for floats and bytes; other integers may be indices, of which only 0 is surely valid. */
static skive_status fill(skive_context *ctx, const subject *s) {
    const size_t inputs = skive_plan_input_count(s->plan);
    SKV_TRY(skv_timing_fill(ctx, s->exec, inputs));
    for (size_t i = 0; i < inputs; i++) {
        skive_tensor t;
        SKV_TRY(skive_exec_input(s->exec, i, &t));
        const int64_t n = skive_tensor_count(&t);
        const bool bytes = t.dtype == SKIVE_U8 || t.dtype == SKIVE_I8;
        for (int64_t k = 0; k < n && bytes; k++)
            ((unsigned char *)t.data)[k] = (unsigned char)skv_rng_below(skive_context_seed(ctx), i, (uint64_t)k, 256);
    }
    return SKIVE_OK;
}

/* Adds sign times the seconds so far: of the changes of layout, and of the other steps. */
static void add_total(subject *s, size_t round, double sign) {
    size_t runs;
    const double *seconds = skive_exec_profile_seconds(s->exec, &runs);
    for (size_t i = 0; i < skive_plan_step_count(s->plan); i++) {
        skive_plan_step step;
        skive_plan_step_get(s->plan, i, &step);
        *(step.is_reorder ? &s->reorders[round] : &s->times[round]) += sign * seconds[i] / s->repeats;
    }
}

static skive_status start(skive_context *ctx, subject *s) {
    SKV_TRY(skive_exec_create(ctx, s->plan, &s->exec));
    SKV_TRY(fill(ctx, s));
    SKV_TRY(skive_exec_run(s->exec));
    SKV_TRY(skive_exec_profile(s->exec, true));
    const double before = skv_now();
    SKV_TRY(skive_exec_run(s->exec));
    SKV_TRY(skive_exec_run(s->exec));
    const double once = (skv_now() - before) / 2;
    const double wanted = once > 0 ? SAMPLE / once + 1 : MOST_REPEATS;
    s->repeats = wanted < MOST_REPEATS ? (int)wanted : MOST_REPEATS;
    return SKIVE_OK;
}

static skive_status sample(subject *s, size_t round) {
    add_total(s, round, -1);
    for (int k = 0; k < s->repeats; k++) SKV_TRY(skive_exec_run(s->exec));
    add_total(s, round, 1);
    return SKIVE_OK;
}

skive_status skv_cost_measure(void *user, skive_context *ctx, const skive_plan *const *plans, size_t n,
                              skive_cost_time *out, double *reorders) {
    subject *subjects = NULL;
    skive_status status;
    (void)user;
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *subjects, &subjects));
    for (size_t i = 0; i < n; i++) {
        subjects[i].plan = plans[i];
        SKV_GO(status, done, start(ctx, &subjects[i]));
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < n; i++) SKV_GO(status, done, sample(&subjects[i], round));
        SKV_GO(status, done, skv_check_interrupt(ctx));
    }
    status = SKIVE_OK;
    for (size_t i = 0; i < n; i++) {
        double spread;
        skv_cost_settle(subjects[i].times, ROUNDS, &out[i].seconds, &out[i].spread);
        skv_cost_settle(subjects[i].reorders, ROUNDS, &reorders[i], &spread);
    }
done:
    for (size_t i = 0; i < n; i++) skive_exec_free(subjects[i].exec);
    skv_free(ctx, subjects);
    return status;
}
