/* The equation of Einsum, parsed. */
#ifndef SKV_OPS_COMMON_EINSUM_H
#define SKV_OPS_COMMON_EINSUM_H

#include "ops/common_shape.h"

enum { SKV_EINSUM_LABELS = 24, SKV_EINSUM_TERMS = 8 };

/* A term has a label for each axis. Axes of "..." have separate labels, from the right. */
typedef struct skv_einsum {
    int n_terms, n_labels, n_out;
    int rank[SKV_EINSUM_TERMS];
    int term[SKV_EINSUM_TERMS][SKIVE_MAX_RANK], out[SKIVE_MAX_RANK];
    bool may_broadcast[SKV_EINSUM_LABELS];
} skv_einsum;
/* ranks[n_terms] of the operands, all known. The reason if the equation is invalid, else NULL. */
const char *skv_einsum_parse(const char *equation, int n_terms, const int *ranks, skv_einsum *out);

#endif
