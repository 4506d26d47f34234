/* MaxPoolGrad(dY, X, Y) -> dX: each dY goes to the first element of its window (row-major) that equals Y. */
#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL},   {"ceil_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},    {"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},         {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"storage_order", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_same_shape(c, 0, 2));
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
    return SKIVE_OK;
}

/* Index in the plane of the first element equal to y in the window at o; -1: none. */
static int64_t find(const skv_geometry *g, const double *x, const int64_t o[SKV_SPATIAL], double y) {
    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], start[SKV_SPATIAL];
    for (int a = 0; a < SKV_SPATIAL; a++) {
        skv_window_range(g, a, o[a], &lo[a], &hi[a]);
        start[a] = o[a] * g->stride[a] - g->pad_lo[a];
    }
    for (int64_t d = lo[0]; d < hi[0]; d++) {
        for (int64_t h = lo[1]; h < hi[1]; h++) {
            int64_t row = ((start[0] + d * g->dilation[0]) * g->in[1] + start[1] + h * g->dilation[1]) * g->in[2];
            for (int64_t w = lo[2]; w < hi[2]; w++) {
                int64_t i = row + start[2] + w * g->dilation[2];
                if (x[i] == y) return i;
            }
        }
    }
    return -1;
}

static skive_status run(const skv_eval *c) {
    skv_geometry g;
    skv_doubles dy = {0}, x = {0}, y = {0};
    skv_result dx = {0};
    skive_status status;
    const skive_tensor *in = c->in[1];
    SKV_TRY(skv_pool_geometry(c, in, &g));
    SKV_TRY(skv_pool_want_dy(c, &g, in, c->in[0]));
    SKV_TRY(skv_pool_want_dy(c, &g, in, c->in[2]));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[2], &y));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    int64_t planes = in->dims[0] * in->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
    if (!dx.p) goto out;
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t i = 0; i < out_size; i++) {
            const int64_t o[SKV_SPATIAL] = {i / g.out[2] / g.out[1], i / g.out[2] % g.out[1], i % g.out[2]};
            int64_t at = find(&g, x.p + p * in_size, o, y.p[p * out_size + i]);
            if (at >= 0) dx.p[p * in_size + at] += dy.p[p * out_size + i];
        }
    }
    skv_result_store(&dx);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &y);
    skv_result_free(c->ctx, &dx);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

static const skv_op_case cases[] = {
    {.name = "a tie goes to the first",
     CASE_IN({CASE_F32(1, 1, 2), CASE_VALUES(10, 20)}, {CASE_F32(1, 1, 4), CASE_VALUES(5, 5, 1, 2)},
             {CASE_F32(1, 1, 2), CASE_VALUES(5, 2)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INTS("strides", 2)),
     .n_out = 1,
     CASE_EXPECT(10, 0, 0, 20)},
    {.name = "windows overlap, padding",
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 9, 2, 3)},
             {CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 9, 2, 9)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2), CASE_INTS("pads", 1, 1, 0, 0)),
     .n_out = 1,
     CASE_EXPECT(1, 6, 3, 0)},
};

const skv_op skv_op_max_pool_grad = {
    .name = "MaxPoolGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of MaxPool",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
