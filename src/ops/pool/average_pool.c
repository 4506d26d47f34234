/* AveragePool: the mean of each window. With count_include_pad 0 (the default) padding is left out of the mean; with 1
 * it counts as zeros, except for the part that ceil_mode adds after the end of the padding. An empty window gives 0. */
#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"ceil_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"count_include_pad", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    return skv_infer_pool(c);
}

static double window_sum(const skv_geometry *g, const double *x, const int64_t o[SKV_SPATIAL]) {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], start[SKV_SPATIAL];
    double sum = 0.0;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_window_range(g, a, o[a], &lo[a], &hi[a]);
        start[a] = o[a] * g->stride[a] - g->pad_lo[a];
    }
    for (int64_t d = lo[0]; d < hi[0]; d++) {
        for (int64_t h = lo[1]; h < hi[1]; h++) {
            int64_t row = ((start[0] + d * g->dilation[0]) * g->in[1] + start[1] + h * g->dilation[1]) * g->in[2];
            for (int64_t w = lo[2]; w < hi[2]; w++) sum += x[row + start[2] + w * g->dilation[2]];
        }
    }
    return sum;
}

static skive_status run(const skv_eval *c) {
    skv_geometry g;
    skv_doubles x = {0};
    skv_result y = {0};
    skive_status status;
    const skive_tensor *in = c->in[0];
    bool include = skv_attr_int(c->node, "count_include_pad", 0) != 0;
    SKV_TRY(skv_pool_geometry(c, in, &g));
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    int64_t planes = in->dims[0] * in->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
    if (!y.p) goto out;
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t i = 0; i < out_size; i++) {
            const int64_t o[SKV_SPATIAL] = {i / g.out[2] / g.out[1], i / g.out[2] % g.out[1], i % g.out[2]};
            int64_t count = skv_average_divisor(&g, o, include);
            y.p[p * out_size + i] = count ? window_sum(&g, x.p + p * in_size, o) / (double)count : 0.0;
        }
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] =
            skv_emit(c->b, "AveragePoolGrad", SKV_IN(c->dout[0], c->node->inputs[0]), skv_attrs_copy(c->node, buffer));
    return c->b->status;
}

/* Padding brings zeros in. */
static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return (skv_range){in[0].lo < 0.0 ? in[0].lo : 0.0, in[0].hi > 0.0 ? in[0].hi : 0.0};
}

static int needs_opset(const skive_node *n) {
    size_t count = 0;
    const int64_t *dilations = skv_attr_ints(n, "dilations", &count);
    for (size_t i = 0; i < count; i++)
        if (dilations[i] != 1) return 19;
    return 11;
}

#define RAMP25 CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)
static const skv_op_case cases[] = {
    {.name = "pads", /* "averagepool_2d_precomputed_pads" of the ONNX specification */
     CASE_IN({CASE_F32(1, 1, 5, 5), RAMP25}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 5, 5), CASE_INTS("pads", 2, 2, 2, 2)),
     .n_out = 1,
     CASE_EXPECT(7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5, 11, 11.5, 12, 12.5, 13, 13.5, 14, 14.5, 15, 15.5, 16, 16.5, 17, 17.5,
                 18, 18.5, 19)},
    {.name = "count_include_pad", /* "averagepool_2d_precomputed_pads_count_include_pad" */
     CASE_IN({CASE_F32(1, 1, 5, 5), RAMP25}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 5, 5), CASE_INTS("pads", 2, 2, 2, 2), CASE_INT("count_include_pad", 1)),
     .n_out = 1,
     CASE_EXPECT(2.52, 3.6, 4.8, 4.08, 3.24, 4.56, 6.4, 8.4, 7.04, 5.52, 7.2, 10, 13, 10.8, 8.4, 6.96, 9.6, 12.4, 10.24,
                 7.92, 6.12, 8.4, 10.8, 8.88, 6.84)},
    {.name = "SAME_UPPER", /* "averagepool_2d_precomputed_same_upper" */
     CASE_IN({CASE_F32(1, 1, 5, 5), RAMP25}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3, 3), CASE_INTS("strides", 2, 2), CASE_STR("auto_pad", "SAME_UPPER")),
     .n_out = 1,
     CASE_EXPECT(4, 5.5, 7, 11.5, 13, 14.5, 19, 20.5, 22)},
    {.name = "ceil_mode", /* "averagepool_2d_ceil" */
     CASE_IN({CASE_F32(1, 1, 4, 4), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3, 3), CASE_INTS("strides", 2, 2), CASE_INT("ceil_mode", 1)),
     .n_out = 1,
     CASE_EXPECT(6, 7.5, 12, 13.5)},
    {.name = "ceil_mode and count_include_pad", /* 0 1 2 and 3 4 with nothing beyond: 3 / 3 and 7 / 2 */
     CASE_IN({CASE_F32(1, 1, 4), CASE_VALUES(1, 2, 3, 4)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3), CASE_INTS("strides", 3), CASE_INTS("pads", 1, 0),
                CASE_INT("ceil_mode", 1), CASE_INT("count_include_pad", 1)),
     .n_out = 1,
     CASE_EXPECT(1, 3.5)},
    {.name = "dilations, batch",
     CASE_IN({CASE_F32(2, 2, 5, 6)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 3), CASE_INTS("dilations", 2, 1), CASE_INTS("pads", 1, 1, 0, 1)),
     .n_out = 1},
    {.name = "strides with padding counted",
     CASE_IN({CASE_F32(1, 3, 7)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 3), CASE_INTS("strides", 2), CASE_INTS("pads", 1, 1),
                CASE_INT("count_include_pad", 1)),
     .n_out = 1},
};

const skv_op skv_op_average_pool = {
    .name = "AveragePool",
    .domain = "",
    .brief = "mean of each window",
    .since = 19,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
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
    .integer_form = "QAveragePool",
};
