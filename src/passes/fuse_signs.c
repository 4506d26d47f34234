/* Where(x >= 0, 2, 0) of uint8 becomes Signs(x). */
#include "ops/common_shape.h"
#include "passes/match.h"

static bool is(const skive_value *v, skive_dtype dtype, double x) {
    const skive_tensor *t = v ? skv_value_tensor(v) : NULL;
    return t && t->dtype == dtype && skive_tensor_count(t) == 1 && skive_tensor_get(t, 0) == x;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    if (!skv_node_is(n, SKV_OP_WHERE) || *n->domain) return SKIVE_OK;
    if (!is(skv_node_in(n, 1), SKIVE_U8, 2) || !is(skv_node_in(n, 2), SKIVE_U8, 0)) return SKIVE_OK;
    const skive_node *compare = skv_match(env, n->inputs[0], SKV_OP_GREATER_OR_EQUAL);
    if (!compare || !is(compare->inputs[1], SKIVE_F32, 0)) return SKIVE_OK;
    skive_value *x = compare->inputs[0];
    /* Constants with more dimensions would add dimensions to the result. */
    if (x->type.dtype != SKIVE_F32 || x->type.rank < compare->inputs[1]->type.rank ||
        x->type.rank < n->inputs[1]->type.rank || x->type.rank < n->inputs[2]->type.rank || skv_value_tensor(x))
        return SKIVE_OK;
    if (env->keep && env->keep(env->keep_user, n->outputs[0])) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *y = skv_emit(&b, "Signs", SKV_IN(x), SKV_NONE);
    ++*changes;
    return y ? skv_import_replace(n, y) : b.status;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_signs = {
    .name = "fuse-signs",
    .brief = "fuses a comparison with 0 and the choice of a sign as uint8",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
