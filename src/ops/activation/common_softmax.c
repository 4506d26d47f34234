/* Shared by Softmax, LogSoftmax and their gradients; see common_softmax.h. */
#include "ops/activation/common_softmax.h"

skive_status skv_softmax_infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    skv_out_like(c, 0, 0);
    if (!skv_in_ranked(c, 0)) return SKIVE_OK;
    int64_t axis = skv_attr_int(c->node, "axis", -1);
    if (skv_axis(axis, c->in[0]->rank) < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: axis %lld does not exist in %d dimensions", c->node->op_type,
                              (long long)axis, c->in[0]->rank);
    return SKIVE_OK;
}

skive_status skv_softmax_grad_infer(skv_infer *c) {
    SKV_TRY(skv_want_same_shape(c, 0, 1));
    return skv_softmax_infer(c);
}

skive_status skv_softmax_rows(const skv_eval *c, const skive_tensor *x, skv_rows *out) {
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", -1), x->rank);
    *out = (skv_rows){1, 1, 1};
    if (axis < 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s: axis is out of range", c->node->op_type);
    out->length = x->dims[axis];
    for (int a = 0; a < x->rank; a++) {
        if (a < axis) out->outer *= x->dims[a];
        if (a > axis) out->inner *= x->dims[a];
    }
    return SKIVE_OK;
}

skive_status skv_softmax_run(const skv_eval *c, void (*row)(double *y, const double *other, int64_t n, int64_t step)) {
    skv_rows rows;
    skv_doubles x = {0}, other = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(skv_softmax_rows(c, c->in[0], &rows));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->n_in > 1 ? c->in[1] : NULL, &other));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    if (!y.n || !rows.length) goto out;
    memcpy(y.p, x.p, y.n * sizeof *y.p);
    for (int64_t o = 0; o < rows.outer; o++) {
        for (int64_t q = 0; q < rows.inner; q++) {
            int64_t first = o * rows.length * rows.inner + q;
            row(y.p + first, other.p ? other.p + first : NULL, rows.length, rows.inner);
        }
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &other);
    skv_result_free(c->ctx, &y);
    return status;
}

skive_status skv_softmax_import(skive_graph *g, skive_node *n, int from) {
    if (from >= 13 || !skv_node_in(n, 0) || n->n_outputs < 1 || !n->outputs[0]) return SKIVE_OK;
    skive_value *x = n->inputs[0], *y = n->outputs[0];
    int64_t axis = skv_attr_int(n, "axis", 1);
    const skive_type *t = &x->type;
    if (t->rank >= 0) {
        int64_t first = axis == t->rank ? axis : skv_axis(axis, t->rank), only = t->rank - 1;
        int wide = 0;
        if (first < 0)
            return skv_fail_at(g->ctx, SKIVE_ERR_SHAPE, n->name, "%s: axis %lld does not exist in %d dimensions",
                               n->op_type, (long long)axis, t->rank);
        for (int64_t a = first; a < t->rank; a++) {
            if (t->dims[a].size == 1) continue;
            wide++;
            only = a;
        }
        if (first < t->rank && wide <= 1) return skv_node_set_attr(n, &SKV_INT("axis", only));
    }
    skv_builder b = skv_build(g);
    skive_value *flat = skv_emit(&b, "Flatten", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", axis)));
    skive_value *shape = skv_emit(&b, "Shape", SKV_IN(x), SKV_NONE);
    skive_value *back =
        skv_emit(&b, "Reshape", SKV_IN(flat, shape), SKV_NONE); /* flat is used in place of y until below */
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(y, back, true));
    SKV_TRY(skv_value_take_name(back, y));
    SKV_TRY(skv_node_set_input(back->producer, 0, y));
    SKV_TRY(skv_node_set_input(n, 0, flat));
    back->type = y->type;
    y->type = flat->type;
    return skv_node_set_attr(n, &SKV_INT("axis", -1));
}

void skv_softmax_couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    if (!x || x->rank < 1) return;
    int64_t axis = skv_axis(skv_attr_int(skv_couple_node(c), "axis", -1), x->rank);
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (a == axis) skv_couple_mixes(c, SKV_CIN(0, a), "a softmax sums over this axis");
    }
}
