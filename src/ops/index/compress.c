/* Compress: the entries along an axis (of the flattened input without one) for which the condition holds. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int axis;
    SKV_TRY(skv_infer_want(c, 1, SKIVE_BOOL));
    c->out[0].dtype = x->dtype;
    if (!skv_node_attr(c->node, "axis")) {
        c->out[0].rank = 1;
        c->out[0].dims[0] = skv_dim_unknown();
        return SKIVE_OK;
    }
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    c->out[0] = *x;
    c->out[0].dims[axis] = skv_dim_unknown();
    return SKIVE_OK;
}

/* The input as [outer][length][inner]; the condition may be shorter than `length`. */
static void view(const skv_eval *c, int64_t *outer, int64_t *length, int64_t *inner) {
    const skive_tensor *x = c->in[0];
    *outer = *inner = 1;
    *length = skive_tensor_count(x);
    if (!skv_node_attr(c->node, "axis")) return;
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    for (int d = 0; d < axis; d++) *outer *= x->dims[d];
    for (int d = axis + 1; d < x->rank; d++) *inner *= x->dims[d];
    *length = x->dims[axis];
}

static bool holds(const skv_eval *c, int64_t i) {
    return i < skive_tensor_count(c->in[1]) && ((const uint8_t *)c->in[1]->data)[i];
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    int64_t outer, length, inner, count = 0;
    view(c, &outer, &length, &inner);
    for (int64_t i = 0; i < length; i++) count += holds(c, i);
    types[0].dims[skv_node_attr(c->node, "axis") ? skv_axis(skv_attr_int(c->node, "axis", 0), c->in[0]->rank) : 0] =
        skv_dim(count);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    int64_t outer, length, inner;
    size_t to = 0;
    view(c, &outer, &length, &inner);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t k = 0; k < length; k++) {
            for (int64_t i = 0; holds(c, k) && i < inner; i++)
                skv_copy_element(c->in[0]->dtype, c->out[0]->data, to++, c->in[0]->data,
                                 (size_t)((o * length + k) * inner + i));
        }
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "rows, condition shorter than the axis",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_BOOL(2), CASE_VALUES(0, 1)}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(3, 4),
     CASE_OUT(1, 2)},
    {.name = "flat",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_BOOL(4), CASE_VALUES(1, 0, 0, 1)}),
     .n_out = 1,
     CASE_EXPECT(1, 4),
     CASE_OUT(2)},
};

const skv_op skv_op_compress = {
    .name = "Compress",
    .domain = "",
    .brief = "the entries for which a condition is true",
    .since = 9,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .size_outputs = size_outputs,
    .run = run,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
