/* QLinearMatMul(a, sa, za, b, sb, zb, sy, zy): the product of two quantized matrices, quantized. See common_integer.h
 * for the arithmetic. */
#include "ops/quant/common_integer.h"
#include "ops/matrix/common_mat_mul.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_want_8bit(c, 0));
    SKV_TRY(skv_infer_want_8bit(c, 3));
    SKV_TRY(skv_infer_want_8bit(c, 7));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    SKV_TRY(skv_want_same_dtype(c, 3, 5));
    const int b_rank = skv_in_ranked(c, 3) ? c->in[3]->rank : -1;
    const int64_t columns = b_rank >= 2 ? c->in[3]->dims[b_rank - 1].size : -1;
    for (size_t i = 1; i < 8; i++)
        if (i != 3) SKV_TRY(skv_infer_want_parameter(c, i, i == 4 || i == 5 ? columns : 1, "a scale or zero point"));
    c->out[0].dtype = c->in[7]->dtype;
    return skv_infer_mat_mul(c, 0, 3);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *a = c->in[0], *b = c->in[3], *y = c->out[0];
    double *x = NULL, *w = NULL, *sum = NULL;
    skive_status status;
    SKV_GO(status, done, skv_centred(c, a, c->in[2], a->rank - 2, &x));
    SKV_GO(status, done, skv_centred(c, b, c->in[5], b->rank - 1, &w));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)skive_tensor_count(y) + 1, sizeof *sum, &sum));
    SKV_GO(status, done, skv_mat_mul_f64(c, a, x, b, w, sum));
    status = skv_requantize(c, sum, skive_tensor_get(c->in[1], 0), c->in[4], y->rank - 1, c->in[6], c->in[7], y);
done:
    skv_free(c->ctx, x);
    skv_free(c->ctx, w);
    skv_free(c->ctx, sum);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *a = n->inputs[0];
    out->macs =
        skv_add_sat(out->macs, skv_mul_sat(skv_dim_or_1(a, a->type.rank - 1), skv_type_count(&n->outputs[0]->type)));
}

static void couple(skv_couple *c) {
    const skive_type *a = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    skv_couple_mat_mul(c, 0, 3);
    if (!a || !y || a->rank < 2 || y->rank < 2) return;
    for (int i = 4; i < 6; i++) /* scales and zero points of columns */
        if (skv_couple_length(c, SKV_CIN(i, 0)) != 1) skv_couple_same(c, SKV_CIN(i, 0), SKV_COUT(0, y->rank - 1));
}

static const skv_op_case cases[] = {
    /* (2, -1) . (3, 4) = 2; 2 * 0.5 * 2 / 4 = 0.5, to even 0; (2, -1) . (5, 1) = 9, 2.25 -> 2; + 10 */
    {.name = "by hand, a tie to even",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 2), CASE_VALUES(12, 9)}, {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true},
             {CASE_SCALAR(SKIVE_U8, 10)}, {CASE_TYPED(SKIVE_I8, 2, 2), CASE_VALUES(3, 5, 4, 1)},
             {CASE_SCALAR(SKIVE_F32, 2), .constant = true}, {CASE_SCALAR(SKIVE_I8, 0)},
             {CASE_SCALAR(SKIVE_F32, 4), .constant = true}, {CASE_SCALAR(SKIVE_U8, 10)}),
     .n_out = 1,
     CASE_EXPECT(10, 12)},
};

const skv_op skv_op_q_linear_mat_mul = {
    .name = "QLinearMatMul",
    .domain = "",
    .brief = "matrix product of quantized matrices, quantized",
    .since = 10,
    .min_in = 8,
    .max_in = 8,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
