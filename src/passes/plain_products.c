/* Converts Gemm and MatMul to the form that quantization takes: no factors, first operand not transposed, one bias per
 * column, weights of two dimensions. Factors are folded into constant weights and biases, a transposed operand gets a
 * Transpose node. */
#include <string.h>

#include "ops/common_shape.h"
#include "passes/match.h"
#include "passes/pass.h"

static const skive_tensor *constant_f32(const skive_value *v) {
    const skive_tensor *t = skv_value_tensor(v);
    return t && t->dtype == SKIVE_F32 ? t : NULL;
}

/* A new parameter [dims] of `count` elements, element i being factor * from[i * step]. */
static skive_value *scaled(skv_builder *b, const skive_tensor *from, int rank, const int64_t *dims, int64_t step,
                           double factor) {
    skv_storage *s = NULL;
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    float *to = s->tensor.data;
    const float *x = from->data;
    for (int64_t i = 0; i < skive_tensor_count(&s->tensor); i++) to[i] = (float)((double)x[i * step] * factor);
    return skv_emit_param(b, NULL, s);
}

/* ---- Gemm ---- */

static bool is_column_bias(const skive_tensor *c, int64_t n) { return c->rank == 1 && c->dims[0] == n; }

/* The bias as one row for all rows of the result: [], [1], [n], [1][1], [1][n]. */
static bool one_row(const skive_tensor *c, int64_t n) {
    const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1, rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
    return c->rank <= 2 && rows == 1 && (columns == 1 || columns == n);
}

static skive_status plain_bias(skv_builder *b, skive_node *n, int64_t columns, size_t *changes) {
    const skive_tensor *c = constant_f32(skv_node_in(n, 2));
    const double beta = skv_attr_float(n, "beta", 1);
    if (!c || !one_row(c, columns) || (is_column_bias(c, columns) && beta == 1)) return SKIVE_OK;
    skive_value *v = scaled(b, c, 1, &columns, skive_tensor_count(c) == 1 ? 0 : 1, beta);
    SKV_TRY(b->status);
    SKV_TRY(skv_node_set_input(n, 2, v));
    skv_node_remove_attr(n, "beta");
    ++*changes;
    return SKIVE_OK;
}

static skive_status plain_gemm(skv_builder *b, skive_node *n, size_t *changes) {
    const skive_tensor *w = constant_f32(n->inputs[1]);
    if (!w || w->rank != 2) return SKIVE_OK;
    const bool trans_b = skv_attr_int(n, "transB", 0) != 0;
    const double alpha = skv_attr_float(n, "alpha", 1);
    if (alpha != 1) {
        skive_value *v = scaled(b, w, 2, w->dims, 1, alpha);
        SKV_TRY(b->status);
        SKV_TRY(skv_node_set_input(n, 1, v));
        skv_node_remove_attr(n, "alpha");
        ++*changes;
    }
    if (skv_attr_int(n, "transA", 0) != 0) {
        skive_value *turned =
            skv_emit(b, "Transpose", SKV_IN(n->inputs[0]), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0}), 2)));
        SKV_TRY(b->status);
        SKV_TRY(skv_node_set_input(n, 0, turned));
        skv_node_remove_attr(n, "transA");
        ++*changes;
    }
    return plain_bias(b, n, w->dims[trans_b ? 0 : 1], changes);
}

/* ---- MatMul ---- */

/* Weights [1][k][n], [1][1][k][n]: two dimensions are equivalent; if the other operand has fewer, the leading 1 of the
 * result is restored. */
static skive_status plain_mat_mul(skv_builder *b, skive_node *n, size_t *changes) {
    const skive_tensor *w = constant_f32(n->inputs[1]);
    const int rank = n->inputs[0]->type.rank;
    if (!w || w->rank < 3 || rank < 2) return SKIVE_OK;
    for (int d = 0; d < w->rank - 2; d++) {
        if (w->dims[d] != 1) return SKIVE_OK;
    }
    int64_t axes[SKIVE_MAX_RANK];
    const int missing = w->rank > rank ? w->rank - rank : 0;
    for (int i = 0; i < missing; i++) axes[i] = i;
    skive_value *flat = scaled(b, w, 2, w->dims + w->rank - 2, 1, 1);
    skive_value *y = skv_emit(b, "MatMul", SKV_IN(n->inputs[0], flat), SKV_NONE);
    if (missing) y = skv_emit(b, "Unsqueeze", SKV_IN(y, skv_emit_ints(b, axes, (size_t)missing)), SKV_NONE);
    SKV_TRY(b->status);
    ++*changes;
    return skv_import_replace(n, y);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    skv_builder b = skv_build(g);
    if (n->n_inputs < 2 || !n->inputs[0] || !n->inputs[1]) return SKIVE_OK;
    if (skv_node_is(n, SKV_OP_GEMM)) return plain_gemm(&b, n, changes);
    if (skv_node_is(n, SKV_OP_MAT_MUL) && !(env->keep && env->keep(env->keep_user, n->outputs[0])))
        return plain_mat_mul(&b, n, changes);
    return SKIVE_OK;
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_plain_products = {
    .name = "plain-products",
    .brief = "rewrites Gemm and MatMul without factors, transposed inputs and unusual biases",
    .when = SKV_PASS_REQUEST,
    .run = run,
};
