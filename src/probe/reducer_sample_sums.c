/* Magnitudes of the sums of each sample: of products of a channel's activations and their gradients, what removing the
 * channel changes in the loss of each sample, to first order (Molchanov, Tyree, Karras, Aila & Kautz 2017). */
#include <math.h>

#include "probe/slots.h"

static skive_status open(skive_context *ctx, const skv_reduction *r, void **state) {
    if (r->item->axis == 0 || r->type.rank < 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, r->item->value,
                           "sums of samples need the samples along axis 0 of '%s' and the slots along another",
                           r->item->value);
    return skv_slots_open(ctx, r, state);
}

static void close(skive_context *ctx, const skv_reduction *r, void *state) {
    (void)r;
    skv_free(ctx, state);
}

static skive_status add(const skv_reduction *r, void *state, const skv_seen *seen) {
    const int64_t samples = r->type.dims[0].size, each = r->n / samples, outer = each / (r->slots * r->inner);
    const int64_t inner = r->item->axis == SKV_IN_ALL ? each : r->inner, rows = r->item->axis == SKV_IN_ALL ? 1 : outer;
    double *slot = state;
    for (int64_t n = 0; n < samples; n++) {
        const float *x = seen->x + n * each;
        for (int64_t s = 0; s < r->slots; s++) {
            double sum = 0;
            for (int64_t o = 0; o < rows; o++) {
                for (int64_t i = 0; i < inner; i++) sum += (double)x[(o * r->slots + s) * inner + i];
            }
            slot[s] += fabs(sum);
        }
    }
    return SKIVE_OK;
}

static void merge(const skv_reduction *r, void *into, void *part) { skv_slots_join(r, into, part); }

static skive_status finish(skive_context *ctx, const skv_reduction *r, void *state, double **out, size_t *n) {
    const double *slot = state;
    SKV_TRY(skv_alloc_array(ctx, (size_t)r->slots, sizeof **out, out));
    for (*n = 0; *n < (size_t)r->slots; ++*n) (*out)[*n] = slot[*n];
    return SKIVE_OK;
}

const skv_reducer skv_reducer_sample_sums = {.name = "sample-sums",
                                             .brief = "magnitude of each sample's sum",
                                             .bytes = skv_slots_bytes,
                                             .open = open,
                                             .close = close,
                                             .add = add,
                                             .merge = merge,
                                             .finish = finish};
