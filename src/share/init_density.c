/* Density: quantiles of the distribution, so that each centroid starts with equally many weights. */
#include "share/share.h"

static skive_status place(skive_context *ctx, const skv_sorted *s, size_t k, uint64_t seed, double *centroids) {
    (void)ctx;
    (void)seed;
    for (size_t c = 0; c < k; c++)
        centroids[c] = (double)s->value[skv_sorted_at_rank(s, s->count[s->n] * (((double)c + 0.5) / (double)k))];
    return SKIVE_OK;
}

const skv_share_init skv_share_init_density = {
    .name = "density", .brief = "quantiles: about as many weights near each", .place = place};
