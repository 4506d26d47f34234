/* Flatten: to two dimensions, those before `axis` and those from it on. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status product(skv_infer *c, const skive_type *x, int from, int to, skive_dim *out) {
    int64_t n = 1;
    const skive_dim *symbol = NULL;
    int unknown = 0;
    for (int d = from; d < to; d++) {
        if (x->dims[d].size < 0) {
            unknown++;
            symbol = &x->dims[d];
        } else if (!skv_mul_i64(n, x->dims[d].size, &n)) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is too large", c->node->name);
        }
    }
    *out = unknown == 0 ? skv_dim(n) : unknown == 1 && n == 1 ? *symbol : skv_dim_unknown();
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    y->dtype = x->dtype;
    y->rank = 2;
    y->dims[0] = y->dims[1] = skv_dim_unknown();
    if (x->rank < 0) return SKIVE_OK;
    int64_t axis = skv_attr_int(c->node, "axis", 1);
    if (axis < 0) axis += x->rank;
    if (axis < 0 || axis > x->rank) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': axis %lld is out of range for an input of rank %d",
                              c->node->name, (long long)skv_attr_int(c->node, "axis", 1), x->rank);
    }
    SKV_TRY(product(c, x, 0, (int)axis, &y->dims[0]));
    return product(c, x, (int)axis, x->rank, &y->dims[1]);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(1, 2, 3, 4)}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4),
     CASE_OUT(1, 4)},
    {.name = "axis 0", CASE_ATTRS(CASE_INT("axis", 0)), CASE_IN({CASE_F32(2, 3)}), .n_out = 1, CASE_OUT(1, 6)},
    {.name = "axis -1", CASE_ATTRS(CASE_INT("axis", -1)), CASE_IN({CASE_F32(2, 3, 4)}), .n_out = 1, CASE_OUT(6, 4)},
};

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 21); }

const skv_op skv_op_flatten = {
    .name = "Flatten",
    .brief = "to two dimensions",
    .domain = "",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
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
