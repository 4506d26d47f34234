/* The loops, compiled once for each instruction set; ELEMENTS_LOOPS names the table. A row is one of: both operands
 * element by element, one of them a single number, or any strides. */
#include <math.h>

#include "kernels/elements.h"

#define PAIR_LOOP(out, a_value, b_value, expression)      \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
        const in_type a = (a_value), b = (b_value);       \
        out = (out_type)(expression);                     \
    }

#define PAIR(name, T_in, T_out, expression)                                                       \
    static void name(const skv_block *k, const void *a_data, const void *b_data, void *y_data) {  \
        typedef T_in in_type;                                                                     \
        typedef T_out out_type;                                                                   \
        const int64_t n = k->n, y_step = k->along[0], a_step = k->along[1], b_step = k->along[2]; \
        for (int64_t r = 0; r < k->m; r++) {                                                      \
            const in_type *p = (const in_type *)a_data + r * k->row[1];                           \
            const in_type *q = (const in_type *)b_data + r * k->row[2];                           \
            out_type *y = (out_type *)y_data + r * k->row[0];                                     \
            if (y_step == 1 && a_step == 1 && b_step == 1) {                                      \
                PAIR_LOOP(y[i], p[i], q[i], expression)                                           \
            } else if (y_step == 1 && a_step == 1 && b_step == 0) {                               \
                const in_type one = *q;                                                           \
                PAIR_LOOP(y[i], p[i], one, expression)                                            \
            } else if (y_step == 1 && a_step == 0 && b_step == 1) {                               \
                const in_type one = *p;                                                           \
                PAIR_LOOP(y[i], one, q[i], expression)                                            \
            } else {                                                                              \
                for (int64_t i = 0; i < n; i++) {                                                 \
                    const in_type a = p[i * a_step], b = q[i * b_step];                           \
                    y[i * y_step] = (out_type)(expression);                                       \
                }                                                                                 \
            }                                                                                     \
        }                                                                                         \
    }

/* Sums and products of integers wrap, which is defined for unsigned types. */
PAIR(add_f32, float, float, a + b)
PAIR(sub_f32, float, float, a - b)
PAIR(mul_f32, float, float, a *b)
PAIR(div_f32, float, float, a / b)
PAIR(max_f32, float, float, b > a || b != b ? b : a)
PAIR(min_f32, float, float, b < a || b != b ? b : a)
PAIR(prelu_f32, float, float, a < 0 ? a * b : a)
PAIR(equal_f32, float, uint8_t, a == b)
PAIR(less_f32, float, uint8_t, a < b)
PAIR(less_equal_f32, float, uint8_t, a <= b)

