/* MaxPool: the largest element of each window, NaN if it holds one; padding is never the maximum. The optional second
 * output is its position: the index of the first maximum in X, counted row-major (storage_order 0) or with the spatial
 * axes column-major (1). A window entirely in the padding gives the lowest value of the type. Also for 8-bit
 * integers. */
#include <math.h>

#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL},   {"ceil_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},    {"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},         {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"storage_order", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_in_type(c, 0);
    if (!x || (x->dtype != SKIVE_U8 && x->dtype != SKIVE_I8)) SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_infer_pool(c));
    if (c->n_out > 1) {
        c->out[1] = c->out[0];
        c->out[1].dtype = SKIVE_I64;
    }
    return SKIVE_OK;
}

static double lowest(skive_dtype dtype) {
    switch (dtype) {
    case SKIVE_U8: return 0.0;
    case SKIVE_I8: return -128.0;
    case SKIVE_F16: return -65504.0;
    case SKIVE_BF16: return -0x1.fep127;
    case SKIVE_F32: return -0x1.fffffep127;
    default: return -0x1.fffffffffffffp1023;
    }
}

/* The first maximum of one window; *at is its index in the plane, -1 if the window is empty. NaN counts as larger than
 * any number; the first element counts whatever it is, also -infinity. */
static double window_max(const skv_geometry *g, const double *x, const int64_t o[SKV_SPATIAL], double low,
                         int64_t *at) {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], start[SKV_SPATIAL];
    double best = low;
    *at = -1;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_window_range(g, a, o[a], &lo[a], &hi[a]);
        start[a] = o[a] * g->stride[a] - g->pad_lo[a];
    }
    for (int64_t d = lo[0]; d < hi[0]; d++) {
        for (int64_t h = lo[1]; h < hi[1]; h++) {
            int64_t row = ((start[0] + d * g->dilation[0]) * g->in[1] + start[1] + h * g->dilation[1]) * g->in[2];
            for (int64_t w = lo[2]; w < hi[2]; w++) {
                int64_t i = row + start[2] + w * g->dilation[2];
                if (*at < 0 || x[i] > best || (isnan(x[i]) && !isnan(best))) {
                    best = x[i];
                    *at = i;
                }
            }
        }
    }
    return best;
}

static int64_t column_major(const skv_geometry *g, int64_t i) {
    int64_t w = i % g->in[2], h = i / g->in[2] % g->in[1], d = i / g->in[2] / g->in[1];
    return d + g->in[0] * (h + g->in[1] * w);
}

static skive_status run(const skv_eval *c) {
    skv_geometry g;
    skv_doubles x = {0};
    skv_result y = {0};
    skive_status status;
    const skive_tensor *in = c->in[0];
    SKV_TRY(skv_pool_geometry(c, in, &g));
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    int64_t *indices = c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL;
    int64_t planes = in->dims[0] * in->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
    bool columns = skv_attr_int(c->node, "storage_order", 0) != 0;
    double low = lowest(in->dtype);
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t i = 0; i < out_size; i++) {
            const int64_t o[SKV_SPATIAL] = {i / g.out[2] / g.out[1], i / g.out[2] % g.out[1], i % g.out[2]};
            int64_t at;
            double best = window_max(&g, x.p + p * in_size, o, low, &at);
            if (y.p) y.p[p * out_size + i] = best;
            if (indices) indices[p * out_size + i] = at < 0 ? -1 : p * in_size + (columns ? column_major(&g, at) : at);
        }
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    SKV_TRY(skv_grad_only_first(c, 1));
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "MaxPoolGrad", SKV_IN(c->dout[0], c->node->inputs[0], c->node->outputs[0]),
                             skv_attrs_copy(c->node, buffer));
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return in[0];
}

static int needs_opset(const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0);
    return x && (x->type.dtype == SKIVE_U8 || x->type.dtype == SKIVE_I8) ? 12 : 11;
}

