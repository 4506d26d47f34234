/* GlobalAveragePool: the mean of each channel over all its positions, which stay as axes of size 1. */
#include "ops/conv/common_conv.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 3, SKIVE_MAX_RANK));
    skv_out_like(c, 0, 0);
    for (int a = 2; a < c->out[0].rank; a++) c->out[0].dims[a] = skv_dim_of(1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *in = c->in[0];
    skv_doubles x = {0};
    skv_result y = {0};
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, in, &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    int64_t planes = in->dims[0] * in->dims[1], size = 1;
    for (int a = 2; a < in->rank; a++) size *= in->dims[a];
    if (size == 0) {
        status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "GlobalAveragePool: a channel without positions");
        goto out;
    }
    for (int64_t p = 0; y.p && p < planes; p++) {
        double sum = 0.0;
        for (int64_t i = 0; i < size; i++) sum += x.p[p * size + i];
        y.p[p] = sum / (double)size;
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

/* The gradient of an AveragePool whose window is the whole plane. */
static skive_status grad(skv_grad *c) {
    const skive_type *x = &c->node->inputs[0]->type;
    int64_t window[SKIVE_MAX_RANK];
    if (!c->need[0]) return SKIVE_OK;
    bool known = x->rank >= 3 && x->rank <= 2 + SKV_SPATIAL;
    for (int a = 2; known && a < x->rank; a++) {
        window[a - 2] = x->dims[a].size;
        known = x->dims[a].size > 0;
    }
    if (!known)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                           "GlobalAveragePool: the gradient needs known spatial sizes, at most %d of them",
                           SKV_SPATIAL);
    c->din[0] = skv_emit(c->b, "AveragePoolGrad", SKV_IN(c->dout[0], c->node->inputs[0]),
                         SKV_ATTRS(SKV_INTS("kernel_shape", window, (size_t)(x->rank - 2))));
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return in[0];
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *x = skv_node_in(n, 0);
    if (x) out->operations = skv_add_sat(out->operations, skv_type_count(&x->type));
}

static const skv_op_case cases[] = {
    {.name = "precomputed", /* "globalaveragepool_precomputed" of the ONNX specification */
     CASE_IN({CASE_F32(1, 1, 3, 3), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9)}),
     .n_out = 1,
     CASE_EXPECT(5),
     CASE_OUT(1, 1, 1, 1)},
    {.name = "two channels, one axis",
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(1, 2, 10, 30)}),
     .n_out = 1,
     CASE_EXPECT(1.5, 20)},
    {.name = "batch", CASE_IN({CASE_F32(2, 3, 3, 4)}), .n_out = 1},
};

const skv_op skv_op_global_average_pool = {
    .name = "GlobalAveragePool",
    .domain = "",
    .brief = "mean of each channel",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_pool,
    .range = range,
    .bounds = skv_bound_channels,
    .cost = cost,
    SKV_LIST(cases),
    .integer_form = "QGlobalAveragePool",
};
