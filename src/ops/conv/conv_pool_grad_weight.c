/* ConvPoolGradWeight(dP, I, X, W) -> dW, dB: ConvGradWeight of the gradient of MaxPoolPlace, for a convolution of step
 * 1 without padding. Each window passes its gradient dP to the element given by I, so that only one product per window
 * is needed. Of W only the shape is read. */
#include "ops/pool/common_pool_place.h"

static const skv_attr_spec attrs[] = {{"pool_shape", SKV_ATTR_INTS, SKV_REQUIRED}};
enum { DP, PLACES, X, W, INPUTS };

static skive_status infer(skv_infer *c) {
    skv_infer view = *c;
    skive_type forward = {.rank = -1};
    skv_conv_shape s;
    bool known;
    int64_t pool[2];
    for (size_t i = 0; i < INPUTS; i++) {
        if (i != PLACES) SKV_TRY(skv_want_float(c, i));
        SKV_TRY(skv_want_rank(c, i, 4, 4));
    }
    SKV_TRY(skv_want_dtype(c, PLACES, SKIVE_U8));
    SKV_TRY(skv_want_same_shape(c, DP, PLACES));
    if (!skv_pool_shape(c->node, pool))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': pool_shape is not two sizes", c->node->name);
    view.out = &forward;
    view.n_out = 1;
    SKV_TRY(skv_infer_conv(&view, X, W, &s, &known));
    for (int d = 0; d < 4; d++) {
        const int64_t p = skv_in_dim(c, DP, d), y = forward.rank == 4 ? forward.dims[d].size : -1;
        if (y >= 0 && p >= 0 && (d < 2 ? y : y / pool[d - 2]) != p)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the sizes do not match", c->node->name);
    }
    skv_out_like(c, 0, W);
    if (c->n_out > 1) c->out[1] = (skive_type){.dtype = c->out[0].dtype, .rank = 1, .dims = {{known ? s.m : -1, NULL}}};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_conv_shape s;
    skv_doubles dp = {0}, x = {0};
    skv_result dw = {0}, db = {0};
    double *dy = NULL;
    int64_t pool[2];
    skive_status status;
    if (!skv_pool_shape(c->node, pool))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': pool_shape is not two sizes",
                           c->node->name);
    const skive_tensor *p = c->in[DP];
    const uint8_t *places = c->in[PLACES]->data;
    SKV_TRY(skv_conv_shape_of(c, c->in[X], c->in[W], &s));
    SKV_GO(status, out, skv_doubles_read(c->ctx, p, &dp));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[X], &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dw));
    SKV_GO(status, out, skv_result_open(c->ctx, c->n_out > 1 ? c->out[1] : NULL, &db));
    const int64_t rows = s.g.out[1], width = s.g.out[2], oh = p->dims[2], ow = p->dims[3];
    SKV_GO(status, out, skv_alloc_array(c->ctx, (size_t)(s.n * s.m * rows * width) + 1, sizeof *dy, &dy));
    for (int64_t i = 0; i < s.n * s.m * oh * ow; i++) {
        const int64_t plane = i / (oh * ow), place = places[i];
        if (place >= pool[0] * pool[1]) continue;
        dy[(plane * rows + i / ow % oh * pool[0] + place / pool[1]) * width + i % ow * pool[1] + place % pool[1]] =
            dp.p[i];
        if (db.p) db.p[plane % s.m] += dp.p[i];
    }
    if (dw.p) skv_conv_backward_weight(skv_threads(c->ctx), &s, dy, x.p, dw.p);
    skv_result_store(&dw);
    skv_result_store(&db);
out:
    skv_doubles_free(c->ctx, &dp);
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &dw);
    skv_result_free(c->ctx, &db);
    skv_free(c->ctx, dy);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *p = skv_node_in(n, DP), *w = skv_node_in(n, W);
    if (!p || !w) return;
    const int64_t taps = skv_mul_sat(skv_dim_or_1(w, 1), skv_mul_sat(skv_dim_or_1(w, 2), skv_dim_or_1(w, 3)));
    out->macs = skv_add_sat(out->macs, skv_mul_sat(skv_type_count(&p->type), taps));
}

static const skv_op_case cases[] = {
    /* the largest stood at (0, 1) and (2, 0): dW = 10 x[0..1][1..2] + 100 x[2..3][0..1] */
    {.name = "by hand",
     CASE_ATTRS(CASE_INTS("pool_shape", 2, 2)),
     CASE_IN({CASE_F32(1, 1, 2, 1), CASE_VALUES(10, 100)}, {CASE_TYPED(SKIVE_U8, 1, 1, 2, 1), CASE_VALUES(1, 0)},
             {CASE_F32(1, 1, 5, 3), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6)}, {CASE_F32(1, 1, 2, 2)}),
     .n_out = 2,
     CASE_EXPECT(720, 830, 150, 260),
     CASE_OUT(1, 1, 2, 2)},
};

const skv_op skv_op_conv_pool_grad_weight = {
    .name = "ConvPoolGradWeight",
    .domain = SKV_DOMAIN,
    .brief = "gradient of a convolution's weight through MaxPoolPlace",
    .since = 1,
    .min_in = INPUTS,
    .max_in = INPUTS,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
