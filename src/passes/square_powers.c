/* Pow by 2 becomes a product of the element with itself: the same number, since a float32 square is rounded once in
 * both cases. */
#include "ops/common_shape.h"
#include "passes/match.h"
#include "passes/pass.h"

static bool is_two(const skive_value *v) {
    const skive_tensor *t = skv_value_tensor(v);
    return t && skive_tensor_count(t) == 1 && skive_tensor_get(t, 0) == 2;
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *pow, size_t *changes) {
    if (!skv_node_is(pow, SKV_OP_POW) || !is_two(pow->inputs[1])) return SKIVE_OK;
    skive_value *x = pow->inputs[0];
    /* An exponent with more dimensions would add dimensions to the result. */
    if (x->type.dtype != SKIVE_F32 || x->type.rank < pow->inputs[1]->type.rank) return SKIVE_OK;
    if (env->keep && env->keep(env->keep_user, pow->outputs[0])) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *square = skv_emit(&b, "Mul", SKV_IN(x, x), SKV_NONE);
    ++*changes;
    return square ? skv_import_replace(pow, square) : b.status;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_square_powers = {
    .name = "square-powers",
    .brief = "rewrites Pow by 2 as a product",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
