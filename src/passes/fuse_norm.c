/* BatchNormalization in training takes the sum and the Relu behind it in, and its gradient the Relu's gradient: the values
 * between them are never written to memory. */
#include <string.h>

#include "passes/pass.h"

enum { NORM_OUTPUTS = 5, GRAD_OUTPUTS = 4 };

static bool hidden(const skv_pass_env *env, const skive_value *v) { return v->n_uses == 1 && !skv_pass_keeps(env, v); }

static skive_node *norm_behind(const skv_pass_env *env, const skive_value *v) {
    if (!v || !v->producer || v->producer_index != 0 || !hidden(env, v)) return NULL;
    const skive_node *n = v->producer;
    if (n->domain[0] || !skv_node_is(n, "BatchNormalization") || !skv_attr_int(n, "training_mode", 0)) return NULL;
    return n->n_inputs == 5 && n->n_outputs <= NORM_OUTPUTS ? v->producer : NULL;
}

static bool same_static_shape(const skive_type *a, const skive_type *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || !skv_type_is_static(a) || !skv_type_is_static(b)) return false;
    for (int d = 0; d < a->rank; d++) {
        if (a->dims[d].size != b->dims[d].size) return false;
    }
    return true;
}

/* `fresh` stands for `old` from now on, under its name once its node is gone. */
static skive_status stand_in(skive_graph *g, skive_value *old, skive_value **fresh) {
    SKV_TRY(skv_graph_new_value(g, NULL, fresh));
    (*fresh)->type = old->type;
    return SKIVE_OK;
}

/* relu(norm(x) + z) or relu(norm(x)). */
static skive_status fuse_forward(const skv_pass_env *env, skive_graph *g, skive_node *relu, bool *done) {
    if (!skv_node_is(relu, "Relu") || relu->domain[0]) return SKIVE_OK;
    skive_node *norm = norm_behind(env, relu->inputs[0]), *add = NULL;
    skive_value *z = NULL;
    if (!norm && relu->inputs[0]->producer && hidden(env, relu->inputs[0])) {
        add = relu->inputs[0]->producer;
        if (!skv_node_is(add, "Add") || add->domain[0]) return SKIVE_OK;
        for (int i = 1; i >= 0 && !norm; i--) {
            z = add->inputs[1 - i];
            norm = norm_behind(env, add->inputs[i]);
            if (z->storage || !same_static_shape(&z->type, &add->inputs[i]->type)) norm = NULL;
        }
    }
    if (!norm) return SKIVE_OK;
    skive_value *inputs[6], *outputs[NORM_OUTPUTS] = {NULL}, *old[NORM_OUTPUTS] = {NULL};
    const char *names[NORM_OUTPUTS] = {NULL}, *name = norm->name;
    const uint32_t n_out = norm->n_outputs;
    skive_node *fused = NULL;
    memcpy(inputs, norm->inputs, 5 * sizeof *inputs);
    inputs[5] = z;
    for (uint32_t i = 0; i < n_out; i++) {
        old[i] = i == 0 ? relu->outputs[0] : norm->outputs[i];
        if (!old[i]) continue;
        names[i] = old[i]->name;
        SKV_TRY(stand_in(g, old[i], &outputs[i]));
    }
    SKV_TRY(skv_graph_new_node(g, "FusedBatchNorm", SKV_DOMAIN, NULL, inputs, z ? 6 : 5, outputs, n_out, &fused));
    SKV_TRY(skv_node_set_attr(fused, &SKV_FLT("epsilon", skv_attr_float(norm, "epsilon", 1e-5))));
    SKV_TRY(skv_node_set_attr(fused, &SKV_FLT("momentum", skv_attr_float(norm, "momentum", 0.9))));
    SKV_TRY(skv_node_set_attr(fused, &SKV_INT("training_mode", 1)));
    SKV_TRY(skv_node_set_attr(fused, &SKV_STR("activation", "Relu")));
    for (uint32_t i = 0; i < n_out; i++) {
        if (old[i]) SKV_TRY(skv_value_replace_uses(old[i], outputs[i], true));
    }
    SKV_TRY(skv_graph_remove_node(relu));
    if (add) SKV_TRY(skv_graph_remove_node(add));
    SKV_TRY(skv_graph_remove_node(norm));
    fused->name = name;
    for (uint32_t i = 0; i < n_out; i++) {
        if (names[i]) SKV_TRY(skv_value_rename(outputs[i], names[i]));
    }
    *done = true;
    return SKIVE_OK;
}

/* BatchNormalizationGrad of ReluGrad; the masked gradient stays an output when others read it too. */
static skive_status fuse_backward(const skv_pass_env *env, skive_graph *g, skive_node *grad, bool *done) {
    if (!skv_node_is(grad, "BatchNormalizationGrad") || grad->n_outputs > 3) return SKIVE_OK;
    skive_node *relu = grad->inputs[0]->producer;
    if (!relu || !skv_node_is(relu, "ReluGrad") || skv_pass_keeps(env, grad->inputs[0])) return SKIVE_OK;
    const bool shared = grad->inputs[0]->n_uses > 1;
    skive_value *inputs[6], *outputs[GRAD_OUTPUTS] = {NULL}, *old[GRAD_OUTPUTS] = {NULL};
    const char *names[GRAD_OUTPUTS] = {NULL}, *name = grad->name;
    skive_node *fused = NULL;
    memcpy(inputs, grad->inputs, 5 * sizeof *inputs);
    inputs[0] = relu->inputs[0];
    inputs[5] = relu->inputs[1];
    for (uint32_t i = 0; i < grad->n_outputs; i++) old[i] = grad->outputs[i];
    if (shared) old[3] = relu->outputs[0];
    const uint32_t n_out = shared ? GRAD_OUTPUTS : grad->n_outputs;
    for (uint32_t i = 0; i < n_out; i++) {
        if (!old[i]) continue;
        names[i] = old[i]->name;
        SKV_TRY(stand_in(g, old[i], &outputs[i]));
    }
    SKV_TRY(skv_graph_new_node(g, "FusedBatchNormGrad", SKV_DOMAIN, NULL, inputs, 6, outputs, n_out, &fused));
    for (uint32_t i = 0; i < n_out; i++) {
        if (old[i]) SKV_TRY(skv_value_replace_uses(old[i], outputs[i], true));
    }
    SKV_TRY(skv_graph_remove_node(grad));
    SKV_TRY(skv_graph_remove_node(relu));
    fused->name = name;
    for (uint32_t i = 0; i < n_out; i++) {
        if (names[i]) SKV_TRY(skv_value_rename(outputs[i], names[i]));
    }
    *done = true;
    return SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    /* The list shifts as nodes go, so the sweep goes back a little after each change. */
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
    .brief = "sum and Relu into the BatchNormalization of training, and their gradients",
    .when = SKV_PASS_TRAINING,
    .run = run,
};
