/* ScatterElements: the data with updates written at data[.., indices[.., i, ..], ..] along one axis, or added,
 * multiplied, maximised, minimised there. Scatter of opsets 9 and 10 is this without a reduction. */
#include <string.h>

#include "ops/cases.h"
#include "ops/index/common_index.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"reduction", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *index = skv_infer_in(c, 1), *updates = skv_infer_in(c, 2);
    int axis;
    SKV_TRY(skv_infer_want_indices(c, 1));
    SKV_TRY(skv_infer_one_type(c, 0, 2));
    if (skv_reduction_of(c->node) == SKV_REDUCE_UNKNOWN)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': unknown reduction '%s'", c->node->name,
                              skv_attr_string(c->node, "reduction", ""));
    c->out[0] = *x;
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    bool fits = (index->rank < 0 || index->rank == x->rank) && (updates->rank < 0 || updates->rank == x->rank);
    for (int d = 0; fits && index->rank >= 0 && d < x->rank; d++) {
        const int64_t i = index->dims[d].size, u = updates->rank < 0 ? -1 : updates->dims[d].size;
        fits = (i < 0 || u < 0 || i == u) && (d == axis || i < 0 || x->dims[d].size < 0 || i <= x->dims[d].size);
    }
    if (!fits)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': indices and updates do not match the data",
                              c->node->name);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *index = c->in[1], *updates = c->in[2], *y = c->out[0];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    const skv_reduction how = skv_reduction_of(c->node);
    int64_t strides[SKIVE_MAX_RANK], at[SKIVE_MAX_RANK] = {0};
    const int64_t n = skive_tensor_count(index);
    memcpy(y->data, x->data, skive_tensor_bytes(x));
    skv_dims_strides(x->rank, x->dims, strides);
    for (int64_t i = 0; i < n; i++) {
        int64_t to = 0, entry;
        SKV_TRY(skv_index_resolve(c, skv_load_i64(index->dtype, index->data, (size_t)i), x->dims[axis], &entry));
        for (int d = 0; d < x->rank; d++) to += (d == axis ? entry : at[d]) * strides[d];
        skv_reduce_element(how, x->dtype, y->data, (size_t)to, updates->data, (size_t)i);
        for (int d = index->rank - 1; d >= 0 && ++at[d] == index->dims[d]; d--) at[d] = 0;
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    skive_value *dy = c->dout[0], *index = n->inputs[1];
    const skv_reduction how = skv_reduction_of(n);
    const skv_attr_init axis = SKV_INT("axis", skv_attr_int(n, "axis", 0));
    if (how != SKV_REDUCE_NONE && how != SKV_REDUCE_ADD)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node '%s': no gradient of the reduction '%s'", n->name,
                           skv_attr_string(n, "reduction", ""));
    if (c->need[0])
        c->din[0] = how == SKV_REDUCE_ADD
                        ? dy
                        : skv_emit(c->b, "ScatterElements", SKV_IN(dy, index, skv_g_zeros_like(c->b, n->inputs[2])),
                                   SKV_ATTRS(axis));
    if (c->need[2]) c->din[2] = skv_emit(c->b, "GatherElements", SKV_IN(dy, index), SKV_ATTRS(axis));
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    const skv_reduction how = skv_reduction_of(n);
    return how == SKV_REDUCE_MAX || how == SKV_REDUCE_MIN ? 18
           : how != SKV_REDUCE_NONE                       ? 16
                                                          : skv_needs_for_dtype(n, 11, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "written",
     CASE_ATTRS(CASE_INT("axis", 1)),
     CASE_IN({CASE_F32(1, 5), CASE_VALUES(1, 2, 3, 4, 5)}, {CASE_I64(1, 2), CASE_VALUES(1, -2), .constant = true},
             {CASE_F32(1, 2), CASE_VALUES(11, 21)}),
     .n_out = 1,
     CASE_EXPECT(1, 11, 3, 21, 5)},
    {.name = "added, twice at one place",
     CASE_ATTRS(CASE_STR("reduction", "add")),
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 3)}, {CASE_I64(3), CASE_VALUES(1, 1, 0), .constant = true},
             {CASE_F32(3), CASE_VALUES(10, 20, 5)}),
     .n_out = 1,
     CASE_EXPECT(6, 32, 3)},
    {.name = "largest",
     CASE_ATTRS(CASE_STR("reduction", "max")),
     CASE_IN({CASE_I64(3), CASE_VALUES(1, 2, 3)}, {CASE_I64(2), CASE_VALUES(1, 2)},
             {CASE_I64(2), CASE_VALUES(10, -20)}),
     .n_out = 1,
     CASE_EXPECT(1, 10, 3),
     .no_grad = true},
};

const skv_op skv_op_scatter_elements = {
    .name = "ScatterElements",
    .domain = "",
    .brief = "elements written by index along one axis",
    .since = 11,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0) | SKV_STRINGS(2),
    SKV_LIST(cases),
};
