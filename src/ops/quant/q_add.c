/* QAdd(a, b): the sum of two quantized tensors of one shape, uint8 or int8 each. With am = (float)((double)a_scale /
 * y_scale) and bm likewise (the scales being float32, the quotient rounded once):
 *
 *     p = (float)(a - a_zero_point) * am,  q = (float)(b - b_zero_point) * bm,  t = p + q
 *
 * each rounded to float32, no fused multiply-add; then
 *
 *     t = min(max(t, clamp_lo - y_zero_point), clamp_hi - y_zero_point);  y = nearest_even(t) + y_zero_point
 *
 * The attributes are a_scale, a_zp, b_scale, b_zp, y_scale, y_zp, clamp_lo, clamp_hi, and y_dtype "u8" or "s8". With
 * a_q31, a_shift, b_q31, b_shift, y_q31, y_shift and left_shift the arithmetic is in fixed point (common_fixed.h). */
#include "ops/quant/common_fixed.h"

static const skv_attr_spec attrs[] = {
    {"a_scale", SKV_ATTR_FLOAT, SKV_REQUIRED},  {"a_zp", SKV_ATTR_INT, SKV_OPTIONAL},
    {"b_scale", SKV_ATTR_FLOAT, SKV_REQUIRED},  {"b_zp", SKV_ATTR_INT, SKV_OPTIONAL},
    {"y_scale", SKV_ATTR_FLOAT, SKV_REQUIRED},  {"y_zp", SKV_ATTR_INT, SKV_OPTIONAL},
    {"clamp_lo", SKV_ATTR_INT, SKV_OPTIONAL},   {"clamp_hi", SKV_ATTR_INT, SKV_OPTIONAL},
    {"y_dtype", SKV_ATTR_STRING, SKV_OPTIONAL}, {"a_q31", SKV_ATTR_INT, SKV_OPTIONAL},
    {"a_shift", SKV_ATTR_INT, SKV_OPTIONAL},    {"b_q31", SKV_ATTR_INT, SKV_OPTIONAL},
    {"b_shift", SKV_ATTR_INT, SKV_OPTIONAL},    {"y_q31", SKV_ATTR_INT, SKV_OPTIONAL},
    {"y_shift", SKV_ATTR_INT, SKV_OPTIONAL},    {"left_shift", SKV_ATTR_INT, SKV_OPTIONAL},
};

skive_status skv_q_add_read(skive_context *ctx, const skive_node *node, skv_q_add *out) {
    float a, b, y;
    SKV_TRY(skv_q_scale(ctx, node, "a_scale", &a));
    SKV_TRY(skv_q_scale(ctx, node, "b_scale", &b));
    SKV_TRY(skv_q_scale(ctx, node, "y_scale", &y));
    out->a_zero_point = (int32_t)skv_attr_int(node, "a_zp", 0); /* whose range the input's type tells */
    out->b_zero_point = (int32_t)skv_attr_int(node, "b_zp", 0);
    SKV_TRY(skv_requant_read_named(ctx, node, "y_zp", &out->y));
    out->a_multiplier = (float)((double)a / (double)y);
    out->b_multiplier = (float)((double)b / (double)y);
    if (out->y.output != SKV_Q_F32 && isfinite(out->a_multiplier) && isfinite(out->b_multiplier)) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name,
                       "QAdd: the scales are too far apart or y_dtype is not an integer");
}

static skive_status read_zeros(skive_context *ctx, const skive_node *n, skive_dtype a, skive_dtype b, skv_q_add *q) {
    SKV_TRY(skv_q_zero_of(ctx, n, "a_zp", a, &q->a_zero_point));
    return skv_q_zero_of(ctx, n, "b_zp", b, &q->b_zero_point);
}

static skive_status infer(skv_infer *c) {
    skv_q_add q;
    skv_q_add_fixed fixed;
    SKV_TRY(skv_q_want_bytes(c, 0));
    SKV_TRY(skv_q_want_bytes(c, 1));
    SKV_TRY(skv_want_same_shape(c, 0, 1));
    SKV_TRY(skv_q_add_read(c->ctx, c->node, &q));
    SKV_TRY(read_zeros(c->ctx, c->node, c->in[0]->dtype, c->in[1]->dtype, &q));
    SKV_TRY(skv_q_add_fixed_read(c->ctx, c->node, &fixed));
    skv_out_like(c, 0, skv_in_ranked(c, 0) ? 0 : 1);
    c->out[0].dtype = skv_requant_dtype(&q.y);
    return SKIVE_OK;
}

