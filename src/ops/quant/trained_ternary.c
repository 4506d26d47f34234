/* TrainedTernary(x, values[2]): values[0] where x exceeds a threshold, -values[1] where it is below its negative, else
 * 0; the threshold is the attribute times max|x|. The values are learned (trained ternary quantization, Zhu et al.
 * 2017): each gets the sum of the gradients where it stands, and x the gradient times the value there. */
#include "ops/quant/common_quantize.h"

static const skv_attr_spec attrs[] = {
    {"threshold", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"factor", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_float(c, 1));
    SKV_TRY(skv_want_vector(c, 1, 2, "the two values"));
    skv_out_like(c, 0, 0);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *values = c->in[1];
    skive_tensor *y = c->out[0];
    if (!y) return SKIVE_OK;
    const double limit = skv_ternary_limit(c->node, x), up = skv_load_f64(values->dtype, values->data, 0),
                 down = skv_load_f64(values->dtype, values->data, 1);
    for (size_t i = 0; i < (size_t)skive_tensor_count(x); i++) {
        const double v = skv_load_f64(x->dtype, x->data, i);
        skv_store_f64(y->dtype, y->data, i, v > limit ? up : v < -limit ? -down : 0);
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skv_attr_init attrs_of[] = {SKV_FLT("threshold", skv_attr_float(n, "threshold", 0.05)),
                                      SKV_FLT("factor", skv_attr_float(n, "factor", 1))};
    skive_value *out[2] = {NULL};
    skv_emit_n(c->b, "TrainedTernaryGrad", SKV_IN(n->inputs[0], n->inputs[1], c->dout[0]),
               (skv_attr_list){attrs_of, SKV_COUNT(attrs_of)}, out, 2);
    if (c->need[0]) c->din[0] = out[0];
    if (c->need[1]) c->din[1] = out[1];
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* the threshold is 0.25 * 4 */
     CASE_IN({CASE_F32(5), CASE_VALUES(-4, -1, 0.5, 1.5, 3)}, {CASE_F32(2), CASE_VALUES(2, 3)}),
     CASE_ATTRS(CASE_FLT("threshold", 0.25)),
     .n_out = 1,
     CASE_EXPECT(-3, 0, 0, 2, 2),
     .no_grad = true},
    {.name = "the values' gradient",
     CASE_IN({CASE_F32(5), CASE_VALUES(-4, -1, 0.5, 1.5, 3), .constant = true}, {CASE_F32(2), CASE_VALUES(2, 3)}),
     CASE_ATTRS(CASE_FLT("threshold", 0.25)),
     .n_out = 1,
     CASE_EXPECT(-3, 0, 0, 2, 2)},
};

static const skv_input_spec inputs[] = {{.role = SKV_ROLE_DATA}, {.role = SKV_ROLE_CONSTANT}};

const skv_op skv_op_trained_ternary = {
    .name = "TrainedTernary",
    .domain = SKV_DOMAIN,
    .brief = "two learned values and 0",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .inputs = inputs,
    .n_inputs = SKV_COUNT(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
