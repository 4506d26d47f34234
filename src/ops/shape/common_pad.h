/* Shared by Pad and its gradient: the modes, the amounts, and the input element of each output element. */
#ifndef SKV_OPS_COMMON_PAD_H
#define SKV_OPS_COMMON_PAD_H

#include "ops/common_shape.h"

typedef enum skv_pad_mode {
    SKV_PAD_CONSTANT,
    SKV_PAD_REFLECT,
    SKV_PAD_EDGE,
    SKV_PAD_WRAP,
    SKV_PAD_UNKNOWN
} skv_pad_mode;
skv_pad_mode skv_pad_mode_of(const skive_node *n);

/* Elements before and after each axis. */
typedef struct skv_pads {
    int64_t before[SKIVE_MAX_RANK], after[SKIVE_MAX_RANK];
} skv_pads;
/* Spreads the lists (n_axes -1: all axes) over `rank` axes; false if they do not match or are unreasonably large. */
bool skv_pads_spread(skv_pads *p, int rank, const int64_t *pads, int n_pads, const int64_t *axes, int n_axes);
/* The amounts from inputs `at` (pads) and `axes_at` at run; from the constants of the graph: false if unknown. */
skive_status skv_pads_read(const skv_eval *c, size_t at, size_t axes_at, int rank, skv_pads *p);
bool skv_pads_constant(const skive_node *n, size_t at, size_t axes_at, int rank, skv_pads *p);

/* The element of x (row-major) from which the padded element `index` is copied; -1: the constant. */
int64_t skv_pad_source(skv_pad_mode mode, const skv_pads *p, int rank, const int64_t *dims, const int64_t *strides,
                       const int64_t *index);

#endif
