/* Elements from one type to another, in bulk. */
#include "tensor/tensor.h"

void skv_to_f32(skive_dtype dtype, const void *data, size_t first, size_t n, float *out) {
    switch (dtype) {
    case SKIVE_F32: memcpy(out, (const float *)data + first, n * sizeof *out); return;
    case SKIVE_F16:
        for (size_t i = 0; i < n; i++) out[i] = skv_f16_to_f32(((const uint16_t *)data)[first + i]);
        return;
    case SKIVE_BF16:
        for (size_t i = 0; i < n; i++) out[i] = skv_bf16_to_f32(((const uint16_t *)data)[first + i]);
        return;
    case SKIVE_U8:
        for (size_t i = 0; i < n; i++) out[i] = (float)((const uint8_t *)data)[first + i];
        return;
    case SKIVE_I8:
        for (size_t i = 0; i < n; i++) out[i] = (float)((const int8_t *)data)[first + i];
        return;
    case SKIVE_I32:
        for (size_t i = 0; i < n; i++) out[i] = (float)((const int32_t *)data)[first + i];
        return;
    /* Directly from the integer: through a double it would be rounded twice. */
    case SKIVE_I64:
        for (size_t i = 0; i < n; i++) out[i] = (float)((const int64_t *)data)[first + i];
        return;
    case SKIVE_U64:
        for (size_t i = 0; i < n; i++) out[i] = (float)((const uint64_t *)data)[first + i];
        return;
    default:
        for (size_t i = 0; i < n; i++) out[i] = (float)skv_load_f64(dtype, data, first + i);
    }
}

void skv_from_f32(skive_dtype dtype, void *data, size_t first, size_t n, const float *in) {
    switch (dtype) {
    case SKIVE_F32: memcpy((float *)data + first, in, n * sizeof *in); return;
    case SKIVE_F16:
        for (size_t i = 0; i < n; i++) ((uint16_t *)data)[first + i] = skv_f32_to_f16(in[i]);
        return;
    case SKIVE_BF16:
        for (size_t i = 0; i < n; i++) ((uint16_t *)data)[first + i] = skv_f32_to_bf16(in[i]);
        return;
    default:
        for (size_t i = 0; i < n; i++) skv_store_f64(dtype, data, first + i, (double)in[i]);
    }
}

/* 64-bit integers beyond 2^53 do not survive a double. Between U64 and U64 there is nothing to convert; every other
 * integer fits an int64. */
static void convert_ints(const skive_tensor *from, skive_tensor *to, size_t n) {
    for (size_t i = 0; i < n; i++) skv_store_i64(to->dtype, to->data, i, skv_load_i64(from->dtype, from->data, i));
}

skive_status skv_tensor_convert(skive_context *ctx, const skive_tensor *tensor, skive_dtype dtype, skive_tensor *out) {
    if (tensor->dtype == dtype) return skive_tensor_copy(ctx, tensor, out);
    if (tensor->dtype == SKIVE_STRING || dtype == SKIVE_STRING)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "%s cannot become %s", skive_dtype_name(tensor->dtype),
                        skive_dtype_name(dtype));
    SKV_TRY(skive_tensor_create(ctx, dtype, tensor->rank, tensor->dims, out));
    size_t n = (size_t)skive_tensor_count(out);
    bool from_float = skv_dtype_is_float(tensor->dtype) || skv_dtype_is_small_float(tensor->dtype),
         to_float = skv_dtype_is_float(dtype) || skv_dtype_is_small_float(dtype);
    if (dtype == SKIVE_F32)
        skv_to_f32(tensor->dtype, tensor->data, 0, n, out->data);
    else if (tensor->dtype == SKIVE_F32)
        skv_from_f32(dtype, out->data, 0, n, tensor->data);
    else if (!from_float && !to_float && dtype != SKIVE_BOOL)
        convert_ints(tensor, out, n);
    else {
        for (size_t i = 0; i < n; i++) {
            skv_store_f64(dtype, out->data, i, skv_load_f64(tensor->dtype, tensor->data, i));
        }
    }
    return SKIVE_OK;
}

/* ---- float8 ---- */

/* For each type: bits of the fraction, bias of the exponent, the largest number, and the special codes: IEEE's
 * infinities and NaN, the last code as NaN (FN), or the code of -0 as NaN (FNUZ). */
typedef enum f8_rest { F8_IEEE, F8_LAST, F8_MINUS_ZERO } f8_rest;
typedef struct f8_form {
    int fraction, bias;
    double largest;
    f8_rest rest;
} f8_form;

static f8_form form_of(skive_dtype dtype) {
    switch (dtype) {
    case SKIVE_F8E4M3FN: return (f8_form){3, 7, 448, F8_LAST};
    case SKIVE_F8E4M3FNUZ: return (f8_form){3, 8, 240, F8_MINUS_ZERO};
    case SKIVE_F8E5M2: return (f8_form){2, 15, 57344, F8_IEEE};
    default: return (f8_form){2, 16, 57344, F8_MINUS_ZERO};
    }
}

