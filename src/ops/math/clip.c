/* Clip: y = min(max(x, low), high); either bound may be absent. A trainable bound gets the gradient of the elements it
 * clips (PACT: Choi et al. 2018). */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from >= 11) return SKIVE_OK;
    const skive_value *x = skv_node_in(n, 0);
    skive_dtype t = x && skv_dtype_is_float(x->type.dtype) ? x->type.dtype : SKIVE_F32;
    SKV_TRY(skv_import_float(g, n, "min", 1, t));
    return skv_import_float(g, n, "max", 2, t);
}

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_want_numeric(c, 0));
    for (size_t i = 1; i < c->n_in; i++) {
        const skive_type *t = skv_infer_in(c, i);
        bool one = t->rank <= 0 || (t->rank == 1 && (t->dims[0].size == 1 || t->dims[0].size < 0));
        if (!one) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the %s bound is not a scalar", i == 1 ? "low" : "high");
        SKV_TRY(skv_infer_one_type(c, 0, i));
    }
    return skv_infer_same(c);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const skive_tensor *low = c->n_in > 1 ? c->in[1] : NULL, *high = c->n_in > 2 ? c->in[2] : NULL;
    size_t n = (size_t)skive_tensor_count(x);
    if (!skv_tensor_same_shape(x, y) || (low && low->dtype != x->dtype) || (high && high->dtype != x->dtype))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the bounds do not have the input's element type");
    if (x->dtype == SKIVE_U64) {
        uint64_t lo = low ? *(const uint64_t *)low->data : 0, hi = high ? *(const uint64_t *)high->data : UINT64_MAX;
        for (size_t i = 0; i < n; i++) {
            uint64_t v = ((const uint64_t *)x->data)[i];
            v = v < lo ? lo : v;
            ((uint64_t *)y->data)[i] = v > hi ? hi : v;
        }
    } else if (!skv_dtype_is_float(x->dtype)) {
        int64_t lo = low ? skv_load_i64(low->dtype, low->data, 0) : INT64_MIN;
        int64_t hi = high ? skv_load_i64(high->dtype, high->data, 0) : INT64_MAX;
        for (size_t i = 0; i < n; i++) {
            int64_t v = skv_load_i64(x->dtype, x->data, i);
            v = v < lo ? lo : v;
            skv_store_i64(y->dtype, y->data, i, v > hi ? hi : v);
        }
    } else {
        double lo = low ? skv_load_f64(low->dtype, low->data, 0) : -INFINITY;
        double hi = high ? skv_load_f64(high->dtype, high->data, 0) : INFINITY;
        for (size_t i = 0; i < n; i++) {
            double v = skv_load_f64(x->dtype, x->data, i);
            v = v < lo ? lo : v;
            skv_store_f64(y->dtype, y->data, i, v > hi ? hi : v);
        }
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    skive_value *x = n->inputs[0], *low = skv_node_in(n, 1), *high = skv_node_in(n, 2);
    if (c->need[0]) c->din[0] = skv_emit(c->b, "ClipGrad", SKV_IN(c->dout[0], x, low, high), SKV_NONE);
    for (uint32_t i = 1; i < n->n_inputs; i++) {
        if (!n->inputs[i] || !c->need[i]) continue;
        skive_value *held = skv_g2(c->b, i == 1 ? "Less" : "Greater", x, n->inputs[i]);
        skive_value *all = skv_g3(c->b, "Where", held, c->dout[0], skv_g_scalar(c->b, x, 0));
        c->din[i] = skv_grad_unbroadcast(c->b, all, n->inputs[i]);
    }
    return c->b->status;
}

static void couple(skv_couple *c) { skv_couple_same_axes(c, 0); }

static skv_range range(const skive_node *n, const skv_range *in) {
    double lo = in[0].lo, hi = in[0].hi;
    if (skv_node_in(n, 1)) {
        lo = fmax(lo, in[1].lo);
        hi = fmax(hi, in[1].hi);
    }
    if (skv_node_in(n, 2)) {
        lo = fmin(lo, in[2].lo);
        hi = fmin(hi, in[2].hi);
    }
    return skv_range_make(lo, hi);
}

static int needs_opset(const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0);
    bool integers = x && x->type.dtype != SKIVE_DTYPE_NONE && !skv_dtype_is_float(x->type.dtype);
    return integers ? 12 : skv_needs_for_dtype(n, 11, 13, 0);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(-2, 0.5, 3, 7)}, {CASE_SCALAR(SKIVE_F32, 0)}, {CASE_SCALAR(SKIVE_F32, 6)}),
     .n_out = 1,
     CASE_EXPECT(0, 0.5, 3, 6)},
    {.name = "high only",
     CASE_IN({CASE_F32(3), CASE_VALUES(-2, 0.5, 3)}, CASE_ABSENT, {CASE_SCALAR(SKIVE_F32, 1)}),
     .n_out = 1,
     CASE_EXPECT(-2, 0.5, 1)},
    {.name = "no bounds", CASE_IN({CASE_F32(2, 3)}), .n_out = 1, CASE_OUT(2, 3)},
    {.name = "int64",
     CASE_IN({CASE_I64(3), CASE_VALUES(-2, 5, 3)}, {CASE_SCALAR(SKIVE_I64, 0)}, {CASE_SCALAR(SKIVE_I64, 4)}),
     .n_out = 1,
     CASE_EXPECT(0, 4, 3),
     .no_grad = true},
};

const skv_op skv_op_clip = {
    .name = "Clip",
    .domain = "",
    .brief = "limits every element to two bounds",
    .since = 11,
    .min_in = 1,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .import = import,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = range,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .pointwise = true,
};
