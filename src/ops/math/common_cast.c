/* See common_cast.h. */
#include "ops/math/common_cast.h"

#include <math.h>
#include <string.h>

/* Truncated; NaN and values out of range become the smallest int32 or int64. */
static int64_t to_int32(double x) { return x > -2147483649.0 && x < 2147483648.0 ? (int64_t)x : INT32_MIN; }
static int64_t to_int64(double x) { return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN; }

/* Floats to integers. The standard does not define the result for a number out of range. onnxruntime and the standard's
 * reference take the lowest bits of the next larger type that the processor converts to, and so does this. */
static void store_truncated(skive_dtype to, void *data, size_t i, double x) {
    if (to == SKIVE_BOOL)
        skv_store_f64(to, data, i, x); /* NaN is true */
    else if (to == SKIVE_U64 && x >= 0x1p63)
        ((uint64_t *)data)[i] = (uint64_t)to_int64(x - 0x1p63) ^ (uint64_t)1 << 63;
    else
        skv_store_wrap(to, data, i, skive_dtype_bits(to) == 64 || to == SKIVE_U32 ? to_int64(x) : to_int32(x));
}

static void store_integer(skive_dtype to, void *data, size_t i, skive_dtype from, int64_t bits) {
    bool big = from == SKIVE_U64 && bits < 0;
    if (to == SKIVE_F32)
        ((float *)data)[i] = big ? (float)(uint64_t)bits : (float)bits; /* one rounding, not two */
    else if (skv_dtype_is_float(to))
        skv_store_f64(to, data, i, big ? (double)(uint64_t)bits : (double)bits);
    else
        skv_store_wrap(to, data, i, bits);
}

static bool is_real(skive_dtype dtype) { return skv_dtype_is_float(dtype) || skv_dtype_is_small_float(dtype); }

static const char *const rounding_names[] = {
    [SKV_E8M0_UP] = "up", [SKV_E8M0_DOWN] = "down", [SKV_E8M0_NEAREST] = "nearest"};

static bool rounding_of(const skive_node *n, skv_e8m0_rounding *out) {
    const char *name = skv_attr_string(n, "round_mode", "up");
    for (size_t i = 0; i < SKV_COUNT(rounding_names); i++) {
        if (strcmp(name, rounding_names[i]) != 0) continue;
        *out = (skv_e8m0_rounding)i;
        return true;
    }
    return false;
}

skive_status skv_cast_check(skv_infer *c) {
    skv_e8m0_rounding rounding;
    if (rounding_of(c->node, &rounding)) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': round_mode is \"%s\"; it may be up, down or nearest",
                          c->node->name, skv_attr_string(c->node, "round_mode", ""));
}

/* To the small floats, for which the attributes say what happens beyond the range. */
static void store_small(skive_dtype to, void *data, size_t i, double x, bool saturate, skv_e8m0_rounding rounding) {
    if (to == SKIVE_F4E2M1)
        skv_store_f64(to, data, i, x);
    else if (to == SKIVE_F8E8M0)
        ((uint8_t *)data)[i] = skv_f64_to_e8m0(x, rounding, saturate);
    else
        ((uint8_t *)data)[i] = skv_f64_to_f8(to, x, saturate);
}

skive_status skv_cast_run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    if (x->dtype == y->dtype) return skv_run_copy(c);
    if (!skv_tensor_same_shape(x, y))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "input and output differ in shape");
    size_t n = (size_t)skive_tensor_count(x);
    const bool from_float = is_real(x->dtype), to_float = is_real(y->dtype), small = skv_dtype_is_small_float(y->dtype);
    const bool saturate = skv_attr_int(c->node, "saturate", 1) != 0;
    skv_e8m0_rounding rounding = SKV_E8M0_UP;
    (void)rounding_of(c->node, &rounding);
    for (size_t i = 0; i < n; i++) {
        if (small)
            store_small(y->dtype, y->data, i, skv_load_f64(x->dtype, x->data, i), saturate, rounding);
        else if (!from_float)
            store_integer(y->dtype, y->data, i, x->dtype, skv_load_bits(x->dtype, x->data, i));
        else if (to_float)
            skv_store_f64(y->dtype, y->data, i, skv_load_f64(x->dtype, x->data, i));
        else
            store_truncated(y->dtype, y->data, i, skv_load_f64(x->dtype, x->data, i));
    }
    return SKIVE_OK;
}

/* Floats lose their fraction on the way to integers, and become true or false. */
skv_range skv_cast_range(const skive_node *n, const skv_range *in) {
    const skive_dtype to = n->outputs[0]->type.dtype;
    if (to == SKIVE_BOOL) return (skv_range){0, 1};
    if (skv_dtype_is_small_float(to)) return (skv_range){-INFINITY, INFINITY}; /* may be rounded outwards */
    return skv_dtype_is_float(to) ? in[0] : (skv_range){trunc(in[0].lo), trunc(in[0].hi)};
}

skive_status skv_cast_grad(skv_grad *c) {
    skive_dtype from = c->node->inputs[0]->type.dtype, to = c->node->outputs[0]->type.dtype;
    if (c->need[0] && skv_dtype_is_float(from) && skv_dtype_is_float(to))
        c->din[0] = skv_emit(c->b, "Cast", SKV_IN(c->dout[0]), SKV_ATTRS(SKV_INT("to", from)));
    return c->b->status;
}
