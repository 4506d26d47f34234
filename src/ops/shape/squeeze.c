/* Squeeze: removes dimensions of size 1; all of them if no axes are given. Axes were an attribute before opset 13. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    int64_t axes[SKIVE_MAX_RANK];
    int n = 0;
    uint32_t mask = 0;
    y->dtype = x->dtype;
    if (c->n_in > 1 && c->in[1]) {
        SKV_TRY(skv_infer_ints(c, 1, "the axes", axes, SKIVE_MAX_RANK, &n));
        if (n < 0) return SKIVE_OK;
        if (x->rank >= 0 && !skv_axes_mask(axes, n, x->rank, &mask)) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                                  "node '%s': an axis is outside an input of rank %d, or given twice", c->node->name,
                                  x->rank);
        }
    }
    if (x->rank < 0) return SKIVE_OK;
    y->rank = 0;
    for (int d = 0; d < x->rank; d++) {
        const bool named = mask >> d & 1u;
        if (named && x->dims[d].size >= 0 && x->dims[d].size != 1) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': dimension %d to be squeezed is %lld", c->node->name,
                                  d, (long long)x->dims[d].size);
        }
        if (n == 0 && x->dims[d].size < 0) {
            y->rank = -1; /* unknown whether it is removed */
            return SKIVE_OK;
        }
        if (!(named || (n == 0 && x->dims[d].size == 1))) y->dims[y->rank++] = x->dims[d];
    }
    return SKIVE_OK;
}

static skive_status import(skive_graph *g, skive_node *n, int from) {
    return from < 13 ? skv_import_ints(g, n, "axes", 1) : SKIVE_OK;
}

/* Without a list the axes of size 1 go: it is written down, since channels may leave others of size 1. */
static skive_status shrink(const skv_shrink *s) {
    const skive_type *x = skv_shrink_type(s, SKV_CIN(0, 0));
    int64_t axes[SKIVE_MAX_RANK];
    size_t n = 0;
    if (skv_node_in(skv_shrink_node(s), 1)) return SKIVE_OK;
    for (int d = 0; d < x->rank; d++)
        if (x->dims[d].size == 1) axes[n++] = d;
    return n > 0 ? skv_shrink_list(s, 1, axes, n) : SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "axis",
     CASE_IN({CASE_F32(1, 3, 1), CASE_VALUES(1, 2, 3)}, CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3),
     CASE_OUT(3, 1)},
    {.name = "all", CASE_IN({CASE_F32(1, 3, 1)}), .n_out = 1, CASE_OUT(3)},
    {.name = "from the end", CASE_IN({CASE_F32(2, 3, 1)}, CASE_LIST(1, -1)), .n_out = 1, CASE_OUT(2, 3)},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 13, 0, 21); }

const skv_op skv_op_squeeze = {
    .name = "Squeeze",
    .brief = "removes dimensions of size 1",
    .domain = "",
    .since = 13,
    .min_in = 1,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = skv_run_copy,
    .grad = skv_grad_reshape,
    .couple = skv_couple_reshape,
    .shrink = shrink,
    .range = skv_range_first,
    .bounds = skv_bound_reshape,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .motion = SKV_RESHAPES,
};
