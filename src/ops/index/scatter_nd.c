/* ScatterND: the data with slices written at index tuples, or added, multiplied, maximised, minimised there. */
#include <string.h>

#include "ops/cases.h"
#include "ops/index/common_index.h"

static const skv_attr_spec attrs[] = {{"reduction", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0), *index = skv_infer_in(c, 1), *updates = skv_infer_in(c, 2);
    SKV_TRY(skv_infer_want_indices(c, 1));
    SKV_TRY(skv_infer_one_type(c, 0, 2));
    if (skv_reduction_of(c->node) == SKV_REDUCE_UNKNOWN)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': unknown reduction '%s'", c->node->name,
                              skv_attr_string(c->node, "reduction", ""));
    c->out[0] = *x;
    if (x->rank < 0 || index->rank < 0) return SKIVE_OK;
    const int64_t tuple = index->rank > 0 ? index->dims[index->rank - 1].size : 0;
    bool fits = index->rank >= 1 && tuple <= x->rank;
    if (fits && tuple >= 0 && updates->rank >= 0) {
        fits = updates->rank == index->rank - 1 + x->rank - tuple;
        for (int d = 0; fits && d < updates->rank; d++) {
            const int64_t want =
                              d < index->rank - 1 ? index->dims[d].size : x->dims[d - (index->rank - 1) + tuple].size,
                          have = updates->dims[d].size;
            fits = want < 0 || have < 0 || want == have;
        }
    }
    if (!fits)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': indices and updates do not match the data",
                              c->node->name);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *index = c->in[1], *updates = c->in[2], *y = c->out[0];
    const int64_t tuple = index->dims[index->rank - 1];
    const skv_reduction how = skv_reduction_of(c->node);
    int64_t strides[SKIVE_MAX_RANK], tuples = 1, slice = 1;
    memcpy(y->data, x->data, skive_tensor_bytes(x));
    skv_dims_strides(x->rank, x->dims, strides);
    for (int d = 0; d < index->rank - 1; d++) tuples *= index->dims[d];
    for (int d = (int)tuple; d < x->rank; d++) slice *= x->dims[d];
    for (int64_t t = 0; t < tuples; t++) {
        int64_t to = 0, entry;
        for (int64_t k = 0; k < tuple; k++) {
            SKV_TRY(skv_index_resolve(c, skv_load_i64(index->dtype, index->data, (size_t)(t * tuple + k)), x->dims[k],
                                      &entry));
            to += entry * strides[k];
        }
        for (int64_t i = 0; i < slice; i++)
            skv_reduce_element(how, x->dtype, y->data, (size_t)(to + i), updates->data, (size_t)(t * slice + i));
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    skive_value *dy = c->dout[0], *index = n->inputs[1];
    const skv_reduction how = skv_reduction_of(n);
    if (how != SKV_REDUCE_NONE && how != SKV_REDUCE_ADD)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node '%s': no gradient of the reduction '%s'", n->name,
                           skv_attr_string(n, "reduction", ""));
    if (c->need[0])
        c->din[0] =
            how == SKV_REDUCE_ADD ? dy : skv_g3(c->b, "ScatterND", dy, index, skv_g_zeros_like(c->b, n->inputs[2]));
    if (c->need[2]) c->din[2] = skv_g2(c->b, "GatherND", dy, index);
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    const skv_reduction how = skv_reduction_of(n);
    return how == SKV_REDUCE_MAX || how == SKV_REDUCE_MIN ? 18
           : how != SKV_REDUCE_NONE                       ? 16
                                                          : skv_needs_for_dtype(n, 11, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "elements",
     CASE_IN({CASE_F32(5), CASE_VALUES(1, 2, 3, 4, 5)}, {CASE_I64(2, 1), CASE_VALUES(4, 1), .constant = true},
             {CASE_F32(2), CASE_VALUES(9, 10)}),
     .n_out = 1,
     CASE_EXPECT(1, 10, 3, 4, 9)},
    {.name = "rows added",
     CASE_ATTRS(CASE_STR("reduction", "add")),
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_I64(2, 1), CASE_VALUES(1, 1), .constant = true},
             {CASE_F32(2, 2), CASE_VALUES(1, 2, 10, 20)}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 14, 26)},
};

const skv_op skv_op_scatter_nd = {
    .name = "ScatterND",
    .domain = "",
    .brief = "slices written at index tuples",
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
