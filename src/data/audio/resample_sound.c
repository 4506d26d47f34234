/* Conversion of sample rates by band-limited interpolation. Results lie at as many places between two samples as the
 * reduced target rate says; the taps of each are computed once, unless there are very many. */
#include <math.h>
#include <string.h>

#include "data/audio/sound.h"

enum { ZEROS = 32, MOST_TAPS = 1 << 22 };
static const double BETA = 10, ROLLOFF = 0.92, PI = 3.14159265358979323846;

struct skv_resampler {
    skive_context *ctx;
    int64_t from, to; /* reduced */
    double cutoff;    /* of the filter, relative to half the input's rate */
    int64_t taps;     /* of a phase */
    float *phases;    /* [to][taps], or NULL: computed when they are needed */
};

/* The modified Bessel function of the first kind, order 0, by its series. */
static double bessel(double x) {
    double term = 1, sum = 1;
    for (int k = 1; k < 200 && term > sum * 1e-17; k++) {
        term *= (x / (2 * k)) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

static int64_t divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The taps for a result at `phase` / to behind a sample: the first is taps/2 - 1 samples before it. */
static void make_phase(const skv_resampler *r, int64_t phase, float *out) {
    const double at = (double)phase / (double)r->to, reach = (double)(r->taps / 2);
    double sum = 0;
    for (int64_t k = 0; k < r->taps; k++) {
        const double t = at - (double)(k - (r->taps / 2 - 1)), x = PI * r->cutoff * t, edge = t / reach;
        const double inside = 1 - edge * edge;
        const double window = inside > 0 ? bessel(BETA * sqrt(inside)) : 1;
        const double tap = (fabs(x) < 1e-12 ? 1 : sin(x) / x) * window;
        out[k] = (float)tap;
        sum += tap;
    }
    for (int64_t k = 0; k < r->taps; k++) out[k] = (float)((double)out[k] / sum);
}

skive_status skv_resampler_create(skive_context *ctx, int from, int to, skv_resampler **out) {
    skv_resampler *r = NULL;
    const int64_t common = divisor(from, to);
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *r, &r));
    r->ctx = ctx;
    r->from = from / common;
    r->to = to / common;
    r->cutoff = ROLLOFF * (to < from ? (double)to / (double)from : 1);
    r->taps = 2 * (int64_t)ceil(ZEROS / r->cutoff);
    if (r->to <= MOST_TAPS / r->taps) {
        const skive_status status = skv_alloc_array(ctx, (size_t)(r->to * r->taps), sizeof(float), &r->phases);
        if (status != SKIVE_OK) {
            skv_free(ctx, r);
            return status;
        }
        for (int64_t phase = 0; phase < r->to; phase++) make_phase(r, phase, r->phases + phase * r->taps);
    }
    *out = r;
    return SKIVE_OK;
}

void skv_resampler_free(skv_resampler *r) {
    if (!r) return;
    skive_context *ctx = r->ctx;
    skv_free(ctx, r->phases);
    skv_free(ctx, r);
}

int64_t skv_resampler_count(const skv_resampler *r, int64_t n) { return (n * r->to + r->from - 1) / r->from; }

int64_t skv_resampler_needs(const skv_resampler *r, int64_t n) { return n * r->from / r->to + r->taps + 1; }

static float product(const float *restrict taps, const float *restrict x, int64_t n) {
    float sums[8] = {0};
    int64_t k = 0;
    for (; k + 8 <= n; k += 8) {
        for (int i = 0; i < 8; i++) sums[i] += taps[k + i] * x[k + i];
    }
    float sum = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    for (; k < n; k++) sum += taps[k] * x[k];
    return sum;
}

skive_status skv_resampler_run(skive_context *ctx, const skv_resampler *r, const float *in, int64_t count, float *out,
                               int64_t n) {
    float *row = NULL;
    if (!r->phases) SKV_TRY(skv_alloc_array(ctx, (size_t)r->taps, sizeof *row, &row));
    for (int64_t m = 0; m < n; m++) {
        const int64_t place = m * r->from, at = place / r->to, phase = place % r->to;
        const int64_t first = at - (r->taps / 2 - 1);
        const int64_t skip = first < 0 ? -first : 0, end = first + r->taps > count ? count - first : r->taps;
        if (row) make_phase(r, phase, row);
        const float *taps = row ? row : r->phases + phase * r->taps;
        out[m] = end > skip ? product(taps + skip, in + first + skip, end - skip) : 0.0f;
    }
    skv_free(ctx, row);
    return SKIVE_OK;
}
