/* The learning-rate finder: the loss of steps at rates that grow exponentially (the "LR range test" of Smith, Cyclical
 * Learning Rates for Training Neural Networks, WACV 2017, section 3.3). Smoothing, the end of the ramp and both
 * suggestions are those of the finder of fastai (Howard & Gugger, "fastai: A Layered API for Deep Learning", 2020). */
#include "train/find_rate.h"

#include <math.h>

#include "train/train.h"

static const double SMOOTHING = 0.98, LOWEST = 1e-7, HIGHEST = 10, DIVERGED = 4;

double skv_find_rate_at(int64_t i, int64_t n) {
    return LOWEST * pow(HIGHEST / LOWEST, n > 1 ? (double)i / (double)(n - 1) : 0);
}

/* The smoothed losses of the first n rates. Where a loss has hardly begun to fall the smoothing is still of few steps:
 * the first tenth is left out of the search for the steepest place. */
void skv_find_rate_suggest(skive_rate_search *r) {
    double steepest = 0;
    size_t lowest = 0;
    for (size_t i = 1; i < r->n; i++)
        if (r->smoothed[i] < r->smoothed[lowest]) lowest = i;
    r->steepest = NAN;
    r->below_minimum = NAN;
    if (r->n < 10 || lowest == 0) return;
    r->below_minimum = r->rates[lowest] / 10;
    for (size_t i = r->n / 10 + 1; i <= lowest; i++) {
        const double slope = (r->smoothed[i] - r->smoothed[i - 1]) / log(r->rates[i] / r->rates[i - 1]);
        if (slope >= steepest) continue;
        steepest = slope;
        r->steepest = r->rates[i];
    }
}

void skive_rate_search_free(skive_context *ctx, skive_rate_search *r) {
    if (!r) return;
    skv_free(ctx, r->rates);
    skv_free(ctx, r->losses);
    skv_free(ctx, r->smoothed);
    *r = (skive_rate_search){0};
}

static skive_status search(skive_context *ctx, int64_t n, skv_rate_step step, void *user, skive_rate_search *r) {
    double mean = 0, best = INFINITY;
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *r->rates, &r->rates));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *r->losses, &r->losses));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *r->smoothed, &r->smoothed));
    for (int64_t i = 0; i < n; i++) {
        const double rate = skv_find_rate_at(i, n);
        double loss = NAN;
        const skive_status status = step(user, i, rate, &loss);
        if (status == SKIVE_ERR_NUMERIC && i > 0) break; /* far too high: the end that is looked for */
        SKV_TRY(status);
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
        const double smoothed = mean / (1 - pow(SMOOTHING, (double)(i + 1)));
        if (i > 0 && smoothed > DIVERGED * best) break;
        best = fmin(best, smoothed);
        r->rates[r->n] = rate;
        r->losses[r->n] = loss;
        r->smoothed[r->n++] = smoothed;
    }
    skv_find_rate_suggest(r);
    return SKIVE_OK;
}

skive_status skv_find_rate(skive_context *ctx, int64_t n, skv_rate_step step, void *user, skive_rate_search *out) {
    skive_rate_search r = {0};
    const skive_status status = search(ctx, n, step, user, &r);
    if (status != SKIVE_OK) {
        skive_rate_search_free(ctx, &r);
        return status;
    }
    *out = r;
    return SKIVE_OK;
}
