/* QGlobalAveragePool(x): the mean of each channel of uint8 or int8 elements, requantized:
 *
 *     acc = sum of (x - x_zero_point) over the channel, exactly, in int32
 *     t   = (float)acc * multiplier, each rounded once; then clamp, round and shift as in QConv
 * (src/ops/quant/q_conv.c)
 *
 * multiplier is one float32, (float)((double)sx / ((double)sy * count)), count being the positions of a channel. A
 * channel of more than INT32_MAX / 255 positions is refused. */
#include "ops/quant/common_fixed.h"

static const skv_attr_spec attrs[] = {
    {"x_zero_point", SKV_ATTR_INT, SKV_OPTIONAL},
    {"multiplier", SKV_ATTR_FLOAT, SKV_REQUIRED},
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
    SKV_TRY(skv_want_rank(c, 0, 3, SKIVE_MAX_RANK));
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, 1, false, &scaling));
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", c->in[0]->dtype, &zp));
    skv_out_like(c, 0, 0);
    c->out[0].dtype = skv_requant_dtype(&scaling.r);
    int64_t count = 1;
    for (int a = 2; a < c->out[0].rank; a++) {
        int64_t size = c->out[0].dims[a].size;
        count = skv_mul_sat(count, size > 0 ? size : 1);
        c->out[0].dims[a] = skv_dim_of(1);
    }
    if (count > INT32_MAX / 255)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "QGlobalAveragePool: too many positions for a 32-bit sum");
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_q_scaling scaling;
    int32_t zero;
    uint8_t *room = NULL;
    const uint8_t *x;
    const skive_tensor *in = c->in[0];
    if (!c->out[0]) return SKIVE_OK;
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, 1, false, &scaling));
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", in->dtype, &zero));
    SKV_TRY(skv_q_as_u8(c->ctx, in, &zero, &room, &x));
    int64_t planes = in->dims[0] * in->dims[1], size = 1;
    for (int a = 2; a < in->rank; a++) size *= in->dims[a];
    for (int64_t p = 0; p < planes; p++, x += size) {
        int32_t acc = 0;
        for (int64_t i = 0; i < size; i++) acc += x[i] - zero;
        skv_q_scaling_store(&scaling, acc, 0, c->out[0]->data, p);
    }
    skv_free(c->ctx, room);
    return SKIVE_OK;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *x = skv_node_in(n, 0);
    if (x) out->operations = skv_add_sat(out->operations, skv_type_count(&x->type));
}

static const skv_op_case cases[] = {
    /* sums of x - 2: 10 and 6; times 0.25 = 2.5 1.5, both to 2; + 1 */
    {.name = "by hand, ties to even",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 2, 2, 2), CASE_VALUES(2, 4, 5, 7, 0, 2, 2, 10)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 2), CASE_FLT("multiplier", 0.25), CASE_INT("y_zero_point", 1)),
     .n_out = 1,
     CASE_EXPECT(3, 3),
     CASE_OUT(1, 2, 1, 1)},
    {.name = "clamp",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 1, 2), CASE_VALUES(255, 255, 0, 0)}),
     CASE_ATTRS(CASE_FLT("multiplier", 1), CASE_INT("clamp_lo", 3)),
     .n_out = 1,
     CASE_EXPECT(255, 3)},
    /* x - 1 = -9 -1, sum -10; M = 2^30 is 1/2, shift -1: v / 4 = -2.5: halved -5, again, away from zero: -3; - 3 */
    {.name = "fixed point, int8 input",
     CASE_IN({CASE_TYPED(SKIVE_I8, 1, 1, 2), CASE_VALUES(-8, 0)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 1), CASE_FLT("multiplier", 0.25), CASE_INTS("multiplier_q31", 1073741824),
                CASE_INTS("multiplier_shift", -1), CASE_STR("y_dtype", "s8"), CASE_INT("y_zero_point", -3)),
     .n_out = 1,
     CASE_EXPECT(-6)},
};

const skv_op skv_op_q_global_average_pool = {
    .name = "QGlobalAveragePool",
    .domain = SKV_DOMAIN,
    .brief = "mean of each channel of 8-bit integers",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