static const skv_op_case cases[] = {
    {.name = "strides", /* "maxpool_2d_precomputed_strides" of the ONNX specification */
     CASE_IN({CASE_F32(1, 1, 5, 5),
              CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2), CASE_INTS("strides", 2, 2)),
     .n_out = 1,
     CASE_EXPECT(7, 9, 17, 19),
     CASE_OUT(1, 1, 2, 2)},
    {.name = "pads, indices", /* "maxpool_with_argmax_2d_precomputed_pads" */
     CASE_IN({CASE_F32(1, 1, 5, 5),
              CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 5, 5), CASE_INTS("pads", 2, 2, 2, 2)),
     .n_out = 2,
     CASE_EXPECT(13, 14, 15, 15, 15, 18, 19, 20, 20, 20, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25)},
    {.name = "SAME_UPPER", /* "maxpool_2d_precomputed_same_upper" */
     CASE_IN({CASE_F32(1, 1, 5, 5),
              CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3, 3), CASE_INTS("strides", 2, 2), CASE_STR("auto_pad", "SAME_UPPER")),
     .n_out = 1,
     CASE_EXPECT(7, 9, 10, 17, 19, 20, 22, 24, 25)},
    {.name = "ceil_mode", /* "maxpool_2d_ceil" */
     CASE_IN({CASE_F32(1, 1, 4, 4), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3, 3), CASE_INTS("strides", 2, 2), CASE_INT("ceil_mode", 1)),
     .n_out = 1,
     CASE_EXPECT(11, 12, 15, 16),
     CASE_OUT(1, 1, 2, 2)},
    {.name = "dilations", /* "maxpool_2d_dilations" */
     CASE_IN({CASE_F32(1, 1, 4, 4), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2), CASE_INTS("dilations", 2, 2)),
     .n_out = 1,
     CASE_EXPECT(11, 12, 15, 16),
     CASE_OUT(1, 1, 2, 2)},
    {.name = "a window past the end is left out", /* ceil of 3 / 2 + 1 would be 3, the third starts in the padding */
     CASE_IN({CASE_F32(1, 1, 3), CASE_VALUES(1, 2, 3)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 1), CASE_INTS("strides", 2), CASE_INTS("pads", 0, 1),
                CASE_INT("ceil_mode", 1)),
     .n_out = 1,
     CASE_EXPECT(1, 3),
     CASE_OUT(1, 1, 2)},
    {.name = "uint8",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 4), CASE_VALUES(3, 200, 255, 7)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INTS("pads", 1, 0)),
     .n_out = 1,
     CASE_EXPECT(3, 200, 255, 255),
     .no_grad = true},
    {.name = "int8",
     CASE_IN({CASE_TYPED(SKIVE_I8, 1, 1, 3), CASE_VALUES(-128, -5, -7)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INTS("pads", 1, 1)),
     .n_out = 1,
     CASE_EXPECT(-128, -5, -5, -7),
     .no_grad = true},
    {.name = "NaN and -infinity, indices",
     CASE_IN({CASE_F32(1, 1, 8), CASE_VALUES(-INFINITY, -INFINITY, NAN, 3, 4, NAN, NAN, NAN)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INTS("strides", 2)),
     .n_out = 2,
     CASE_EXPECT(-INFINITY, NAN, NAN, NAN),
     .no_grad = true},
    {.name = "overlapping windows, batch",
     CASE_IN({CASE_F32(2, 3, 5, 6)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3, 2), CASE_INTS("strides", 2, 1), CASE_INTS("pads", 1, 0, 1, 1)),
     .n_out = 1},
    {.name = "3-d", CASE_IN({CASE_F32(1, 2, 3, 4, 3)}), CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2, 2)), .n_out = 1},
};

const skv_op skv_op_max_pool = {
    .name = "MaxPool",
    .domain = "",
    .brief = "largest element of each window",
    .since = 12,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_pool,
    .range = range,
    .bounds = skv_bound_channels,
    .cost = skv_pool_cost,
    SKV_LIST(cases),
};
