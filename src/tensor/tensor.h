/* Tensor helpers for all folders: views, shape arithmetic, element access and conversion.
 *
 * Everything here works on dense row-major data. The element accessors switch on the type once per element, which is
 * right for reference code; bulk work uses skv_to_f32 / skv_from_f32 or knows its type. */
#ifndef SKV_TENSOR_H
#define SKV_TENSOR_H

#include <math.h>
#include <string.h>

#include <skive/tensor.h>

#include "base/base.h"

/* ---- shapes ---- */

/* Product of the dimensions: false when one is negative or the product overflows. 1 for a scalar; 0 as soon as one
 * dimension is 0. */
bool skv_dims_count(int rank, const int64_t *dims, int64_t *out);
/* Bytes of `count` elements, types of 2 and 4 bits rounded up: false if no object can be that large, for an unknown
 * type or a negative count. */
bool skv_dtype_bytes(skive_dtype dtype, int64_t count, size_t *out);
bool skv_dims_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b);
/* Row-major strides in elements. Dimensions must have a valid count. */
void skv_dims_strides(int rank, const int64_t *dims, int64_t *strides);

/* "[2,3,4]", "[]" for a scalar. */
#define SKV_DIMS_TEXT 192 /* enough for SKIVE_MAX_RANK dimensions of any size */
const char *skv_dims_text(int rank, const int64_t *dims, char *buffer, size_t size);
/* "float32[2,3,4]". */
const char *skv_tensor_text(const skive_tensor *tensor, char *buffer, size_t size);

/* ---- element types ---- */

static inline bool skv_dtype_valid(skive_dtype dtype) { return skive_dtype_bits(dtype) != 0; }
/* Alignment of an element in bytes; 1 for types of less than a byte and unknown ones. */
size_t skv_dtype_align(skive_dtype dtype);
bool skv_dtype_is_float(skive_dtype dtype);  /* float16, bfloat16, float32, float64 */
bool skv_dtype_is_float8(skive_dtype dtype); /* only stored, cast and (de)quantized */
/* Those, float4e2m1, and float8e8m0, which is a power of two and serves as a scale. */
bool skv_dtype_is_small_float(skive_dtype dtype);
bool skv_dtype_is_signed(skive_dtype dtype); /* floats and signed integers */
/* Smallest and largest value of an integer type (bool: 0, 1); false for floats. */
bool skv_dtype_int_range(skive_dtype dtype, int64_t *low, uint64_t *high);

/* ---- tensors ---- */

/* A tensor that borrows `data`. dims may be NULL when rank is 0. */
skive_tensor skv_tensor_view(skive_dtype dtype, int rank, const int64_t *dims, const void *data);
bool skv_tensor_same_shape(const skive_tensor *a, const skive_tensor *b);
/* Same type, shape and bytes; strings the same text. */
bool skv_tensor_same(const skive_tensor *a, const skive_tensor *b);
/* Every element := value, rounded and saturated as by skive_tensor_set. */
void skv_tensor_fill(skive_tensor *tensor, double value);
/* skive_tensor_create without zeros, for whoever writes every element. */
skive_status skv_tensor_create_open(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                    skive_tensor *out);
/* The same shape in another element type: integers exactly where they fit, otherwise saturated; floats to integers
 * round to nearest even and saturate, NaN gives 0. ERR_ARGUMENT, ERR_MEMORY. */
skive_status skv_tensor_convert(skive_context *ctx, const skive_tensor *tensor, skive_dtype dtype, skive_tensor *out);
/* A copy without the indices i of axis d for which keep[d][i] is false; keep[d] NULL: all of them stay. ERR_LIMIT,
 * ERR_MEMORY. */
skive_status skv_tensor_select(skive_context *ctx, const skive_tensor *t, const bool *const *keep, skive_tensor *out);
/* Elements first .. first+n-1 of data as floats, and back (rounding to nearest even, saturating). */
void skv_to_f32(skive_dtype dtype, const void *data, size_t first, size_t n, float *out);
void skv_from_f32(skive_dtype dtype, void *data, size_t first, size_t n, const float *in);

