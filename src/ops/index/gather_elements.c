/* GatherElements: y[.., i, ..] = x[.., indices[.., i, ..], ..] along one axis. */
#include "ops/cases.h"
#include "ops/index/common_index.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *index = skv_infer_in(c, 1);
    int axis;
    SKV_TRY(skv_infer_want_indices(c, 1));
    c->out[0] = *index;
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    bool fits = index->rank < 0 || index->rank == x->rank;
    for (int d = 0; fits && d < index->rank; d++)
        fits = d == axis || index->dims[d].size < 0 || x->dims[d].size < 0 || index->dims[d].size <= x->dims[d].size;
    if (!fits)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the indices are larger than the data", c->node->name);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *index = c->in[1], *y = c->out[0];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    int64_t strides[SKIVE_MAX_RANK], at[SKIVE_MAX_RANK] = {0};
    const int64_t n = skive_tensor_count(index);
    skv_dims_strides(x->rank, x->dims, strides);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = 0, entry;
        SKV_TRY(skv_index_resolve(c, skv_load_i64(index->dtype, index->data, (size_t)i), x->dims[axis], &entry));
        for (int d = 0; d < x->rank; d++) from += (d == axis ? entry : at[d]) * strides[d];
        skv_copy_element(x->dtype, y->data, (size_t)i, x->data, (size_t)from);
        for (int d = index->rank - 1; d >= 0 && ++at[d] == index->dims[d]; d--) at[d] = 0;
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    if (c->need[0])
        c->din[0] =
            skv_emit(c->b, "ScatterElements", SKV_IN(skv_g_zeros_like(c->b, n->inputs[0]), n->inputs[1], c->dout[0]),
                     SKV_ATTRS(SKV_INT("axis", skv_attr_int(n, "axis", 0)), SKV_STR("reduction", "add")));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 0); }

static const skv_op_case cases[] = {
    {.name = "columns, from the end",
     CASE_ATTRS(CASE_INT("axis", 1)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)},
             {CASE_I64(2, 2), CASE_VALUES(2, 0, -1, -1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3, 1, 6, 6),
     CASE_OUT(2, 2)},
    {.name = "rows",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_I64(1, 2), CASE_VALUES(2, 0), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(5, 2)},
};

const skv_op skv_op_gather_elements = {
    .name = "GatherElements",
    .domain = "",
    .brief = "elements by index along one axis",
    .since = 11,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
