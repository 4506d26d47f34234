/* Tile: the input repeated along each axis. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int64_t repeats[SKIVE_MAX_RANK];
    int n;
    c->out[0].dtype = x->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the repeats", repeats, SKIVE_MAX_RANK, &n));
    if (x->rank < 0) return SKIVE_OK;
    if (n >= 0 && n != x->rank)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %d repeats do not match %d axes", c->node->name, n,
                              x->rank);
    c->out[0].rank = x->rank;
    for (int d = 0; d < x->rank; d++) {
        int64_t size = -1, times;
        if (n < 0) { /* of a list that is computed some elements may be constant */
            const bool known = skv_list_element(c->node, 1, d - x->rank, &times);
            c->out[0].dims[d] = known && times == 1 ? x->dims[d] : skv_dim_unknown();
            continue;
        }
        if ((repeats[d] < 0 || (x->dims[d].size >= 0 && !skv_mul_i64(x->dims[d].size, repeats[d], &size))))
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld repeats along axis %d are not valid",
                                  c->node->name, (long long)repeats[d], d);
        c->out[0].dims[d] = repeats[d] == 1 ? x->dims[d] : skv_dim(size);
    }
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    int64_t strides[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK] = {0};
    const int64_t n = skive_tensor_count(y);
    skv_dims_strides(x->rank, x->dims, strides);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < x->rank; d++) at += index[d] % x->dims[d] * strides[d];
        skv_copy_element(x->dtype, y->data, (size_t)i, x->data, (size_t)at);
        for (int d = x->rank - 1; d >= 0 && ++index[d] == y->dims[d]; d--) index[d] = 0;
    }
    return SKIVE_OK;
}

/* The copies on separate axes, summed. */
static skive_status grad(skv_grad *c) {
    const skive_value *x = c->node->inputs[0], *y = c->node->outputs[0];
    int64_t split[SKIVE_MAX_RANK], axes[SKIVE_MAX_RANK], dims[SKIVE_MAX_RANK];
    const int rank = x->type.rank;
    if (!c->need[0]) return SKIVE_OK;
    if (rank < 0 || rank > SKIVE_MAX_RANK / 2 || !skv_type_is_static(&x->type) || !skv_type_is_static(&y->type))
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                           "node '%s': the gradient of Tile needs a known shape of at most rank %d", c->node->name,
                           SKIVE_MAX_RANK / 2);
    for (int d = 0; d < rank; d++) {
        dims[d] = split[2 * d + 1] = x->type.dims[d].size;
        split[2 * d] = dims[d] ? y->type.dims[d].size / dims[d] : 0;
        axes[d] = 2 * d;
    }
    skive_value *parts = skv_g2(c->b, "Reshape", c->dout[0], skv_emit_ints(c->b, split, (size_t)rank * 2));
    skive_value *sum = skv_emit(c->b, "ReduceSum", SKV_IN(parts, skv_emit_ints(c->b, axes, (size_t)rank)),
                                SKV_ATTRS(SKV_INT("keepdims", 0)));
    c->din[0] = skv_g2(c->b, "Reshape", sum, skv_emit_ints(c->b, dims, (size_t)rank));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 6, 13, 0); }

/* All copies of a channel go with it; copies of an axis of one element may go by themselves. */
static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *y = skv_couple_type(c, SKV_COUT(0, 0));
    const skive_node *node = skv_couple_node(c);
    if (!x || !y || x->rank < 0 || y->rank != x->rank) return;
    for (int d = 0; d < x->rank; d++) {
        const int64_t n = x->dims[d].size, to = y->dims[d].size;
        int64_t times;
        if (!skv_node_constant(node, 1) && !(skv_list_element(node, 1, d - x->rank, &times) && times == 1)) {
            skv_couple_fix(c, SKV_CIN(0, d), SKV_COMPUTED_SIZES);
            skv_couple_fix(c, SKV_COUT(0, d), SKV_COMPUTED_SIZES);
            continue;
        }
        if (n == to) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
        if (n < 1 || to < 1) continue;
        skv_couple_free(c, SKV_COUT(0, d));
        for (int64_t first = 0; n > 1 && first < to; first += n)
            skv_couple_range(c, SKV_CIN(0, d), 0, SKV_COUT(0, d), first, n, 1);
    }
}

static skive_status shrink(const skv_shrink *s) {
    const skive_type *x = skv_shrink_type(s, SKV_CIN(0, 0));
    int64_t repeats[SKIVE_MAX_RANK];
    const int n = skv_shrink_read(s, 1, repeats);
    bool changed = false;
    for (int d = 0; x && d < n; d++) {
        const skv_remaining y = skv_shrink_remaining(s, SKV_COUT(0, d));
        if (x->dims[d].size != 1 || !y.keep) continue;
        repeats[d] = y.after;
        changed = true;
    }
    return changed ? skv_shrink_list(s, 1, repeats, (size_t)n) : SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 2)}, CASE_LIST(2, 2, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 1, 2, 1, 2, 1, 2),
     CASE_OUT(2, 4)},
    {.name = "random", CASE_IN({CASE_F32(2, 1, 3)}, CASE_LIST(3, 1, 3, 2)), .n_out = 1, CASE_OUT(2, 3, 6)},
};

const skv_op skv_op_tile = {
    .name = "Tile",
    .domain = "",
    .brief = "the input repeated along each axis",
    .since = 6,
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
