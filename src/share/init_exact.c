/* Exact: the optimum, which Lloyd's algorithm then leaves unchanged. For reference, or if a slightly smaller error is
 * worth seconds. */
#include "share/share.h"

static skive_status place(skive_context *ctx, const skv_sorted *s, size_t k, uint64_t seed, double *centroids) {
    size_t start[SKV_SHARE_MAX_ENTRIES + 1];
    (void)seed;
    SKV_TRY(skv_exact_clusters(ctx, s, k, start));
    for (size_t c = 0; c < k; c++) centroids[c] = skv_run_mean(s, start[c], start[c + 1]);
    return SKIVE_OK;
}

const skv_share_init skv_share_init_exact = {
    .name = "exact", .brief = "the optimum, by dynamic programming", .place = place};
