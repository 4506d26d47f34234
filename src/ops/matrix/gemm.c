/* Gemm: Y = alpha A' B' + beta C on matrices, A' and B' optionally transposed, C broadcast. */
#include "ops/matrix/common_gemm.h"

static const skv_attr_spec attrs[] = {
    {"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"transA", SKV_ATTR_INT, SKV_OPTIONAL},
    {"transB", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status run(const skv_eval *c) {
    skv_result y;
    SKV_TRY(skv_result_open(c->ctx, c->out[0], &y));
    skive_status status = y.p ? skv_gemm_run(c, &y) : SKIVE_OK;
    if (status == SKIVE_OK) skv_result_store(&y);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_value *product(skv_grad *c, skive_value *a, bool ta, skive_value *b, bool tb, double alpha) {
    return skv_emit(c->b, "Gemm", SKV_IN(a, b),
                    SKV_ATTRS(SKV_FLT("alpha", alpha), SKV_INT("transA", ta), SKV_INT("transB", tb)));
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skive_value *dy = c->dout[0], *a = n->inputs[0], *b = n->inputs[1];
    bool ta = skv_attr_int(n, "transA", 0) != 0, tb = skv_attr_int(n, "transB", 0) != 0;
    double alpha = skv_attr_float(n, "alpha", 1.0), beta = skv_attr_float(n, "beta", 1.0);
    if (c->need[0]) c->din[0] = ta ? product(c, b, tb, dy, true, alpha) : product(c, dy, false, b, !tb, alpha);
    if (c->need[1]) c->din[1] = tb ? product(c, dy, true, a, ta, alpha) : product(c, a, !ta, dy, false, alpha);
    if (n->n_inputs > 2 && c->need[2]) {
        skive_value *dc = dy;
        if (beta != 1.0)
            dc = skv_emit(c->b, "Mul", SKV_IN(dy, skv_emit_scalar(c->b, n->outputs[0]->type.dtype, beta)), SKV_NONE);
        c->din[2] = skv_grad_unbroadcast(c->b, dc, n->inputs[2]);
    }
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *bias = skv_couple_type(c, SKV_CIN(2, 0));
    int ta = skv_attr_int(n, "transA", 0) != 0, tb = skv_attr_int(n, "transB", 0) != 0;
    skv_couple_same(c, SKV_CIN(0, ta ? 1 : 0), SKV_COUT(0, 0));
    skv_couple_same(c, SKV_CIN(0, ta ? 0 : 1), SKV_CIN(1, tb ? 1 : 0));
    skv_couple_same(c, SKV_CIN(1, tb ? 0 : 1), SKV_COUT(0, 1));
    for (int a = 0; bias && a < bias->rank; a++) {
        if (bias->dims[a].size != 1) skv_couple_same(c, SKV_CIN(2, a), SKV_COUT(0, 2 - bias->rank + a));
    }
}

static const double a23[] = {1, 2, 3, 4, 5, 6}, b32[] = {7, 8, 9, 10, 11, 12}, c2[] = {100, 200};
static const double plain[] = {158, 264, 239, 354}; /* 58 64 139 154 plus C */
static const double scaled[] = {79, 132, 119.5, 177};
static const int64_t out22[] = {2, 2};
static const skv_case_in in[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .values = a23},
                                 {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 2}, .values = b32},
                                 {.dtype = SKIVE_F32, .rank = 1, .dims = {2}, .values = c2}};
static const skv_attr_init at_scaled[] = {A_FLT("alpha", 0.5), A_FLT("beta", 0.5)};
/* A and B as before, stored the other way round. */
static const double a32t[] = {1, 4, 2, 5, 3, 6}, b23t[] = {7, 9, 11, 8, 10, 12}, no_bias[] = {58, 64, 139, 154};
static const skv_case_in in_tt[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {3, 2}, .values = a32t},
                                    {.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .values = b23t}};
static const skv_attr_init at_tt[] = {A_INT("transA", 1), A_INT("transB", 1)};
static const skv_case_in in_ta[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {4, 3}},
                                    {.dtype = SKIVE_F32, .rank = 2, .dims = {4, 5}},
                                    {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 1}}};
static const skv_attr_init at_ta[] = {A_INT("transA", 1), A_FLT("alpha", 1.5), A_FLT("beta", -2)};
static const skv_case_in in_tb[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {3, 4}},
                                    {.dtype = SKIVE_F32, .rank = 2, .dims = {5, 4}},
                                    {.dtype = SKIVE_F32, .rank = 0}};
static const skv_attr_init at_tb[] = {A_INT("transB", 1)};
static const skv_op_case cases[] = {
    {.name = "with C", CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(plain), CASE_DIMS_OF(out22)},
    {.name = "alpha and beta", CASE_ATTRS_OF(at_scaled), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(scaled)},
    {.name = "both transposed",
     CASE_ATTRS_OF(at_tt),
     CASE_IN_OF(in_tt),
     .n_out = 1,
     CASE_EXPECT_OF(no_bias),
     CASE_DIMS_OF(out22)},
    {.name = "A transposed, C a column", CASE_ATTRS_OF(at_ta), CASE_IN_OF(in_ta), .n_out = 1},
    {.name = "B transposed, C a scalar", CASE_ATTRS_OF(at_tb), CASE_IN_OF(in_tb), .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = 0,
     .in_axis = 1,
     .transpose = "transA",
     .either = true,
     .data = 1,
     .data_axis = 0,
     .data_transpose = "transB",
     .channels = "rows"},
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = 1,
     .in_axis = 0,
     .transpose = "transB",
     .data_axis = 1,
     .result_axis = 1,
     .data_transpose = "transA",
     .channels = "neurons"},
    {.role = SKV_ROLE_BIAS, .axes = true, .out_axis = -1, .in_axis = -1},
};

const skv_op skv_op_gemm = {
    .name = "Gemm",
    .domain = "",
    .brief = "matrix product with scaling and bias",
    .since = 11,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = skv_infer_gemm,
    .run = run,
    .grad = grad,
    .couple = couple,
    .bounds = skv_bound_product,
    .cost = skv_gemm_cost,
    SKV_LIST(cases),
    .integer_form = "QGemm",
};
