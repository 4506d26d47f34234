/* QConv(x, w, bias?): the integer convolution. x is uint8 or int8 [n][c][spatial...], w int8 [m][c / group][window...],
 * bias int32 [m]. This is the definition; every kernel, the packed file and the generated C give the same bits:
 *
 *     acc = sum of (x - x_zero_point) * w, exactly, in int32; padding contributes 0
 *     v   = acc + bias[m], an exact int32 sum
 *     t   = (float)v * multiplier[m], the conversion and the product each rounded once (no fused multiply-add)
 *     t   = min(max(t, clamp_lo - y_zero_point), clamp_hi - y_zero_point)
 *     y   = nearest_even(t) + y_zero_point
 *
 * With y_dtype "float" y is t before the clamp. The multipliers are multiplier[m] = (float)((double)sx * (double)sw[m]
 * / (double)sy) (without sy for "float"). Weights whose sums could exceed int32 are refused (ERR_LIMIT), so that the
 * order of summation does not matter. Attributes: those of Conv, x_zero_point, multiplier [m], y_dtype ("u8", "s8",
 * "float"), y_zero_point, clamp_lo, clamp_hi (the limits after the activation; default the type's range). With
 * multiplier_q31 and multiplier_shift the product and the rounding are in fixed point (common_fixed.h). */
#include "ops/conv/common_conv.h"
#include "ops/quant/common_fixed.h"

static const skv_attr_spec attrs[] = {SKV_Q_CONV_ATTRS, SKV_Q_FIXED_ATTRS};

skive_status skv_q_conv_infer(skv_infer *c) {
    skv_q_scaling scaling;
    skv_conv_shape s;
    bool known;
    int32_t zp;
    SKV_TRY(skv_q_want_bytes(c, 0));
    SKV_TRY(skv_want_dtype(c, 1, SKIVE_I8));
    SKV_TRY(skv_want_dtype(c, 2, SKIVE_I32));
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", c->in[0]->dtype, &zp));
    SKV_TRY(skv_infer_conv(c, 0, 1, &s, &known));
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, known ? s.m : -1, true, &scaling));
    c->out[0].dtype = skv_requant_dtype(&scaling.r);
    return skv_want_vector(c, 2, known ? s.m : -1, "the bias");
}

static void accumulate(const skv_conv_shape *s, const uint8_t *x, const int8_t *w, int32_t zero, int32_t *plane) {
    const skv_geometry *g = &s->g;
    int64_t in = skv_volume(g->in), per_in = s->c / s->groups;
    for (int64_t c = 0; c < per_in; c++, x += in) {
        for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
            for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
                for (int64_t kw = 0; kw < g->kernel[2]; kw++, w++) {
                    const int64_t k[SKV_SPATIAL] = {kd, kh, kw};
                    int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL];
                    for (int a = 0; a < SKV_SPATIAL; a++) skv_tap_range(g, a, k[a], &lo[a], &hi[a]);
                    for (int64_t d = lo[0]; d < hi[0]; d++) {
                        for (int64_t h = lo[1]; h < hi[1]; h++) {
                            int64_t xd = d * g->stride[0] + kd * g->dilation[0] - g->pad_lo[0];
                            int64_t xh = h * g->stride[1] + kh * g->dilation[1] - g->pad_lo[1];
                            int64_t row = (xd * g->in[1] + xh) * g->in[2] + kw * g->dilation[2] - g->pad_lo[2];
                            int32_t *to = plane + (d * g->out[1] + h) * g->out[2];
                            for (int64_t o = lo[2]; o < hi[2]; o++) to[o] += (x[row + o * g->stride[2]] - zero) * *w;
                        }
                    }
                }
            }
        }
    }
}

skive_status skv_q_conv_run(const skv_eval *c) {
    skv_q_scaling scaling;
    skv_conv_shape s;
    int32_t zero, *acc = NULL;
    uint8_t *room = NULL;
    const uint8_t *x;
    const skive_tensor *bias_tensor = c->n_in > 2 ? c->in[2] : NULL;
    skive_status status;
    if (!c->out[0]) return SKIVE_OK;
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", c->in[0]->dtype, &zero));
    SKV_TRY(skv_conv_shape_of(c, c->in[0], c->in[1], &s));
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, s.m, true, &scaling));
    SKV_TRY(skv_q_as_u8(c->ctx, c->in[0], &zero, &room, &x));
    const int8_t *w = c->in[1]->data;
    const int32_t *bias = bias_tensor ? bias_tensor->data : NULL;
    int64_t in = skv_volume(s.g.in), out = skv_volume(s.g.out), per_in = s.c / s.groups, per_out = s.m / s.groups;
    int64_t taps = per_in * skv_volume(s.g.kernel);
    SKV_GO(status, done, skv_q_check_sums(c->ctx, c->node, zero, w, s.m, taps, bias));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)(s.n * s.m * out), sizeof *acc, &acc));
