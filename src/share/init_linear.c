/* Linear: evenly spaced from the smallest to the largest value. Han et al. 2016 found it best, because it places
 * centroids at the few large weights, which matter most. */
#include "share/share.h"

static skive_status place(skive_context *ctx, const skv_sorted *s, size_t k, uint64_t seed, double *centroids) {
    const double low = (double)s->value[0], high = (double)s->value[s->n - 1];
    (void)ctx;
    (void)seed;
    for (size_t c = 0; c < k; c++)
        centroids[c] = k == 1 ? low / 2 + high / 2 : low + (high - low) * ((double)c / (double)(k - 1));
    return SKIVE_OK;
}

const skv_share_init skv_share_init_linear = {
    .name = "linear", .brief = "evenly spaced from the smallest to the largest weight", .place = place};
