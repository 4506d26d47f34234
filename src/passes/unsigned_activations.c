/* Activations in int8 become uint8 with a zero point 128 higher: the same real numbers, in the form that the integer
 * kernels take. A value that does not come from a QuantizeLinear (a graph's input) gets one, which is exact: the error
 * of (q - z) * s / s is less than one half. */
#include "passes/pass.h"
#include "tensor/tensor.h"

enum { SHIFT = 128 };

/* Scale and zero point are one constant each, the integers int8. */
static bool one_grid(const skive_node *n, skive_dtype integers, int64_t *zero) {
    const skive_tensor *scale = skv_value_tensor(skv_node_in(n, 1)), *z = skv_value_tensor(skv_node_in(n, 2));
    if (integers != SKIVE_I8 || !scale || !z || z->dtype != SKIVE_I8 || skive_tensor_count(scale) != 1 ||
        skive_tensor_count(z) != 1)
        return false;
    *zero = (int64_t)skive_tensor_get(z, 0);
    return skive_tensor_get(scale, 0) > 0;
}

static bool same_grid(const skive_node *a, const skive_node *b) {
    return skive_tensor_get(skv_value_tensor(a->inputs[1]), 0) == skive_tensor_get(skv_value_tensor(b->inputs[1]), 0) &&
           skive_tensor_get(skv_value_tensor(a->inputs[2]), 0) == skive_tensor_get(skv_value_tensor(b->inputs[2]), 0);
}

static bool is(const skive_node *n, skv_op_kind op) { return skv_node_is(n, op) && n->n_inputs == 3; }

/* `q` is only read by nodes that dequantize it with the same grid. */
static bool only_dequantized(const skv_pass_env *env, const skive_node *quantize) {
    const skive_value *q = quantize->outputs[0];
    int64_t zero;
    if (skv_pass_keeps(env, q) || skv_value_is_captured(q) || q->n_uses == 0) return false;
    for (uint32_t i = 0; i < q->n_uses; i++) {
        const skive_node *n = q->uses[i].node;
        if (!is(n, SKV_OP_DEQUANTIZE_LINEAR) || q->uses[i].index != 0 || !one_grid(n, q->type.dtype, &zero) ||
            !same_grid(n, quantize))
            return false;
    }
    return true;
}

static skive_value *shifted(skv_builder *b, int64_t zero) {
    return skv_emit_scalar(b, SKIVE_U8, (double)(zero + SHIFT));
}

static skive_status turn_quantize(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    int64_t zero;
    if (!one_grid(n, n->outputs[0]->type.dtype, &zero) || !only_dequantized(env, n)) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *z = shifted(&b, zero), *q = n->outputs[0];
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(n, 2, z));
    skv_node_remove_attr(n, "output_dtype");
    for (uint32_t i = 0; i < q->n_uses; i++) SKV_TRY(skv_node_set_input(q->uses[i].node, 2, z));
    q->type.dtype = SKIVE_U8;
    ++*changes;
    return SKIVE_OK;
}

/* x -> Dequantize -> ... becomes x -> Dequantize -> Quantize to uint8 -> Dequantize -> ... */
static skive_status turn_input(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    const skive_value *x = n->inputs[0];
    skive_value *y = n->outputs[0];
    int64_t zero;
    if (!x || x->storage || (x->producer && skv_node_is(x->producer, SKV_OP_QUANTIZE_LINEAR)) ||
        skv_pass_keeps(env, y) || !one_grid(n, x->type.dtype, &zero) || y->n_uses == 0)
        return SKIVE_OK;
    if (y->n_uses == 1 && is(y->uses[0].node, SKV_OP_QUANTIZE_LINEAR)) return SKIVE_OK; /* done before */
    skv_builder b = skv_build(g);
    skive_value *z = shifted(&b, zero), *stand_in = NULL;
    SKV_TRY(skv_graph_new_value(g, NULL, &stand_in));
    stand_in->type = y->type;
    SKV_TRY(skv_value_replace_uses(y, stand_in, false));
    skive_value *q = skv_emit(&b, "QuantizeLinear", SKV_IN(y, n->inputs[1], z), SKV_NONE);
    skive_value *real = skv_emit(&b, "DequantizeLinear", SKV_IN(q, n->inputs[1], z), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(stand_in, real, false));
    ++*changes;
    return skv_graph_remove_value(stand_in);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    const uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) {
        skive_node *node = g->nodes[i];
        if (is(node, SKV_OP_QUANTIZE_LINEAR))
            SKV_TRY(turn_quantize(env, g, node, changes));
        else if (is(node, SKV_OP_DEQUANTIZE_LINEAR))
            SKV_TRY(turn_input(env, g, node, changes));
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_unsigned_activations = {
    .name = "unsigned-activations",
    .brief = "converts int8 activations to uint8, for the integer kernels",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
