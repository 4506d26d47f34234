/* Pow by 2 becomes a product of the element with itself: the same number, since a float32 square is rounded once in
 * both cases. */
#include "ops/common_shape.h"
#include "passes/pass.h"

static bool is_two(const skive_value *v) {
    const skive_tensor *t = skv_value_tensor(v);
    return t && skive_tensor_count(t) == 1 && skive_tensor_get(t, 0) == 2;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skive_node **order = NULL;
    const uint32_t n = g->n_nodes;
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n && status == SKIVE_OK; i++) {
        skive_node *pow = order[i];
        if (!skv_node_is(pow, SKV_OP_POW) || *pow->domain || !is_two(pow->inputs[1])) continue;
        skive_value *x = pow->inputs[0];
        /* An exponent with more dimensions would add dimensions to the result. */
        if (x->type.dtype != SKIVE_F32 || x->type.rank < pow->inputs[1]->type.rank) continue;
        if (env->keep && env->keep(env->keep_user, pow->outputs[0])) continue;
        skv_builder b = skv_build(g);
        skive_value *square = skv_emit(&b, "Mul", SKV_IN(x, x), SKV_NONE);
        status = square ? skv_import_replace(pow, square) : b.status;
        ++*changes;
    }
    skv_free(env->ctx, order);
    return status;
}

const skv_pass skv_pass_square_powers = {
    .name = "square-powers",
    .brief = "rewrites Pow by 2 as a product",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
