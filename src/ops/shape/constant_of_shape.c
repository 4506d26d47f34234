/* ConstantOfShape: a tensor of the given shape filled with one value (float32 zero if none is given). */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"value", SKV_ATTR_TENSOR, SKV_OPTIONAL}};

static const skive_tensor *filling(const skive_node *n) {
    const skv_attr *a = skv_node_attr(n, "value");
    return a && a->type == SKV_ATTR_TENSOR && a->tensor ? &a->tensor->tensor : NULL;
}

static skive_status infer(skv_infer *c) {
    const skive_tensor *value = filling(c->node);
    int64_t dims[SKIVE_MAX_RANK], length = skv_infer_list_length(c, 0);
    int n;
    if (value && (skive_tensor_count(value) != 1 || !value->data))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the fill value has %lld elements, not one",
                              (long long)skive_tensor_count(value));
    c->out[0].dtype = value ? value->dtype : SKIVE_F32;
    SKV_TRY(skv_infer_ints(c, 0, "the shape", dims, SKIVE_MAX_RANK, &n));
    c->out[0].rank = n >= 0 ? n : length > SKIVE_MAX_RANK ? -1 : (int)length;
    for (int d = 0; d < c->out[0].rank; d++) {
        c->out[0].dims[d] = n >= 0 ? skv_dim(dims[d]) : skv_dim_unknown();
        if (n >= 0 && dims[d] < 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "dimension %d of the shape is %lld", d, (long long)dims[d]);
    }
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *value = filling(c->node);
    skive_tensor *y = c->out[0];
    size_t n = (size_t)skive_tensor_count(y);
    if (!value) {
        if (n) memset(y->data, 0, skive_tensor_bytes(y));
        return SKIVE_OK;
    }
    for (size_t i = 0; i < n; i++) skv_copy_element(y->dtype, y->data, i, value->data, 0);
    return SKIVE_OK;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 9, 20, 21); }

static void couple(skv_couple *c) {
    const skive_type *y = skv_couple_type(c, SKV_COUT(0, 0));
    for (int d = 0; y && skv_couple_constant(c, 0) && d < y->rank; d++) skv_couple_free(c, SKV_COUT(0, d));
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_sizes(s, 0, NULL); }

static const skv_op_case cases[] = {
    {.name = "zeros",
     CASE_IN(CASE_LIST(2, 2, 3)),
     .n_out = 1,
     CASE_EXPECT(0, 0, 0, 0, 0, 0),
     CASE_OUT(2, 3),
     .no_grad = true},
};

const skv_op skv_op_constant_of_shape = {
    .name = "ConstantOfShape",
    .domain = "",
    .brief = "a tensor filled with one value",
    .since = 9,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .couple = couple,
    .shrink = shrink,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
