/* RotaryEmbedding's shapes, for the reference and the kernel. */
#ifndef SKV_OPS_COMMON_ROTARY_H
#define SKV_OPS_COMMON_ROTARY_H

#include "ops/common_nn.h"

enum { SKV_ROTARY_X, SKV_ROTARY_COS, SKV_ROTARY_SIN, SKV_ROTARY_POSITIONS };

/* x [batch][heads][tokens][size] or [batch][tokens][heads size]; caches [positions][half], or [batch][tokens][half]
 * without positions. The first 2 half elements of a head are rotated. */
typedef struct skv_rotary {
    int64_t batch, heads, tokens, size, half, positions;
    bool heads_first, interleaved;
} skv_rotary;
/* The reason if the shapes do not match, else NULL. */
const char *skv_rotary_of(const skive_node *n, int rank, const int64_t *x, int cache_rank, const int64_t *cache,
                          bool positions, skv_rotary *out);
/* The offset of a head's elements. */
static inline int64_t skv_rotary_at(const skv_rotary *r, int64_t b, int64_t head, int64_t token) {
    return (r->heads_first ? (b * r->heads + head) * r->tokens + token : (b * r->tokens + token) * r->heads + head) *
           r->size;
}

#endif
