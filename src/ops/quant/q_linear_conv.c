/* QLinearConv(x, sx, zx, w, sw, zw, sy, zy, bias): the convolution of quantized tensors, quantized; the bias is int32
 * in steps of sx * sw. See common_integer.h for the arithmetic. */
#include "ops/conv/common_conv.h"
#include "ops/quant/common_integer.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"group", SKV_ATTR_INT, SKV_OPTIONAL},       {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},       {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_conv_shape s;
    bool known;
    SKV_TRY(skv_infer_want_8bit(c, 0));
    SKV_TRY(skv_infer_want_8bit(c, 3));
    SKV_TRY(skv_infer_want_8bit(c, 7));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    SKV_TRY(skv_want_same_dtype(c, 3, 5));
    SKV_TRY(skv_want_dtype(c, 8, SKIVE_I32));
    SKV_TRY(skv_infer_conv(c, 0, 3, &s, &known));
    for (size_t i = 1; i < 8; i++)
        if (i != 3)
            SKV_TRY(skv_infer_want_parameter(c, i,
                                             (i == 4 || i == 5) && known ? s.m
                                             : i == 4 || i == 5          ? -1
                                                                         : 1,
                                             "a scale or zero point"));
    c->out[0].dtype = c->in[7]->dtype;
    return skv_want_vector(c, 8, known ? s.m : -1, "the bias");
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0], *bias = c->n_in > 8 ? c->in[8] : NULL;
    skv_conv_shape s;
    double *x = NULL, *w = NULL, *sum = NULL;
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[0], c->in[3], &s));
    SKV_GO(status, done, skv_centred(c, c->in[0], c->in[2], -1, &x));
    SKV_GO(status, done, skv_centred(c, c->in[3], c->in[5], 0, &w));
    const int64_t n = skive_tensor_count(y), plane = skv_volume(s.g.out);
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *sum, &sum));
    skv_conv_forward(skv_threads(c->ctx), &s, x, w, NULL, sum);
    for (int64_t i = 0; bias && plane > 0 && i < n; i++) sum[i] += ((const int32_t *)bias->data)[i / plane % s.m];
    status = skv_requantize(c, sum, skive_tensor_get(c->in[1], 0), c->in[4], 1, c->in[6], c->in[7], y);
done:
    skv_free(c->ctx, x);
    skv_free(c->ctx, w);
    skv_free(c->ctx, sum);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_conv_cost(n, skv_node_in(n, 3), out); }

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *w = skv_couple_type(c, SKV_CIN(3, 0));
    if (!x || !w || x->rank < 3 || w->rank != x->rank) return;
    for (int a = 2; a < x->rank; a++) skv_couple_fix(c, SKV_CIN(3, a), "this is the window of a convolution");
    skv_couple_conv(c, 0, 3, 8);
    for (int i = 4; i < 6; i++) /* scales and zero points of filters */
        if (skv_couple_length(c, SKV_CIN(i, 0)) != 1) skv_couple_same(c, SKV_CIN(i, 0), SKV_COUT(0, 1));
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_groups(s, 0); }

static const skv_op_case cases[] = {
    /* (1, 2) . (1, -2) = -3, + 10 = 7, times 0.5 * 1 / 1 = 3.5, to even 4; (2, 3) . (1, -2) = -4, + 10 = 6, 3; + 100 */
    {.name = "by hand, a tie to even",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 3), CASE_VALUES(2, 3, 4)}, {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true},
             {CASE_SCALAR(SKIVE_U8, 1)}, {CASE_TYPED(SKIVE_I8, 1, 1, 2), CASE_VALUES(1, -2)},
             {CASE_SCALAR(SKIVE_F32, 1), .constant = true}, {CASE_SCALAR(SKIVE_I8, 0)},
             {CASE_SCALAR(SKIVE_F32, 1), .constant = true}, {CASE_SCALAR(SKIVE_U8, 100)},
             {CASE_TYPED(SKIVE_I32, 1), CASE_VALUES(10)}),
     .n_out = 1,
     CASE_EXPECT(104, 103)},
    {.name = "groups, a scale and a zero point a filter",
     CASE_ATTRS(CASE_INT("group", 2)),
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 4, 3), .lo = 0, .hi = 9}, {CASE_SCALAR(SKIVE_F32, 0.5), .constant = true},
             {CASE_SCALAR(SKIVE_U8, 3)}, {CASE_TYPED(SKIVE_I8, 4, 2, 2), .lo = -9, .hi = 9},
             {CASE_F32(4), CASE_VALUES(1, 2, 0.5, 0.25), .constant = true},
             {CASE_TYPED(SKIVE_I8, 4), CASE_VALUES(1, 0, -2, 3)}, {CASE_SCALAR(SKIVE_F32, 1), .constant = true},
             {CASE_SCALAR(SKIVE_U8, 100)}, {CASE_TYPED(SKIVE_I32, 4), CASE_VALUES(10, 0, 5, -7)}),
     .n_out = 1,
     CASE_OUT(1, 4, 2)},
};

const skv_op skv_op_q_linear_conv = {
    .name = "QLinearConv",
    .domain = "",
    .brief = "convolution of quantized tensors, quantized",
    .since = 10,
    .min_in = 8,
    .max_in = 9,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .couple = couple,
    .shrink = shrink,
    .cost = cost,
    SKV_LIST(cases),
};
