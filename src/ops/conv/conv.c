/* Conv: convolution over one to three spatial axes, with groups, strides, dilations and padding.
 *
 *     y[n][m][o] = b[m] + sum over c, k of w[m][c][k] * x[n][g(m) + c][o * stride + k * dilation - pad] */
#include "ops/common_shape.h"
#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"group", SKV_ATTR_INT, SKV_OPTIONAL},       {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},       {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    skv_conv_shape s;
    bool known;
    SKV_TRY(skv_infer_conv(c, 0, 1, &s, &known));
    if (c->in[0]) c->out[0].dtype = c->in[0]->dtype;
    return skv_want_vector(c, 2, known ? s.m : -1, "the bias");
}

static skive_status run(const skv_eval *c) {
    skv_conv_shape s;
    skv_doubles x = {0}, w = {0}, b = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[0], c->in[1], &s));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &w));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->n_in > 2 ? c->in[2] : NULL, &b));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    if (y.p) skv_conv_forward(skv_threads(c->ctx), &s, x.p, w.p, b.p, y.p);
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &w);
    skv_doubles_free(c->ctx, &b);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    skive_value *dy = c->dout[0], *x = c->node->inputs[0], *w = c->node->inputs[1];
    bool bias = c->node->n_inputs > 2 && c->need[2];
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skv_attr_list copy = skv_attrs_copy(c->node, buffer);
    if (c->need[0]) c->din[0] = skv_emit(c->b, "ConvGradInput", SKV_IN(dy, w, x), copy);
    if (c->need[1]) {
        skive_value *out[2] = {NULL, NULL};
        skv_emit_n(c->b, "ConvGradWeight", SKV_IN(dy, x, w), copy, out, bias ? 2 : 1);
        c->din[1] = out[0];
        if (bias) c->din[2] = out[1];
    } else if (bias) {
        int64_t axes[SKIVE_MAX_RANK] = {0, 2, 3, 4};
        int rank = w->type.rank;
        if (rank < 3 || rank > 2 + SKV_SPATIAL)
            return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                               "Conv: the gradient of the bias needs a weight of known rank");
        c->din[2] = skv_emit(c->b, "ReduceSum", SKV_IN(dy, skv_emit_ints(c->b, axes, (size_t)rank - 1)),
                             SKV_ATTRS(SKV_INT("keepdims", 0)));
    }
    return c->b->status;
}

/* Groups must keep equal sizes, so channels k of all groups are coupled; in a depthwise convolution each channel is
 * independent. */
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 1)), *w = skv_couple_type(c, SKV_CIN(1, 0));
    if (!x || !w || x->rank < 3 || w->rank != x->rank) {
        skv_couple_fix_all(c, "the sizes of a convolution are unknown");
        return;
    }
    for (int a = 2; a < x->rank; a++) skv_couple_fix(c, SKV_CIN(1, a), "this is the window of a convolution");
    skv_couple_conv(c, 0, 1, 2);
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_groups(s, 0); }

static void cost(const skive_node *n, skive_cost *out) {
    skv_conv_cost(n, skv_node_in(n, 1), out);
    if (skv_node_in(n, 2)) skv_cost_per_element(n, out);
}

/* ---- cases: the first ones are those of the ONNX specification ---- */

static const double ramp25[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
static const double ones9[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
static const int64_t k3[] = {3}, k33[] = {3, 3}, one4[] = {1, 1, 1, 1}, two2[] = {2, 2}, k222[] = {2, 2, 2};
static const int64_t out55[] = {1, 1, 5, 5}, out33[] = {1, 1, 3, 3}, asym[] = {1, 0, 1, 0};
static const double padded[] = {12,  21, 27, 33,  24,  33,  54,  63, 72,  51,  63,  99, 108,
                                117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84};
static const double unpadded[] = {54, 63, 72, 99, 108, 117, 144, 153, 162};
static const double same_lower[] = {12, 27, 24, 63, 108, 81, 72, 117, 84};
static const double ramp35[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17,
                                18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34};
static const double strided_asym[] = {21, 33, 99, 117, 189, 207, 171, 183};
static const skv_attr_init at_padded[] = {A_INTS("kernel_shape", k33), A_INTS("pads", one4)};
static const skv_attr_init at_plain[] = {A_INTS("kernel_shape", k33)};
static const skv_attr_init at_lower[] = {A_STR("auto_pad", "SAME_LOWER"), A_INTS("kernel_shape", k33),
                                         A_INTS("strides", two2)};
static const skv_attr_init at_asym[] = {A_INTS("kernel_shape", k33), A_INTS("pads", asym), A_INTS("strides", two2)};
static const int64_t out42[] = {1, 1, 4, 2};
static const skv_case_in in_ones[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 5, 5}, .values = ramp25},
                                      {.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 3, 3}, .values = ones9}};
