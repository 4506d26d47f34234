/* Shared by Col2Im and its gradient. */
#ifndef SKV_OPS_COMMON_COL2IM_H
#define SKV_OPS_COMMON_COL2IM_H

#include "ops/conv/common_conv.h"
#include "ops/common_shape.h"

/* Columns [n][c * taps][positions] and an image [n][c][g.in...], as a convolution with a window of the block's size
 * sees it. */
typedef struct skv_col2im {
    skv_geometry g;
    int64_t n, c, taps, positions; /* n, c: -1 unknown */
} skv_col2im;

/* From the sizes of the columns (NULL or -1 where unknown) and the lists of `spatial` numbers. ERR_SHAPE names the
 * node. */
skive_status skv_col2im_make(skive_context *ctx, const skive_node *node, const int64_t *columns, const int64_t *image,
                             const int64_t *block, int spatial, skv_col2im *out);
/* Inputs first (the image's sizes) and first + 1 (the block's) of a run. */
skive_status skv_col2im_read(const skv_eval *c, size_t first, const int64_t *columns, skv_col2im *out);
/* The image as the sum of the columns; and the columns out of an image. */
void skv_col2im_gather(int threads, const skv_col2im *s, const double *columns, double *image);
void skv_col2im_spread(int threads, const skv_col2im *s, const double *image, double *columns);

#endif
