/* FusedBatchNorm(X, scale, B, mean, var, Z?): BatchNormalization in training with fused sum and activation:
 *
 *     Y = activation(BatchNormalization(X, scale, B, mean, var) + Z)
 *
 * with Z of X's shape and activation "" or "Relu". The outputs after Y are BatchNormalization's. */
#include "ops/common_nn.h"

extern const skv_op skv_op_batch_normalization;

static const skv_attr_spec attrs[] = {
    {"activation", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"epsilon", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"momentum", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"training_mode", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    const char *activation = skv_attr_string(c->node, "activation", "");
    SKV_TRY(skv_op_batch_normalization.infer(c));
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_same_dtype(c, 0, i));
    if (c->n_in > 5) SKV_TRY(skv_want_same_shape(c, 5, 0));
    if (activation[0] && strcmp(activation, "Relu") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': activation '%s'", c->node->name, activation);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const bool relu = *skv_attr_string(c->node, "activation", "");
    const skive_tensor *z = c->n_in > 5 ? c->in[5] : NULL;
    SKV_TRY(skv_op_batch_normalization.run(c));
    skive_tensor *y = c->out[0];
    const int64_t n = y ? skive_tensor_count(y) : 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = skive_tensor_get(y, i) + (z ? skive_tensor_get(z, i) : 0.0);
        skive_tensor_set(y, i, relu && v < 0 ? 0.0 : v);
    }
    return SKIVE_OK;
}

static void cost(const skive_node *n, skive_cost *out) {
    skv_op_batch_normalization.cost(n, out);
    if (skv_node_in(n, 5)) skv_cost_per_element(n, out);
    if (*skv_attr_string(n, "activation", "")) skv_cost_per_element(n, out);
}

/* As BatchNormalization's case by hand, which gives -1, -1, 3, -1. */
#define NORM_IN                                                                       \
    {CASE_F32(2, 2, 1), CASE_VALUES(0, 10, 4, 10)}, {CASE_F32(2), CASE_VALUES(3, 1)}, \
        {CASE_F32(2), CASE_VALUES(1, -1)}, {CASE_F32(2), CASE_VALUES(0, 0)}, {        \
        CASE_F32(2), CASE_VALUES(1, 1)                                                \
    }
static const skv_op_case cases[] = {
    {.name = "nothing after",
     CASE_IN(NORM_IN),
     CASE_ATTRS(CASE_INT("training_mode", 1), CASE_FLT("epsilon", 5)),
     .n_out = 5,
     CASE_EXPECT(-1, -1, 3, -1)},
    {.name = "Relu",
     CASE_IN(NORM_IN),
     CASE_ATTRS(CASE_INT("training_mode", 1), CASE_FLT("epsilon", 5), CASE_STR("activation", "Relu")),
     .n_out = 1,
     CASE_EXPECT(0, 0, 3, 0)},
    {.name = "sum and Relu",
     CASE_IN(NORM_IN, {CASE_F32(2, 2, 1), CASE_VALUES(5, 0.5, -4, 2)}),
     CASE_ATTRS(CASE_INT("training_mode", 1), CASE_FLT("epsilon", 5), CASE_STR("activation", "Relu")),
     .n_out = 3,
     CASE_EXPECT(4, 0, 0, 1)},
    {.name = "sum",
     CASE_IN(NORM_IN, {CASE_F32(2, 2, 1), CASE_VALUES(5, 0.5, -4, 2)}),
     CASE_ATTRS(CASE_INT("training_mode", 1), CASE_FLT("epsilon", 5)),
     .n_out = 1,
     CASE_EXPECT(4, -0.5, -1, 1)},
};

const skv_op skv_op_fused_batch_norm = {
    .name = "FusedBatchNorm",
    .domain = SKV_DOMAIN,
    .brief = "BatchNormalization in training, residual sum and activation in one",
    .since = 1,
    .min_in = 5,
    .max_in = 6,
    .min_out = 1,
    .max_out = 5,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
