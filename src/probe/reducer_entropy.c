/* The entropy of what a channel says of a sample (Luo & Wu 2017): the mean over its positions is one number a sample,
 * whose histogram over all samples has the entropy -sum p log p, in nats. A channel that always says the same has 0.
 * The paper divides the range of a channel into 100 bins; here they are 256 over -2^k to 2^k, k as the data need it, so
 * that one pass is enough and parts merge exactly. */
#include <math.h>
#include <string.h>

#include "probe/probe.h"

enum { BINS = 256, HALF = BINS / 2, NOTHING = -2000, LEAST = -1000 };

typedef struct counts {
    int exponent; /* of the reach; NOTHING: only zeros */
    uint32_t bins[BINS];
} counts;

static size_t bytes(const skv_reduction *r) { return (size_t)r->slots * sizeof(counts); }

static void clear(const skv_reduction *r, counts *c) {
    memset(c, 0, bytes(r));
    for (int64_t s = 0; s < r->slots; s++) c[s].exponent = NOTHING;
}

static skive_status open(skive_context *ctx, const skv_reduction *r, void **state) {
    if (r->item->axis == 0 || r->type.rank < 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, r->item->value,
                           "entropy needs the samples along axis 0 of '%s' and the channels along another",
                           r->item->value);
    SKV_TRY(skv_alloc_array(ctx, (size_t)r->slots, sizeof(counts), state));
    clear(r, *state);
    return SKIVE_OK;
}

static void close(skive_context *ctx, const skv_reduction *r, void *state) {
    (void)r;
    skv_free(ctx, state);
}

/* Doubles the reach until it is 2^exponent. Zeros are in the bin that begins at 0, and stay there. */
static void widen(counts *c, int exponent) {
    if (c->exponent == NOTHING) c->exponent = exponent;
    for (; c->exponent < exponent; c->exponent++) {
        uint32_t merged[HALF];
        for (int i = 0; i < HALF; i++) merged[i] = c->bins[2 * i] + c->bins[2 * i + 1];
        memset(c->bins, 0, sizeof c->bins);
        memcpy(c->bins + HALF / 2, merged, sizeof merged);
    }
}

static void count(counts *c, double x) {
    int exponent;
    if (x == 0) {
        c->bins[HALF]++;
        return;
    }
    (void)frexp(x, &exponent);
    if (x == -ldexp(1, exponent)) exponent++;
    widen(c, exponent < LEAST ? LEAST : exponent);
    c->bins[HALF + (int)floor(ldexp(x, -c->exponent) * HALF)]++;
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    const int64_t samples = r->type.dims[0].size, each = r->n / samples;
    const int64_t inner = r->item->axis == SKV_IN_ALL ? each : r->inner, rows = each / (r->slots * inner);
    counts *c = state;
    for (int64_t n = 0; n < samples; n++) {
        const float *x = seen->x + n * each;
        for (int64_t s = 0; s < r->slots; s++) {
            double sum = 0;
            for (int64_t o = 0; o < rows; o++) {
                for (int64_t i = 0; i < inner; i++) sum += (double)x[(o * r->slots + s) * inner + i];
            }
            if (!isfinite(sum))
                return skv_fail_at(seen->ctx, SKIVE_ERR_NUMERIC, r->item->value, "'%s' was NaN or infinity in run %lld",
                                   r->item->value, (long long)seen->run);
            count(&c[s], sum / (double)(rows * inner));
        }
    }
    return SKIVE_OK;
}

static void merge(const skv_reduction *r, void *into, void *part) {
    counts *a = into, *b = part;
    for (int64_t s = 0; s < r->slots; s++) {
        const int exponent = a[s].exponent > b[s].exponent ? a[s].exponent : b[s].exponent;
        if (exponent != NOTHING) {
            widen(&a[s], exponent);
            widen(&b[s], exponent);
        }
        for (int i = 0; i < BINS; i++) a[s].bins[i] += b[s].bins[i];
    }
    clear(r, b);
}

static skive_status finish(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n) {
    const counts *c = state;
    SKV_TRY(skv_alloc_array(ctx, (size_t)r->slots, sizeof **out, out));
    for (*n = 0; *n < (size_t)r->slots; ++*n) {
        double all = 0, sum = 0;
        for (int i = 0; i < BINS; i++) all += c[*n].bins[i];
        for (int i = 0; i < BINS; i++) {
            const double p = all > 0 ? c[*n].bins[i] / all : 0;
            if (p > 0) sum -= p * log(p);
        }
        (*out)[*n] = sum;
    }
    return SKIVE_OK;
}

const skv_reducer skv_reducer_entropy = {.name = "entropy",
                                         .brief = "entropy of the means of samples, in nats",
                                         .exact = true,
                                         .bytes = bytes,
                                         .open = open,
                                         .close = close,
                                         .add = add,
                                         .merge = merge,
                                         .finish = finish};
