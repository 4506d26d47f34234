/* DequantizeLinear moves behind nodes that only move elements and behind MaxPool, which then run on bytes, to the node
 * that can absorb it. The largest of several numbers has the largest of their integers. */
#include "passes/fuse.h"
#include "passes/match.h"
#include "passes/quantized.h"

static bool takes_bytes(const skive_node *n) {
    return skv_node_moves(n) || (skv_node_is(n, SKV_OP_MAX_POOL) && n->n_outputs == 1);
}

/* move(dequantize(q)) becomes dequantize(move(q)). */
static skive_status sink(skive_graph *g, skive_node *move, skive_value *q) {
    skive_node *dequantize = move->inputs[0]->producer;
    skive_value *real = dequantize->outputs[0], *moved = move->outputs[0], *bytes = NULL;
    skv_builder b = skv_build(g);
    SKV_TRY(skv_graph_new_value(g, NULL, &bytes)); /* placeholder for the value that readers of `moved` will read */
    bytes->type = moved->type;
    SKV_TRY(skv_value_replace_uses(moved, bytes, false));
    SKV_TRY(skv_node_set_input(move, 0, q));
    moved->type.dtype = q->type.dtype;
    skive_value *result =
        skv_emit(&b, "DequantizeLinear", SKV_IN(moved, dequantize->inputs[1], skv_node_in(dequantize, 2)), SKV_NONE);
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(bytes, result, false));
    SKV_TRY(skv_graph_remove_value(bytes));
    return skv_value_is_read(real) ? SKIVE_OK : skv_graph_remove_node(dequantize);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skv_q_grid grid;
    if (!takes_bytes(n) || skv_pass_keeps(env, n->outputs[0])) return SKIVE_OK;
    skive_value *q = skv_dequantized(n->inputs[0], &grid);
    if (!q || skv_only_reader(env, n->inputs[0]) != n) return SKIVE_OK;
    ++*changes;
    return sink(g, n, q);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_sink_dequantize = {
    .name = "sink-dequantize",
    .brief = "moves DequantizeLinear behind nodes that only move elements",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
