/* Shared by Slice and its gradient: start, step and count of a slice. */
#ifndef SKV_OPS_COMMON_SLICE_H
#define SKV_OPS_COMMON_SLICE_H

#include "ops/common_shape.h"

typedef struct skv_slice {
    int rank;
    bool named[SKIVE_MAX_RANK]; /* is the axis sliced? */
    int64_t start[SKIVE_MAX_RANK], step[SKIVE_MAX_RANK], count[SKIVE_MAX_RANK];
} skv_slice;

/* Computes the slice of dims[rank] (-1: unknown, whose count is -1) from lists of n starts, ends and, when given, axes
 * and steps. False if axes or steps are invalid. */
bool skv_slice_resolve(skv_slice *s, int rank, const int64_t *dims, int n, const int64_t *starts, const int64_t *ends,
                       const int64_t *axes, const int64_t *steps);
/* The same with the lists read from inputs first .. first+3 of a run over tensor x. ERR_SHAPE. */
skive_status skv_slice_read(const skv_eval *c, size_t first, const skive_tensor *x, skv_slice *s);

#endif
