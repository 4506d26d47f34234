/* Concat: inputs concatenated along `axis`. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_REQUIRED}};

static skive_status infer(skv_infer *c) {
    skive_type *y = &c->out[0];
    int axis;
    *y = *c->in[0];
    if (y->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), y->rank, &axis));
    for (size_t i = 1; i < c->n_in; i++) {
        const skive_type *x = skv_infer_in(c, i);
        if (x->dtype != SKIVE_DTYPE_NONE && y->dtype != SKIVE_DTYPE_NONE && x->dtype != y->dtype) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu is %s, but the first is %s", c->node->name,
                                  i, skive_dtype_name(x->dtype), skive_dtype_name(y->dtype));
        }
        if (x->rank < 0) {
            y->dims[axis] = skv_dim_unknown();
            continue;
        }
        if (x->rank != y->rank)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': input %zu has rank %d, but the first has %d",
                                  c->node->name, i, x->rank, y->rank);
        for (int d = 0; d < y->rank; d++) {
            const int64_t a = y->dims[d].size, b = x->dims[d].size;
            if (d == axis) {
                int64_t sum = -1;
                if (a >= 0 && b >= 0 && !skv_add_i64(a, b, &sum))
                    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the result is too large", c->node->name);
                y->dims[d] = a >= 0 && b >= 0 ? skv_dim(sum) : skv_dim_unknown();
            } else if (a >= 0 && b >= 0 && a != b) {
                return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                                      "node '%s': dimension %d of input %zu is %lld, but that of the first is %lld",
                                      c->node->name, d, i, (long long)b, (long long)a);
            } else if (a < 0) {
                y->dims[d] = b >= 0 ? x->dims[d] : y->dims[d];
            }
        }
    }
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    skive_tensor *y = c->out[0];
    const int64_t axis = skv_axis(skv_attr_int(c->node, "axis", 0), y->rank);
    int64_t strides[SKIVE_MAX_RANK], from[SKIVE_MAX_RANK], at = 0;
    skv_dims_strides(y->rank, y->dims, strides);
    for (size_t i = 0; i < c->n_in; i++) {
        const skive_tensor *x = c->in[i];
        skv_dims_strides(x->rank, x->dims, from);
        if (skive_tensor_count(x) > 0)
            skv_copy_strided(y->dtype, y->rank, x->dims, y->data, at * strides[axis], strides, x->data, 0, from);
        at += x->dims[axis];
    }
    return SKIVE_OK;
}

/* Split dy by the inputs' sizes; they must be known. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const int rank = n->inputs[0]->type.rank;
    const int64_t axis = rank >= 0 ? skv_axis(skv_attr_int(n, "axis", 0), rank) : -1;
    int64_t at = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_type *t = &n->inputs[i]->type;
        if (axis < 0 || t->rank != rank || t->dims[axis].size < 0) {
            return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_SHAPE, n->name,
                               "node '%s': sizes along the axis are unknown", n->name);
        }
        const int64_t end = at + t->dims[axis].size;
        if (c->need[i]) {
            c->din[i] = skv_emit(c->b, "Slice",
                                 SKV_IN(c->dout[0], skv_emit_ints(c->b, &at, 1), skv_emit_ints(c->b, &end, 1),
                                        skv_emit_ints(c->b, &axis, 1)),
                                 SKV_NONE);
        }
        at = end;
    }
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *y = skv_couple_type(c, SKV_COUT(0, 0));
    const int axis = y && y->rank >= 0 ? (int)skv_axis(skv_attr_int(n, "axis", 0), y->rank) : -1;
    int64_t at = 0;
    if (axis < 0) {
        skv_couple_fix_all(c, "Concat");
        return;
    }
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_type *x = skv_couple_type(c, SKV_CIN((int)i, 0));
        if (!x || x->rank != y->rank || x->dims[axis].size < 0) {
            skv_couple_fix_all(c, "Concat");
            return;
        }
        for (int d = 0; d < y->rank; d++) {
            if (d != axis) skv_couple_same(c, SKV_CIN((int)i, d), SKV_COUT(0, d));
        }
        skv_couple_range(c, SKV_CIN((int)i, axis), 0, SKV_COUT(0, axis), at, x->dims[axis].size, 1);
        at += x->dims[axis].size;
    }
}

static skv_range range(const skive_node *n, const skv_range *in) {
    skv_range r = in[0];
    for (uint32_t i = 1; i < n->n_inputs; i++) {
        r.lo = in[i].lo < r.lo ? in[i].lo : r.lo;
        r.hi = in[i].hi > r.hi ? in[i].hi : r.hi;
    }
    return r;
}

static skive_status bounds(skv_bounding *b) {
    const skive_node *n = skv_bounding_node(b);
    const skive_type *y = &n->outputs[0]->type;
    const int axis = y->rank > 0 ? (int)skv_axis(skv_attr_int(n, "axis", 0), y->rank) : -1;
    const int along = y->rank > 1 ? 1 : axis;
    int64_t at = 0;
    skv_range *r;
    if (axis < 0 || y->dims[along].size < 1) return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i]->type.rank != y->rank || n->inputs[i]->type.dims[along].size < 0) return SKIVE_OK;
    SKV_TRY(skv_bound_output(b, along, y->dims[along].size, &r));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const int64_t length = n->inputs[i]->type.dims[along].size;
        for (int64_t c = 0; c < length && at + c < y->dims[along].size; c++) {
            const skv_range x = skv_bound_at(b, i, along, c);
            skv_range *to = &r[at + c];
            if (i == 0 || along == axis) *to = x;
            if (x.lo < to->lo) to->lo = x.lo;
            if (x.hi > to->hi) to->hi = x.hi;
        }
        at += along == axis ? length : 0;
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_ATTRS(CASE_INT("axis", 1)),
     CASE_IN({CASE_F32(2, 1), CASE_VALUES(1, 2)}, {CASE_F32(2, 2), CASE_VALUES(3, 4, 5, 6)}),
     .n_out = 1,
     CASE_EXPECT(1, 3, 4, 2, 5, 6),
     CASE_OUT(2, 3)},
    {.name = "three, last axis",
     CASE_ATTRS(CASE_INT("axis", -1)),
     CASE_IN({CASE_F32(2, 2)}, {CASE_F32(2, 1)}, {CASE_F32(2, 3)}),
     .n_out = 1,
     CASE_OUT(2, 6)},
    {.name = "one empty",
     CASE_ATTRS(CASE_INT("axis", 0)),
     CASE_IN({CASE_I64(0), .constant = true}, {CASE_I64(2), CASE_VALUES(7, 8), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(7, 8),
     .no_grad = true},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 0); }

const skv_op skv_op_concat = {
    .name = "Concat",
    .brief = "inputs concatenated along an axis",
    .domain = "",
    .since = 4,
    .min_in = 1,
    .max_in = -1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = range,
    .bounds = bounds,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS_ALL,
    SKV_LIST(cases),
};
