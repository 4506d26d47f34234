/* Recognising written-out operators; see match.h. */
#include "passes/match.h"

#include <math.h>
#include <string.h>

#include "passes/fuse.h"

enum { MAX_DEPTH = 12 }; /* nesting of the sums and products of one polynomial */

skive_node *skv_match(const skv_pass_env *env, const skive_value *v, skv_op_kind op) {
    skive_node *n = v ? v->producer : NULL;
    return n && n->op && skv_node_is(n, op) && !skv_pass_keeps(env, v) ? n : NULL;
}

bool skv_match_scalar(const skv_pass_env *env, const skive_value *v, double *out) {
    const skive_tensor *t = skv_value_tensor(v);
    if (!t || skive_tensor_count(t) != 1 || (env->training && skv_value_changes(v))) return false;
    if (t->dtype != SKIVE_F32 && t->dtype != SKIVE_F64 && t->dtype != SKIVE_F16 && t->dtype != SKIVE_BF16) return false;
    *out = skive_tensor_get(t, 0);
    return true;
}

bool skv_near(double a, double b) { return fabs(a - b) <= 2e-5 * fmax(fabs(a), fabs(b)) + 1e-12; }

bool skv_match_with_scalar(const skv_pass_env *env, const skive_node *n, skive_value **other, double *scalar) {
    if (n->n_inputs != 2) return false;
    for (int i = 0; i < 2; i++) {
        if (!skv_match_scalar(env, n->inputs[i], scalar)) continue;
        *other = n->inputs[1 - i];
        return *other != NULL;
    }
    return false;
}

bool skv_match_last_axis(const skive_node *reduction) {
    const skive_tensor *axes = skv_value_tensor(skv_node_in(reduction, 1));
    const int rank = reduction->inputs[0] ? reduction->inputs[0]->type.rank : -1;
    if (!axes || skive_tensor_count(axes) != 1 || skv_attr_int(reduction, "keepdims", 1) == 0) return false;
    const double axis = skive_tensor_get(axes, 0);
    return axis == -1 || (rank > 0 && axis == rank - 1);
}

static bool product(skv_polynomial a, skv_polynomial b, skv_polynomial out) {
    memset(out, 0, sizeof(skv_polynomial));
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 2; j++) {
            for (int k = 0; a[i][j] != 0 && k < 4; k++) {
                for (int l = 0; l < 2; l++) {
                    if (b[k][l] == 0) continue;
                    if (i + k > 3 || j + l > 1) return false;
                    out[i + k][j + l] += a[i][j] * b[k][l];
                }
            }
        }
    }
    return true;
}

typedef struct reading {
    const skv_pass_env *env;
    const skive_value *x, *t;
} reading;

static bool read_value(const reading *r, const skive_value *v, int depth, bool last, skv_polynomial c);

static bool power(const reading *r, const skive_node *n, int depth, skv_polynomial c) {
    skv_polynomial base, square;
    double exponent;
    if (!skv_match_scalar(r->env, n->inputs[1], &exponent) || !read_value(r, n->inputs[0], depth, false, base))
        return false;
    if (exponent == 2) return product(base, base, c);
    return exponent == 3 && product(base, base, square) && product(square, base, c);
}

static bool read_node(const reading *r, const skive_node *n, int depth, skv_polynomial c) {
    skv_polynomial a, b;
    if (skv_node_is(n, SKV_OP_POW)) return power(r, n, depth, c);
    const bool negative = skv_node_is(n, SKV_OP_SUB);
    if (!negative && !skv_node_is(n, SKV_OP_ADD) && !skv_node_is(n, SKV_OP_MUL) && !skv_node_is(n, SKV_OP_DIV))
        return false;
    if (n->n_inputs != 2 || !read_value(r, n->inputs[0], depth, false, a)) return false;
    if (skv_node_is(n, SKV_OP_DIV)) {
        double by;
        if (!skv_match_scalar(r->env, n->inputs[1], &by) || by == 0) return false;
        memset(b, 0, sizeof b);
        b[0][0] = 1 / by;
        return product(a, b, c);
    }
    if (!read_value(r, n->inputs[1], depth, false, b)) return false;
    if (skv_node_is(n, SKV_OP_MUL)) return product(a, b, c);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 2; j++) c[i][j] = negative ? a[i][j] - b[i][j] : a[i][j] + b[i][j];
    }
    return true;
}

static bool read_value(const reading *r, const skive_value *v, int depth, bool last, skv_polynomial c) {
    double scalar;
    memset(c, 0, sizeof(skv_polynomial));
    if (!v || depth == 0) return false;
    if (v == r->x) {
        c[1][0] = 1;
        return true;
    }
    if (v == r->t) {
        c[0][1] = 1;
        return true;
    }
    if (skv_match_scalar(r->env, v, &scalar)) {
        /* An operand with more dimensions than x would add dimensions to the result. */
        if (v->type.rank > 0 && (r->x->type.rank < 0 || v->type.rank > r->x->type.rank)) return false;
        c[0][0] = scalar;
        return true;
    }
    const skive_node *n = v->producer;
    if (!n || !n->op || *n->domain || (!last && skv_pass_keeps(r->env, v))) return false;
    return read_node(r, n, depth - 1, c);
}

bool skv_match_polynomial(const skv_pass_env *env, const skive_value *v, const skive_value *x, const skive_value *t,
                          skv_polynomial c) {
    const reading r = {env, x, t};
    return read_value(&r, v, MAX_DEPTH, true, c);
}

skive_status skv_match_replace(skive_graph *g, skive_value *last, const char *op, skv_in_list in, skv_attr_list attrs) {
    skive_node *const chain[] = {last->producer};
    return skv_fuse(g, &(skv_fusion){.chain = chain,
                                     .n_chain = 1,
                                     .op = op,
                                     .domain = "",
                                     .inputs = in.values,
                                     .n_inputs = in.n,
                                     .attrs = attrs.attrs,
                                     .n_attrs = attrs.n});
}

skive_status skv_rewrite_all(const skv_pass_env *env, skive_graph *g, size_t *changes, skv_rewrite_fn rewrite) {
    skive_node **order = NULL;
    SKV_TRY(skv_graph_topo(g, &order));
    const uint32_t n = g->n_nodes;
    skive_status status = SKIVE_OK;
    /* Nodes do not move in the arena; a removed node is no longer found under its number. */
    for (uint32_t i = 0; i < n && status == SKIVE_OK; i++) {
        const uint32_t id = order[i]->id;
        if (id >= g->n_nodes || g->nodes[id] != order[i]) continue;
        if (order[i]->op && !*order[i]->domain) status = rewrite(env, g, order[i], changes);
    }
    skv_free(env->ctx, order);
    return status;
}
