/* EyeLike: ones on the k-th diagonal of a matrix of the input's shape, zeros elsewhere. Its gradient is zero. */
#include <string.h>

#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"dtype", SKV_ATTR_INT, SKV_OPTIONAL}, {"k", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    const int64_t dtype = skv_attr_int(c->node, "dtype", x->dtype);
    if (x->rank >= 0 && x->rank != 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a tensor of rank %d is not a matrix", c->node->name,
                              x->rank);
    if (dtype != SKIVE_DTYPE_NONE && (dtype < 0 || dtype > INT32_MAX || !skv_dtype_valid((skive_dtype)dtype)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "node '%s': unknown element type %lld", c->node->name,
                              (long long)dtype);
    c->out[0] = *x;
    c->out[0].dtype = (skive_dtype)dtype;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0];
    const int64_t k = skv_attr_int(c->node, "k", 0);
    memset(y->data, 0, skive_tensor_bytes(y));
    for (int64_t row = 0; row < y->dims[0]; row++) {
        int64_t column;
        if (skv_add_i64(row, k, &column) && column >= 0 && column < y->dims[1])
            skv_store_f64(y->dtype, y->data, (size_t)(row * y->dims[1] + column), 1);
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "float", CASE_IN({CASE_F32(2, 3)}), .n_out = 1, CASE_EXPECT(1, 0, 0, 0, 1, 0)},
    {.name = "another diagonal and type",
     CASE_IN({CASE_F32(3, 3)}),
     CASE_ATTRS(CASE_INT("k", -1), CASE_INT("dtype", SKIVE_I64)),
     .n_out = 1,
     CASE_EXPECT(0, 0, 0, 1, 0, 0, 0, 1, 0),
     .no_grad = true},
};

const skv_op skv_op_eye_like = {
    .name = "EyeLike",
    .domain = "",
    .brief = "ones on a diagonal, in the shape of the input",
    .since = 9,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