/* Packs n 4-bit values, one per byte, into (n+1)/2 bytes, the first in the low half; an unused half is 0. Only the low
 * 4 bits of each input are used. */
void skv_pack4(const void *values, size_t n, void *packed);
void skv_unpack_i4(const void *packed, size_t n, int8_t *values);
void skv_unpack_u4(const void *packed, size_t n, uint8_t *values);

/* ---- half precision ---- all to nearest even; NaN stays NaN, overflow gives infinity */

static inline uint32_t skv_f32_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float skv_bits_f32(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float skv_bf16_to_f32(uint16_t half) { return skv_bits_f32((uint32_t)half << 16); }

static inline uint16_t skv_f32_to_bf16(float value) {
    uint32_t bits = skv_f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline float skv_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
    if (exponent == 31u) return skv_bits_f32(sign | 0x7f800000u | (fraction << 13) | (fraction ? 0x400000u : 0u));
    if (exponent != 0u) return skv_bits_f32(sign | ((exponent + 112u) << 23) | (fraction << 13));
    float small = (float)fraction * 0x1p-24f; /* subnormal or zero: exact */
    return sign ? -small : small;
}

static inline uint16_t skv_f32_to_f16(float value) {
    uint32_t bits = skv_f32_bits(value), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
    if (rest >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 65536 and up */
    if (rest < 0x33000000u) return (uint16_t)sign;              /* below half of the smallest subnormal */
    if (rest < 0x38800000u) {                                   /* subnormal result */
        uint32_t shift = 126u - (rest >> 23), fraction = (rest & 0x7fffffu) | 0x800000u;
        uint32_t kept = fraction >> shift, lost = fraction & ((1u << shift) - 1u), half = 1u << (shift - 1u);
        return (uint16_t)(sign | (kept + ((lost > half || (lost == half && (kept & 1u))) ? 1u : 0u)));
    }
    rest -= 112u << 23;
    return (uint16_t)(sign | ((rest + 0xfffu + ((rest >> 13) & 1u)) >> 13)); /* may correctly carry into infinity */
}

/* The float next to `value` towards zero with its last bit set when inexact ("round to odd"), so that rounding once
 * more to a shorter type gives what rounding directly would have given. */
static inline float skv_f64_to_f32_odd(double value) {
    float near = (float)value;
    if (isnan(value) || (double)near == value) return near;
    uint32_t bits = skv_f32_bits(near);
    if (fabs((double)near) > fabs(value)) bits--;
    return skv_bits_f32(bits | 1u);
}

static inline uint16_t skv_f64_to_f16(double value) { return skv_f32_to_f16(skv_f64_to_f32_odd(value)); }
static inline uint16_t skv_f64_to_bf16(double value) { return skv_f32_to_bf16(skv_f64_to_f32_odd(value)); }

/* float8 (Micikevicius et al. 2022; FNUZ: Noune et al. 2022). Rounds to nearest even; beyond the largest number it
 * saturates, or else gives infinity where the type has one, NaN where not. */
double skv_f8_to_f64(skive_dtype dtype, uint8_t bits);
uint8_t skv_f64_to_f8(skive_dtype dtype, double value, bool saturate);

/* float4e2m1 (OCP Microscaling Formats 1.0): rounds to nearest even and saturates; NaN becomes -0, as in
 * the standard's reference. Only the low 4 bits are used. */
double skv_f4_to_f64(unsigned bits);
unsigned skv_f64_to_f4(double value);

/* float8e8m0: 2^(bits - 127); 255 is NaN. The sign is ignored. */
typedef enum skv_e8m0_rounding { SKV_E8M0_UP, SKV_E8M0_DOWN, SKV_E8M0_NEAREST } skv_e8m0_rounding; /* a tie: up */
double skv_e8m0_to_f64(uint8_t bits);
/* Beyond the range, and for 0, the nearest number or, without saturation, NaN. */
uint8_t skv_f64_to_e8m0(double value, skv_e8m0_rounding rounding, bool saturate);

/* The number of NaN and of infinite elements of a float tensor; 0 for integer tensors. */
void skv_count_nonfinite(const skive_tensor *t, int64_t *nans, int64_t *infinities);

/* ---- element access ---- index in row-major order, unchecked */

/* Elements of 2 or 4 bits: the first in the lowest bits of a byte. */
static inline unsigned skv_load_narrow(unsigned bits, const void *data, size_t i) {
    const size_t each = 8 / bits;
    return (unsigned)((const uint8_t *)data)[i / each] >> (i % each * bits) & ((1u << bits) - 1u);
}

static inline void skv_store_narrow(unsigned bits, void *data, size_t i, unsigned value) {
    const size_t each = 8 / bits;
    uint8_t *byte = (uint8_t *)data + i / each;
    const unsigned shift = (unsigned)(i % each) * bits, mask = (1u << bits) - 1u;
    *byte = (uint8_t)((*byte & ~(mask << shift)) | ((value & mask) << shift));
}

static inline double skv_load_f64(skive_dtype dtype, const void *data, size_t i) {
    switch (dtype) {
    case SKIVE_F32: return (double)((const float *)data)[i];
    case SKIVE_F64: return ((const double *)data)[i];
    case SKIVE_F16: return (double)skv_f16_to_f32(((const uint16_t *)data)[i]);
    case SKIVE_BF16: return (double)skv_bf16_to_f32(((const uint16_t *)data)[i]);
    case SKIVE_F8E4M3FN:
    case SKIVE_F8E4M3FNUZ:
    case SKIVE_F8E5M2:
    case SKIVE_F8E5M2FNUZ: return skv_f8_to_f64(dtype, ((const uint8_t *)data)[i]);
    case SKIVE_U8: return ((const uint8_t *)data)[i];
    case SKIVE_I8: return ((const int8_t *)data)[i];
    case SKIVE_U16: return ((const uint16_t *)data)[i];
    case SKIVE_I16: return ((const int16_t *)data)[i];
    case SKIVE_U32: return ((const uint32_t *)data)[i];
    case SKIVE_I32: return ((const int32_t *)data)[i];
    case SKIVE_U64: return (double)((const uint64_t *)data)[i];
    case SKIVE_I64: return (double)((const int64_t *)data)[i];
    case SKIVE_BOOL: return ((const uint8_t *)data)[i] != 0 ? 1.0 : 0.0;
    case SKIVE_U4: return skv_load_narrow(4, data, i);
    case SKIVE_I4: return (int)(skv_load_narrow(4, data, i) ^ 8u) - 8;
    case SKIVE_U2: return skv_load_narrow(2, data, i);
    case SKIVE_I2: return (int)(skv_load_narrow(2, data, i) ^ 2u) - 2;
    case SKIVE_F4E2M1: return skv_f4_to_f64(skv_load_narrow(4, data, i));
    case SKIVE_F8E8M0: return skv_e8m0_to_f64(((const uint8_t *)data)[i]);
    case SKIVE_STRING:
    case SKIVE_DTYPE_NONE: break;
    }
    return (double)NAN; /* text, or unknown type: no number can be returned */
}

/* Nearest even, then into [low, high]; NaN gives 0 (or the nearer bound). */
static inline int64_t skv_round_i64(double value, int64_t low, int64_t high) {
    if (isnan(value)) value = 0.0;
    double r = rint(value);
    if (r <= (double)low) return low;
    if (r >= (double)high) return high;
    return (int64_t)r;
}

static inline uint64_t skv_round_u64(double value) {
    double r = rint(value);
    if (!(r > 0.0)) return 0;
    if (r >= 0x1p64) return UINT64_MAX;
    return (uint64_t)r;
}

static inline void skv_store_f64(skive_dtype dtype, void *data, size_t i, double value) {
    switch (dtype) {
    case SKIVE_F32: ((float *)data)[i] = (float)value; return;
    case SKIVE_F64: ((double *)data)[i] = value; return;
    case SKIVE_F16: ((uint16_t *)data)[i] = skv_f64_to_f16(value); return;
    case SKIVE_BF16: ((uint16_t *)data)[i] = skv_f64_to_bf16(value); return;
    case SKIVE_F8E4M3FN:
    case SKIVE_F8E4M3FNUZ:
    case SKIVE_F8E5M2:
    case SKIVE_F8E5M2FNUZ: ((uint8_t *)data)[i] = skv_f64_to_f8(dtype, value, true); return;
    case SKIVE_U8: ((uint8_t *)data)[i] = (uint8_t)skv_round_i64(value, 0, UINT8_MAX); return;
    case SKIVE_I8: ((int8_t *)data)[i] = (int8_t)skv_round_i64(value, INT8_MIN, INT8_MAX); return;
    case SKIVE_U16: ((uint16_t *)data)[i] = (uint16_t)skv_round_i64(value, 0, UINT16_MAX); return;
    case SKIVE_I16: ((int16_t *)data)[i] = (int16_t)skv_round_i64(value, INT16_MIN, INT16_MAX); return;
    case SKIVE_U32: ((uint32_t *)data)[i] = (uint32_t)skv_round_i64(value, 0, UINT32_MAX); return;
    case SKIVE_I32: ((int32_t *)data)[i] = (int32_t)skv_round_i64(value, INT32_MIN, INT32_MAX); return;
    case SKIVE_U64: ((uint64_t *)data)[i] = skv_round_u64(value); return;
    case SKIVE_I64: ((int64_t *)data)[i] = skv_round_i64(value, INT64_MIN, INT64_MAX); return;
    case SKIVE_BOOL: ((uint8_t *)data)[i] = value != 0.0; return;
    case SKIVE_U4: skv_store_narrow(4, data, i, (unsigned)skv_round_i64(value, 0, 15)); return;
    case SKIVE_I4: skv_store_narrow(4, data, i, (unsigned)(int)skv_round_i64(value, -8, 7)); return;
    case SKIVE_U2: skv_store_narrow(2, data, i, (unsigned)skv_round_i64(value, 0, 3)); return;
    case SKIVE_I2: skv_store_narrow(2, data, i, (unsigned)(int)skv_round_i64(value, -2, 1)); return;
    case SKIVE_F4E2M1: skv_store_narrow(4, data, i, skv_f64_to_f4(value)); return;
    case SKIVE_F8E8M0: ((uint8_t *)data)[i] = skv_f64_to_e8m0(value, SKV_E8M0_NEAREST, true); return;
    case SKIVE_STRING: /* its elements are pointers, and no number becomes one */
    case SKIVE_DTYPE_NONE: return;
    }
}

/* Exact for integers, which a double does not represent beyond 2^53: uint64 above INT64_MAX saturates, floats round to
 * nearest even and saturate. */
static inline int64_t skv_load_i64(skive_dtype dtype, const void *data, size_t i) {
    if (dtype == SKIVE_I64) return ((const int64_t *)data)[i];
    if (dtype == SKIVE_U64) {
        uint64_t v = ((const uint64_t *)data)[i];
        return v > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)v;
    }
    return skv_round_i64(skv_load_f64(dtype, data, i), INT64_MIN, INT64_MAX);
}

static inline void skv_store_i64(skive_dtype dtype, void *data, size_t i, int64_t value) {
    if (dtype == SKIVE_I64)
        ((int64_t *)data)[i] = value;
    else if (dtype == SKIVE_U64)
        ((uint64_t *)data)[i] = value < 0 ? 0 : (uint64_t)value;
    else
        skv_store_f64(dtype, data, i, (double)value); /* other integers saturate long before 2^53 */
}

/* ---- .npy files ---- */

/* What the header says. */
typedef struct skv_npy_info {
    skive_dtype dtype;
    bool big; /* high bytes first */
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
    size_t start, bytes; /* of the elements in the file */
    size_t text_width;   /* of strings: characters each, or bytes if text_bytes */
    bool text_bytes;
} skv_npy_info;
/* From the first `have` of `size` bytes. `path` is for messages. Errors: FORMAT, UNSUPPORTED. */
skive_status skv_npy_head(skive_context *ctx, const char *path, const void *head, size_t have, uint64_t size,
                          skv_npy_info *out);
skive_status skv_npy_open(skive_context *ctx, const char *path, skv_npy_info *out);
/* A whole file in memory, which the tensor takes over on success. */
skive_status skv_npy_parse(skive_context *ctx, const char *path, void *data, size_t size, skive_tensor *out);

#endif
