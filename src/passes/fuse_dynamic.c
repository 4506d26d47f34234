/* MatMulInteger, Cast to float32 and Mul by a scale become MatMulIntegerToFloat, and ConvInteger with the same, a bias
 * of the filters and Relu behind it ConvIntegerToFloat: the end of dynamic quantization. */
#include "ops/quant/common_conv_integer.h"
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

/* The Mul behind the node and a Cast to float32; NULL: there is none. */
static skive_node *scaled(const skv_pass_env *env, const skive_node *n, skive_node **cast) {
    *cast = skv_only_reader(env, n->outputs[0]);
    if (!*cast || !skv_node_is(*cast, SKV_OP_CAST) || skv_attr_int(*cast, "to", 0) != SKIVE_F32) return NULL;
    skive_node *mul = skv_only_reader(env, (*cast)->outputs[0]);
    return mul && skv_node_is(mul, SKV_OP_MUL) && mul->inputs[1] != (*cast)->outputs[0] ? mul : NULL;
}

static skive_status fuse_product(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skive_node *cast = NULL, *mul = scaled(env, n, &cast);
    if (!mul || !is_scale(mul->inputs[1], n->outputs[0])) return SKIVE_OK;
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

/* One number for each filter of y, or with `one` for all: [m][1]... */
static bool is_of_filters(const skive_value *v, const skive_value *y, bool one) {
    const skive_type *t = &v->type, *whole = &y->type;
    if (t->dtype != SKIVE_F32 || !skv_type_is_static(t) || whole->rank < 3 || t->rank > whole->rank) return false;
    const int64_t count = skv_type_count(t), filters = whole->dims[1].size;
    if (one && count == 1) return true;
    const int at = t->rank - (whole->rank - 1);
    return count == filters && at >= 0 && t->dims[at].size == filters;
}

static skive_status fuse_convolution(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skive_node *chain[5] = {n}, *cast = NULL, *mul = scaled(env, n, &cast);
    const skive_value *y = n->outputs[0];
    if (!mul || !is_of_filters(mul->inputs[1], y, true)) return SKIVE_OK;
    skive_value *in[6] = {n->inputs[0], n->inputs[1], skv_node_in(n, 2), skv_node_in(n, 3), mul->inputs[1]};
    size_t n_chain = 3;
    chain[1] = cast;
    chain[2] = mul;
    skive_node *next = skv_only_reader(env, mul->outputs[0]);
    if (next && skv_node_is(next, SKV_OP_ADD) && next->inputs[1] != mul->outputs[0] &&
        is_of_filters(next->inputs[1], y, false)) {
        in[5] = next->inputs[1];
        chain[n_chain++] = next;
        next = skv_only_reader(env, next->outputs[0]);
    }
    skv_builder b = skv_build(g);
    for (int i = 0; i < 2; i++)
        if (!in[2 + i]) in[2 + i] = skv_emit_scalar(&b, in[i]->type.dtype, 0);
    SKV_TRY(b.status);
    const bool relu = next && skv_node_is(next, SKV_OP_RELU);
    if (relu) chain[n_chain++] = next;
    const skv_fusion f = {.chain = chain,
                          .n_chain = n_chain,
                          .named = chain[n_chain - 1],
                          .op = "ConvIntegerToFloat",
                          .domain = SKV_DOMAIN,
                          .inputs = in,
                          .n_inputs = in[5] ? 6 : 5,
                          .attrs = (const skv_attr_init[]){SKV_INT("relu", 1)},
                          .n_attrs = relu,
                          .keep_attrs = true};
    ++*changes;
    return skv_fuse(g, &f);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    if (skv_node_is(n, SKV_OP_CONV_INTEGER)) return fuse_convolution(env, g, n, changes);
    return skv_node_is(n, SKV_OP_MAT_MUL_INTEGER) ? fuse_product(env, g, n, changes) : SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_fuse_dynamic = {
    .name = "fuse-dynamic",
    .brief = "fuses scaling, bias and Relu into the integer products of dynamic quantization",
    .when = SKV_PASS_EXECUTE,
    .run = run,
};
