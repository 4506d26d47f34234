/* OneHot(indices, depth, values): a new axis of `depth` elements, on = values[1] at the index and off = values[0]
 * elsewhere. Negative indices count from the end; one outside [-depth, depth) gives a row of off. */
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    const skive_type *indices = skv_in_type(c, 0), *values = skv_in_type(c, 2);
    SKV_TRY(skv_want_vector(c, 2, 2, "values"));
    if (skv_in_ranked(c, 1) && (c->in[1]->rank > 1 || (c->in[1]->rank == 1 && skv_in_dim(c, 1, 0) > 1)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "OneHot: the depth must be a scalar");
    if (values) c->out[0].dtype = values->dtype;
    if (!indices || indices->rank < 0) return SKIVE_OK;
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", -1), indices->rank + 1), depth = -1;
    if (axis < 0 || indices->rank + 1 > SKIVE_MAX_RANK)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "OneHot: axis %lld does not exist in the result",
                              (long long)skv_attr_int(c->node, "axis", -1));
    const skive_tensor *d = c->constant ? c->constant[1] : NULL;
    if (d && d->data && skive_tensor_count(d) == 1) {
        depth = skv_load_i64(d->dtype, d->data, 0);
        if (depth < 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "OneHot: the depth is %lld", (long long)depth);
    }
    c->out[0].rank = indices->rank + 1;
    for (int a = 0; a <= indices->rank; a++)
        c->out[0].dims[a] = a < axis ? indices->dims[a] : a == axis ? skv_dim_of(depth) : indices->dims[a - 1];
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *indices = c->in[0], *values = c->in[2];
    skive_tensor *y = c->out[0];
    if (!y) return SKIVE_OK;
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", -1), y->rank), depth = y->dims[axis], outer = 1, inner = 1;
    for (int a = 0; a < y->rank; a++) {
        if (a < axis) outer *= y->dims[a];
        if (a > axis) inner *= y->dims[a];
    }
    for (int64_t i = 0; i < skive_tensor_count(y); i++) skv_copy_element(y->dtype, y->data, (size_t)i, values->data, 0);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t q = 0; q < inner; q++) {
            int64_t i = skv_load_i64(indices->dtype, indices->data, (size_t)(o * inner + q));
            if (i < 0 && i >= -depth) i += depth;
            if (i >= 0 && i < depth)
                skv_copy_element(y->dtype, y->data, (size_t)((o * depth + i) * inner + q), values->data, 1);
        }
    }
    return SKIVE_OK;
}

/* Sums of dY where the index is, and elsewhere. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    static const double zero_one[] = {0, 1};
    skv_builder *b = c->b;
    if (!c->need[2]) return SKIVE_OK;
    const skive_dtype dtype = n->inputs[2]->type.dtype;
    skive_value *parts[2];
    for (int i = 0; i < 2; i++)
        parts[i] =
            skv_g2(b, "Unsqueeze", skv_emit_scalar(b, dtype, zero_one[i]), skv_emit_ints(b, (const int64_t[]){0}, 1));
    skive_value *pair = skv_emit(b, "Concat", SKV_IN(parts[0], parts[1]), SKV_ATTRS(SKV_INT("axis", 0)));
    skive_value *hot = skv_emit(b, "OneHot", SKV_IN(n->inputs[0], n->inputs[1], pair),
                                SKV_ATTRS(SKV_INT("axis", skv_attr_int(n, "axis", -1))));
    skive_value *on =
        skv_emit(b, "ReduceSum", SKV_IN(skv_g2(b, "Mul", c->dout[0], hot)), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *all = skv_emit(b, "ReduceSum", SKV_IN(c->dout[0]), SKV_ATTRS(SKV_INT("keepdims", 0)));
    skive_value *axis = skv_emit_ints(b, (const int64_t[]){0}, 1);
    c->din[2] = skv_emit(
        b, "Concat", SKV_IN(skv_g2(b, "Unsqueeze", skv_g2(b, "Sub", all, on), axis), skv_g2(b, "Unsqueeze", on, axis)),
        SKV_ATTRS(SKV_INT("axis", 0)));
    return b->status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_cost_per_element(n, out); }

static const skv_op_case cases[] = {
    {.name = "learned values",
     CASE_IN({CASE_I64(3), CASE_VALUES(0, 2, 5), .constant = true}, {CASE_SCALAR(SKIVE_I64, 3), .constant = true},
             {CASE_F32(2), CASE_VALUES(0.5, 2)}),
     .n_out = 1,
     CASE_EXPECT(2, 0.5, 0.5, 0.5, 0.5, 2, 0.5, 0.5, 0.5)},
    {.name = "last axis",
     CASE_IN({CASE_I64(3), CASE_VALUES(0, 2, 5)}, {CASE_SCALAR(SKIVE_I64, 3), .constant = true},
             {CASE_F32(2), CASE_VALUES(0, 1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 0, 0, 0, 0, 1, 0, 0, 0),
     CASE_OUT(3, 3)},
    {.name = "axis 0, negative index",
     CASE_IN({CASE_I64(2), CASE_VALUES(-1, 0)}, CASE_LIST(1, 2), {CASE_F32(2), CASE_VALUES(-1, 4), .constant = true}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(-1, 4, 4, -1),
     CASE_OUT(2, 2)},
};

const skv_op skv_op_one_hot = {
    .name = "OneHot",
    .domain = "",
    .brief = "indices to rows with one element on",
    .since = 11,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = cost,
    .strings = SKV_STRINGS(2),
    SKV_LIST(cases),
};
