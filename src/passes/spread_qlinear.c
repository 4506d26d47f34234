/* QLinearConv and QLinearMatMul with constant parameters become the float operator between DequantizeLinear and
 * QuantizeLinear, from which later passes make an integer node with the same arithmetic. If that node does not support
 * the weights' zero points, they are kept. */
#include <math.h>

#include "ops/common_shape.h"
#include "ops/common_nn.h"
#include "passes/fuse.h"
#include "passes/match.h"
#include "tensor/tensor.h"

/* Inputs of both; each tensor is followed by its scale and zero point; those of the result come alone. */
enum { X, W = 3, Y_SCALE = 6, Y_ZERO, BIAS };

static bool one_constant(const skive_node *n, size_t i) {
    const skive_tensor *t = skv_value_tensor(skv_node_in(n, i));
    return t && skive_tensor_count(t) == 1;
}

/* int8 about 0, or uint8 about one number. */
static bool plain_weights(const skive_node *n, size_t w) {
    const skive_tensor *q = skv_value_tensor(n->inputs[w]), *scale = skv_value_tensor(n->inputs[w + 1]),
                       *zero = skv_value_tensor(n->inputs[w + 2]);
    if (!q || !scale || !zero || scale->dtype != SKIVE_F32 || skive_tensor_count(zero) == 0) return false;
    const double first = skive_tensor_get(zero, 0);
    for (int64_t i = 1; i < skive_tensor_count(zero); i++)
        if (skive_tensor_get(zero, i) != first) return false;
    if (q->dtype == SKIVE_I8) return first == 0;
    for (int64_t i = 0; i < skive_tensor_count(q); i++)
        if (fabs(skive_tensor_get(q, i) - first) > 127) return false;
    return true;
}

static skive_value *dequantized(skv_builder *b, const skive_node *n, size_t i, int64_t axis) {
    const skive_tensor *scale = skv_value_tensor(n->inputs[i + 1]), *zero = skv_value_tensor(n->inputs[i + 2]);
    skive_value *z = n->inputs[i + 2];
    if (skive_tensor_count(zero) != skive_tensor_count(scale)) { /* all are the same */
        skv_storage *s = NULL;
        if (b->status == SKIVE_OK)
            b->status = skv_storage_create(b->graph->ctx, zero->dtype, scale->rank, scale->dims, &s);
        if (b->status != SKIVE_OK) return NULL;
        for (int64_t k = 0; k < skive_tensor_count(scale); k++)
            skive_tensor_set(&s->tensor, k, skive_tensor_get(zero, 0));
        z = skv_emit_param(b, NULL, s);
    }
    return skv_emit(b, "DequantizeLinear", SKV_IN(n->inputs[i], n->inputs[i + 1], z), SKV_ATTRS(SKV_INT("axis", axis)));
}

/* The bias is in steps of the scale of x times that of the weights. */
static skive_value *real_bias(skv_builder *b, const skive_node *n) {
    const skive_tensor *w = skv_value_tensor(n->inputs[W + 1]);
    const double x = skive_tensor_get(skv_value_tensor(n->inputs[X + 1]), 0);
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, w->rank, w->dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t k = 0; k < skive_tensor_count(w); k++) skive_tensor_set(&s->tensor, k, x * skive_tensor_get(w, k));
    skive_value *scale = skv_emit_param(b, NULL, s);
    return skv_emit(b, "DequantizeLinear", SKV_IN(n->inputs[BIAS], scale), SKV_ATTRS(SKV_INT("axis", 0)));
}

static skive_status spread(skive_graph *g, skive_node *n, bool conv, size_t *changes) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skv_builder b = skv_build(g);
    skive_value *x = dequantized(&b, n, X, 0), *w = dequantized(&b, n, W, conv ? 0 : 1);
    skive_value *bias = skv_node_in(n, BIAS) ? real_bias(&b, n) : NULL;
    skive_value *y =
        skv_emit(&b, conv ? "Conv" : "MatMul", bias ? SKV_IN(x, w, bias) : SKV_IN(x, w), skv_attrs_copy(n, buffer));
    skive_value *q = skv_emit(&b, "QuantizeLinear", SKV_IN(y, n->inputs[Y_SCALE], n->inputs[Y_ZERO]), SKV_NONE);
    SKV_TRY(b.status);
    ++*changes;
    return skv_import_replace(n, q);
}

static skive_status rewrite(const skv_pass_env *env, skive_graph *g, skive_node *n, size_t *changes) {
    const bool conv = skv_node_is(n, SKV_OP_Q_LINEAR_CONV);
    if ((!conv && !skv_node_is(n, SKV_OP_Q_LINEAR_MAT_MUL)) || (env->keep && env->keep(env->keep_user, n->outputs[0])))
        return SKIVE_OK;
    if (!conv && (n->inputs[X]->type.rank != 2 || n->inputs[W]->type.rank != 2)) return SKIVE_OK;
    if (!plain_weights(n, W) || !one_constant(n, X + 1) || !one_constant(n, X + 2) || !one_constant(n, Y_SCALE) ||
        !one_constant(n, Y_ZERO) || (skv_node_in(n, BIAS) && !skv_value_tensor(n->inputs[BIAS])))
        return SKIVE_OK;
    return spread(g, n, conv, changes);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    return skv_rewrite_all(env, g, changes, rewrite);
}

const skv_pass skv_pass_spread_qlinear = {
    .name = "spread-qlinear",
    .brief = "rewrites QLinearConv and QLinearMatMul as the float operator between DequantizeLinear and QuantizeLinear",
    .when = SKV_PASS_INTEGER,
    .run = run,
};
