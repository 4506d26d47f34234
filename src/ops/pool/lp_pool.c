/* LpPool: the p-norm of each window, (sum of |x|^p)^(1/p); padding counts as zeros. p was a real number in opset 1. */
#include "ops/conv/common_conv.h"
#include "ops/norm/common_norm_order.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"ceil_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},  {"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
    {"p", SKV_ATTR_INT, SKV_OPTIONAL},           {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status import(skive_graph *g, skive_node *n, int from) {
    (void)g;
    return from < 2 ? skv_import_norm_order(n) : SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_norm_order(c, INT32_MAX));
    return skv_infer_pool(c);
}

static double window_norm(const skv_geometry *g, int64_t i, double p, const double *x) {
    const skv_window w = skv_window_at(g, i);
    double sum = 0.0;
    for (int64_t d = w.lo[0]; d < w.hi[0]; d++)
        for (int64_t h = w.lo[1]; h < w.hi[1]; h++)
            for (int64_t k = w.lo[2], row = skv_window_row(g, &w, d, h); k < w.hi[2]; k++)
                sum += skv_norm_term(x[row + k * g->dilation[2]], p);
    return skv_norm_root(sum, p);
}

static skive_status run(const skv_eval *c) {
    skv_geometry g;
    skv_doubles x = {0};
    skv_result y = {0};
    skive_status status;
    const skive_tensor *in = c->in[0];
    const double order = (double)skv_attr_int(c->node, "p", 2);
    SKV_TRY(skv_pool_geometry(c, in, &g));
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    const int64_t planes = in->dims[0] * in->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t p = 0; p < planes; p++)
        for (int64_t i = 0; i < out_size; i++) y.p[p * out_size + i] = window_norm(&g, i, order, x.p + p * in_size);
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "LpPoolGrad", SKV_IN(c->dout[0], c->node->inputs[0], c->node->outputs[0]),
                             skv_attrs_copy(c->node, buffer));
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    size_t count = 0;
    const int64_t *dilations = skv_attr_ints(n, "dilations", &count);
    for (size_t i = 0; i < count; i++)
        if (dilations[i] != 1) return 18;
    return skv_attr_int(n, "ceil_mode", 0) != 0 ? 18 : 11;
}

static const skv_op_case cases[] = {
    {.name = "two by two",
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2)),
     CASE_IN({CASE_F32(1, 1, 2, 3), CASE_VALUES(1, -2, 6, 2, 4, 2)}),
     .n_out = 1,
     CASE_EXPECT(5, 7.745966692414834),
     CASE_OUT(1, 1, 1, 2)},
    {.name = "p = 1, padding, ceil_mode",
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INT("p", 1), CASE_INTS("pads", 1, 0), CASE_INTS("strides", 2),
                CASE_INT("ceil_mode", 1)),
     CASE_IN({CASE_F32(1, 1, 4), CASE_VALUES(-1, 2, -3, 4)}),
     .n_out = 1,
     CASE_EXPECT(1, 5, 4),
     CASE_OUT(1, 1, 3)},
    {.name = "p = 3, dilations",
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 3), CASE_INT("p", 3), CASE_INTS("dilations", 2, 1)),
     CASE_IN({CASE_F32(2, 2, 4, 5)}),
     .n_out = 1,
     CASE_OUT(2, 2, 2, 3)},
    {.name = "three axes",
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2, 2), CASE_STR("auto_pad", "SAME_UPPER")),
     CASE_IN({CASE_F32(1, 1, 2, 3, 2)}),
     .n_out = 1,
     CASE_OUT(1, 1, 2, 3, 2)},
};

const skv_op skv_op_lp_pool = {
    .name = "LpPool",
    .domain = "",
    .brief = "p-norm of each window",
    .since = 18,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_pool,
    .cost = skv_pool_cost,
    SKV_LIST(cases),
};