static const skv_case_in in_tall[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 7, 5}, .values = ramp35},
                                      {.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 3, 3}, .values = ones9}};
static const skv_case_in in_random[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {2, 3, 6, 5}},
                                        {.dtype = SKIVE_F32, .rank = 4, .dims = {4, 3, 3, 2}},
                                        {.dtype = SKIVE_F32, .rank = 1, .dims = {4}}};
static const int64_t pads_mixed[] = {1, 0, 2, 1}, dil21[] = {2, 1}, st12[] = {1, 2};
static const skv_attr_init at_mixed[] = {A_INTS("pads", pads_mixed), A_INTS("dilations", dil21),
                                         A_INTS("strides", st12)};
static const skv_case_in in_grouped[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {2, 4, 4, 5}},
                                         {.dtype = SKIVE_F32, .rank = 4, .dims = {6, 2, 2, 2}},
                                         {.dtype = SKIVE_F32, .rank = 1, .dims = {6}}};
static const skv_attr_init at_grouped[] = {A_INT("group", 2), A_STR("auto_pad", "SAME_UPPER")};
static const skv_case_in in_depth[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {2, 3, 5, 5}},
                                       {.dtype = SKIVE_F32, .rank = 4, .dims = {6, 1, 3, 3}}};
static const skv_attr_init at_depth[] = {A_INT("group", 3), A_INTS("pads", one4), A_INTS("strides", two2)};
/* 1-d by hand: x = 1 2 3 4, w = 1 0 -1 over two channels of which the second is halved */
static const double x1d[] = {1, 2, 3, 4, 2, 2, 4, 8}, w1d[] = {1, 0, -1, 0.5, 0.5, 0.5}, b1d[] = {10};
static const double y1d[] = {12, 15}; /* 1-3+4+10, 2-4+7+10 */
static const int64_t out12[] = {1, 1, 2};
static const skv_case_in in_1d[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {1, 2, 4}, .values = x1d},
                                    {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 2, 3}, .values = w1d},
                                    {.dtype = SKIVE_F32, .rank = 1, .dims = {1}, .values = b1d}};
static const skv_attr_init at_1d[] = {A_INTS("kernel_shape", k3), A_STR("auto_pad", "VALID")};
static const skv_case_in in_3d[] = {{.dtype = SKIVE_F32, .rank = 5, .dims = {1, 2, 3, 3, 2}},
                                    {.dtype = SKIVE_F32, .rank = 5, .dims = {2, 2, 2, 2, 2}}};
static const skv_attr_init at_3d[] = {A_INTS("kernel_shape", k222)};

static const skv_op_case cases[] = {
    {.name = "padded",
     CASE_ATTRS_OF(at_padded),
     CASE_IN_OF(in_ones),
     .n_out = 1,
     CASE_EXPECT_OF(padded),
     CASE_DIMS_OF(out55)},
    {.name = "without padding",
     CASE_ATTRS_OF(at_plain),
     CASE_IN_OF(in_ones),
     .n_out = 1,
     CASE_EXPECT_OF(unpadded),
     CASE_DIMS_OF(out33)},
    {.name = "SAME_LOWER",
     CASE_ATTRS_OF(at_lower),
     CASE_IN_OF(in_ones),
     .n_out = 1,
     CASE_EXPECT_OF(same_lower),
     CASE_DIMS_OF(out33)},
    {.name = "strides, asymmetric padding",
     CASE_ATTRS_OF(at_asym),
     CASE_IN_OF(in_tall),
     .n_out = 1,
     CASE_EXPECT_OF(strided_asym),
     CASE_DIMS_OF(out42)},
    {.name = "1-d with bias",
     CASE_ATTRS_OF(at_1d),
     CASE_IN_OF(in_1d),
     .n_out = 1,
     CASE_EXPECT_OF(y1d),
     CASE_DIMS_OF(out12)},
    {.name = "strides, dilations, bias", CASE_ATTRS_OF(at_mixed), CASE_IN_OF(in_random), .n_out = 1},
    {.name = "groups", CASE_ATTRS_OF(at_grouped), CASE_IN_OF(in_grouped), .n_out = 1},
    {.name = "depthwise", CASE_ATTRS_OF(at_depth), CASE_IN_OF(in_depth), .n_out = 1},
    {.name = "3-d", CASE_ATTRS_OF(at_3d), CASE_IN_OF(in_3d), .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = 0,
     .in_axis = 1,
     .data_axis = 1,
     .result_axis = 1,
     .windows = true,
     .channels = "filters"},
    {.role = SKV_ROLE_BIAS, .axes = true, .out_axis = 0, .in_axis = -1},
};

const skv_op skv_op_conv = {
    .name = "Conv",
    .domain = "",
    .brief = "convolution",
    .since = 11,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .bounds = skv_bound_conv,
    .cost = cost,
    SKV_LIST(cases),
    .integer_form = "QConv",
};
