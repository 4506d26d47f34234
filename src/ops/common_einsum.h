/* The equation of Einsum, taken apart. */
#ifndef SKV_OPS_COMMON_EINSUM_H
#define SKV_OPS_COMMON_EINSUM_H

#include "ops/common_shape.h"

enum { SKV_EINSUM_LABELS = 24, SKV_EINSUM_TERMS = 8 };

/* A term names a label for each axis. Axes under "..." have labels of their own, from the right. */
typedef struct skv_einsum {
    int n_terms, n_labels, n_out;
    int rank[SKV_EINSUM_TERMS];
    int term[SKV_EINSUM_TERMS][SKIVE_MAX_RANK], out[SKIVE_MAX_RANK];
    bool may_broadcast[SKV_EINSUM_LABELS];
} skv_einsum;
/* ranks[n_terms] of the operands, all known. The reason when the equation makes no sense, else NULL. */
const char *skv_einsum_parse(const char *equation, int n_terms, const int *ranks, skv_einsum *out);

#endif
