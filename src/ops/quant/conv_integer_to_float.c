/* ConvIntegerToFloat(X, W, x_zero, w_zero, scale, bias): the sums of ConvInteger, each rounded to float32, multiplied
 * by the scale (one, or one per filter) and added to the bias of the filter; with `relu` no less than 0. This is the
 * end of dynamic quantization, each step rounded as by Cast, Mul, Add and Relu. */
#include "ops/conv/common_conv.h"
#include "ops/quant/common_conv_integer.h"

static const skv_attr_spec attrs[] = {SKV_CONV_INTEGER_ATTRS, {"relu", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status want_filters(skv_infer *c, size_t i, bool one, const char *what) {
    const skive_type *t = i < c->n_in ? c->in[i] : NULL;
    const int64_t filters = c->in[SKV_CI_W]->rank > 0 ? c->in[SKV_CI_W]->dims[0].size : -1;
    if (!t) return SKIVE_OK;
    SKV_TRY(skv_want_float(c, i));
    if (filters < 0 || !skv_type_is_static(t)) return SKIVE_OK;
    const int64_t count = skv_type_count(t);
    if (count == filters || (one && count == 1)) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %s has %lld numbers, and there are %lld filters",
                          c->node->name, what, (long long)count, (long long)filters);
}

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_conv_integer(c));
    c->out[0].dtype = c->in[SKV_CI_SCALE]->dtype;
    SKV_TRY(skv_want_same_dtype(c, SKV_CI_SCALE, SKV_CI_BIAS));
    SKV_TRY(want_filters(c, SKV_CI_SCALE, true, "the scale"));
    return want_filters(c, SKV_CI_BIAS, false, "the bias");
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *y = c->out[0], *scale = c->in[SKV_CI_SCALE],
                       *bias = c->n_in > SKV_CI_BIAS ? c->in[SKV_CI_BIAS] : NULL;
    const int64_t n = skive_tensor_count(y), filters = y->dims[1],
                  places = y->dims[0] && filters ? n / y->dims[0] / filters : 1, scales = skive_tensor_count(scale);
    const bool relu = skv_attr_int(c->node, "relu", 0) != 0;
    double *sums = NULL;
    const skive_status status = skv_conv_integer(c, &sums);
    for (int64_t i = 0; status == SKIVE_OK && i < n; i++) {
        const int64_t m = i / places % filters;
        const int32_t sum = (int32_t)(uint32_t)(int64_t)sums[i];
        const double by = skv_load_f64(scale->dtype, scale->data, (size_t)(scales > 1 ? m : 0)),
                     add = bias ? skv_load_f64(bias->dtype, bias->data, (size_t)m) : 0;
        double t = y->dtype == SKIVE_F64 ? sum * by : (double)((float)sum * (float)by);
        if (bias) t = y->dtype == SKIVE_F64 ? t + add : (double)((float)t + (float)add);
        skv_store_f64(y->dtype, y->data, (size_t)i, relu && t < 0 ? 0 : t);
    }
    skv_free(c->ctx, sums);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_conv_cost(n, skv_node_in(n, 1), out); }

static const int64_t pads[] = {1, 0};

static const skv_op_case cases[] = {
    {.name = "by hand", /* sums -2 -3 -4 */
     CASE_IN({CASE_TYPED(SKIVE_U8, 1, 1, 3), CASE_VALUES(2, 3, 4)},
             {CASE_TYPED(SKIVE_I8, 1, 1, 2), CASE_VALUES(1, -2), .constant = true}, {CASE_SCALAR(SKIVE_U8, 1)},
             {CASE_SCALAR(SKIVE_I8, 0), .constant = true}, {CASE_F32(1, 1), CASE_VALUES(0.5)},
             {CASE_F32(1), CASE_VALUES(1.5), .constant = true}),
     CASE_ATTRS(A_INTS("pads", pads), CASE_INT("relu", 1)),
     .n_out = 1,
     CASE_EXPECT(0.5, 0, 0),
     CASE_OUT(1, 1, 3),
     .no_grad = true},
    {.name = "groups, a scale a filter",
     CASE_ATTRS(CASE_INT("group", 2)),
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 4, 3), .lo = 0, .hi = 9},
             {CASE_TYPED(SKIVE_I8, 4, 2, 2), .lo = -9, .hi = 9, .constant = true}, {CASE_SCALAR(SKIVE_U8, 3)},
             {CASE_TYPED(SKIVE_I8, 4), CASE_VALUES(1, 0, -2, 3), .constant = true},
             {CASE_F32(4, 1), .lo = 0.1, .hi = 1}, CASE_ABSENT),
     .n_out = 1,
     CASE_OUT(2, 4, 2),
     .no_grad = true},
};

const skv_op skv_op_conv_integer_to_float = {
    .name = "ConvIntegerToFloat",
    .domain = SKV_DOMAIN,
    .brief = "convolution of 8-bit integers, in float32",
    .since = 1,
    .min_in = 5,
    .max_in = 6,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
