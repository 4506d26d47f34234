/* Dense(x [n][inputs], w [outputs][inputs]) -> y [n][outputs]: y = x w'. */
#include "ops/cases.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *w = skv_infer_in(c, 1);
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    c->out[0] = (skive_type){.dtype = x->dtype, .rank = 2, .dims = {skv_dim_unknown(), skv_dim_unknown()}};
    if ((x->rank >= 0 && x->rank != 2) || (w->rank >= 0 && w->rank != 2))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': Dense takes matrices", c->node->name);
    if (x->rank == 2) c->out[0].dims[0] = x->dims[0];
    if (w->rank == 2) c->out[0].dims[1] = w->dims[0];
    if (x->rank == 2 && w->rank == 2 && x->dims[1].size >= 0 && w->dims[1].size >= 0 &&
        x->dims[1].size != w->dims[1].size)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld inputs, but weights for %lld", c->node->name,
                              (long long)x->dims[1].size, (long long)w->dims[1].size);
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *w = c->in[1], *y = c->out[0];
    const size_t n = (size_t)x->dims[0], k = (size_t)x->dims[1], m = (size_t)w->dims[0];
    for (size_t i = 0; i < n * m; i++) {
        double sum = 0;
        for (size_t j = 0; j < k; j++)
            sum += skv_load_f64(x->dtype, x->data, i / m * k + j) * skv_load_f64(w->dtype, w->data, i % m * k + j);
        skv_store_f64(y->dtype, y->data, i, sum);
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_value *dy = c->dout[0], *x = c->node->inputs[0], *w = c->node->inputs[1];
    if (c->need[0]) c->din[0] = skv_emit(c->b, "Gemm", SKV_IN(dy, w), SKV_NONE);
    if (c->need[1]) c->din[1] = skv_emit(c->b, "Gemm", SKV_IN(dy, x), SKV_ATTRS(SKV_INT("transA", 1)));
    return c->b->status;
}

static void couple(skv_couple *c) {
    skv_couple_same(c, SKV_CIN(0, 0), SKV_COUT(0, 0));
    skv_couple_same(c, SKV_CIN(0, 1), SKV_CIN(1, 1));
    skv_couple_same(c, SKV_CIN(1, 0), SKV_COUT(0, 1));
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_type *y = &n->outputs[0]->type, *w = &n->inputs[1]->type;
    if (y->rank == 2 && w->rank == 2) out->macs += skv_type_count(y) * w->dims[1].size;
}

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_WEIGHT, .axes = true, .out_axis = 0, .in_axis = 1, .channels = "neurons"},
};

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(1, 2), CASE_VALUES(10, 1)}),
     .n_out = 1,
     CASE_EXPECT(12, 34),
     CASE_OUT(2, 1)},
    {.name = "random", CASE_IN({CASE_F32(3, 5)}, {CASE_F32(4, 5)}), .n_out = 1, CASE_OUT(3, 4)},
};

const skv_op skv_op_dense = {
    .name = "Dense",
    .domain = SKV_DOMAIN,
    .brief = "product with a matrix of one row for each output",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
