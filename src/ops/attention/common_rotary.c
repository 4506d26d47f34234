/* See common_rotary.h. */
#include "ops/attention/common_rotary.h"

const char *skv_rotary_of(const skive_node *n, int rank, const int64_t *x, int cache_rank, const int64_t *cache,
                          bool positions, skv_rotary *out) {
    skv_rotary r = {.batch = x[0], .heads_first = rank == 4, .interleaved = skv_attr_int(n, "interleaved", 0) != 0};
    r.heads = rank == 4 ? x[1] : skv_attr_int(n, "num_heads", 0);
    r.tokens = rank == 4 ? x[2] : x[1];
    if (rank == 3 && (r.heads < 1 || x[2] % r.heads != 0)) return "num_heads does not divide the elements of a token";
    r.size = rank == 4 ? x[3] : x[2] / r.heads;
    const int64_t turned = skv_attr_int(n, "rotary_embedding_dim", 0);
    if (turned < 0 || turned > r.size) return "rotary_embedding_dim is larger than a head";
    if ((turned ? turned : r.size) % 2) return "the number of rotated elements is odd";
    r.half = (turned ? turned : r.size) / 2;
    if (cache_rank != (positions ? 2 : 3))
        return positions ? "with positions a cache must have two axes"
                         : "without positions a cache must have three axes";
    if (cache[cache_rank - 1] != r.half) return "a row of a cache is not half of the rotated elements";
    if (!positions && (cache[0] != r.batch || cache[1] != r.tokens)) return "the caches do not match the tokens";
    r.positions = positions ? cache[0] : 0;
    *out = r;
    return NULL;
}
