/* An If with a constant condition is replaced by its branch. */
#include <string.h>

#include "passes/pass.h"

static const skive_graph *taken(const skv_pass_env *env, const skive_node *n) {
    const skive_value *condition = skv_node_in(n, 0);
    const skive_tensor *t = skv_value_tensor(condition);
    if (!skv_node_is(n, SKV_OP_IF) || *n->domain || !t || !t->data || t->dtype != SKIVE_BOOL ||
        skive_tensor_count(t) != 1)
        return NULL;
    if (env->training && skv_value_changes(condition)) return NULL;
    const skv_attr *branch = skv_node_attr(n, skive_tensor_get(t, 0) != 0 ? "then_branch" : "else_branch");
    return branch && branch->graph && branch->graph->n_outputs == n->n_outputs && branch->graph->n_inputs == 0
               ? branch->graph
               : NULL;
}

/* Readers of `old` read `fresh` instead. An output of the graph keeps its name, through an Identity. */
static skive_status hand_over(skive_graph *g, skive_value *old, skive_value *fresh, const char **name,
                              skive_value **out) {
    *name = NULL;
    *out = NULL;
    if (!old->output_uses) return skv_value_replace_uses(old, fresh, true);
    skv_builder b = skv_build(g);
    *out = skv_emit(&b, "Identity", SKV_IN(fresh), SKV_NONE);
    SKV_TRY(b.status);
    *name = old->name;
    return skv_value_replace_uses(old, *out, true);
}

static skive_status inline_branch(const skv_pass_env *env, skive_graph *g, skive_node *n, const skive_graph *branch) {
    skive_value **map = NULL, *out[SKV_OP_MAX_IO] = {NULL};
    const char *names[SKV_OP_MAX_IO] = {NULL};
    const uint32_t count = n->n_outputs < SKV_OP_MAX_IO ? n->n_outputs : SKV_OP_MAX_IO;
    SKV_TRY(skv_graph_merge(g, branch, NULL, NULL, &map));
    skive_status status = SKIVE_OK;
    for (uint32_t o = 0; o < count && status == SKIVE_OK; o++)
        if (n->outputs[o]) status = hand_over(g, n->outputs[o], map[branch->outputs[o]->id], &names[o], &out[o]);
    skv_free(env->ctx, map);
    if (status == SKIVE_OK) status = skv_graph_remove_node(n);
    for (uint32_t o = 0; o < count && status == SKIVE_OK; o++)
        if (names[o]) status = skv_value_rename(out[o], names[o]);
    return status;
}

/* The nodes of a branch are appended to the list, so that this loop visits them too. */
static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_node *n = g->nodes[i];
        const skive_graph *branch = n->n_outputs <= SKV_OP_MAX_IO ? taken(env, n) : NULL;
        if (!branch) continue;
        SKV_TRY(inline_branch(env, g, n, branch));
        ++*changes;
    }
    return *changes ? skive_graph_infer(g) : SKIVE_OK;
}

const skv_pass skv_pass_fold_if = {
    .name = "fold-if",
    .brief = "replaces an If with a constant condition by its branch",
    .when = SKV_PASS_CLEAN,
    .run = run,
};
