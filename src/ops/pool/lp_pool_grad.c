/* LpPoolGrad(dY, X, Y) -> dX: dX = sum over the windows of dY * sign(x) * (|x| / y)^(p - 1); 0 where the norm is 0. */
#include "ops/conv/common_conv.h"
#include "ops/norm/common_norm_order.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"ceil_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},  {"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
    {"p", SKV_ATTR_INT, SKV_OPTIONAL},           {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_norm_order(c, INT32_MAX));
    SKV_TRY(skv_want_same_shape(c, 0, 2));
    skv_infer view = *c;
    skive_type forward = {.rank = -1};
    const skive_type *const in[] = {skv_in_type(c, 1)};
    view.in = in;
    view.n_in = 1;
    view.out = &forward;
    view.n_out = 1;
    SKV_TRY(skv_infer_pool(&view));
    SKV_TRY(skv_want_shape(c, 0, &forward));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

static void spread(const skv_geometry *g, int64_t i, double p, double dy, double y, const double *x, double *dx) {
    const skv_window w = skv_window_at(g, i);
    if (y == 0.0) return;
    for (int64_t d = w.lo[0]; d < w.hi[0]; d++) {
        for (int64_t h = w.lo[1]; h < w.hi[1]; h++) {
            for (int64_t k = w.lo[2], row = skv_window_row(g, &w, d, h); k < w.hi[2]; k++) {
                const int64_t at = row + k * g->dilation[2];
                if (x[at] != 0.0) dx[at] += copysign(dy * pow(fabs(x[at]) / y, p - 1.0), x[at] * dy);
            }
        }
    }
}

static skive_status run(const skv_eval *c) {
    enum { DY, X, Y, INPUTS };
    skv_geometry g;
    skv_doubles in[INPUTS] = {{0}};
    skv_result dx = {0};
    skive_status status;
    const skive_tensor *x = c->in[X];
    const double order = (double)skv_attr_int(c->node, "p", 2);
    SKV_TRY(skv_pool_geometry(c, x, &g));
    SKV_TRY(skv_pool_want_dy(c, &g, x, c->in[DY]));
    SKV_TRY(skv_pool_want_dy(c, &g, x, c->in[Y]));
    for (int i = 0; i < INPUTS; i++) SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    const int64_t planes = x->dims[0] * x->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t p = 0; p < planes; p++)
        for (int64_t i = p * out_size; i < (p + 1) * out_size; i++)
            spread(&g, i - p * out_size, order, in[DY].p[i], in[Y].p[i], in[X].p + p * in_size, dx.p + p * in_size);
    skv_result_store(&dx);
out:
    for (int i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* 3 4 have the norm 5, 4 0 the norm 4 */
     CASE_ATTRS(CASE_INTS("kernel_shape", 2)),
     CASE_IN({CASE_F32(1, 1, 2), CASE_VALUES(10, 1)}, {CASE_F32(1, 1, 3), CASE_VALUES(-3, 4, 0)},
             {CASE_F32(1, 1, 2), CASE_VALUES(5, 4)}),
     .n_out = 1,
     CASE_EXPECT(-6, 9, 0)},
};

const skv_op skv_op_lp_pool_grad = {
    .name = "LpPoolGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of LpPool",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
