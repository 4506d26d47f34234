/* A loop over several tensors at once, each with strides of its own: what element-wise kernels with broadcasting,
 * reductions and copies share. Axes that every tensor passes in the same way are one, and the last two are left to a
 * loop that the kernel brings along. */
#ifndef SKV_STRIDES_H
#define SKV_STRIDES_H

#include "kernels/kernel.h"

enum { SKV_STRIDES_TENSORS = 4, SKV_STRIDES_RANK = SKIVE_MAX_RANK + 1 }; /* + 1: a channel axis in blocks is two */

typedef struct skv_strides {
    int rank, tensors; /* rank >= 2 once joined */
    int64_t dims[SKV_STRIDES_RANK];
    int64_t step[SKV_STRIDES_TENSORS][SKV_STRIDES_RANK]; /* in elements; 0: the same element for the whole axis */
    int64_t outer;                                       /* combinations of all axes but the last two */
} skv_strides;

/* The last two axes of one combination, for the kernel's loop. */
typedef struct skv_block {
    int64_t m, n;                       /* rows, elements of a row */
    int64_t row[SKV_STRIDES_TENSORS];   /* from row to row */
    int64_t along[SKV_STRIDES_TENSORS]; /* from element to element */
} skv_block;

/* The axes of a type of this rank in the order in which they lie; of channels in blocks, 1 stands twice. How many. */
int skv_strides_order(int rank, skv_layout layout, int order[SKV_STRIDES_RANK]);
/* Starts with the axes of `type`, as they lie in memory in this layout, which pads no channels. */
void skv_strides_start(skv_strides *s, const skive_type *type, skv_layout layout);
/* Adds a tensor that broadcasts to that type; it lies in `layout`, which is the type's or SKV_PLAIN. */
void skv_strides_add(skv_strides *s, const skive_type *type, skv_layout layout, const skive_type *like,
                     skv_layout like_layout);
/* Leaves out axes of one element and joins neighbours. To be called when all tensors are there. */
void skv_strides_join(skv_strides *s);
skv_block skv_strides_block(const skv_strides *s);
/* The elements at which combination `index` starts in each tensor. */
void skv_strides_at(const skv_strides *s, int64_t index, int64_t at[SKV_STRIDES_TENSORS]);

#endif
