/* Expand: broadcasts x to a shape (both ways: dimensions of 1 in the shape keep x's). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    int64_t shape[SKIVE_MAX_RANK];
    int n;
    skive_type wanted;
    c->out[0].dtype = c->in[0]->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the shape", shape, SKIVE_MAX_RANK, &n));
    if (n < 0) {
        const int64_t length = skv_infer_list_length(c, 1);
        if (length > SKIVE_MAX_RANK)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': rank %lld exceeds %d", c->node->name,
                                  (long long)length, SKIVE_MAX_RANK);
        if (length < 0 || c->in[0]->rank < 0) return SKIVE_OK;
        c->out[0].rank = length > c->in[0]->rank ? (int)length : c->in[0]->rank;
        /* Whatever the list says, it does not change a dimension that is not 1. */
        for (int d = 0; d < c->out[0].rank; d++) {
            const int from = d - (c->out[0].rank - c->in[0]->rank);
            const int64_t size = from >= 0 ? c->in[0]->dims[from].size : -1;
            c->out[0].dims[d] = size >= 0 && size != 1 ? skv_dim(size) : skv_dim_unknown();
        }
        return SKIVE_OK;
    }
    for (int d = 0; d < n; d++) {
        if (shape[d] < 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the dimension %lld in the shape is not valid",
                                  c->node->name, (long long)shape[d]);
    }
    wanted = skive_type_make(c->in[0]->dtype, n, shape);
    const skive_type *types[] = {c->in[0], &wanted};
    SKV_TRY(skv_broadcast_types(c, types, 2, &c->out[0]));
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    skive_tensor *y = c->out[0];
    int64_t from[SKIVE_MAX_RANK], to[SKIVE_MAX_RANK], strides[SKIVE_MAX_RANK];
    if (skive_tensor_count(y) == 0) return SKIVE_OK;
    skv_dims_strides(x->rank, x->dims, strides);
    skv_dims_strides(y->rank, y->dims, to);
    for (int d = 0; d < y->rank; d++) {
        const int k = d - (y->rank - x->rank);
        from[d] = k < 0 || x->dims[k] == 1 ? 0 : strides[k];
    }
    skv_copy_strided(y->dtype, y->rank, y->dims, y->data, 0, to, x->data, 0, from);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_grad_unbroadcast(c->b, c->dout[0], c->node->inputs[0]);
    return c->b->status;
}

/* A list that is computed may not name the size of channels, since that could not be changed. */
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    const skive_node *n = skv_couple_node(c);
    if (!x || !y || x->rank < 0 || y->rank < x->rank) return;
    for (int d = 0; d < y->rank; d++) {
        const int from = d - (y->rank - x->rank);
        int64_t named;
        if (from < 0 || x->dims[from].size == 1) {
            skv_couple_free(c, SKV_COUT(0, d));
        } else if (skv_node_constant(n, 1) || (skv_list_element(n, 1, d - y->rank, &named) && named == 1)) {
            skv_couple_same(c, SKV_CIN(0, from), SKV_COUT(0, d));
        } else {
            skv_couple_fix(c, SKV_CIN(0, from), SKV_COMPUTED_SIZES);
            skv_couple_fix(c, SKV_COUT(0, d), SKV_COMPUTED_SIZES);
        }
    }
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_sizes(s, 1, NULL); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 1), CASE_VALUES(1, 2)}, CASE_LIST(2, 2, 3)),
     .n_out = 1,
     CASE_EXPECT(1, 1, 1, 2, 2, 2),
     CASE_OUT(2, 3)},
    {.name = "both ways", CASE_IN({CASE_F32(3, 1)}, CASE_LIST(3, 2, 1, 4)), .n_out = 1, CASE_OUT(2, 3, 4)},
    {.name = "from a scalar",
     CASE_IN({CASE_SCALAR(SKIVE_F32, 7)}, CASE_LIST(1, 2)),
     .n_out = 1,
     CASE_EXPECT(7, 7),
     CASE_OUT(2)},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 8, 13, 0); }

const skv_op skv_op_expand = {
    .name = "Expand",
    .brief = "broadcast to a shape",
    .domain = "",
    .since = 8,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