static int32_t byte_of(const skive_tensor *t, int64_t i) {
    return t->dtype == SKIVE_I8 ? ((const int8_t *)t->data)[i] : ((const uint8_t *)t->data)[i];
}

static skive_status run(const skv_eval *c) {
    skv_q_add q;
    skv_q_add_fixed fixed;
    if (!c->out[0]) return SKIVE_OK;
    SKV_TRY(skv_q_add_read(c->ctx, c->node, &q));
    SKV_TRY(read_zeros(c->ctx, c->node, c->in[0]->dtype, c->in[1]->dtype, &q));
    SKV_TRY(skv_q_add_fixed_read(c->ctx, c->node, &fixed));
    uint8_t *y = c->out[0]->data;
    int64_t count = skive_tensor_count(c->out[0]);
    for (int64_t i = 0; i < count; i++) {
        const int32_t a = byte_of(c->in[0], i), b = byte_of(c->in[1], i);
        y[i] = (uint8_t)(fixed.fixed ? skv_q_add_fixed_one(&q, &fixed, a, b) : skv_q_add_one(&q, a, b));
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    /* a - 10 = -2 0 5, times 2; b = 1 2 3, times 0.5: -3.5 1 11.5, to even -4 1 12; + 128 */
    {.name = "by hand, ties to even",
     CASE_IN({CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(8, 10, 15)}, {CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(1, 2, 3)}),
     CASE_ATTRS(CASE_FLT("a_scale", 1), CASE_INT("a_zp", 10), CASE_FLT("b_scale", 0.25), CASE_FLT("y_scale", 0.5),
                CASE_INT("y_zp", 128)),
     .n_out = 1,
     CASE_EXPECT(124, 129, 140)},
    {.name = "saturation and clamp",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 1), CASE_VALUES(255, 0)}, {CASE_TYPED(SKIVE_U8, 2, 1), CASE_VALUES(255, 0)}),
     CASE_ATTRS(CASE_FLT("a_scale", 1), CASE_INT("a_zp", 100), CASE_FLT("b_scale", 1), CASE_INT("b_zp", 100),
                CASE_FLT("y_scale", 1), CASE_INT("y_zp", 50), CASE_INT("clamp_lo", 50)),
     .n_out = 1,
     CASE_EXPECT(255, 50)},
    {.name = "signed output",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2), CASE_VALUES(0, 200)}, {CASE_TYPED(SKIVE_U8, 2), CASE_VALUES(0, 100)}),
     CASE_ATTRS(CASE_FLT("a_scale", 1), CASE_INT("a_zp", 100), CASE_FLT("b_scale", 1), CASE_INT("b_zp", 100),
                CASE_FLT("y_scale", 2), CASE_INT("y_zp", 3), CASE_STR("y_dtype", "s8")),
     .n_out = 1,
     CASE_EXPECT(-97, 53)},
    /* scales 1 1 2: a and b times 2^20 / 2, their sum times 2 / (2^20 * 2): (a + b) / 2 exactly, halves away from zero:
     * -3 / 2 to -2, 5 / 2 to 3, 300 / 2 = 150, limited to 127 */
    {.name = "fixed point, int8 and uint8",
     CASE_IN({CASE_TYPED(SKIVE_I8, 3), CASE_VALUES(-3, 4, 100)}, {CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(5, 6, 205)}),
     CASE_ATTRS(CASE_FLT("a_scale", 1), CASE_FLT("b_scale", 1), CASE_INT("b_zp", 5), CASE_FLT("y_scale", 2),
                CASE_INT("a_q31", 1073741824), CASE_INT("a_shift", 0), CASE_INT("b_q31", 1073741824),
                CASE_INT("b_shift", 0), CASE_INT("y_q31", 1073741824), CASE_INT("y_shift", -19),
                CASE_STR("y_dtype", "s8")),
     .n_out = 1,
     CASE_EXPECT(-2, 3, 127)},
};

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

const skv_op skv_op_q_add = {
    .name = "QAdd",
    .domain = SKV_DOMAIN,
    .brief = "sum of 8-bit integers",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
