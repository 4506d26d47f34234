/* MatMulIntegerToFloat(A, B, a_zero, b_zero, scale): the sums of MatMulInteger, each rounded to float32 and multiplied
 * by the scale: one, or one per column; the result has its type (for float64 nothing is rounded). This is the end of
 * dynamic quantization. */
#include "ops/quant/common_mat_mul_integer.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_mat_mul_integer(c));
    SKV_TRY(skv_want_float(c, SKV_MMI_SCALE));
    c->out[0].dtype = skv_infer_in(c, SKV_MMI_SCALE)->dtype;
    const int rank = c->out[0].rank;
    return skv_infer_want_parameter(c, SKV_MMI_SCALE, rank > 0 ? c->out[0].dims[rank - 1].size : -1, "a scale");
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0], *scale = c->in[SKV_MMI_SCALE];
    const int64_t n = skive_tensor_count(y), columns = y->rank ? y->dims[y->rank - 1] : 1,
                  scales = skive_tensor_count(scale);
    double *sums = NULL;
    const skive_status status = skv_mat_mul_integer(c, &sums);
    for (int64_t i = 0; status == SKIVE_OK && i < n; i++) {
        const int32_t sum = (int32_t)(uint32_t)(int64_t)sums[i];
        const double by = skv_load_f64(scale->dtype, scale->data, (size_t)(scales > 1 ? i % columns : 0));
        const double product = y->dtype == SKIVE_F64 ? sum * by : (double)((float)sum * (float)by);
        skv_store_f64(y->dtype, y->data, (size_t)i, product);
    }
    skv_free(c->ctx, sums);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* -11 -21, -13 26 */
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 2), CASE_VALUES(11, 7, 3, 10)},
             {CASE_TYPED(SKIVE_I8, 2, 2), CASE_VALUES(1, -4, 2, 5)}, {CASE_SCALAR(SKIVE_U8, 12)},
             {CASE_SCALAR(SKIVE_I8, 0)}, {CASE_F32(2), CASE_VALUES(0.5, 2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(-5.5, -42, -6.5, 52),
     .no_grad = true},
};

const skv_op skv_op_mat_mul_integer_to_float = {
    .name = "MatMulIntegerToFloat",
    .domain = SKV_DOMAIN,
    .brief = "matrix product of 8-bit integers, in float32",
    .since = 1,
    .min_in = 5,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_mat_mul_integer_cost,
    SKV_LIST(cases),
};
