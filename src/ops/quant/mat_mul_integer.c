/* MatMulInteger: the product of two matrices of 8-bit integers minus their zero points, in int32. A has one zero point,
 * or one per row; B has one, or one per column. */
#include "ops/quant/common_mat_mul_integer.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_mat_mul_integer(c));
    c->out[0].dtype = SKIVE_I32;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    double *sums = NULL;
    const skive_status status = skv_mat_mul_integer(c, &sums);
    if (status == SKIVE_OK) skv_store_int32(sums, c->out[0]);
    skv_free(c->ctx, sums);
    return status;
}

static void couple(skv_couple *c) {
    const skive_type *a = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    skv_couple_mat_mul(c, 0, 1);
    if (!a || !y || a->rank < 2 || y->rank < 2) return;
    /* zero points of rows and columns */
    if (skv_couple_length(c, SKV_CIN(2, 0)) != 1) skv_couple_same(c, SKV_CIN(2, 0), SKV_CIN(0, a->rank - 2));
    if (skv_couple_length(c, SKV_CIN(3, 0)) != 1) skv_couple_same(c, SKV_CIN(3, 0), SKV_COUT(0, y->rank - 1));
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
    .couple = couple,
    .cost = skv_mat_mul_integer_cost,
    SKV_LIST(cases),
};
