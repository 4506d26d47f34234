/* The training mode of a model. BatchNormalization gets training_mode and five outputs: the result, the new running
 * mean and variance, and the batch's mean and inverse deviation, which its gradient reads. Dropout's mode becomes
 * true. A FakeQuantize that follows the range of what it sees gets the new scale and its count of steps as outputs. */
#include "train/train.h"

static skive_status norm_to_training(skive_graph *g, skive_node *n, skv_stat_update *u) {
    skive_value *outputs[5] = {NULL}, *old = n->outputs[0];
    const char *name = old->name; /* in the graph's arena */
    skive_node *fresh = NULL;
    for (int i = 0; i < 5; i++) SKV_TRY(skv_graph_new_value(g, NULL, &outputs[i]));
    SKV_TRY(skv_graph_new_node(g, "BatchNormalization", "", NULL, n->inputs, n->n_inputs, outputs, 5, &fresh));
    SKV_TRY(skv_node_set_attr(fresh, &SKV_FLT("epsilon", skv_attr_float(n, "epsilon", 1e-5))));
    SKV_TRY(skv_node_set_attr(fresh, &SKV_FLT("momentum", skv_attr_float(n, "momentum", 0.9))));
    SKV_TRY(skv_node_set_attr(fresh, &SKV_INT("training_mode", 1)));
    outputs[0]->type = old->type;
    for (int i = 1; i < 5; i++) outputs[i]->type = n->inputs[1]->type;
    SKV_TRY(skv_value_replace_uses(old, outputs[0], true));
    u[0] = (skv_stat_update){n->inputs[3], outputs[1]};
    u[1] = (skv_stat_update){n->inputs[4], outputs[2]};
    SKV_TRY(skv_graph_remove_node(n));
    return skv_value_rename(outputs[0], name);
}

static skive_status dropout_to_training(skive_graph *g, skive_node *n) {
    skv_builder b = skv_build(g);
    skive_value *on = skv_emit_scalar(&b, SKIVE_BOOL, 1);
    SKV_TRY(b.status);
    return skv_node_set_input(n, 2, on);
}

/* Statistics that are not parameters, or shared by several nodes, cannot be updated step by step; those of a frozen
 * layer stay. */
static bool trainable_norm(const skive_node *n) {
    if (!skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || n->n_inputs < 5) return false;
    for (int i = 1; i < 5; i++) {
        if (!skv_value_is_param(n->inputs[i])) return false;
    }
    return n->inputs[3]->n_uses == 1 && n->inputs[4]->n_uses == 1 &&
           (n->inputs[1]->trainable || n->inputs[2]->trainable);
}

static bool follows_range(const skive_node *n) {
    const skive_value *scale = skv_node_in(n, 1), *count = skv_node_in(n, 3);
    return skv_node_is(n, SKV_OP_FAKE_QUANTIZE) && n->n_outputs == 1 && skv_attr_float(n, "momentum", 0) > 0 &&
           skv_value_is_param(scale) && scale->n_uses == 1 && skv_value_is_param(count) && count->n_uses == 1;
}

static skive_status range_to_training(skive_graph *g, skive_node *n, skv_stat_update *u) {
    skive_value *outputs[3] = {NULL}, *old = n->outputs[0];
    const char *name = old->name;
    skive_node *fresh = NULL;
    for (int i = 0; i < 3; i++) SKV_TRY(skv_graph_new_value(g, NULL, &outputs[i]));
    SKV_TRY(skv_graph_new_node(g, n->op_type, n->domain, NULL, n->inputs, n->n_inputs, outputs, 3, &fresh));
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const skv_attr *a = &n->attrs[i];
        const skv_attr_init copy = {.name = a->name, .type = a->type, .i = a->i, .f = a->f, .s = a->s, .n = a->n};
        SKV_TRY(skv_node_set_attr(fresh, &copy));
    }
    outputs[0]->type = old->type;
    outputs[1]->type = n->inputs[1]->type;
    outputs[2]->type = n->inputs[3]->type;
    SKV_TRY(skv_value_replace_uses(old, outputs[0], true));
    u[0] = (skv_stat_update){n->inputs[1], outputs[1]};
    u[1] = (skv_stat_update){n->inputs[3], outputs[2]};
    SKV_TRY(skv_graph_remove_node(n));
    return skv_value_rename(outputs[0], name);
}

skive_status skv_graph_to_training(skive_context *ctx, skive_graph *g, skv_stat_update **updates, size_t *n_updates) {
    skive_node **order = NULL;
    skive_status status;
    *updates = NULL;
    *n_updates = 0;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    const uint32_t n = g->n_nodes;
    SKV_GO(status, done, skv_alloc_array(ctx, 2 * (size_t)n + 1, sizeof **updates, updates));
    for (uint32_t i = 0; i < n; i++) {
        if (trainable_norm(order[i])) {
            SKV_GO(status, done, norm_to_training(g, order[i], *updates + *n_updates));
            *n_updates += 2;
        } else if (follows_range(order[i])) {
            SKV_GO(status, done, range_to_training(g, order[i], *updates + *n_updates));
            *n_updates += 2;
        } else if (skv_node_is(order[i], SKV_OP_DROPOUT)) {
            SKV_GO(status, done, dropout_to_training(g, order[i]));
        }
    }
    status = skive_graph_infer(g);
done:
    skv_free(ctx, order);
    if (status != SKIVE_OK) {
        skv_free(ctx, *updates);
        *updates = NULL;
        *n_updates = 0;
    }
    return status;
}
