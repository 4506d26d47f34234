/* Graphs exported in training mode: BatchNormalization with the statistics of the batch, Dropout that drops. */
#include "graph/graph.h"

static bool is_norm(const skive_node *n) {
    return skv_node_is(n, "BatchNormalization") && n->n_inputs == 5 && skv_attr_int(n, "training_mode", 0) != 0;
}

static bool is_dropout(const skive_node *n) {
    const skive_tensor *on = skv_node_is(n, "Dropout") ? skv_value_tensor(skv_node_in(n, 2)) : NULL;
    return on && skive_tensor_count(on) == 1 && skive_tensor_get(on, 0) != 0;
}

bool skive_graph_in_training_mode(const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (is_norm(g->nodes[i]) || is_dropout(g->nodes[i])) return true;
    }
    return false;
}

/* The statistics, which inference leaves alone, are what the outputs behind the first were made from. */
static skive_status norm_to_inference(skive_graph *g, skive_node *n) {
    skive_value *y = NULL, *old = n->outputs[0];
    skive_node *fresh = NULL;
    SKV_TRY(skv_graph_new_value(g, NULL, &y));
    SKV_TRY(skv_graph_new_node(g, "BatchNormalization", "", NULL, n->inputs, n->n_inputs, &y, 1, &fresh));
    SKV_TRY(skv_node_set_attr(fresh, &SKV_FLT("epsilon", skv_attr_float(n, "epsilon", 1e-5))));
    SKV_TRY(skv_node_set_attr(fresh, &SKV_FLT("momentum", skv_attr_float(n, "momentum", 0.9))));
    y->type = old->type;
    for (uint32_t o = 1; o < n->n_outputs; o++) {
        skive_value *statistic = n->outputs[o];
        if (!statistic || !skv_value_is_read(statistic)) continue;
        skv_builder b = skv_build(g);
        skive_value *same = skv_emit(&b, "Identity", SKV_IN(n->inputs[o % 2 ? 3 : 4]), SKV_NONE);
        SKV_TRY(b.status);
        SKV_TRY(skv_value_replace_uses(statistic, same, true));
    }
    const char *name = NULL;
    SKV_TRY(skv_arena_strdup(g->arena, old->name, &name));
    SKV_TRY(skv_value_replace_uses(old, y, true));
    SKV_TRY(skv_graph_remove_node(n));
    return skv_value_rename(y, name); /* it may be the model's output */
}

static skive_status convert(skive_graph *g, size_t *norms, size_t *dropouts) {
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        skive_node *n = g->nodes[i];
        if (is_dropout(n)) {
            SKV_TRY(skv_node_set_input(n, 2, NULL));
            SKV_TRY(skv_node_drop_input(n));
            ++*dropouts;
        } else if (is_norm(n)) {
            SKV_TRY(norm_to_inference(g, n));
            ++*norms;
        }
    }
    return skive_graph_infer(g);
}

skive_status skive_graph_to_inference(skive_graph *g) {
    skive_graph *work = NULL;
    size_t norms = 0, dropouts = 0;
    if (!skive_graph_in_training_mode(g)) return SKIVE_OK;
    SKV_TRY(skive_graph_copy(g->ctx, g, &work));
    const skive_status status = convert(work, &norms, &dropouts);
    if (status != SKIVE_OK) {
        skive_graph_free(work);
        return status;
    }
    skive_graph_take(g, work);
    skv_note(
        g->ctx,
        "the model was exported in training mode (%zu BatchNormalization, %zu Dropout); it is used in inference form, "
        "with the running statistics and without dropout; export it after model.eval()",
        norms, dropouts);
    return SKIVE_OK;
}
