/* Time, progress reports, and interruption.
 *
 * The progress callback is the one way a caller stops a job. skv_check_interrupt therefore repeats the last report, so
 * that a job notices Ctrl-C within a tenth of a second, even between two of its reports. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/context.h"

static const double PERIOD = 0.1; /* seconds */

double skv_now(void) {
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0.0;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static skive_status report(skive_context *ctx, double now) {
    ctx->job_time = now;
    if (!ctx->progress) return SKIVE_OK;
    const char *job = ctx->job[0] ? ctx->job : "working";
    if (ctx->progress(ctx->progress_user, job, ctx->job_detail, ctx->job_done, ctx->job_total, ctx->job_left) == 0) {
        return SKIVE_OK;
    }
    return SKV_FAIL(ctx, SKIVE_ERR_INTERRUPTED, "interrupted during %s", job);
}

void skv_progress_start(skv_progress *p, skive_context *ctx, const char *what, double total) {
    p->ctx = ctx;
    p->what = what;
    p->total = total;
    p->done_before = 0.0;
    p->started = skv_now();
    p->last = -1.0; /* the first call reports */
}

skive_status skv_progress_at(skv_progress *p, double done, const char *detail_format, ...) {
    skive_context *ctx = p->ctx;
    if (!ctx || !ctx->progress) return SKIVE_OK;
    double now = skv_now();
    bool end = p->total > 0.0 && done >= p->total;
    if (!end && p->last >= 0.0 && now - p->last < PERIOD) return SKIVE_OK;
    p->last = now;
    (void)snprintf(ctx->job, sizeof ctx->job, "%s", p->what);
    ctx->job_detail[0] = '\0';
    if (detail_format) {
        va_list args;
        va_start(args, detail_format);
        (void)vsnprintf(ctx->job_detail, sizeof ctx->job_detail, detail_format, args);
        va_end(args);
    }
    ctx->job_done = done;
    ctx->job_total = p->total;
    ctx->job_left = end ? 0.0 : -1.0;
    const double here = done - p->done_before;
    if (!end && p->total > 0.0 && here > 0.0) ctx->job_left = (now - p->started) / here * (p->total - done);
    return report(ctx, now);
}

skive_status skv_check_interrupt(skive_context *ctx) {
    if (!ctx || !ctx->progress) return SKIVE_OK;
    double now = skv_now();
    if (now - ctx->job_time < PERIOD) return SKIVE_OK;
    return report(ctx, now);
}
