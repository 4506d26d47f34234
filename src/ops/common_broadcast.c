/* Types, channel coupling, gradient summing and cost of element-wise ops. See common_elementwise.h and op.h. */
#include "ops/common_elementwise.h"

/* ---- types ---- */

skive_status skv_broadcast_types(skv_infer *c, const skive_type *const *types, size_t n, skive_type *out) {
    int rank = 0;
    for (size_t k = 0; k < n; k++) {
        if (types[k]->rank < 0) {
            out->rank = -1;
            return SKIVE_OK;
        }
        if (types[k]->rank > rank) rank = types[k]->rank;
    }
    out->rank = rank;
    for (int d = 0; d < rank; d++) {
        skive_dim at = skv_dim(1);
        for (size_t k = 0; k < n; k++) {
            int own = d - (rank - types[k]->rank);
            if (own < 0) continue;
            skive_dim other = types[k]->dims[own];
            if (skv_dim_same(at, other) || other.size == 1) continue;
            if (at.size == 1) {
                at = other;
            } else if (at.size >= 0 && other.size >= 0) {
                char a[SKV_DIMS_TEXT + 32], b[SKV_DIMS_TEXT + 32];
                skv_type_text(types[0], a, sizeof a);
                skv_type_text(types[k], b, sizeof b);
                return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "shapes %s and %s do not broadcast", a, b);
            } else if (other.size >= 0) {
                at = other; /* the unknown one must be 1 or this */
            } else if (at.size < 0) {
                at = skv_dim_unknown(); /* two unknowns of different names */
            }
        }
        out->dims[d] = at;
    }
    return skv_infer_limit(c, out);
}

skive_status skv_infer_one_type(skv_infer *c, size_t i, size_t j) {
    skive_dtype a = skv_infer_in(c, i)->dtype, b = skv_infer_in(c, j)->dtype;
    if (a == SKIVE_DTYPE_NONE || b == SKIVE_DTYPE_NONE || a == b) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "input %zu is %s but input %zu is %s", i, skive_dtype_name(a), j,
                          skive_dtype_name(b));
}

skive_status skv_infer_broadcast(skv_infer *c, size_t n, skive_type *out) {
    const skive_type *few[SKV_OP_MAX_IO];
    skive_dtype dtype = SKIVE_DTYPE_NONE;
    skive_type sum = {.dtype = SKIVE_DTYPE_NONE, .rank = -1};
    for (size_t i = 0; i < n; i++) {
        skive_dtype t = skv_infer_in(c, i)->dtype;
        if (dtype == SKIVE_DTYPE_NONE) dtype = t;
        if (t != SKIVE_DTYPE_NONE && t != dtype)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "input %zu is %s, but another input is %s", i,
                                  skive_dtype_name(t), skive_dtype_name(dtype));
    }
    if (n <= SKV_OP_MAX_IO) {
        for (size_t i = 0; i < n; i++) few[i] = skv_infer_in(c, i);
        SKV_TRY(skv_broadcast_types(c, few, n, &sum));
    } else { /* one after the other: broadcasting is associative */
        sum = *skv_infer_in(c, 0);
        for (size_t i = 1; i < n && sum.rank >= 0; i++) {
            skive_type next = sum;
            SKV_TRY(skv_broadcast_types(c, (const skive_type *const[]){&sum, skv_infer_in(c, i)}, 2, &next));
            sum = next;
        }
    }
    sum.dtype = dtype;
    *out = sum;
    return SKIVE_OK;
}

skive_status skv_infer_same(skv_infer *c) {
    c->out[0] = *skv_infer_in(c, 0);
    return SKIVE_OK;
}

static skive_status wrong_type(skv_infer *c, size_t i, const char *wants) {
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "input %zu is %s; %s takes %s", i,
                          skive_dtype_name(skv_infer_in(c, i)->dtype), c->node->op_type, wants);
}

skive_status skv_infer_want_float(skv_infer *c, size_t i) {
    skive_dtype t = skv_infer_in(c, i)->dtype;
    return t == SKIVE_DTYPE_NONE || skv_dtype_is_float(t) ? SKIVE_OK : wrong_type(c, i, "floating types");
}

skive_status skv_infer_want_numeric(skv_infer *c, size_t i) {
    skive_dtype t = skv_infer_in(c, i)->dtype;
    const bool bad = t == SKIVE_BOOL || t == SKIVE_F8E8M0 || (t != SKIVE_DTYPE_NONE && skive_dtype_bits(t) < 8);
    return bad ? wrong_type(c, i, "numbers of 8 bits or more") : SKIVE_OK;
}

skive_status skv_infer_want_integer(skv_infer *c, size_t i) {
    const skive_dtype t = skv_infer_in(c, i)->dtype;
    const bool bad = t == SKIVE_BOOL || (t != SKIVE_DTYPE_NONE && (skv_dtype_is_float(t) || skive_dtype_bits(t) < 8));
    return bad ? wrong_type(c, i, "integers of 8 bits or more") : SKIVE_OK;
}

