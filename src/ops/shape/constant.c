/* Constant: a tensor, number or list in an attribute. When a file is read these become parameters; the record is for
 * graphs that still contain them. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {
    {"value", SKV_ATTR_TENSOR, SKV_OPTIONAL},        {"value_float", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"value_floats", SKV_ATTR_FLOATS, SKV_OPTIONAL}, {"value_int", SKV_ATTR_INT, SKV_OPTIONAL},
    {"value_ints", SKV_ATTR_INTS, SKV_OPTIONAL},
};

/* The only attribute; NULL if there is none. */
static const skv_attr *held(const skive_node *n) {
    const skv_attr *found = NULL;
    for (size_t i = 0; i < SKV_COUNT(attrs) && !found; i++) {
        found = skv_node_attr(n, attrs[i].name);
        if (found && (found->type != attrs[i].type || (found->type == SKV_ATTR_TENSOR && !found->tensor))) found = NULL;
    }
    return found;
}

static skive_status infer(skv_infer *c) {
    const skv_attr *a = held(c->node);
    if (!a) return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "a constant without a tensor, number or list of numbers");
    int64_t n = (int64_t)a->n;
    switch (a->type) {
    case SKV_ATTR_TENSOR:
        c->out[0] = skive_type_make(a->tensor->tensor.dtype, a->tensor->tensor.rank, a->tensor->tensor.dims);
        break;
    case SKV_ATTR_FLOAT: c->out[0] = skive_type_make(SKIVE_F32, 0, NULL); break;
    case SKV_ATTR_INT: c->out[0] = skive_type_make(SKIVE_I64, 0, NULL); break;
    case SKV_ATTR_FLOATS: c->out[0] = skive_type_make(SKIVE_F32, 1, &n); break;
    case SKV_ATTR_INTS: c->out[0] = skive_type_make(SKIVE_I64, 1, &n); break;
    case SKV_ATTR_STRING:
    case SKV_ATTR_STRINGS:
    case SKV_ATTR_GRAPH: break;
    }
    return SKIVE_OK;
}

static skive_status copy_tensor(const skv_eval *c, const skv_storage *from) {
    skive_tensor inflated = {0};
    const skive_tensor *t = &from->tensor;
    if (!t->data && skive_tensor_count(t) != 0) {
        SKV_TRY(skv_storage_inflate(c->ctx, from, &inflated));
        t = &inflated;
    }
    size_t bytes = skive_tensor_bytes(c->out[0]);
    skive_status status = SKIVE_OK;
    if (t->dtype != c->out[0]->dtype || skive_tensor_bytes(t) != bytes)
        status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the constant differs from its declared shape");
    else if (bytes && t->data)
        memcpy(c->out[0]->data, t->data, bytes);
    skive_tensor_free(c->ctx, &inflated);
    return status;
}

static skive_status run(const skv_eval *c) {
    const skv_attr *a = held(c->node);
    skive_tensor *y = c->out[0];
    if (!a) return skv_fail_at(c->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name, "a constant without a value");
    if (a->type == SKV_ATTR_TENSOR) return copy_tensor(c, a->tensor);
    bool scalar = a->type == SKV_ATTR_INT || a->type == SKV_ATTR_FLOAT;
    if (skive_tensor_count(y) != (scalar ? 1 : (int64_t)a->n))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the constant differs from its declared shape");
    if (a->type == SKV_ATTR_FLOAT) skv_store_f64(y->dtype, y->data, 0, a->f);
    if (a->type == SKV_ATTR_INT) skv_store_i64(y->dtype, y->data, 0, a->i);
    for (size_t i = 0; a->type == SKV_ATTR_FLOATS && i < a->n; i++) skv_store_f64(y->dtype, y->data, i, a->floats[i]);
    for (size_t i = 0; a->type == SKV_ATTR_INTS && i < a->n; i++) skv_store_i64(y->dtype, y->data, i, a->ints[i]);
    return SKIVE_OK;
}

static int needs_opset(const skive_node *n) {
    const skv_attr *a = held(n);
    return a && a->type != SKV_ATTR_TENSOR ? 12 : skv_needs_for_dtype(n, 1, 13, 21);
}

static const skv_op_case cases[] = {
    {.name = "integers",
     .n_out = 1,
     CASE_ATTRS(CASE_INTS("value_ints", 3, -1)),
     CASE_EXPECT(3, -1),
     CASE_OUT(2),
     .no_grad = true},
    {.name = "number", .n_out = 1, CASE_ATTRS(CASE_FLT("value_float", 0.5)), CASE_EXPECT(0.5), .no_grad = true},
};

const skv_op skv_op_constant = {
    .name = "Constant",
    .domain = "",
    .brief = "a tensor stored in the node",
    .since = 1,
    .min_in = 0,
    .max_in = 0,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
