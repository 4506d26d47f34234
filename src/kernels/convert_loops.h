/* The loops, compiled once for each instruction set; CONVERT_LOOPS names the table, OWN_... what the includer has of
 * its own. What Cast means for numbers out of range stands in ops/math/common_cast.c. */
#include "kernels/convert.h"
#include "tensor/tensor.h"

#define LOOP(name, T_in, T_out, expression)                         \
    static void name(const void *x_data, void *y_data, int64_t n) { \
        const T_in *x = x_data;                                     \
        T_out *y = y_data;                                          \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {       \
            const T_in v = x[i];                                    \
            y[i] = (T_out)(expression);                             \
        }                                                           \
    }

/* Comparisons that a NaN fails. */
#define AS_INT32(v) ((v) > LOW32(v) && (v) < 2147483648.0f ? (int32_t)(v) : INT32_MIN)
#define LOW32(v)    _Generic((v), float : -2147483904.0f, double : -2147483649.0)
#define AS_INT64(v) ((v) >= -0x1p63f && (v) < 0x1p63f ? (int64_t)(v) : INT64_MIN)

#define FROM_REAL(id, T)                                  \
    LOOP(id##_to_i32, T, int32_t, AS_INT32(v))            \
    LOOP(id##_to_i16, T, uint16_t, (uint32_t)AS_INT32(v)) \
    LOOP(id##_to_i8, T, uint8_t, (uint32_t)AS_INT32(v))   \
    LOOP(id##_to_bool, T, uint8_t, (v) != 0)
FROM_REAL(f32, float)
FROM_REAL(f64, double)
LOOP(f64_to_i64, double, int64_t, AS_INT64(v))
LOOP(f32_to_f64, float, double, v)
LOOP(f64_to_f32, double, float, v)
#ifndef OWN_F16
LOOP(f32_to_f16, float, uint16_t, skv_f32_to_f16(v))
LOOP(f16_to_f32, uint16_t, float, skv_f16_to_f32(v))
#endif
#ifndef OWN_F32_TO_I64
LOOP(f32_to_i64, float, int64_t, AS_INT64(v))
#endif

/* Of integers the low bits stay. */
#define FROM_INTEGER(id, T)                                \
    LOOP(id##_to_f32, T, float, v)                         \
    LOOP(id##_to_f64, T, double, v)                        \
    LOOP(id##_to_i64, T, int64_t, v)                       \
    LOOP(id##_to_i32, T, uint32_t, (uint64_t)(int64_t)(v)) \
    LOOP(id##_to_i16, T, uint16_t, (uint64_t)(int64_t)(v)) \
    LOOP(id##_to_i8, T, uint8_t, (uint64_t)(int64_t)(v))   \
    LOOP(id##_to_bool, T, uint8_t, (v) != 0)
FROM_INTEGER(i64, int64_t)
FROM_INTEGER(i32, int32_t)
FROM_INTEGER(i16, int16_t)
FROM_INTEGER(i8, int8_t)
FROM_INTEGER(u8, uint8_t)

LOOP(negate, uint8_t, uint8_t, v == 0)
LOOP(is_nan, float, uint8_t, v != v)

#define INTEGER_ROW(id)                                                                                             \
    {                                                                                                               \
        [SKV_CT_F32] = id##_to_f32, [SKV_CT_F64] = id##_to_f64, [SKV_CT_I64] = id##_to_i64,                         \
        [SKV_CT_I32] = id##_to_i32, [SKV_CT_I16] = id##_to_i16, [SKV_CT_I8] = id##_to_i8, [SKV_CT_U8] = id##_to_i8, \
        [SKV_CT_BOOL] = id##_to_bool                                                                                \
    }
#define REAL_ROW(id)                                                                                              \
    [SKV_CT_I64] = id##_to_i64, [SKV_CT_I32] = id##_to_i32, [SKV_CT_I16] = id##_to_i16, [SKV_CT_I8] = id##_to_i8, \
    [SKV_CT_U8] = id##_to_i8, [SKV_CT_BOOL] = id##_to_bool

const skv_convert_loops CONVERT_LOOPS = {
    .cast = {[SKV_CT_F32] = {REAL_ROW(f32), [SKV_CT_F64] = f32_to_f64, [SKV_CT_F16] = f32_to_f16},
             [SKV_CT_F64] = {REAL_ROW(f64), [SKV_CT_F32] = f64_to_f32},
             [SKV_CT_F16] = {[SKV_CT_F32] = f16_to_f32},
             [SKV_CT_I64] = INTEGER_ROW(i64),
             [SKV_CT_I32] = INTEGER_ROW(i32),
             [SKV_CT_I16] = INTEGER_ROW(i16),
             [SKV_CT_I8] = INTEGER_ROW(i8),
             [SKV_CT_U8] = INTEGER_ROW(u8),
             [SKV_CT_BOOL] = INTEGER_ROW(u8)},
    .negate = negate,
    .is_nan = is_nan,
};
