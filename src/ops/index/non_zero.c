/* NonZero: the indices of the nonzero elements, one column per element, in row-major order. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    c->out[0] = (skive_type){.dtype = SKIVE_I64,
                             .rank = 2,
                             .dims = {x->rank >= 0 ? skv_dim(x->rank) : skv_dim_unknown(), skv_dim_unknown()}};
    return SKIVE_OK;
}

static bool is_zero(const skive_tensor *x, int64_t i) {
    return skv_dtype_is_float(x->dtype) ? skv_load_f64(x->dtype, x->data, (size_t)i) == 0
                                        : skv_load_bits(x->dtype, x->data, (size_t)i) == 0;
}

static skive_status size_outputs(const skv_eval *c, skive_type *types) {
    const int64_t n = skive_tensor_count(c->in[0]);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += !is_zero(c->in[0], i);
    types[0].dims[1] = skv_dim(count);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    int64_t *y = c->out[0]->data, column = 0;
    const int64_t n = skive_tensor_count(x), width = c->out[0]->dims[1];
    for (int64_t i = 0; i < n; i++) {
        if (is_zero(x, i)) continue;
        int64_t rest = i;
        for (int d = x->rank; d-- > 0;) {
            y[d * width + column] = rest % x->dims[d];
            rest /= x->dims[d];
        }
        column++;
    }
    return SKIVE_OK;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 9, 13, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 0, 0, 0, -2, 0.5)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 1, 0, 1, 2),
     CASE_OUT(2, 3),
     .no_grad = true},
    {.name = "nothing", CASE_IN({CASE_F32(2), CASE_VALUES(0, 0)}), .n_out = 1, CASE_OUT(1, 0), .no_grad = true},
};

const skv_op skv_op_non_zero = {
    .name = "NonZero",
    .brief = "the indices of the nonzero elements",
    .domain = "",
    .since = 9,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = infer,
    .size_outputs = size_outputs,
    .run = run,
    SKV_LIST(cases),
};
