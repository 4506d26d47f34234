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
    /* Straight from the integer: by way of a double it would be rounded twice. */
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
    SKV_TRY(skive_tensor_create(ctx, dtype, tensor->rank, tensor->dims, out));
    size_t n = (size_t)skive_tensor_count(out);
    bool from_float = skv_dtype_is_float(tensor->dtype), to_float = skv_dtype_is_float(dtype);
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
