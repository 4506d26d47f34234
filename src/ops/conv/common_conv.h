/* Spatial geometry of convolutions and pools, and their loops in double.
 *
 * One, two and three spatial axes are all treated as three: missing leading axes have size 1 and a window of 1. */
#ifndef SKV_OPS_COMMON_CONV_H
#define SKV_OPS_COMMON_CONV_H

#include "ops/common_nn.h"

#define SKV_SPATIAL 3

typedef struct skv_geometry {
    int spatial; /* the number of actual axes: the last `spatial` of each array */
    /* in and out are -1 where unknown, and so are pads that follow from an unknown size (auto_pad) */
    int64_t in[SKV_SPATIAL], kernel[SKV_SPATIAL], stride[SKV_SPATIAL], dilation[SKV_SPATIAL];
    int64_t pad_lo[SKV_SPATIAL], pad_hi[SKV_SPATIAL], out[SKV_SPATIAL];
} skv_geometry;

/* Reads kernel_shape, strides, dilations, pads, auto_pad and ceil_mode of `node`. `dims` [rank] is the input's shape
 * [n][c][spatial...], -1 unknown. `kernel` [rank - 2] is the window from the weight's shape (-1 unknown), or NULL: from
 * kernel_shape, which is required then. All values are checked as far as sizes are known. ERR_SHAPE names the node. */
skive_status skv_conv_geometry(skive_context *ctx, const skive_node *node, int rank, const int64_t *dims,
                               const int64_t *kernel, skv_geometry *out);

/* An integer list attribute of `want` numbers in [low, INT32_MAX] into out[]; absent or empty: unchanged. */
skive_status skv_conv_list(skive_context *ctx, const skive_node *node, const char *name, size_t want, int64_t low,
                           int64_t *out, bool *present);
typedef enum skv_pad_rule { SKV_PADS_GIVEN, SKV_PADS_SAME_UPPER, SKV_PADS_SAME_LOWER, SKV_PADS_NONE } skv_pad_rule;
skive_status skv_conv_pad_rule(skive_context *ctx, const skive_node *node, skv_pad_rule *out); /* auto_pad */

/* Output positions [lo, hi) of one axis at which tap k of the window meets the input. */
static inline void skv_tap_range(const skv_geometry *g, int axis, int64_t k, int64_t *lo, int64_t *hi) {
    int64_t offset = k * g->dilation[axis] - g->pad_lo[axis], s = g->stride[axis], last = g->in[axis] - 1 - offset;
    *lo = offset >= 0 ? 0 : (-offset + s - 1) / s;
    *hi = last < 0 ? 0 : last / s + 1;
    if (*hi > g->out[axis]) *hi = g->out[axis];
    if (*lo > *hi) *lo = *hi;
}

/* Taps [lo, hi) of one axis that meet the input at output position o. */
static inline void skv_window_range(const skv_geometry *g, int axis, int64_t o, int64_t *lo, int64_t *hi) {
    int64_t start = o * g->stride[axis] - g->pad_lo[axis], d = g->dilation[axis], last = g->in[axis] - 1 - start;
    *lo = start >= 0 ? 0 : (-start + d - 1) / d;
    *hi = last < 0 ? 0 : last / d + 1;
    if (*hi > g->kernel[axis]) *hi = g->kernel[axis];
    if (*lo > *hi) *lo = *hi;
}

/* The part of the window at output position o that meets the input: taps [lo, hi) of each axis, and the position of tap
 * 0. */
