/* FusedConv(X, W, B?, Z?): a convolution with fused sum and activation:
 *
 *     Y = activation(Conv(X, W) + B + Z)
 *
 * with Z of Y's shape. The reference computes all of it in double and rounds once. */
#include "ops/common_activation.h"
#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"group", SKV_ATTR_INT, SKV_OPTIONAL},
    {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"activation", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"activation_alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"activation_beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_activation act;
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    for (size_t i = 1; i < c->n_in; i++) SKV_TRY(skv_want_same_dtype(c, 0, i));
    skv_conv_shape s;
    bool known;
    SKV_TRY(skv_infer_conv(c, 0, 1, &s, &known));
    if (c->in[0]) c->out[0].dtype = c->in[0]->dtype;
    SKV_TRY(skv_want_vector(c, 2, known ? s.m : -1, "the bias"));
    SKV_TRY(skv_want_like_output(c, 3, "the residual"));
    return skv_activation_read(c->ctx, c->node, &act);
}

static skive_status run(const skv_eval *c) {
    skv_conv_shape s;
    skv_activation act;
    skv_doubles x = {0}, w = {0}, b = {0}, z = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(skv_activation_read(c->ctx, c->node, &act));
    SKV_TRY(skv_conv_shape_of(c, c->in[0], c->in[1], &s));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &w));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->n_in > 2 ? c->in[2] : NULL, &b));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->n_in > 3 ? c->in[3] : NULL, &z));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    if (y.p) skv_conv_forward(skv_threads(c->ctx), &s, x.p, w.p, b.p, y.p);
    for (size_t i = 0; y.p && i < y.n; i++) y.p[i] = skv_activation_apply(&act, y.p[i] + (z.p ? z.p[i] : 0.0));
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &w);
    skv_doubles_free(c->ctx, &b);
    skv_doubles_free(c->ctx, &z);
    skv_result_free(c->ctx, &y);
    return status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)in;
    return skv_activation_range(n);
}

static void cost(const skive_node *n, skive_cost *out) {
    skv_conv_cost(n, skv_node_in(n, 1), out);
    if (skv_node_in(n, 2)) skv_cost_per_element(n, out);
    if (skv_node_in(n, 3)) skv_cost_per_element(n, out);
    if (*skv_attr_string(n, "activation", "")) skv_cost_per_element(n, out);
}

/* One pixel, one weight per channel: the sums before the activation are -3, 1, 9. */
static const double x[] = {2}, w[] = {-1, 1, 4}, b[] = {-1, -2, 0}, z[] = {0, 1, 1};
static const double relu[] = {0, 1, 9}, leaky[] = {-0.75, 1, 9}, clip[] = {-1, 1, 6};
static const double sigmoid[] = {0.04742587317756678, 0.7310585786300049, 0.9998766054240137};
static const double hyperbolic[] = {-0.9950547536867305, 0.7615941559557649, 0.9999999695400409};
static const double hard_swish[] = {0, 0.6666666666666666, 9}, hard_sigmoid[] = {0, 0.7, 1}, none[] = {-3, -0, 8};
static const skv_case_in in[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {1, 1, 1}, .values = x},
                                 {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 1, 1}, .values = w},
                                 {.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = b},
                                 {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 3, 1}, .values = z}};
static const skv_case_in in_plain[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {1, 1, 1}, .values = x},
                                       {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 1, 1}, .values = w},
                                       {.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = b}};
static const skv_attr_init at_relu[] = {A_STR("activation", "Relu")};
static const skv_attr_init at_leaky[] = {A_STR("activation", "LeakyRelu"), A_FLT("alpha", 0.25)};
static const skv_attr_init at_clip[] = {A_STR("activation", "Clip"), A_FLT("alpha", -1), A_FLT("beta", 6)};
static const skv_attr_init at_sigmoid[] = {A_STR("activation", "Sigmoid")};
static const skv_attr_init at_tanh[] = {A_STR("activation", "Tanh")};
static const skv_attr_init at_swish[] = {A_STR("activation", "HardSwish")};
static const skv_attr_init at_hard[] = {A_STR("activation", "HardSigmoid")};
static const skv_op_case cases[] = {
    {.name = "nothing after", CASE_IN_OF(in_plain), .n_out = 1, CASE_EXPECT_OF(none)},
    {.name = "Relu", CASE_ATTRS_OF(at_relu), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(relu)},
    {.name = "LeakyRelu", CASE_ATTRS_OF(at_leaky), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(leaky)},
    {.name = "Clip", CASE_ATTRS_OF(at_clip), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(clip)},
    {.name = "Sigmoid", CASE_ATTRS_OF(at_sigmoid), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(sigmoid)},
    {.name = "Tanh", CASE_ATTRS_OF(at_tanh), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(hyperbolic)},
    {.name = "HardSwish", CASE_ATTRS_OF(at_swish), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(hard_swish)},
    {.name = "HardSigmoid", CASE_ATTRS_OF(at_hard), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(hard_sigmoid)},
};

const skv_op skv_op_fused_conv = {
    .name = "FusedConv",
    .domain = SKV_DOMAIN,
    .brief = "convolution, bias, residual sum and activation in one",
    .since = 1,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .range = range,
    .cost = cost,
    SKV_LIST(cases),
};
