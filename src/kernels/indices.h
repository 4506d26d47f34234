/* What the kernels that read or write at computed places share: input 1 has the indices. */
#ifndef SKV_KERNELS_INDICES_H
#define SKV_KERNELS_INDICES_H

#include "kernels/kernel.h"

static inline int64_t skv_index_at(const skv_kernel_call *c, int64_t i) {
    return c->n->in[1].type.dtype == SKIVE_I32 ? ((const int32_t *)c->in[1])[i] : ((const int64_t *)c->in[1])[i];
}

/* Of indices in the rank of input 0, into one axis of it: their sizes, and elements of input 0 from one to the next
 * along each axis, 0 along this one. Gives the elements from one index to the next. */
static inline int64_t skv_index_steps(const skv_kernel_node *n, int axis, int64_t *dims, int64_t *strides) {
    const skive_type *x = &n->in[0].type, *index = &n->in[1].type;
    int64_t stride = 1, step = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        dims[d] = index->dims[d].size;
        strides[d] = d == axis ? 0 : stride;
        if (d == axis) step = stride;
        stride *= x->dims[d].size;
    }
    return step;
}

#endif
