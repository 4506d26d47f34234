/* Element types: names, widths, ranges; from dtypes.inc. */
#include <string.h>

#include "tensor/tensor.h"

const char *skive_dtype_name(skive_dtype dtype) {
    switch (dtype) {
#define X(name, code, bits, text) \
    case SKIVE_##name:            \
        return text;
#include <skive/dtypes.inc>
#undef X
    case SKIVE_DTYPE_NONE: break;
    }
    return "none";
}

int skive_dtype_bits(skive_dtype dtype) {
    switch (dtype) {
#define X(name, code, bits, text) \
    case SKIVE_##name:            \
        return bits;
#include <skive/dtypes.inc>
#undef X
    case SKIVE_DTYPE_NONE: break;
    }
    return 0;
}

skive_dtype skive_dtype_find(const char *name) {
    if (!name) return SKIVE_DTYPE_NONE;
#define X(id, code, bits, text) \
    if (strcmp(name, text) == 0) return SKIVE_##id;
#include <skive/dtypes.inc>
#undef X
    return SKIVE_DTYPE_NONE;
}

size_t skv_dtype_align(skive_dtype dtype) {
    int bits = skive_dtype_bits(dtype);
    return bits < 8 ? 1 : (size_t)bits / 8;
}

bool skv_dtype_is_float(skive_dtype dtype) {
    return dtype == SKIVE_F32 || dtype == SKIVE_F64 || dtype == SKIVE_F16 || dtype == SKIVE_BF16;
}

bool skv_dtype_is_float8(skive_dtype dtype) {
    return dtype == SKIVE_F8E4M3FN || dtype == SKIVE_F8E4M3FNUZ || dtype == SKIVE_F8E5M2 || dtype == SKIVE_F8E5M2FNUZ;
}

bool skv_dtype_is_small_float(skive_dtype dtype) {
    return skv_dtype_is_float8(dtype) || dtype == SKIVE_F4E2M1 || dtype == SKIVE_F8E8M0;
}

bool skv_dtype_is_signed(skive_dtype dtype) {
    return skv_dtype_is_float(dtype) || skv_dtype_is_float8(dtype) || dtype == SKIVE_F4E2M1 || dtype == SKIVE_I2 ||
           dtype == SKIVE_I4 || dtype == SKIVE_I8 || dtype == SKIVE_I16 || dtype == SKIVE_I32 || dtype == SKIVE_I64;
}

bool skv_dtype_int_range(skive_dtype dtype, int64_t *low, uint64_t *high) {
    int bits = skive_dtype_bits(dtype);
    if (bits == 0 || dtype == SKIVE_STRING || skv_dtype_is_float(dtype) || skv_dtype_is_small_float(dtype))
        return false;
    if (dtype == SKIVE_BOOL) bits = 1;
    bool sign = skv_dtype_is_signed(dtype);
    *high = UINT64_MAX >> (64 - bits + (sign ? 1 : 0));
    *low = sign ? -(int64_t)*high - 1 : 0;
    return true;
}