#pragma omp parallel for collapse(2) num_threads(skv_threads(c->ctx)) schedule(static)
    for (int64_t n = 0; n < s.n; n++) {
        for (int64_t m = 0; m < s.m; m++) {
            int64_t first = (n * s.m + m) * out;
            accumulate(&s, x + (n * s.c + m / per_out * per_in) * in, w + m * taps, zero, acc + first);
            for (int64_t i = 0; i < out; i++)
                skv_q_scaling_store(&scaling, acc[first + i] + (bias ? bias[m] : 0), m, c->out[0]->data, first + i);
        }
    }
done:
    skv_free(c->ctx, room);
    skv_free(c->ctx, acc);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_conv_cost(n, skv_node_in(n, 1), out); }

static const skv_op_case cases[] = {
    /* x - 10 = -10 0 10 20; w = 1 2 per window of 2: -0 - 10 + 0 = -10, 20, 50; + 4 = -6 24 54; times 0.25 = -1.5 6
     * 13.5, to even -2 6 14; + 100 */
    {.name = "by hand, ties to even",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 4), CASE_VALUES(0, 10, 20, 30)},
             {CASE_TYPED(SKIVE_I8, 1, 1, 2), CASE_VALUES(1, 2)}, {CASE_TYPED(SKIVE_I32, 1), CASE_VALUES(4)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 10), CASE_FLTS("multiplier", 0.25), CASE_INT("y_zero_point", 100)),
     .n_out = 1,
     CASE_EXPECT(98, 106, 114)},
    /* padding is the zero point's value, so it adds nothing; two filters, two multipliers, a Relu as clamp_lo = 100 */
    {.name = "padding, channels, clamp",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 2), CASE_VALUES(12, 13)},
             {CASE_TYPED(SKIVE_I8, 2, 1, 2), CASE_VALUES(1, 1, -1, 1)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 10), CASE_FLTS("multiplier", 1, 0.5), CASE_INT("y_zero_point", 100),
                CASE_INT("clamp_lo", 100), CASE_INTS("pads", 1, 1)),
     .n_out = 1,
     CASE_EXPECT(102, 105, 103, 101, 100, 100)}, /* second: 2 1 -3 halved: 1, 0.5 to 0, -1.5 clamped */
    {.name = "saturation, groups",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 2, 1), CASE_VALUES(255, 255)},
             {CASE_TYPED(SKIVE_I8, 2, 1, 1), CASE_VALUES(127, -128)}),
     CASE_ATTRS(CASE_FLTS("multiplier", 1, 1), CASE_INT("group", 2), CASE_STR("y_dtype", "s8")),
     .n_out = 1,
     CASE_EXPECT(127, -128)},
    {.name = "real output",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 1, 2), CASE_VALUES(1, 3)},
             {CASE_TYPED(SKIVE_I8, 1, 1, 1, 2), CASE_VALUES(5, -7)}, {CASE_TYPED(SKIVE_I32, 1), CASE_VALUES(1)}),
     CASE_ATTRS(CASE_INT("x_zero_point", 2), CASE_FLTS("multiplier", 0.125), CASE_STR("y_dtype", "float")),
     .n_out = 1,
     CASE_EXPECT(-1.375)}, /* -5 - 7 + 1 = -11 */
    /* M = 2^30 is 1/2, shift -2: v / 8. Sums -12 4 12 20 of x = -6 2 6 10, w = 2: -1.5 0.5 1.5 2.5; first halved to -6
     * 2 6
     * 10, then by 4, halves away from zero: -2 1 2 3; + 5 */
    {.name = "fixed point, int8 input",
     CASE_IN({CASE_TYPED(SKIVE_I8, 1, 1, 4), CASE_VALUES(-7, 1, 5, 9)},
             {CASE_TYPED(SKIVE_I8, 1, 1, 1), CASE_VALUES(2)}),
     CASE_ATTRS(CASE_INT("x_zero_point", -1), CASE_FLTS("multiplier", 0.125), CASE_INTS("multiplier_q31", 1073741824),
                CASE_INTS("multiplier_shift", -2), CASE_STR("y_dtype", "s8"), CASE_INT("y_zero_point", 5)),
     .n_out = 1,
     CASE_EXPECT(3, 6, 7, 8)},
    /* the same with one rounding, halves up: -1 1 2 3 */
    {.name = "fixed point, one rounding",
     CASE_IN({CASE_TYPED(SKIVE_I8, 1, 1, 4), CASE_VALUES(-7, 1, 5, 9)},
             {CASE_TYPED(SKIVE_I8, 1, 1, 1), CASE_VALUES(2)}),
     CASE_ATTRS(CASE_INT("x_zero_point", -1), CASE_FLTS("multiplier", 0.125), CASE_INTS("multiplier_q31", 1073741824),
                CASE_INTS("multiplier_shift", -2), CASE_STR("rounding", "single"), CASE_STR("y_dtype", "s8"),
                CASE_INT("y_zero_point", 5)),
     .n_out = 1,
     CASE_EXPECT(4, 6, 7, 8)},
};

const skv_op skv_op_q_conv = {
    .name = "QConv",
    .domain = SKV_DOMAIN,
    .brief = "convolution of 8-bit integers",
    .since = 1,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = skv_q_conv_infer,
    .run = skv_q_conv_run,
    .cost = cost,
    SKV_LIST(cases),
};
