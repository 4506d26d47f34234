/* Timing plans and sessions. */
#include <skive/session.h>

#include "exec/timing.h"
#include "train/train.h"

enum { MAX_RUNS = 100000, WARM_UP = 3 };

static double percentile(const double *sorted, size_t n, double p) {
    const size_t i = (size_t)(p * (double)(n - 1) + 0.5);
    return sorted[i < n ? i : n - 1];
}

/* What is timed: one run of a plan, or of a session on given inputs. */
typedef struct subject {
    skive_exec *exec;
    skive_session *session;
    const skive_tensor *inputs;
    skive_tensor *outputs;
    size_t n_inputs, n_outputs;
} subject;

static skive_status run_once(skive_context *ctx, const subject *x) {
    if (x->exec) return skive_exec_run(x->exec);
    const skive_status status = skive_session_run(x->session, x->inputs, x->n_inputs, x->outputs, x->n_outputs);
    for (size_t i = 0; i < x->n_outputs; i++) skive_tensor_free(ctx, &x->outputs[i]);
    return status;
}

static skive_status measure(skive_context *ctx, const subject *x, size_t min_runs, double min_seconds, double *times,
                            size_t *n_out) {
    size_t n = 0;
    skv_progress progress;
    for (int i = 0; i < WARM_UP; i++) SKV_TRY(run_once(ctx, x));
    skv_progress_start(&progress, ctx, "bench", min_seconds);
    const double started = skv_now();
    for (double now = started; n < MAX_RUNS && (n < min_runs || now - started < min_seconds);) {
        SKV_TRY(run_once(ctx, x));
        const double after = skv_now();
        times[n++] = after - now;
        now = after;
        SKV_TRY(skv_progress_at(&progress, now - started, "%zu runs", n));
    }
    *n_out = n;
    return SKIVE_OK;
}

static skive_status report(skive_context *ctx, const subject *x, int64_t batch, size_t min_runs, double min_seconds,
                           skive_bench_report *out) {
    double *times = NULL, sum = 0;
    size_t n = 0;
    skive_status status;
    if (min_runs < 1) min_runs = 1;
    if (min_runs > MAX_RUNS) min_runs = MAX_RUNS;
    SKV_GO(status, done, skv_alloc_array(ctx, MAX_RUNS, sizeof *times, &times));
    SKV_GO(status, done, measure(ctx, x, min_runs, min_seconds, times, &n));
    for (size_t i = 0; i < n; i++) sum += times[i];
    skv_timing_sort(times, n);
    *out = (skive_bench_report){.runs = n,
                                .min = times[0],
                                .p50 = percentile(times, n, 0.5),
                                .p90 = percentile(times, n, 0.9),
                                .p99 = percentile(times, n, 0.99),
                                .mean = sum / (double)n,
                                .max = times[n - 1]};
    out->throughput = out->p50 > 0 ? (double)(batch > 0 ? batch : 1) / out->p50 : 0;
done:
    skv_free(ctx, times);
    return status;
}

skive_status skive_bench(skive_context *ctx, const skive_plan *plan, int64_t batch, size_t min_runs, double min_seconds,
                         skive_bench_report *out) {
    SKV_NEED(ctx, "ctx, plan, out", ctx, plan, out);
    subject x = {0};
    skive_status status;
    *out = (skive_bench_report){0};
    SKV_GO(status, done, skive_exec_create(ctx, plan, &x.exec));
    SKV_GO(status, done, skv_timing_fill(ctx, x.exec, skive_plan_input_count(plan)));
    status = report(ctx, &x, batch, min_runs, min_seconds, out);
done:
    skive_exec_free(x.exec);
    return status;
}

skive_status skive_bench_session(skive_context *ctx, skive_session *session, const skive_tensor *inputs,
                                 size_t n_inputs, size_t n_outputs, size_t min_runs, double min_seconds,
                                 skive_bench_report *out) {
    SKV_NEED(ctx, "ctx, session, inputs, out", ctx, session, inputs || !n_inputs, out);
    subject x = {.session = session, .inputs = inputs, .n_inputs = n_inputs, .n_outputs = n_outputs};
    *out = (skive_bench_report){0};
    SKV_TRY(skv_alloc_array(ctx, n_outputs + 1, sizeof *x.outputs, &x.outputs));
    const skive_status status = report(ctx, &x, 1, min_runs, min_seconds, out);
    skv_free(ctx, x.outputs);
    return status;
}
