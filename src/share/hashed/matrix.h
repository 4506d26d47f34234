/* The virtual matrix of HashedNets (Chen et al. 2015): W[i][j] = sign(n) * buckets[bucket(n)] with n = i * columns + j,
 * both by hashes of n. It is never stored: a few rows at a time are computed when needed. An entry encodes both: b for
 * bucket b, and buckets + b if the sign is minus. */
#ifndef SKV_SHARE_HASHED_MATRIX_H
#define SKV_SHARE_HASHED_MATRIX_H

#include "ops/common_nn.h"

typedef struct skv_hashed {
    int64_t rows, columns;
    uint32_t buckets, seed;
    uint32_t reciprocal; /* (2^32 - 1) / buckets */
} skv_hashed;

/* XXH32 of n with the seed, modulo the number of buckets; a second hash, with all bits of the seed inverted, gives the
 * sign. The quotient by the reciprocal is exact or one too small. */
static inline int32_t skv_hashed_index(const skv_hashed *h, uint32_t n) {
    const uint32_t x = skv_xxh32(n, h->seed), quotient = (uint32_t)((uint64_t)x * h->reciprocal >> 32);
    const uint32_t rest = x - quotient * h->buckets, bucket = rest >= h->buckets ? rest - h->buckets : rest;
    return (int32_t)(bucket + (skv_xxh32(n, ~h->seed) & 1u) * h->buckets);
}

/* W[i][j] in double. */
static inline double skv_hashed_weight(const skv_hashed *h, const double *buckets, int64_t i, int64_t j) {
    const uint32_t at = (uint32_t)skv_hashed_index(h, (uint32_t)(i * h->columns + j));
    return at < h->buckets ? buckets[at] : -buckets[at - h->buckets];
}

/* Rows and columns are positive with a product below 2^32, buckets positive and below 2^30. */
bool skv_hashed_fits(int64_t rows, int64_t columns, int64_t buckets);
skv_hashed skv_hashed_make(int64_t rows, int64_t columns, int64_t buckets, uint32_t seed); /* of what fits */
skv_hashed skv_hashed_of(const skive_node *n, int64_t buckets);                            /* from its attributes */

/* ---- shared by the ops' records ---- inputs are x (or dy) at 0 and, of the two operands of a gradient, another at 1
 * ---- */
#define SKV_HASHED_ATTRS                                                             \
    {"rows", SKV_ATTR_INT, SKV_REQUIRED}, {"columns", SKV_ATTR_INT, SKV_REQUIRED}, { \
        "seed", SKV_ATTR_INT, SKV_REQUIRED                                           \
    }
/* Input i is [m][width]; *m is -1 where unknown. */
skive_status skv_hashed_want_matrix(skv_infer *c, size_t i, const char *width, skive_dim *m);
/* Checks the attributes, and that input `buckets` is a vector with the type of input 0. */
skive_status skv_hashed_want_buckets(skv_infer *c, size_t buckets);
void skv_hashed_cost(const skive_node *n, skive_cost *cost);
/* Adds the gradient node, with the attributes of this one. */
skive_value *skv_hashed_emit(skv_grad *c, const char *op, skv_in_list in);

#endif
