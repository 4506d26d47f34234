/* ConvInteger: the convolution of 8-bit integers minus their zero points, in int32; padding contributes nothing. */
#include "ops/conv/common_conv.h"
#include "ops/quant/common_conv_integer.h"

static const skv_attr_spec attrs[] = {SKV_CONV_INTEGER_ATTRS};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_conv_integer(c));
    c->out[0].dtype = SKIVE_I32;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    double *sum = NULL;
    const skive_status status = skv_conv_integer(c, &sum);
    if (status == SKIVE_OK) skv_store_int32(sum, c->out[0]);
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