#define INTEGERS(size)                                             \
    PAIR(add_i##size, uint##size##_t, uint##size##_t, a + b)       \
    PAIR(sub_i##size, uint##size##_t, uint##size##_t, a - b)       \
    PAIR(mul_i##size, uint##size##_t, uint##size##_t, a *b)        \
    PAIR(max_i##size, int##size##_t, int##size##_t, b > a ? b : a) \
    PAIR(min_i##size, int##size##_t, int##size##_t, b < a ? b : a) \
    PAIR(equal_i##size, int##size##_t, uint8_t, a == b)            \
    PAIR(less_i##size, int##size##_t, uint8_t, a < b)              \
    PAIR(less_equal_i##size, int##size##_t, uint8_t, a <= b)
INTEGERS(32)
INTEGERS(64)

PAIR(equal_u8, uint8_t, uint8_t, a == b)
PAIR(less_u8, uint8_t, uint8_t, a < b)
PAIR(less_equal_u8, uint8_t, uint8_t, a <= b)
PAIR(and_u8, uint8_t, uint8_t, a &b)
PAIR(or_u8, uint8_t, uint8_t, a | b)
PAIR(xor_u8, uint8_t, uint8_t, a ^ b)

PAIR(pow_each, float, float, powf(a, b))
PAIR(pow_square, float, float, ((void)b, a *a))
PAIR(pow_cube, float, float, ((void)b, (double)a *(double)a *(double)a)) /* rounded once, as the reference is */
PAIR(pow_root, float, float, ((void)b, a == -INFINITY ? INFINITY : sqrtf(a) + 0.0f)) /* of -0 it is 0 */
PAIR(pow_inverse, float, float, ((void)b, 1.0f / a))

/* One exponent for all is mostly one of a few. */
static void pow_f32(const skv_block *k, const void *a, const void *b, void *y) {
    const float p = *(const float *)b;
    const bool same = k->row[2] == 0 && k->along[2] == 0;
    (same && p == 2      ? pow_square
     : same && p == 3    ? pow_cube
     : same && p == 0.5f ? pow_root
     : same && p == -1   ? pow_inverse
                         : pow_each)(k, a, b, y);
}

#define WHERE(T)                                                                                             \
    static void where_##T(const skv_block *k, const uint8_t *c_data, const void *a_data, const void *b_data, \
                          void *y_data) {                                                                    \
        const int64_t n = k->n, cs = k->along[1], as = k->along[2], bs = k->along[3], ys = k->along[0];      \
        for (int64_t r = 0; r < k->m; r++) {                                                                 \
            const uint8_t *c = c_data + r * k->row[1];                                                       \
            const T *p = (const T *)a_data + r * k->row[2], *q = (const T *)b_data + r * k->row[3];          \
            T *y = (T *)y_data + r * k->row[0];                                                              \
            if (ys == 1 && cs == 1 && as == 1 && bs == 1) {                                                  \
                _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                        \
                    const T a = p[i], b = q[i];                                                              \
                    y[i] = c[i] ? a : b;                                                                     \
                }                                                                                            \
            } else if (ys == 1 && cs == 1 && as == 0 && bs == 1) {                                           \
                const T a = *p;                                                                              \
                _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                        \
                    const T b = q[i];                                                                        \
                    y[i] = c[i] ? a : b;                                                                     \
                }                                                                                            \
            } else if (ys == 1 && cs == 1 && as == 1 && bs == 0) {                                           \
                const T b = *q;                                                                              \
                _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                        \
                    const T a = p[i];                                                                        \
                    y[i] = c[i] ? a : b;                                                                     \
                }                                                                                            \
            } else {                                                                                         \
                for (int64_t i = 0; i < n; i++) y[i * ys] = c[i * cs] ? p[i * as] : q[i * bs];               \
            }                                                                                                \
        }                                                                                                    \
    }
WHERE(uint8_t)
WHERE(uint16_t)
WHERE(uint32_t)
WHERE(uint64_t)

const skv_elements_loops ELEMENTS_LOOPS = {
    .pair = {[SKV_EL_ADD] = {add_f32, add_i32, add_i64, NULL},
             [SKV_EL_SUB] = {sub_f32, sub_i32, sub_i64, NULL},
             [SKV_EL_MUL] = {mul_f32, mul_i32, mul_i64, NULL},
             [SKV_EL_DIV] = {div_f32, NULL, NULL, NULL},
             [SKV_EL_MAX] = {max_f32, max_i32, max_i64, NULL},
             [SKV_EL_MIN] = {min_f32, min_i32, min_i64, NULL},
             [SKV_EL_PRELU] = {prelu_f32, NULL, NULL, NULL},
             [SKV_EL_POW] = {pow_f32, NULL, NULL, NULL},
             [SKV_EL_EQUAL] = {equal_f32, equal_i32, equal_i64, equal_u8},
             [SKV_EL_LESS] = {less_f32, less_i32, less_i64, less_u8},
             [SKV_EL_LESS_EQUAL] = {less_equal_f32, less_equal_i32, less_equal_i64, less_equal_u8},
             [SKV_EL_AND] = {NULL, NULL, NULL, and_u8},
             [SKV_EL_OR] = {NULL, NULL, NULL, or_u8},
             [SKV_EL_XOR] = {NULL, NULL, NULL, xor_u8}},
    .where = {where_uint8_t, where_uint16_t, where_uint32_t, where_uint64_t},
};
