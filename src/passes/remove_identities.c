/* Removes nodes that pass their input on unchanged: Identity, Dropout outside training, Reshape and Transpose without
 * effect, Cast to the same type, Expand to the same shape, Concat of a single input, Pad by zero. */
#include <string.h>

#include "passes/match.h"
#include "passes/pass.h"

static bool identity_transpose(const skive_node *n) {
    size_t count;
    const int64_t *perm = skv_attr_ints(n, "perm", &count);
    if (!perm) return n->inputs[0]->type.rank >= 0 && n->inputs[0]->type.rank <= 1;
    for (size_t i = 0; i < count; i++) {
        if (perm[i] != (int64_t)i) return false;
    }
    return true;
}

static bool zero_pads(const skive_node *n) {
    const skive_tensor *pads = skv_value_tensor(skv_node_in(n, 1));
    if (!pads) return false;
    for (int64_t i = 0; i < skive_tensor_count(pads); i++) {
        if (skive_tensor_get(pads, i) != 0) return false;
    }
    return true;
}

static bool inert_dropout(const skive_node *n) {
    if (n->n_outputs > 1 && n->outputs[1] && skv_value_is_read(n->outputs[1])) return false;
    if (!skv_node_in(n, 2)) return true;
    const skive_tensor *mode = skv_value_tensor(n->inputs[2]);
    return mode && skive_tensor_get(mode, 0) == 0;
}

static bool is_identity(const skive_node *n) {
    if (!n->op || n->domain[0] != '\0' || n->n_inputs == 0 || !n->inputs[0] || !n->outputs[0]) return false;
    if (skv_node_is(n, SKV_OP_IDENTITY)) return true;
    if (skv_node_is(n, SKV_OP_DROPOUT)) return inert_dropout(n);
    if (skv_node_is(n, SKV_OP_TRANSPOSE)) return identity_transpose(n);
    if (skv_node_is(n, SKV_OP_CONCAT)) return n->n_inputs == 1;
    if (skv_node_is(n, SKV_OP_PAD)) return zero_pads(n);
    if (skv_node_is(n, SKV_OP_RESHAPE) || skv_node_is(n, SKV_OP_FLATTEN) || skv_node_is(n, SKV_OP_CAST) ||
        skv_node_is(n, SKV_OP_EXPAND)) {
        return skv_type_same_static(&n->inputs[0]->type, &n->outputs[0]->type);
    }
    return false;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    (void)g;
    /* An output of the graph must keep its name, so its producer stays. */
    if (!is_identity(n) || skv_pass_keeps(env, n->outputs[0])) return SKIVE_OK;
    ++*changes;
    const skive_status status = skv_value_replace_uses(n->outputs[0], n->inputs[0], false);
    return status == SKIVE_OK ? skv_graph_remove_node(n) : status;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_remove_identities = {
    .name = "remove-identities",
    .brief = "removes nodes that change nothing",
    .when = SKV_PASS_CLEAN,
    .run = run,
};
