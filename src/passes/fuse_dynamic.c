/* MatMulInteger, Cast to float32 and Mul by a scale become MatMulIntegerToFloat: the end of dynamic quantization. */
#include "ops/quant/common_mat_mul_integer.h"
#include "passes/fuse.h"
#include "passes/match.h"

/* One number, or one for each of the last axis of y. */
static bool is_scale(const skive_value *v, const skive_value *y) {
    const skive_type *t = &v->type, *whole = &y->type;
    if (t->dtype != SKIVE_F32 || !skv_type_is_static(t) || whole->rank < 1 || t->rank > whole->rank) return false;
    const int64_t count = skv_type_count(t), columns = whole->dims[whole->rank - 1].size;
    return count == 1 || (count == columns && t->dims[t->rank - 1].size == columns);
}

static skive_status fuse(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skive_node *cast = skv_only_reader(env, n->outputs[0]);
    if (!cast || !skv_node_is(cast, SKV_OP_CAST) || skv_attr_int(cast, "to", 0) != SKIVE_F32) return SKIVE_OK;
    skive_node *mul = skv_only_reader(env, cast->outputs[0]);
    if (!mul || !skv_node_is(mul, SKV_OP_MUL) || mul->inputs[1] == cast->outputs[0]) return SKIVE_OK;
    if (!is_scale(mul->inputs[1], n->outputs[0])) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *in[5] = {n->inputs[0], n->inputs[1], skv_node_in(n, 2), skv_node_in(n, 3), mul->inputs[1]};
    for (int i = 0; i < 2; i++)
        if (!in[2 + i]) in[2 + i] = skv_emit_scalar(&b, in[i]->type.dtype, 0);
    SKV_TRY(b.status);
    const skv_fusion f = {.chain = (skive_node *[]){n, cast, mul},
                          .n_chain = 3,
                          .named = mul,
                          .op = "MatMulIntegerToFloat",
                          .domain = SKV_DOMAIN,
                          .inputs = in,
                          .n_inputs = 5};
    ++*changes;
    return skv_fuse(g, &f);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    return skv_node_is(n, SKV_OP_MAT_MUL_INTEGER) ? fuse(env, g, n, changes) : SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_dynamic = {
    .name = "fuse-dynamic",
    .brief = "fuses the scaling into the integer products of dynamic quantization",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
