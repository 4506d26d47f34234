/* Parameters that only a Transpose reads, as exporters of linear layers write them, are stored turned: a method then sees
 * a weight where it would see a computed value. */
#include "graph/op.h"
#include "passes/pass.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

static bool is_turned(const skive_node *n) {
    const skive_value *x = skv_node_is(n, SKV_OP_TRANSPOSE) ? skv_node_in(n, 0) : NULL;
    return x && x->graph == n->graph && skv_value_is_param(x) && skv_value_tensor(x) && x->n_uses == 1 &&
           !x->output_uses && !skv_value_is_captured(x) && skv_dtype_is_float(x->type.dtype) && x->type.rank == 2 &&
           n->outputs[0] && !n->outputs[0]->output_uses && !skv_value_is_captured(n->outputs[0]);
}

static skive_status turn(skive_graph *g, skive_node *n) {
    skive_value *x = n->inputs[0], *y = n->outputs[0];
    const skive_tensor *in = skv_value_tensor(x);
    const char *name = x->name, *spare;
    const bool trains = x->trainable, keeps = x->keeps_zeros;
    skive_value *turned = NULL;
    skv_storage *storage = NULL;
    skive_tensor out = {0};
    SKV_TRY(skv_op_evaluate(g->ctx, n, &in, 1, &out, 1));
    skive_status status = skv_storage_from_tensor(g->ctx, &out, &storage);
    skive_tensor_free(g->ctx, &out);
    if (status == SKIVE_OK) status = skv_graph_unique_name(g, name, &spare);
    if (status == SKIVE_OK) status = skv_graph_new_param(g, spare, storage, &turned);
    if (status != SKIVE_OK) {
        skv_storage_release(storage);
        return status;
    }
    turned->trainable = trains;
    turned->keeps_zeros = keeps;
    SKV_TRY(skv_value_replace_uses(y, turned, false));
    SKV_TRY(skv_graph_remove_node(n));
    SKV_TRY(skv_graph_remove_value(x));
    return skv_value_rename(turned, name);
}

skive_status skv_pass_turn_parameters(skive_graph *g, size_t *n) {
    size_t done = 0;
    for (uint32_t i = 0; i < g->n_nodes;) {
        if (is_turned(g->nodes[i])) {
            SKV_TRY(turn(g, g->nodes[i]));
            done++;
        } else {
            i++;
        }
    }
    if (n) *n = done;
    if (done)
        skv_note(g->ctx, "%zu weight%s that only a Transpose reads %s stored transposed", done, done == 1 ? "" : "s",
                 done == 1 ? "is" : "are");
    return SKIVE_OK;
}
