/* AveragePoolGrad(dY, X) -> dX: each dY is spread evenly over its window. Of X only the shape is read. */
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
    skv_infer view = *c;
    skive_type forward = {.rank = -1};
    const skive_type *x = skv_in_type(c, 1), *const in[] = {x};
    view.in = in;
    view.n_in = 1;
    view.out = &forward;
    view.n_out = 1;
    SKV_TRY(skv_infer_pool(&view));
    SKV_TRY(skv_want_shape(c, 0, &forward));
    skv_out_like(c, 0, 1);
    if (c->in[0] && c->in[0]->dtype != SKIVE_DTYPE_NONE) c->out[0].dtype = c->in[0]->dtype;
    return SKIVE_OK;
}

static void spread(const skv_geometry *g, const int64_t o[SKV_SPATIAL], double v, double *dx) {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], start[SKV_SPATIAL];
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_window_range(g, a, o[a], &lo[a], &hi[a]);
        start[a] = o[a] * g->stride[a] - g->pad_lo[a];
    }
    for (int64_t d = lo[0]; d < hi[0]; d++) {
        for (int64_t h = lo[1]; h < hi[1]; h++) {
            int64_t row = ((start[0] + d * g->dilation[0]) * g->in[1] + start[1] + h * g->dilation[1]) * g->in[2];
            for (int64_t w = lo[2]; w < hi[2]; w++) dx[row + start[2] + w * g->dilation[2]] += v;
        }
    }
}

static skive_status run(const skv_eval *c) {
    skv_geometry g;
    skv_doubles dy = {0};
    skv_result dx = {0};
    skive_status status;
    const skive_tensor *in = c->in[1];
    bool include = skv_attr_int(c->node, "count_include_pad", 0) != 0;
    SKV_TRY(skv_pool_geometry(c, in, &g));
    SKV_TRY(skv_pool_want_dy(c, &g, in, c->in[0]));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    int64_t planes = in->dims[0] * in->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
    if (!dx.p) goto out;
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t i = 0; i < out_size; i++) {
            const int64_t o[SKV_SPATIAL] = {i / g.out[2] / g.out[1], i / g.out[2] % g.out[1], i % g.out[2]};
            int64_t count = skv_average_divisor(&g, o, include);
            if (count) spread(&g, o, dy.p[p * out_size + i] / (double)count, dx.p + p * in_size);
        }
    }
    skv_result_store(&dx);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_result_free(c->ctx, &dx);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

static const skv_op_case cases[] = {
    {.name = "overlap",
     CASE_IN({CASE_F32(1, 1, 3), CASE_VALUES(2, 4, 6)}, {CASE_F32(1, 1, 4)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2)),
     .n_out = 1,
     CASE_EXPECT(1, 3, 5, 3)},
    {.name = "padding left out",
     CASE_IN({CASE_F32(1, 1, 2), CASE_VALUES(2, 4)}, {CASE_F32(1, 1, 3)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INTS("strides", 2), CASE_INTS("pads", 1, 0)),
     .n_out = 1,
     CASE_EXPECT(2, 2, 2)},
    {.name = "padding counted",
     CASE_IN({CASE_F32(1, 1, 2), CASE_VALUES(2, 4)}, {CASE_F32(1, 1, 3)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INTS("strides", 2), CASE_INTS("pads", 1, 0),
                CASE_INT("count_include_pad", 1)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 2)},
};

const skv_op skv_op_average_pool_grad = {
    .name = "AveragePoolGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of AveragePool",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
