/* QAveragePool(x): the mean of each window of uint8 or int8 elements, requantized:
 *
 *     acc = sum of (x - x_zero_point), exactly, in int32; padding contributes 0
 *     t   = (float)acc * multiplier, each rounded once; then clamp, round and shift as in QConv
 * (src/ops/quant/q_conv.c)
 *
 * multiplier is one float32, (float)((double)sx / ((double)sy * count)), count being the window's elements. So all
 * windows must divide by the same count: no padding, or count_include_pad 1; and none may hang over the end. */
#include "ops/conv/common_conv.h"
#include "ops/quant/common_fixed.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"ceil_mode", SKV_ATTR_INT, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"x_zero_point", SKV_ATTR_INT, SKV_OPTIONAL},
    {"multiplier", SKV_ATTR_FLOAT, SKV_REQUIRED},
    {"y_dtype", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"y_zero_point", SKV_ATTR_INT, SKV_OPTIONAL},
    {"clamp_lo", SKV_ATTR_INT, SKV_OPTIONAL},
    {"clamp_hi", SKV_ATTR_INT, SKV_OPTIONAL},
    {"count_include_pad", SKV_ATTR_INT, SKV_OPTIONAL},
    SKV_Q_FIXED_ATTRS,
};

static skive_status check_windows(skive_context *ctx, const skive_node *n, const skv_geometry *g) {
    bool include = skv_attr_int(n, "count_include_pad", 0) != 0, fits = true;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        if (g->in[a] < 0 || g->out[a] < 0) continue;
        int64_t reach = (g->kernel[a] - 1) * g->dilation[a] + 1, end = (g->out[a] - 1) * g->stride[a] + reach;
        fits = fits && (include || (g->pad_lo[a] == 0 && g->pad_hi[a] == 0)) &&
               end <= g->in[a] + g->pad_lo[a] + g->pad_hi[a];
    }
    if (fits && skv_volume(g->kernel) <= INT32_MAX / 255) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, n->name,
                       "QAveragePool: windows with different divisors, or too large ones, are not supported");
}

static skive_status infer(skv_infer *c) {
    skv_q_scaling scaling;
    int32_t zp;
    SKV_TRY(skv_q_want_bytes(c, 0));
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, 1, false, &scaling));
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", c->in[0]->dtype, &zp));
    SKV_TRY(skv_infer_pool(c));
    c->out[0].dtype = skv_requant_dtype(&scaling.r);
    if (!skv_in_ranked(c, 0)) return SKIVE_OK;
    int64_t dims[SKIVE_MAX_RANK];
    skv_geometry g;
    skv_type_sizes(c->in[0], dims);
    SKV_TRY(skv_conv_geometry(c->ctx, c->node, c->in[0]->rank, dims, NULL, &g));
    return check_windows(c->ctx, c->node, &g);
}

static skive_status run(const skv_eval *c) {
    skv_q_scaling scaling;
    int32_t zero;
    uint8_t *room = NULL;
    const uint8_t *x;
    skv_geometry g;
    const skive_tensor *in = c->in[0];
    if (!c->out[0]) return SKIVE_OK;
    SKV_TRY(skv_q_scaling_read(c->ctx, c->node, 1, false, &scaling));
    SKV_TRY(skv_q_zero_of(c->ctx, c->node, "x_zero_point", in->dtype, &zero));
    SKV_TRY(skv_pool_geometry(c, in, &g));
    SKV_TRY(check_windows(c->ctx, c->node, &g));
    SKV_TRY(skv_q_as_u8(c->ctx, in, &zero, &room, &x));
    int64_t planes = in->dims[0] * in->dims[1], in_size = skv_volume(g.in), out_size = skv_volume(g.out);
    for (int64_t p = 0; p < planes; p++, x += in_size) {
        for (int64_t i = 0; i < out_size; i++) {
            const int64_t o[SKV_SPATIAL] = {i / g.out[2] / g.out[1], i / g.out[2] % g.out[1], i % g.out[2]};
            int64_t lo[SKV_SPATIAL], hi[SKV_SPATIAL], start[SKV_SPATIAL];
            int32_t acc = 0;
            for (int a = 0; a < SKV_SPATIAL; a++) {
                skv_window_range(&g, a, o[a], &lo[a], &hi[a]);
                start[a] = o[a] * g.stride[a] - g.pad_lo[a];
            }
            for (int64_t d = lo[0]; d < hi[0]; d++) {
                for (int64_t h = lo[1]; h < hi[1]; h++) {
                    int64_t row = ((start[0] + d * g.dilation[0]) * g.in[1] + start[1] + h * g.dilation[1]) * g.in[2];
                    for (int64_t w = lo[2]; w < hi[2]; w++) acc += x[row + start[2] + w * g.dilation[2]] - zero;
                }
            }
            skv_q_scaling_store(&scaling, acc, 0, c->out[0]->data, p * out_size + i);
        }
    }
    skv_free(c->ctx, room);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    /* x - 4 = 0 2 4 10: sums 2 6 14; times 0.25 = 0.5 1.5 3.5, to even 0 2 4; + 7 */
    {.name = "by hand, ties to even",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 4), CASE_VALUES(4, 6, 8, 14)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2), CASE_INT("x_zero_point", 4), CASE_FLT("multiplier", 0.25),
                CASE_INT("y_zero_point", 7)),
     .n_out = 1,
     CASE_EXPECT(7, 9, 11)},
    {.name = "padding counted", /* sums 6 10 of windows of four, scales equal: times 0.25 = 1.5 2.5, to even 2 2 */
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 2, 2), CASE_VALUES(1, 4, 5, 6)}),
     CASE_ATTRS(CASE_INTS("kernel_shape", 2, 2), CASE_INTS("strides", 1, 2), CASE_INTS("pads", 0, 1, 0, 1),
                CASE_INT("count_include_pad", 1), CASE_FLT("multiplier", 0.25)),
     .n_out = 1,
     CASE_EXPECT(2, 2)},
};

const skv_op skv_op_q_average_pool = {
    .name = "QAveragePool",
    .domain = SKV_DOMAIN,
    .brief = "mean of each window of 8-bit integers",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_pool_cost,
    SKV_LIST(cases),
};
