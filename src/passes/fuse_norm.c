/* In training, BatchNormalization is fused with the following sum and Relu, and its gradient with that of the Relu: the
 * intermediate values are never written to memory. */
#include <string.h>

#include "passes/fuse.h"

enum { NORM_OUTPUTS = 5, GRAD_OUTPUTS = 4 };

static skive_node *norm_behind(const skv_pass_env *env, const skive_value *v) {
    if (!v || !v->producer || v->producer_index != 0 || !skv_pass_hidden(env, v)) return NULL;
    const skive_node *n = v->producer;
    if (n->domain[0] || !skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || !skv_attr_int(n, "training_mode", 0))
        return NULL;
    return n->n_inputs == 5 && n->n_outputs <= NORM_OUTPUTS ? v->producer : NULL;
}

/* relu(norm(x) + z) or relu(norm(x)). */
static skive_status fuse_forward(const skv_pass_env *env, skive_graph *g, skive_node *relu, bool *done) {
    if (!skv_node_is(relu, SKV_OP_RELU) || relu->domain[0]) return SKIVE_OK;
    skive_node *norm = norm_behind(env, relu->inputs[0]), *add = NULL;
    skive_value *z = NULL;
    if (!norm && relu->inputs[0]->producer && skv_pass_hidden(env, relu->inputs[0])) {
        add = relu->inputs[0]->producer;
        if (!skv_node_is(add, SKV_OP_ADD) || add->domain[0]) return SKIVE_OK;
        for (int i = 1; i >= 0 && !norm; i--) {
            z = add->inputs[1 - i];
            norm = norm_behind(env, add->inputs[i]);
            if (z->storage || !skv_type_same_static(&z->type, &add->inputs[i]->type)) norm = NULL;
        }
    }
    if (!norm) return SKIVE_OK;
    skive_node *chain[3] = {norm};
    size_t n_chain = 1;
    skive_value *inputs[6], *old[NORM_OUTPUTS];
    if (add) chain[n_chain++] = add;
    chain[n_chain++] = relu;
    memcpy(inputs, norm->inputs, 5 * sizeof *inputs);
    inputs[5] = z;
    memcpy(old, norm->outputs, norm->n_outputs * sizeof *old);
    old[0] = relu->outputs[0];
    const skv_attr_init attrs[] = {SKV_FLT("epsilon", skv_attr_float(norm, "epsilon", 1e-5)),
                                   SKV_FLT("momentum", skv_attr_float(norm, "momentum", 0.9)),
                                   SKV_INT("training_mode", 1), SKV_STR("activation", "Relu")};
    const skv_fusion f = {.chain = chain,
                          .n_chain = n_chain,
                          .op = "FusedBatchNorm",
                          .domain = SKV_DOMAIN,
                          .inputs = inputs,
                          .n_inputs = z ? 6 : 5,
                          .old = old,
                          .n_old = norm->n_outputs,
                          .attrs = attrs,
                          .n_attrs = SKV_COUNT(attrs)};
    *done = true;
    return skv_fuse(g, &f);
}

/* BatchNormalizationGrad of ReluGrad; the masked gradient remains an output if it has other readers. */
static skive_status fuse_backward(const skv_pass_env *env, skive_graph *g, skive_node *grad, bool *done) {
    if (!skv_node_is(grad, SKV_OP_BATCH_NORMALIZATION_GRAD) || grad->n_outputs > 3) return SKIVE_OK;
    skive_node *relu = grad->inputs[0]->producer;
    if (!relu || !skv_node_is(relu, SKV_OP_RELU_GRAD) || skv_pass_keeps(env, grad->inputs[0])) return SKIVE_OK;
    const bool shared = grad->inputs[0]->n_uses > 1;
    skive_value *inputs[6], *old[GRAD_OUTPUTS] = {NULL};
    memcpy(inputs, grad->inputs, 5 * sizeof *inputs);
    inputs[0] = relu->inputs[0];
    inputs[5] = relu->inputs[1];
    memcpy(old, grad->outputs, grad->n_outputs * sizeof *old);
    if (shared) old[3] = relu->outputs[0];
    const skv_fusion f = {.chain = (skive_node *const[]){relu, grad},
                          .n_chain = 2,
                          .named = grad,
                          .op = "FusedBatchNormGrad",
                          .domain = SKV_DOMAIN,
                          .inputs = inputs,
                          .n_inputs = 6,
                          .old = old,
                          .n_old = shared ? GRAD_OUTPUTS : grad->n_outputs};
    *done = true;
    return skv_fuse(g, &f);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    /* Fused nodes are appended to the list, so that the preceding nodes may match again. */
    for (uint32_t i = 0; i < g->n_nodes;) {
        bool done = false;
        SKV_TRY(fuse_forward(env, g, g->nodes[i], &done));
        if (!done) SKV_TRY(fuse_backward(env, g, g->nodes[i], &done));
        *changes += done;
        if (!done)
            i++;
        else
            i = i > 2 ? i - 3 : 0;
    }
    return SKIVE_OK;
}

const skv_pass skv_pass_fuse_norm = {
    .name = "fuse-norm",
    .brief = "fuses sum and Relu into BatchNormalization in training, and their gradients",
    .when = SKV_PASS_TRAINING,
    .run = run,
};