skive_status skv_infer_want(skv_infer *c, size_t i, skive_dtype dtype) {
    skive_dtype t = skv_infer_in(c, i)->dtype;
    return t == SKIVE_DTYPE_NONE || t == dtype ? SKIVE_OK : wrong_type(c, i, skive_dtype_name(dtype));
}

skive_status skv_infer_unary_float(skv_infer *c) {
    SKV_TRY(skv_infer_want_float(c, 0));
    return skv_infer_same(c);
}

skive_status skv_infer_unary_numeric(skv_infer *c) {
    SKV_TRY(skv_infer_want_numeric(c, 0));
    return skv_infer_same(c);
}

skive_status skv_infer_arith(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_infer_want_numeric(c, i));
    return skv_infer_broadcast(c, c->n_in, &c->out[0]);
}

skive_status skv_infer_compare(skv_infer *c) {
    SKV_TRY(skv_infer_broadcast(c, 2, &c->out[0]));
    c->out[0].dtype = SKIVE_BOOL;
    return SKIVE_OK;
}

skive_status skv_infer_logic(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_infer_want(c, i, SKIVE_BOOL));
    return skv_infer_compare(c);
}

skive_status skv_infer_pair(skv_infer *c) {
    const skive_type *g = skv_infer_in(c, 0), *x = skv_infer_in(c, 1);
    SKV_TRY(skv_infer_want_float(c, 0));
    SKV_TRY(skv_infer_one_type(c, 0, 1));
    bool differ = g->rank >= 0 && x->rank >= 0 && g->rank != x->rank;
    for (int d = 0; !differ && g->rank == x->rank && d < x->rank; d++)
        differ = g->dims[d].size >= 0 && x->dims[d].size >= 0 && g->dims[d].size != x->dims[d].size;
    if (differ) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the gradient and the value differ in shape");
    c->out[0] = *x;
    return SKIVE_OK;
}

int skv_needs_arith(const skive_node *n) {
    const skive_value *v = skv_node_in(n, 0);
    int bits = v ? skive_dtype_bits(v->type.dtype) : 0;
    bool small = v && !skv_dtype_is_float(v->type.dtype) && bits > 0 && bits <= 16;
    return small ? 14 : skv_needs_for_dtype(n, 7, 13, 0);
}

/* ---- ranges ---- */

skv_range skv_range_make(double lo, double hi) {
    return (skv_range){isnan(lo) ? -INFINITY : lo, isnan(hi) ? INFINITY : hi};
}

/* ---- coupling ---- */

void skv_couple_elementwise(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *out = skv_couple_type(c, SKV_COUT(0, 0));
    for (int i = 0; i < (int)n->n_inputs; i++) {
        const skive_type *in = skv_couple_type(c, SKV_CIN(i, 0));
        for (int a = 0; in && a < in->rank; a++) {
            int o = out && out->rank >= in->rank ? a + out->rank - in->rank : -1;
            if (o < 0)
                skv_couple_fix(c, SKV_CIN(i, a), "it is combined with a value of unknown shape");
            else if (in->dims[a].size > 0 && in->dims[a].size == out->dims[o].size)
                skv_couple_same(c, SKV_CIN(i, a), SKV_COUT(0, o));
            else if (in->dims[a].size > 1)
                skv_couple_fix(c, SKV_CIN(i, a), "it is combined with a value of unknown size");
            else if (in->dims[a].size < 0 && out->dims[o].size > 1) /* may be as long, and keeps what the other loses */
                skv_couple_fix(c, SKV_COUT(0, o), "it is combined with a value of unknown size");
        }
    }
    /* an output axis whose size no input is known to determine */
    for (int o = 0; out && o < out->rank; o++) {
        bool known = false;
        for (int i = 0; i < (int)n->n_inputs && !known; i++) {
            const skive_type *in = skv_couple_type(c, SKV_CIN(i, 0));
            int a = in ? o - (out->rank - in->rank) : -1;
            known = in && in->rank >= 0 && a >= 0 && in->dims[a].size == out->dims[o].size;
        }
        if (!known && out->dims[o].size > 1)
            skv_couple_fix(c, SKV_COUT(0, o), "it is computed from a value of unknown size");
    }
}

/* ---- gradient and cost ---- */

skive_value *skv_grad_unbroadcast(skv_builder *b, skive_value *dx, skive_value *like) {
    if (!dx || !like || b->status != SKIVE_OK) return NULL;
    if (skv_shape_same(&dx->type, &like->type)) return dx;
    return skv_emit(b, "SumTo", SKV_IN(dx, like), SKV_NONE);
}

void skv_cost_per_element(const skive_node *n, skive_cost *cost) {
    if (n->n_outputs && n->outputs[0])
        cost->operations = skv_add_sat(cost->operations, skv_type_count(&n->outputs[0]->type));
}
