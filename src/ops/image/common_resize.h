/* Shared by Resize, Upsample and the gradient: resampling along each axis separately, by tables of the input elements
 * and weights of each output element. */
#ifndef SKV_OPS_COMMON_RESIZE_H
#define SKV_OPS_COMMON_RESIZE_H

#include "ops/common_nn.h"

typedef enum skv_resize_mode { SKV_RESIZE_NEAREST, SKV_RESIZE_LINEAR, SKV_RESIZE_CUBIC } skv_resize_mode;

typedef enum skv_resize_coordinates { /* the position in the input of an output position */
                                      SKV_HALF_PIXEL,
                                      SKV_HALF_PIXEL_SYMMETRIC,
                                      SKV_PYTORCH_HALF_PIXEL,
                                      SKV_ALIGN_CORNERS,
                                      SKV_ASYMMETRIC,
                                      SKV_CROP_AND_RESIZE,
} skv_resize_coordinates;

typedef enum skv_resize_rounding {
    SKV_ROUND_PREFER_FLOOR,
    SKV_ROUND_PREFER_CEIL,
    SKV_ROUND_FLOOR,
    SKV_ROUND_CEIL,
} skv_resize_rounding;

typedef struct skv_resize_axis {
    int64_t in, out; /* -1: not known */
    bool copied;     /* every element is unchanged */
    bool by_size;    /* scale is exactly out / in, not a given number */
    double scale;
    double first, last; /* the region of interest, as parts of the axis */
} skv_resize_axis;

typedef struct skv_resize {
    int rank;
    skv_resize_mode mode;
    skv_resize_coordinates coordinates;
    skv_resize_rounding rounding;
    bool exclude_outside, antialias;
    double cubic_a, extrapolation;
    skv_resize_axis axis[SKIVE_MAX_RANK];
} skv_resize;

/* Reads the node's attributes and the operands roi, scales and sizes (each may be NULL; an empty one counts as absent)
 * for an input of shape `dims` (-1: not known). ERR_SHAPE or ERR_GRAPH names the node. */
skive_status skv_resize_read(skive_context *ctx, const skive_node *node, int rank, const int64_t *dims,
                             const skive_tensor *roi, const skive_tensor *scales, const skive_tensor *sizes,
                             skv_resize *out);

/* The inputs of one axis' output positions. */
typedef struct skv_resize_taps {
    int64_t n;      /* taps of a position */
    int64_t *index; /* [out][n] */
    double *weight; /* [out][n] */
    bool *outside;  /* [out] the position takes the extrapolation value instead; NULL: none does */
} skv_resize_taps;
skive_status skv_resize_taps_make(skive_context *ctx, const skive_node *node, const skv_resize *r, int axis,
                                  skv_resize_taps *out);
void skv_resize_taps_free(skive_context *ctx, skv_resize_taps *taps); /* a zeroed one is accepted */

/* y [outer][out][inner] from x [outer][in][inner], and back: x = transposed of y. */
void skv_resize_apply(int threads, const skv_resize_taps *t, const skv_resize_axis *axis, int64_t outer, int64_t inner,
                      const double *x, double *y);
void skv_resize_apply_transposed(int threads, const skv_resize_taps *t, const skv_resize_axis *axis, int64_t outer,
                                 int64_t inner, const double *y, double *x);

/* The inputs of a node that are roi, scales and sizes; an index past the last one means none. */
typedef struct skv_resize_operands {
    size_t roi, scales, sizes;
} skv_resize_operands;
/* The type of x resized; dimensions stay open if scales or sizes are not constant. */
skive_status skv_resize_infer(skv_infer *c, skv_resize_operands at, const skive_type *x, skive_type *y);
skive_status skv_resize_of(const skv_eval *c, skv_resize_operands at, const skive_tensor *x, skv_resize *out);
skive_status skv_resize_run(const skv_eval *c, skv_resize_operands at); /* input 0 to output 0 */

#define SKV_RESIZE_ATTRS                                                                                        \
    {"antialias", SKV_ATTR_INT, SKV_OPTIONAL}, {"axes", SKV_ATTR_INTS, SKV_OPTIONAL},                           \
        {"coordinate_transformation_mode", SKV_ATTR_STRING, SKV_OPTIONAL},                                      \
        {"cubic_coeff_a", SKV_ATTR_FLOAT, SKV_OPTIONAL}, {"exclude_outside", SKV_ATTR_INT, SKV_OPTIONAL},       \
        {"extrapolation_value", SKV_ATTR_FLOAT, SKV_OPTIONAL},                                                  \
        {"keep_aspect_ratio_policy", SKV_ATTR_STRING, SKV_OPTIONAL}, {"mode", SKV_ATTR_STRING, SKV_OPTIONAL}, { \
        "nearest_mode", SKV_ATTR_STRING, SKV_OPTIONAL                                                           \
    }

#endif
