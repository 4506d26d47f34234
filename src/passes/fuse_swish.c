/* Swish written out, x Sigmoid(x) or x Sigmoid(alpha x), becomes one node. When a plan is made only: the operator Swish
 * is of opset 24, which few runtimes have. */
#include "passes/fuse.h"
#include "passes/match.h"

static skive_status replace(skive_graph *g, skive_value *result, skive_value *x, double alpha, size_t *changes) {
    ++*changes;
    return skv_match_replace(g, result, "Swish", SKV_IN(x), SKV_ATTRS(SKV_FLT("alpha", alpha)));
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    if (!skv_node_is(n, SKV_OP_SIGMOID) || *n->domain || !skv_pass_hidden(env, n->outputs[0])) return SKIVE_OK;
    const skive_node *mul = n->outputs[0]->uses[0].node;
    if (!skv_node_is(mul, SKV_OP_MUL) || *mul->domain || mul->graph != n->graph) return SKIVE_OK;
    skive_value *x = mul->inputs[mul->inputs[0] == n->outputs[0] ? 1 : 0], *scaled_from;
    double alpha;
    if (!x || x == n->outputs[0]) return SKIVE_OK;
    if (n->inputs[0] == x) return replace(g, mul->outputs[0], x, 1, changes);
    const skive_node *scaling = n->inputs[0] ? n->inputs[0]->producer : NULL;
    if (!scaling || !skv_node_is(scaling, SKV_OP_MUL) || *scaling->domain) return SKIVE_OK;
    if (!skv_match_with_scalar(env, scaling, &scaled_from, &alpha) || scaled_from != x) return SKIVE_OK;
    return replace(g, mul->outputs[0], x, alpha, changes);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_swish = {
    .name = "fuse-swish",
    .brief = "fuses the arithmetic of Swish into one node",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
