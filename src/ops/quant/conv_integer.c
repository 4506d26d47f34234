/* ConvInteger: the convolution of 8-bit integers minus their zero points, in int32; padding contributes nothing. */
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
    SKV_TRY(skv_infer_want_8bit(c, 1));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    SKV_TRY(skv_want_same_dtype(c, 1, 3));
    SKV_TRY(skv_infer_conv(c, 0, 1, &s, &known));
    SKV_TRY(skv_infer_want_parameter(c, 2, 1, "the zero point of x"));
    SKV_TRY(skv_infer_want_parameter(c, 3, known ? s.m : -1, "the zero point of w"));
    c->out[0].dtype = SKIVE_I32;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0];
    skv_conv_shape s;
    double *x = NULL, *w = NULL, *sum = NULL;
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[0], c->in[1], &s));
    SKV_GO(status, done, skv_centred(c, c->in[0], c->n_in > 2 ? c->in[2] : NULL, -1, &x));
    SKV_GO(status, done, skv_centred(c, c->in[1], c->n_in > 3 ? c->in[3] : NULL, 0, &w));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)skive_tensor_count(y) + 1, sizeof *sum, &sum));
    skv_conv_forward(skv_threads(c->ctx), &s, x, w, NULL, sum);
    skv_store_int32(sum, y);
done:
    skv_free(c->ctx, x);
    skv_free(c->ctx, w);
    skv_free(c->ctx, sum);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_conv_cost(n, skv_node_in(n, 1), out); }

static const int64_t pads[] = {1, 0};
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *w = skv_couple_type(c, SKV_CIN(1, 0));
    if (!x || !w || x->rank < 3 || w->rank != x->rank) return;
    for (int a = 2; a < x->rank; a++) skv_couple_fix(c, SKV_CIN(1, a), "this is the window of a convolution");
    skv_couple_conv(c, 0, 1, -1);
    if (skv_couple_length(c, SKV_CIN(3, 0)) != 1) skv_couple_same(c, SKV_CIN(3, 0), SKV_COUT(0, 1));
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_groups(s, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 3), CASE_VALUES(2, 3, 4)}, {CASE_TYPED(SKIVE_I8, 1, 1, 2), CASE_VALUES(1, -2)},
             {CASE_SCALAR(SKIVE_U8, 1)}),
     CASE_ATTRS(A_INTS("pads", pads)),
     .n_out = 1,
     CASE_EXPECT(-2, -3, -4),
     CASE_OUT(1, 1, 3)},
    {.name = "groups, a zero point a filter",
     CASE_ATTRS(CASE_INT("group", 2)),
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 4, 3), .lo = 0, .hi = 9}, {CASE_TYPED(SKIVE_I8, 4, 2, 2), .lo = -9, .hi = 9},
             {CASE_SCALAR(SKIVE_U8, 3)}, {CASE_TYPED(SKIVE_I8, 4), CASE_VALUES(1, 0, -2, 3)}),
     .n_out = 1,
     CASE_OUT(1, 4, 2)},
};

const skv_op skv_op_conv_integer = {
    .name = "ConvInteger",
    .domain = "",
    .brief = "convolution of 8-bit integers",
    .since = 10,
    .min_in = 2,
    .max_in = 4,
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