typedef struct skv_window {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], start[SKV_SPATIAL];
} skv_window;
/* i: index of the output position in its plane. */
static inline skv_window skv_window_at(const skv_geometry *g, int64_t i) {
    const int64_t o[SKV_SPATIAL] = {i / g->out[2] / g->out[1], i / g->out[2] % g->out[1], i % g->out[2]};
    skv_window w;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_window_range(g, a, o[a], &w.lo[a], &w.hi[a]);
        w.start[a] = o[a] * g->stride[a] - g->pad_lo[a];
    }
    return w;
}
/* Index in the input plane of the tap (d, h, 0); the next tap is dilation[2] further. */
static inline int64_t skv_window_row(const skv_geometry *g, const skv_window *w, int64_t d, int64_t h) {
    return ((w->start[0] + d * g->dilation[0]) * g->in[1] + w->start[1] + h * g->dilation[1]) * g->in[2] + w->start[2];
}

static inline int64_t skv_volume(const int64_t d[SKV_SPATIAL]) { return d[0] * d[1] * d[2]; }

/* A whole convolution: x [n][c][in...], w [m][c / groups][kernel...], y [n][m][out...]. */
typedef struct skv_conv_shape {
    int64_t n, c, m, groups; /* n, c, m: -1 unknown */
    skv_geometry g;
} skv_conv_shape;

/* From the shapes of x and w (-1 unknown) and the node's attributes. ERR_SHAPE names the node. */
skive_status skv_conv_shape_make(skive_context *ctx, const skive_node *node, int x_rank, const int64_t *x_dims,
                                 int w_rank, const int64_t *w_dims, skv_conv_shape *out);
/* The same for the tensors of a run. */
skive_status skv_conv_shape_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *w, skv_conv_shape *out);
/* Shape inference of a convolution of inputs x and w into output 0 (not its element type). */
skive_status skv_infer_conv(skv_infer *c, size_t x, size_t w, skv_conv_shape *shape, bool *known);

/* y = x conv w + bias (bias [m], may be NULL). */
void skv_conv_forward(int threads, const skv_conv_shape *s, const double *x, const double *w, const double *bias,
                      double *y);
void skv_conv_backward_input(int threads, const skv_conv_shape *s, const double *dy, const double *w, double *dx);
void skv_conv_backward_weight(int threads, const skv_conv_shape *s, const double *dy, const double *x, double *dw);

/* Multiply-accumulates of a node whose output 0 is a convolution with weight `w`. */
void skv_conv_cost(const skive_node *n, const skive_value *w, skive_cost *cost);
/* The same for a gradient node, whose input 0 is the gradient of the convolution's output. */
void skv_conv_grad_cost(const skive_node *n, const skive_value *w, skive_cost *cost);
/* Checks that `dy` has the shape of the convolution's output, else ERR_SHAPE. */
skive_status skv_conv_want_dy(const skv_eval *c, const skv_conv_shape *s, const skive_tensor *dy);

/* Inference shared by all pools: output 0 gets input 0's type with pooled spatial sizes. */
skive_status skv_infer_pool(skv_infer *c);
/* Geometry of a pool over `x` at run time. */
skive_status skv_pool_geometry(const skv_eval *c, const skive_tensor *x, skv_geometry *out);
/* Batch and channels of input 0 are coupled to those of output 0, spatial sizes are fixed. */
/* Checks that `dy` has the shape of the pool's output over x, else ERR_SHAPE. */
skive_status skv_pool_want_dy(const skv_eval *c, const skv_geometry *g, const skive_tensor *x, const skive_tensor *dy);
void skv_couple_pool(skv_couple *c);
/* A convolution of input x with filters w [M, C / group, ...], of which both sizes of channels are known, and a bias
 * [M] (negative: none). */
void skv_couple_conv(skv_couple *c, int x, int w, int bias);
/* Sets `group` to the number of groups of input x that are left. */
skive_status skv_shrink_groups(const skv_shrink *s, int x);
void skv_pool_cost(const skive_node *n, skive_cost *cost); /* one operation per window element */

/* The divisor of an average at output position o, and what one axis has of it. */
int64_t skv_average_taps(const skv_geometry *g, int axis, int64_t o, bool count_include_pad);
int64_t skv_average_divisor(const skv_geometry *g, const int64_t o[SKV_SPATIAL], bool count_include_pad);

#endif
