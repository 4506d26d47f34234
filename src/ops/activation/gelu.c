/* Gelu (Hendrycks & Gimpel 2016): y = x * Phi(x), Phi the normal distribution function; approximate = "tanh" gives
 * y = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_pointwise.h"

static const skv_attr_spec attrs[] = {{"approximate", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const char *how = skv_attr_string(c->node, "approximate", "none");
    if (strcmp(how, "none") != 0 && strcmp(how, "tanh") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "approximate is \"%s\"; it may be none or tanh", how);
    return skv_infer_unary_float(c);
}

static skive_status grad(skv_grad *c) {
    if (!c->need[0]) return SKIVE_OK;
    const char *how = skv_attr_string(c->node, "approximate", "none");
    c->din[0] =
        skv_emit(c->b, "GeluGrad", SKV_IN(c->dout[0], c->node->inputs[0]), SKV_ATTRS(SKV_STR("approximate", how)));
    return c->b->status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return skv_range_make(-0.1701, in[0].hi > 0 ? in[0].hi : 0); /* the least value, of both forms, is -0.17004 */
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(0, 1, -1)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.8413447460685429, -0.15865525393145707)},
    {.name = "tanh by hand",
     CASE_IN({CASE_F32(2), CASE_VALUES(0, 1)}),
     .n_out = 1,
     CASE_ATTRS(CASE_STR("approximate", "tanh")),
     CASE_EXPECT(0, 0.8411919906082768)},
    {.name = "random", CASE_IN({CASE_F32(2, 3), .lo = -3, .hi = 3}), .n_out = 1},
    {.name = "tanh random",
     CASE_IN({CASE_F32(2, 3), .lo = -3, .hi = 3}),
     .n_out = 1,
     CASE_ATTRS(CASE_STR("approximate", "tanh"))},
};

const skv_op skv_op_gelu = {
    .name = "Gelu",
    .brief = "x times the normal distribution function of x",
    SKV_UNARY_OP,
    .since = 20,
    SKV_LIST(attrs),
    .infer = infer,
    .run = skv_pointwise_run,
    .grad = grad,
    .range = range,
    SKV_LIST(cases),
};