double skv_f8_to_f64(skive_dtype dtype, uint8_t bits) {
    const f8_form f = form_of(dtype);
    const int rest = bits & 127, exponent = rest >> f.fraction, fraction = rest & ((1 << f.fraction) - 1);
    if (f.rest == F8_MINUS_ZERO && bits == 128) return (double)NAN;
    if (f.rest == F8_LAST && rest == 127) return (double)NAN;
    if (f.rest == F8_IEEE && rest >= 0x7c) return rest > 0x7c ? (double)NAN : bits & 128 ? -HUGE_VAL : HUGE_VAL;
    const double value = exponent ? ldexp(fraction + (1 << f.fraction), exponent - f.bias - f.fraction)
                                  : ldexp(fraction, 1 - f.bias - f.fraction);
    return bits & 128 ? -value : value;
}

uint8_t skv_f64_to_f8(skive_dtype dtype, double value, bool saturate) {
    const f8_form f = form_of(dtype);
    const uint8_t sign = signbit(value) ? 128 : 0;
    const uint8_t nan = f.rest == F8_MINUS_ZERO ? 128 : (uint8_t)(sign | 127);
    if (isnan(value)) return nan;
    const double size = fabs(value);
    const int least = 1 - f.bias - f.fraction;
    int exponent = least; /* of 0 too */
    if (size > 0 && size < HUGE_VAL) (void)frexp(size, &exponent);
    const int unit = exponent - 1 - f.fraction > least ? exponent - 1 - f.fraction : least; /* of the last place */
    const double rounded = size < HUGE_VAL ? rint(ldexp(size, -unit)) : HUGE_VAL;
    if (ldexp(rounded, unit) > f.largest) {
        if (!saturate) return f.rest == F8_IEEE ? (uint8_t)(sign | 0x7c) : nan;
        return skv_f64_to_f8(dtype, copysign(f.largest, value), true);
    }
    /* With the hidden bit the fraction counts up from one exponent to the next. */
    const int code = (int)rounded + ((unit - least) << f.fraction);
    return code == 0 && f.rest == F8_MINUS_ZERO ? 0 : (uint8_t)(sign | code);
}

/* ---- float4, powers of two ---- */

double skv_f4_to_f64(unsigned bits) {
    static const double sizes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    return bits & 8u ? -sizes[bits & 7u] : sizes[bits & 7u];
}

unsigned skv_f64_to_f4(double value) {
    /* Halfway between neighbours; the number there belongs to the even code. */
    static const double middles[7] = {0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5};
    const double size = fabs(value);
    unsigned code = 0;
    if (isnan(value)) return 8;
    while (code < 7 && (size > middles[code] || (size == middles[code] && code % 2))) code++;
    return code | (signbit(value) ? 8u : 0u);
}

double skv_e8m0_to_f64(uint8_t bits) { return bits == 255 ? (double)NAN : ldexp(1, (int)bits - 127); }

uint8_t skv_f64_to_e8m0(double value, skv_e8m0_rounding rounding, bool saturate) {
    int exponent;
    if (isnan(value)) return 255;
    const double size = fabs(value);
    if (isinf(size)) return saturate ? 254 : 255;
    if (size == 0) return saturate ? 0 : 255;
    const double fraction = frexp(size, &exponent) * 2; /* 1 <= fraction < 2 */
    exponent--;
    if (rounding == SKV_E8M0_UP ? fraction > 1 : rounding == SKV_E8M0_NEAREST && fraction >= 1.5) exponent++;
    if (exponent < -127) return saturate ? 0 : 255;
    if (exponent > 127) return saturate ? 254 : 255;
    return (uint8_t)(exponent + 127);
}

void skv_pack4(const void *values, size_t n, void *packed) {
    const uint8_t *in = values;
    uint8_t *out = packed;
    for (size_t i = 0; i < n / 2; i++) out[i] = (uint8_t)((in[2 * i] & 15u) | (unsigned)(in[2 * i + 1] & 15u) << 4);
    if (n % 2) out[n / 2] = in[n - 1] & 15u;
}

void skv_unpack_u4(const void *packed, size_t n, uint8_t *values) {
    const uint8_t *in = packed;
    for (size_t i = 0; i < n; i++) values[i] = (uint8_t)(in[i / 2] >> (i % 2 * 4)) & 15u;
}

void skv_unpack_i4(const void *packed, size_t n, int8_t *values) {
    const uint8_t *in = packed;
    for (size_t i = 0; i < n; i++) values[i] = (int8_t)(((in[i / 2] >> (i % 2 * 4) & 15) ^ 8) - 8);
}
