/* Graphs exported in training mode: BatchNormalization with the statistics of the batch, Dropout that drops. */
#include "graph/graph.h"

static bool is_norm(const skive_node *n) {
    return skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) && n->n_inputs == 5 && skv_attr_int(n, "training_mode", 0) != 0;
}

static bool is_dropout(const skive_node *n) {
    const skive_tensor *on = skv_node_is(n, SKV_OP_DROPOUT) ? skv_value_tensor(skv_node_in(n, 2)) : NULL;
    return on && skive_tensor_count(on) == 1 && skive_tensor_get(on, 0) != 0;
}

bool skive_graph_in_training_mode(const skive_graph *g) {
    for (uint32_t i = 0; g && i < g->n_nodes; i++) {
        if (is_norm(g->nodes[i]) || is_dropout(g->nodes[i])) return true;
    }
    return false;
}

/* The statistics, which inference leaves alone, are what the outputs behind the first were made from. */
static skive_status keep_statistics(skive_graph *g, skive_node *n) {
    for (uint32_t o = 1; o < n->n_outputs; o++) {
        skive_value *statistic = n->outputs[o];
        if (!statistic || !skv_value_is_read(statistic)) continue;
        skv_builder b = skv_build(g);
        skive_value *same = skv_emit(&b, "Identity", SKV_IN(n->inputs[o % 2 ? 3 : 4]), SKV_NONE);
        SKV_TRY(b.status);
        SKV_TRY(skv_value_replace_uses(statistic, same, true));
    }
    return SKIVE_OK;
}

static skive_status norm_to_inference(skive_graph *g, skive_node *n) {
    SKV_TRY(keep_statistics(g, n));
    while (n->n_outputs > 1) {
        skive_value *last = n->outputs[--n->n_outputs];
        if (!last) continue;
        last->producer = NULL;
        SKV_TRY(skv_graph_remove_value(last));
    }
    skv_node_remove_attr(n, "training_mode");
    return SKIVE_OK;
}

/* In place, a node at a time: whoever holds values of the graph goes on holding them. */
skive_status skive_graph_to_inference(skive_graph *g) {
    SKV_NEED(g ? g->ctx : NULL, "graph", g);
    size_t norms = 0, dropouts = 0;
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        skive_node *n = g->nodes[i];
        if (is_dropout(n)) {
            SKV_TRY(skv_node_set_input(n, 2, NULL));
            SKV_TRY(skv_node_drop_input(n));
            dropouts++;
        } else if (is_norm(n)) {
            SKV_TRY(norm_to_inference(g, n));
            norms++;
        }
    }
    if (norms + dropouts == 0) return SKIVE_OK;
    skv_note(g->ctx,
             "the model was exported in training mode (%zu BatchNormalization, %zu Dropout); it is used in inference "
             "mode, with running statistics and without dropout; export it after model.eval()",
             norms, dropouts);
    return SKIVE_OK;
}
