/* QGemm(x, w, bias?): the integer matrix product. x is uint8 or int8 [m][k], w int8 [n][k], bias int32 [n]; y is
 * [m][n].
 *
 *     v = sum of (x - x_zero_point) * w + bias[n], exactly, in int32
 *     t = (float)v * multiplier[n]; then clamp, round and shift as in QConv (src/ops/quant/q_conv.c), same attributes
 * */
#include "ops/quant/common_fixed.h"

static const skv_attr_spec attrs[] = {
    {"x_zero_point", SKV_ATTR_INT, SKV_OPTIONAL},
    {"multiplier", SKV_ATTR_FLOATS, SKV_REQUIRED},
    {"y_dtype", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"y_zero_point", SKV_ATTR_INT, SKV_OPTIONAL},
    {"clamp_lo", SKV_ATTR_INT, SKV_OPTIONAL},
    {"clamp_hi", SKV_ATTR_INT, SKV_OPTIONAL},
    SKV_Q_FIXED_ATTRS,
};

static skive_status infer(skv_infer *c) {
    skv_q_scaling scaling;
    int32_t zp;
    SKV_TRY(skv_q_want_bytes(c, 0));
    SKV_TRY(skv_want_dtype(c, 1, SKIVE_I8));
    SKV_TRY(skv_want_dtype(c, 2, SKIVE_I32));
    SKV_TRY(skv_want_rank(c, 0, 2, 2));
    SKV_TRY(skv_want_rank(c, 1, 2, 2));
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", c->in[0]->dtype, &zp));
    int64_t k = skv_in_dim(c, 0, 1), k_w = skv_in_dim(c, 1, 1), n = skv_in_dim(c, 1, 0);
    if (k >= 0 && k_w >= 0 && k != k_w)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "QGemm: the inner dimension of x is %lld, but that of w is %lld",
                              (long long)k, (long long)k_w);
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, n, true, &scaling));
    c->out[0] =
        (skive_type){.dtype = skv_requant_dtype(&scaling.r), .rank = 2, .dims = {skv_dim_of(-1), skv_dim_of(n)}};
    if (skv_in_ranked(c, 0)) c->out[0].dims[0] = c->in[0]->dims[0];
    return skv_want_vector(c, 2, n, "the bias");
}

static skive_status run(const skv_eval *c) {
    skv_q_scaling scaling;
    int32_t zero;
    uint8_t *room = NULL;
    const uint8_t *x;
    const skive_tensor *bias_tensor = c->n_in > 2 ? c->in[2] : NULL;
    if (!c->out[0]) return SKIVE_OK;
    int64_t m = c->in[0]->dims[0], k = c->in[0]->dims[1], n = c->in[1]->dims[0];
    const int8_t *w = c->in[1]->data;
    const int32_t *bias = bias_tensor ? bias_tensor->data : NULL;
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", c->in[0]->dtype, &zero));
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, n, true, &scaling));
    SKV_TRY(skv_q_as_u8(c->ctx, c->in[0], &zero, &room, &x));
    const skive_status status = skv_q_check_sums(c->ctx, c->node, zero, w, n, k, bias);
#pragma omp parallel for num_threads(skv_threads(c->ctx)) schedule(static) if (status == SKIVE_OK)
    for (int64_t i = 0; i < (status == SKIVE_OK ? m : 0); i++) {
        for (int64_t j = 0; j < n; j++) {
            int32_t v = bias ? bias[j] : 0;
            for (int64_t l = 0; l < k; l++) v += (x[i * k + l] - zero) * w[j * k + l];
            skv_q_scaling_store(&scaling, v, j, c->out[0]->data, i * n + j);
        }
    }
    skv_free(c->ctx, room);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    if (n->n_outputs && n->outputs[0])
        out->macs = skv_add_sat(out->macs,
                                skv_mul_sat(skv_dim_or_1(skv_node_in(n, 0), 1), skv_type_count(&n->outputs[0]->type)));
}

static const skv_op_case cases[] = {
    /* x - 2 = 1 -2, 3 0; w = 4 1, -1 5: 2 -11, 12 -3; + bias 1 0: 3 -11, 13 -3; times 0.5 and 1: 1.5 -11, 6.5 -3 */
    {.name = "by hand",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 2), CASE_VALUES(3, 0, 5, 2)},
             {CASE_TYPED(SKIVE_I8, 2, 2), CASE_VALUES(4, 1, -1, 5)}, {CASE_TYPED(SKIVE_I32, 2), CASE_VALUES(1, 0)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 2), CASE_FLTS("multiplier", 0.5, 1), CASE_INT("y_zero_point", 10)),
     .n_out = 1,
     CASE_EXPECT(12, 0, 16, 7)},
    {.name = "signed output, clamp",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1), CASE_VALUES(200)}, {CASE_TYPED(SKIVE_I8, 3, 1), CASE_VALUES(-1, 1, 0)}),
     CASE_ATTRS(CASE_FLTS("multiplier", 1, 0.25, 1), CASE_STR("y_dtype", "s8"), CASE_INT("clamp_hi", 40)),
     .n_out = 1,
     CASE_EXPECT(-128, 40, 0)},
    {.name = "real output",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 2), CASE_VALUES(255, 0)}, {CASE_TYPED(SKIVE_I8, 1, 2), CASE_VALUES(127, 127)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 128), CASE_FLTS("multiplier", 0.5), CASE_STR("y_dtype", "float")),
     .n_out = 1,
     CASE_EXPECT(-63.5)},
};

const skv_op skv_op_q_gemm = {
    .name = "QGemm",
    .domain = SKV_DOMAIN,
    .brief = "matrix product of 8-bit integers",
    .since = 1,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
