/* QConvAdd(x, w, bias?, other): QConv (src/ops/quant/q_conv.c) with uint8 output, then QAdd (src/ops/quant/q_add.c) of
 * its result and `other`, uint8 of the same shape; the same bits as the two nodes give. QConv's attributes,
 * y_zero_point and the limits being those of its own result, and of the sum: y_scale (the scale of QConv's result),
 * other_scale, other_zp, sum_scale, sum_zp, sum_lo, sum_hi. So that no number on the way leaves int32, the multipliers
 * are below 1 and the scales at most a factor of 2^20 apart. */
#include "ops/common_activation.h"
#include "ops/conv/common_conv.h"

enum { OTHER = 3 };

static const skv_attr_spec attrs[] = {
    SKV_Q_CONV_ATTRS,
    {"y_scale", SKV_ATTR_FLOAT, SKV_REQUIRED},
    {"other_scale", SKV_ATTR_FLOAT, SKV_REQUIRED},
    {"other_zp", SKV_ATTR_INT, SKV_OPTIONAL},
    {"sum_scale", SKV_ATTR_FLOAT, SKV_REQUIRED},
    {"sum_zp", SKV_ATTR_INT, SKV_OPTIONAL},
    {"sum_lo", SKV_ATTR_INT, SKV_OPTIONAL},
    {"sum_hi", SKV_ATTR_INT, SKV_OPTIONAL},
};

bool skv_q_conv_add_fits(const double *multiplier, size_t n, double y_scale, double other_scale, double sum_scale) {
    const double most = 1 << 20;
    bool fits = y_scale < sum_scale * most && other_scale < sum_scale * most;
    for (size_t i = 0; i < n; i++) fits = fits && multiplier[i] < 0.999;
    return fits;
}

skive_status skv_q_conv_add_read(skive_context *ctx, const skive_node *node, skv_q_add *out) {
    skv_requant r;
    float y, other, sum;
    SKV_TRY(skv_requant_read(ctx, node, &r));
    SKV_TRY(skv_q_scale(ctx, node, "y_scale", &y));
    SKV_TRY(skv_q_scale(ctx, node, "other_scale", &other));
    SKV_TRY(skv_q_scale(ctx, node, "sum_scale", &sum));
    SKV_TRY(skv_q_zero_point(ctx, node, "other_zp", &out->b_zero_point));
    const skv_attr *m = skv_node_attr(node, "multiplier");
    const int64_t zero = skv_attr_int(node, "sum_zp", 0), lo = skv_attr_int(node, "sum_lo", 0),
                  hi = skv_attr_int(node, "sum_hi", 255);
    out->a_zero_point = r.y_zero_point;
    out->a_multiplier = (float)((double)y / (double)sum);
    out->b_multiplier = (float)((double)other / (double)sum);
    out->y = (skv_requant){SKV_Q_U8, (int32_t)zero, (int32_t)lo, (int32_t)hi};
    if (r.output == SKV_Q_U8 && zero >= 0 && zero <= 255 && lo >= 0 && lo <= hi && hi <= 255 &&
        skv_q_conv_add_fits(m->floats, m->n, (double)y, (double)other, (double)sum))
        return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name,
                       "QConvAdd: the scales are too far apart, a multiplier is not below 1, a number of the "
                       "sum is not in 0 to 255, or y_dtype is not u8");
}

static skive_status infer(skv_infer *c) {
    skv_q_add q;
    skv_infer conv = *c;
    conv.n_in = OTHER;
    if (c->n_in <= OTHER || !c->node->inputs[OTHER])
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "QConvAdd: the addend is missing");
    SKV_TRY(skv_want_dtype(c, 0, SKIVE_U8));
    SKV_TRY(skv_want_dtype(c, OTHER, SKIVE_U8));
    SKV_TRY(skv_q_conv_infer(&conv));
    SKV_TRY(skv_q_conv_add_read(c->ctx, c->node, &q));
    const skive_type *other = skv_in_type(c, OTHER);
    if (!other || other->rank < 0 || c->out[0].rank < 0) return SKIVE_OK;
    for (int d = 0; d < other->rank; d++) {
        const int64_t a = other->dims[d].size, b = d < c->out[0].rank ? c->out[0].dims[d].size : -1;
        if (other->rank != c->out[0].rank || (a >= 0 && b >= 0 && a != b))
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "QConvAdd: the addend has another shape than the result");
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_q_add q;
    skv_eval conv = *c;
    conv.n_in = OTHER;
    if (!c->out[0]) return SKIVE_OK;
    SKV_TRY(skv_q_conv_add_read(c->ctx, c->node, &q));
    SKV_TRY(skv_q_conv_run(&conv));
    uint8_t *y = c->out[0]->data;
    const uint8_t *other = c->in[OTHER]->data;
    const int64_t count = skive_tensor_count(c->out[0]);
    if (skive_tensor_count(c->in[OTHER]) != count)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "QConvAdd: the addend has another shape than the result");
    for (int64_t i = 0; i < count; i++) y[i] = (uint8_t)skv_q_add_one(&q, y[i], other[i]);
    return SKIVE_OK;
}

static void cost(const skive_node *n, skive_cost *out) {
    skv_conv_cost(n, skv_node_in(n, 1), out);
    skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    /* x = 10 20 30, w = 2: 20 40 60 + bias 2 = 22 42 62, times 0.25: 5.5 10.5 15.5, to even 6 10 16, limited to 12 and
     * shifted by 3: 9 13 15. The sum: (9 - 3) * 0.5 = 3, 5, 6; other (0 1 9 less 1) * 2 = -2 0 16; 1 5 22, limited to
     * 20, + 7 */
    {.name = "by hand",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 3), CASE_VALUES(10, 20, 30)}, {CASE_TYPED(SKIVE_I8, 1, 1, 1), CASE_VALUES(2)},
             {CASE_TYPED(SKIVE_I32, 1), CASE_VALUES(2)}, {CASE_TYPED(SKIVE_U8, 1, 1, 3), CASE_VALUES(0, 1, 9)}),
     CASE_ATTRS(CASE_FLTS("multiplier", 0.25), CASE_INT("y_zero_point", 3), CASE_INT("clamp_hi", 15),
                CASE_FLT("y_scale", 0.5), CASE_FLT("other_scale", 2), CASE_INT("other_zp", 1), CASE_FLT("sum_scale", 1),
                CASE_INT("sum_zp", 7), CASE_INT("sum_hi", 27)),
     .n_out = 1,
     CASE_EXPECT(8, 12, 27)},
};

const skv_op skv_op_q_conv_add = {
    .name = "QConvAdd",
    .domain = SKV_DOMAIN,
    .brief = "convolution of 8-bit integers, another tensor added",
    .since = 1,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
