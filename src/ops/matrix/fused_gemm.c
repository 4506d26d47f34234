/* FusedGemm(A, B, C?, Z?): a matrix product with fused sum and activation:
 *
 *     Y = activation(alpha A' B' + beta C + Z)
 *
 * with Z of Y's shape. alpha and beta are those of Gemm; the activation's parameters are activation_alpha and
 * activation_beta. A that is not transposed may have more than two axes, as in MatMul: all but the last are rows. The
 * reference computes all of it in double and rounds once. */
#include "ops/common_activation.h"
#include "ops/matrix/common_gemm.h"

static const skv_attr_spec attrs[] = {
    {"activation", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"activation_alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"activation_beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"transA", SKV_ATTR_INT, SKV_OPTIONAL},
    {"transB", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    skv_activation act;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_infer_gemm(c));
    SKV_TRY(skv_want_like_output(c, 3, "the residual"));
    return skv_activation_read(c->ctx, c->node, &act);
}

static skive_status run(const skv_eval *c) {
    skv_activation act;
    skv_doubles z = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(skv_activation_read(c->ctx, c->node, &act));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->n_in > 3 ? c->in[3] : NULL, &z));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    if (y.p) SKV_GO(status, out, skv_gemm_run(c, &y));
    for (size_t i = 0; y.p && i < y.n; i++) y.p[i] = skv_activation_apply(&act, y.p[i] + (z.p ? z.p[i] : 0.0));
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &z);
    skv_result_free(c->ctx, &y);
    return status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)in;
    return skv_activation_range(n);
}

static void cost(const skive_node *n, skive_cost *out) {
    skv_gemm_cost(n, out);
    if (skv_node_in(n, 3)) skv_cost_per_element(n, out);
    if (*skv_attr_string(n, "activation", "")) skv_cost_per_element(n, out);
}

static const double a[] = {1, 2, 3, 4}, b[] = {1, -1, 1, -2}, c2[] = {1, 2}, z[] = {0, 1, 0, 1};
/* A B = 3 -5 7 -11; + C = 4 -3 8 -9; + Z = 4 -2 8 -8 */
static const double relu[] = {4, 0, 8, 0}, clip[] = {4, -2, 6, -2.5};
static const skv_case_in in[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 2}, .values = a},
                                 {.dtype = SKIVE_F32, .rank = 2, .dims = {2, 2}, .values = b},
                                 {.dtype = SKIVE_F32, .rank = 1, .dims = {2}, .values = c2},
                                 {.dtype = SKIVE_F32, .rank = 2, .dims = {2, 2}, .values = z}};
static const skv_case_in in_plain[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 2}, .values = a},
                                       {.dtype = SKIVE_F32, .rank = 2, .dims = {2, 2}, .values = b},
                                       {.dtype = SKIVE_F32, .rank = 1, .dims = {2}, .values = c2}};
static const skv_attr_init at_relu[] = {A_STR("activation", "Relu")};
static const skv_attr_init at_clip[] = {A_STR("activation", "Clip"), A_FLT("activation_alpha", -2.5),
                                        A_FLT("activation_beta", 6)};
/* 0.5 A B + C: 2.5 -0.5 4.5 -3.5, of which LeakyRelu keeps a part of the negative ones */
static const skv_attr_init at_leaky[] = {A_STR("activation", "LeakyRelu"), A_FLT("alpha", 0.5),
                                         A_FLT("activation_alpha", 0.2)};
static const double leaky[] = {2.5, -0.1, 4.5, -0.7};
/* [2][1][2] by the same B: the same numbers. */
static const skv_case_in in_deep[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {2, 1, 2}, .values = a},
                                      {.dtype = SKIVE_F32, .rank = 2, .dims = {2, 2}, .values = b},
                                      {.dtype = SKIVE_F32, .rank = 1, .dims = {2}, .values = c2},
                                      {.dtype = SKIVE_F32, .rank = 3, .dims = {2, 1, 2}, .values = z}};
static const skv_op_case cases[] = {
    {.name = "three axes", CASE_ATTRS_OF(at_relu), CASE_IN_OF(in_deep), .n_out = 1, CASE_EXPECT_OF(relu)},
    {.name = "Gelu, random",
     CASE_ATTRS(CASE_STR("activation", "Gelu")),
     CASE_IN({CASE_F32(2, 3, 4), .lo = -1, .hi = 1}, {CASE_F32(4, 5), .lo = -1, .hi = 1},
             {CASE_F32(5), .lo = -1, .hi = 1}),
     .n_out = 1},
    {.name = "Relu", CASE_ATTRS_OF(at_relu), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(relu)},
    {.name = "Clip", CASE_ATTRS_OF(at_clip), CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(clip)},
    {.name = "alpha and LeakyRelu", CASE_ATTRS_OF(at_leaky), CASE_IN_OF(in_plain), .n_out = 1, CASE_EXPECT_OF(leaky)},
};

const skv_op skv_op_fused_gemm = {
    .name = "FusedGemm",
    .domain = SKV_DOMAIN,
    .brief = "matrix product, bias, residual sum and activation in one",
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
