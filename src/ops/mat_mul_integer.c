/* MatMulInteger: the product of two matrices of 8-bit integers less their zero points, in int32. The zero point of A is one, or one a row;
 * that of B one, or one a column. */
#include "ops/common_integer.h"
#include "ops/common_mat_mul.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_want_8bit(c, 0));
    SKV_TRY(skv_infer_want_8bit(c, 1));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    SKV_TRY(skv_want_same_dtype(c, 1, 3));
    const int a_rank = skv_in_ranked(c, 0) ? c->in[0]->rank : -1, b_rank = skv_in_ranked(c, 1) ? c->in[1]->rank : -1;
    SKV_TRY(skv_infer_want_parameter(c, 2, a_rank >= 2 ? c->in[0]->dims[a_rank - 2].size : -1, "the zero point of A"));
    SKV_TRY(skv_infer_want_parameter(c, 3, b_rank >= 2 ? c->in[1]->dims[b_rank - 1].size : -1, "the zero point of B"));
    c->out[0].dtype = SKIVE_I32;
    return skv_infer_mat_mul(c, 0, 1);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    double *x = NULL, *w = NULL, *sum = NULL;
    skive_status status;
    SKV_GO(status, done, skv_centred(c, a, c->n_in > 2 ? c->in[2] : NULL, a->rank - 2, &x));
    SKV_GO(status, done, skv_centred(c, b, c->n_in > 3 ? c->in[3] : NULL, b->rank - 1, &w));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)skive_tensor_count(y) + 1, sizeof *sum, &sum));
    SKV_GO(status, done, skv_mat_mul_f64(c, a, x, b, w, sum));
    skv_store_int32(sum, y);
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

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 2), CASE_VALUES(11, 7, 3, 10)},
             {CASE_TYPED(SKIVE_I8, 2, 2), CASE_VALUES(1, -4, 2, 5)}, {CASE_SCALAR(SKIVE_U8, 12)}),
     .n_out = 1,
     CASE_EXPECT(-11, -21, -13, 26)},
    {.name = "a zero point a column",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 2), CASE_VALUES(1, 2)}, {CASE_TYPED(SKIVE_U8, 2, 2), CASE_VALUES(3, 4, 5, 6)},
             CASE_ABSENT, {CASE_TYPED(SKIVE_U8, 2), CASE_VALUES(1, 2)}),
     .n_out = 1,
     CASE_EXPECT(10, 10)},
};

const skv_op skv_op_mat_mul_integer = {
    .name = "MatMulInteger",
    .domain = "",
    .brief = "matrix product of 8-bit integers",
    .since = 10,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
