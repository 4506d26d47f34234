/* Range: start, start + delta, start + 2 delta ... before limit. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

/* Stores the number of elements of the range in *count; returns the reason if it is invalid, else NULL. */
static const char *length(const skive_tensor *const *in, int64_t *count) {
    skive_dtype t = in[0]->dtype;
    if (skv_dtype_is_float(t)) {
        double start = skv_load_f64(t, in[0]->data, 0), limit = skv_load_f64(t, in[1]->data, 0);
        double n = ceil((limit - start) / skv_load_f64(t, in[2]->data, 0));
        if (isnan(n)) return "delta is zero or a bound is not a number";
        if (n > (double)SKV_MAX_ELEMENTS) return "too many elements";
        *count = n > 0 ? (int64_t)n : 0;
        return NULL;
    }
    int64_t start = skv_load_bits(t, in[0]->data, 0), limit = skv_load_bits(t, in[1]->data, 0);
    int64_t delta = skv_load_bits(t, in[2]->data, 0);
    if (delta == 0) return "delta is zero";
    *count = 0;
    if (delta > 0 ? start >= limit : start <= limit) return NULL;
    uint64_t way = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t n = way / step + (way % step != 0);
    if (n > (uint64_t)SKV_MAX_ELEMENTS) return "too many elements";
    *count = (int64_t)n;
    return NULL;
}

static skive_status infer(skv_infer *c) {
    bool known = true;
    for (size_t i = 0; i < 3; i++) {
        const skive_type *t = skv_infer_in(c, i);
        SKV_TRY(skv_infer_want_numeric(c, i));
        SKV_TRY(skv_infer_one_type(c, 0, i));
        bool one = t->rank <= 0 || (t->rank == 1 && (t->dims[0].size == 1 || t->dims[0].size < 0));
        if (!one) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "input %zu is not a scalar", i);
        const skive_tensor *k = c->constant[i];
        known = known && k && k->data && skive_tensor_count(k) == 1 && k->dtype == skv_infer_in(c, 0)->dtype;
    }
    int64_t count = -1;
    const char *why = known ? length(c->constant, &count) : NULL;
    if (why) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s", why);
    c->out[0] = (skive_type){.dtype = skv_infer_in(c, 0)->dtype, .rank = 1, .dims = {skv_dim(count)}};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0];
    int64_t count = 0;
    const char *why = length(c->in, &count);
    if (!why && count != skive_tensor_count(y)) why = "the length differs from the planned one";
    if (why) return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s", why);
    for (int64_t i = 0; i < count; i++) {
        if (skv_dtype_is_float(y->dtype)) {
            double start = skv_load_f64(y->dtype, c->in[0]->data, 0), delta = skv_load_f64(y->dtype, c->in[2]->data, 0);
            skv_store_f64(y->dtype, y->data, (size_t)i, start + (double)i * delta);
        } else {
            int64_t start = skv_load_bits(y->dtype, c->in[0]->data, 0),
                    delta = skv_load_bits(y->dtype, c->in[2]->data, 0);
            skv_store_wrap(y->dtype, y->data, (size_t)i, (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)delta));
        }
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "up",
     CASE_IN({.dtype = SKIVE_I64, CASE_VALUES(3), .constant = true},
             {.dtype = SKIVE_I64, CASE_VALUES(9), .constant = true},
             {.dtype = SKIVE_I64, CASE_VALUES(3), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3, 6),
     CASE_OUT(2),
     .no_grad = true},
    {.name = "down",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 10), .constant = true}, {CASE_SCALAR(SKIVE_I64, 4), .constant = true},
             {CASE_SCALAR(SKIVE_I64, -2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(10, 8, 6),
     CASE_OUT(3),
     .no_grad = true},
    {.name = "empty",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 1), .constant = true}, {CASE_SCALAR(SKIVE_I64, 0), .constant = true},
             {CASE_SCALAR(SKIVE_I64, 1), .constant = true}),
     .n_out = 1,
     CASE_OUT(0),
     .no_grad = true},
    {.name = "float",
     CASE_IN({CASE_SCALAR(SKIVE_F32, 0), .constant = true}, {CASE_SCALAR(SKIVE_F32, 1), .constant = true},
             {CASE_SCALAR(SKIVE_F32, 0.4), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0, 0.4, 0.8),
     CASE_OUT(3),
     .no_grad = true},
};

const skv_op skv_op_range = {
    .name = "Range",
    .domain = "",
    .brief = "evenly spaced numbers",
    .since = 11,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
