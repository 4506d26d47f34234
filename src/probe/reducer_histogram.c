/* A histogram of all numbers (histogram.h). `number` is one of SKV_BINS_..., by default equal bins. */
#include "probe/histogram.h"
#include "probe/probe.h"

static int bins_of(const skv_reduction *r) { return r->item->number ? (int)r->item->number : SKV_BINS_EQUAL; }

static size_t bytes(const skv_reduction *r) { return skv_histogram_bytes(bins_of(r)); }

static void close(skive_context *ctx, const skv_reduction *r, void *state) {
    (void)r;
    skv_histogram_free(ctx, state);
    skv_free(ctx, state);
}

static skive_status open(skive_context *ctx, const skv_reduction *r, void **state) {
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof(skv_histogram), state));
    return skv_histogram_create(ctx, bins_of(r), *state);
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    skv_histogram *h = state;
    h->run = seen->run;
    if (skv_histogram_add(h, seen->x, seen->n, seen->padding)) return SKIVE_OK;
    return skv_fail_at(seen->ctx, SKIVE_ERR_NUMERIC, r->item->value, "'%s' was NaN or infinity in run %lld",
                       r->item->value, (long long)seen->run);
}

static void merge(const skv_reduction *r, void *into, void *part) {
    (void)r;
    skv_histogram_merge(into, part);
    skv_histogram_clear(part);
}

/* The reach, then the counts of the equal bins, or of the relative ones without them. */
static skive_status finish(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n) {
    const skv_histogram *h = state;
    const uint64_t *bins = h->bins ? h->bins : h->relative;
    (void)r;
    SKV_TRY(skv_alloc_array(ctx, SKV_HISTOGRAM_BINS + 1, sizeof **out, out));
    *n = SKV_HISTOGRAM_BINS + 1;
    (*out)[0] = h->reach;
    for (size_t i = 0; i < SKV_HISTOGRAM_BINS; i++) (*out)[i + 1] = (double)bins[i];
    if (h->reach == 0) (*out)[1 + SKV_HISTOGRAM_BINS / 2] = (double)h->count;
    return SKIVE_OK;
}

const skv_reducer skv_reducer_histogram = {.name = "histogram",
                                           .brief = "counts in equal or relative bins",
                                           .exact = true,
                                           .anywhere = true,
                                           .bytes = bytes,
                                           .open = open,
                                           .close = close,
                                           .add = add,
                                           .merge = merge,
                                           .finish = finish};
