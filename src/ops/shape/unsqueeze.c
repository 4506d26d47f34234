/* Unsqueeze: new dimensions of size 1 at the given axes of the result. Axes were an attribute before opset 13. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    int64_t axes[SKIVE_MAX_RANK];
    int n;
    uint32_t mask;
    y->dtype = x->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the axes", axes, SKIVE_MAX_RANK, &n));
    if (n < 0 || x->rank < 0) return SKIVE_OK;
    const int rank = x->rank + n;
    if (rank > SKIVE_MAX_RANK || !skv_axes_mask(axes, n, rank, &mask)) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the axes do not match a result of rank %d", c->node->name,
                              rank);
    }
    y->rank = rank;
    for (int d = 0, from = 0; d < rank; d++) y->dims[d] = mask >> d & 1u ? skv_dim(1) : x->dims[from++];
    return SKIVE_OK;
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    return from < 13 ? skv_import_ints(g, n, "axes", 1) : SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 3)}, CASE_LIST(2, 0, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3),
     CASE_OUT(1, 3, 1)},
    {.name = "from the end", CASE_IN({CASE_F32(2, 3)}, CASE_LIST(1, -1)), .n_out = 1, CASE_OUT(2, 3, 1)},
    {.name = "a scalar",
     CASE_IN({CASE_SCALAR(SKIVE_F32, 5)}, CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(5),
     CASE_OUT(1)},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 13, 0, 21); }

const skv_op skv_op_unsqueeze = {
    .name = "Unsqueeze",
    .brief = "adds dimensions of size 1",
    .domain = "",
    .since = 13,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = skv_run_copy,
    .grad = skv_grad_reshape,
    .couple = skv_couple_reshape,
    .range = skv_range_first,
    .bounds = skv_bound_reshape,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .motion = SKV_RESHAPES,
};
