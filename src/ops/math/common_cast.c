/* See common_cast.h. */
#include "ops/math/common_cast.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/strings.h"

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

/* ---- text ---- with a decimal point, whatever the program's locale ---- */

enum { NUMBER_TEXT = 48 };

/* The shortest text that reads back as the same number of the type; without an exponent where %.8g (%.17g) has none. */
static void write_real(skive_dtype dtype, double x, char text[NUMBER_TEXT]) {
    if (!isfinite(x)) {
        (void)snprintf(text, NUMBER_TEXT, "%s", isnan(x) ? "NaN" : x > 0 ? "INF" : "-INF");
        return;
    }
    const double most = dtype == SKIVE_F64 ? 1e17 : 1e8;
    for (int digits = 1; digits <= 17; digits++) {
        uint64_t was = 0, is = 0;
        (void)snprintf(text, NUMBER_TEXT, "%.*g", digits, x);
        const double back = dtype == SKIVE_F32 ? (double)strtof(text, NULL) : strtod(text, NULL);
        skv_store_f64(dtype, &was, 0, x);
        skv_store_f64(dtype, &is, 0, back);
        if (was != is) continue;
        if (strchr(text, 'e') && fabs(x) >= 1 && fabs(back) < most) (void)snprintf(text, NUMBER_TEXT, "%.0f", back);
        return;
    }
}

static skive_status write_number(const skv_eval *c, size_t i) {
    const skive_tensor *x = c->in[0];
    char text[NUMBER_TEXT];
    if (is_real(x->dtype))
        write_real(x->dtype, skv_load_f64(x->dtype, x->data, i), text);
    else if (x->dtype == SKIVE_U64)
        (void)snprintf(text, sizeof text, "%" PRIu64, ((const uint64_t *)x->data)[i]);
    else
        (void)snprintf(text, sizeof text, "%" PRId64, skv_load_i64(x->dtype, x->data, i));
    return skv_room_string(c->ctx, c->strings, text, strlen(text), &((const char **)c->out[0]->data)[i]);
}

static bool only_space(const char *text) { return text[strspn(text, " \t\r\n")] == '\0'; }

/* Whole numbers exactly; of what has a fraction or an exponent the number is cast. */
static bool read_integer(skive_dtype to, void *data, size_t i, const char *text) {
    char *end;
    errno = 0;
    if (to == SKIVE_U64 && text[strspn(text, " \t")] != '-') {
        const uint64_t v = strtoull(text, &end, 10);
        if (end != text && only_space(end) && errno == 0) {
            ((uint64_t *)data)[i] = v;
            return true;
        }
    }
    errno = 0;
    const int64_t v = strtoll(text, &end, 10);
    if (end != text && only_space(end) && errno == 0) {
        store_integer(to, data, i, SKIVE_I64, v);
        return true;
    }
    const double x = strtod(text, &end);
    if (end == text || !only_space(end)) return false;
    store_truncated(to, data, i, x);
    return true;
}

static bool read_number(const skv_eval *c, size_t i, bool saturate, skv_e8m0_rounding rounding) {
    const skive_tensor *y = c->out[0];
    const char *text = skv_string_at(c->in[0], i);
    char *end;
    if (!is_real(y->dtype)) return read_integer(y->dtype, y->data, i, text);
    if (y->dtype == SKIVE_F32) { /* one rounding */
        ((float *)y->data)[i] = strtof(text, &end);
    } else {
        const double x = strtod(text, &end);
        if (skv_dtype_is_small_float(y->dtype))
            store_small(y->dtype, y->data, i, x, saturate, rounding);
        else
            skv_store_f64(y->dtype, y->data, i, x);
    }
    return end != text && only_space(end);
}

static skive_status cast_text(const skv_eval *c, bool saturate, skv_e8m0_rounding rounding) {
    const size_t n = (size_t)skive_tensor_count(c->in[0]);
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain) return SKV_FAIL(c->ctx, SKIVE_ERR_MEMORY, "out of memory");
    const locale_t before = uselocale(plain);
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        if (c->out[0]->dtype == SKIVE_STRING)
            status = write_number(c, i);
        else if (!read_number(c, i, saturate, rounding))
            status =
                skv_fail_at(c->ctx, SKIVE_ERR_NUMERIC, c->node->name, "element %zu is \"%.*s\", which is no number", i,
                            skv_utf8_prefix(skv_string_at(c->in[0], i), 60), skv_string_at(c->in[0], i));
    }
    (void)uselocale(before);
    freelocale(plain);
    return status;
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
    if (x->dtype == SKIVE_STRING || y->dtype == SKIVE_STRING) return cast_text(c, saturate, rounding);
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
