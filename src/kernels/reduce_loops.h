/* The loops, compiled once for each instruction set; REDUCE_LOOPS names the table, LANES is how many sums go side by
 * side. */
#include <math.h>
#include <string.h>

#include "kernels/exp_f32.h"
#include "kernels/reduce.h"

enum { SPAN = 16 * LANES, ROWS = 32 }; /* elements, and rows, of a sum in float32 */

#define REDUCTION(name, start, step_expression, join_expression)                                                      \
    static inline __attribute__((always_inline)) float step_##name(float a, float x, float shift) {                   \
        (void)shift;                                                                                                  \
        return step_expression;                                                                                       \
    }                                                                                                                 \
    static inline __attribute__((always_inline)) double join_##name(double a, double x) { return join_expression; }   \
    static double row_##name(const float *x, int64_t n, float shift, double sum) {                                    \
        int64_t i = 0;                                                                                                \
        while (n - i >= LANES) {                                                                                      \
            float part[LANES];                                                                                        \
            const int64_t end = n - i < SPAN ? i + (n - i) / LANES * LANES : i + SPAN;                                \
            for (int l = 0; l < LANES; l++) part[l] = (start);                                                        \
            for (; i < end; i += LANES)                                                                               \
                _Pragma("omp simd") for (int l = 0; l < LANES; l++) part[l] = step_##name(part[l], x[i + l], shift);  \
            for (int half = LANES / 2; half > 0; half /= 2)                                                           \
                for (int l = 0; l < half; l++) part[l] = (float)join_##name((double)part[l], (double)part[l + half]); \
            sum = join_##name(sum, (double)part[0]);                                                                  \
        }                                                                                                             \
        float rest = (start);                                                                                         \
        for (; i < n; i++) rest = step_##name(rest, x[i], shift);                                                     \
        return join_##name(sum, (double)rest);                                                                        \
    }                                                                                                                 \
    static inline __attribute__((always_inline)) void strip_##name(                                                   \
        const float *x, int64_t rows, int64_t stride, const int64_t w, const float *shift, double *sums) {            \
        for (int64_t r = 0; r < rows; r += ROWS) {                                                                    \
            const int64_t end = rows - r < ROWS ? rows : r + ROWS;                                                    \
            float part[SKV_REDUCE_COLUMNS];                                                                           \
            for (int64_t l = 0; l < w; l++) part[l] = (start);                                                        \
            for (int64_t k = r; k < end; k++) {                                                                       \
                const float *from = x + k * stride;                                                                   \
                _Pragma("omp simd") for (int64_t l = 0; l < w; l++) part[l] =                                         \
                    step_##name(part[l], from[l], shift ? shift[l] : 0);                                              \
            }                                                                                                         \
            for (int64_t l = 0; l < w; l++) sums[l] = join_##name(sums[l], (double)part[l]);                          \
        }                                                                                                             \
    }                                                                                                                 \
    static void columns_##name(const float *x, int64_t rows, int64_t stride, int64_t w, const float *shift,           \
                               double *sums) {                                                                        \
        int64_t l = 0;                                                                                                \
        for (; w - l >= LANES; l += LANES)                                                                            \
            strip_##name(x + l, rows, stride, LANES, shift ? shift + l : NULL, sums + l);                             \
        if (l < w) strip_##name(x + l, rows, stride, w - l, shift ? shift + l : NULL, sums + l);                      \
    }

REDUCTION(sum, 0, a + x, a + x)
REDUCTION(max, -INFINITY, x > a || x != x ? x : a, x > a || x != x ? x : a)
REDUCTION(min, INFINITY, x < a || x != x ? x : a, x < a || x != x ? x : a)
REDUCTION(product, 1, a *x, a *x)
REDUCTION(magnitude, 0, a + fabsf(x), a + x)
REDUCTION(square, 0, a + x * x, a + x)
REDUCTION(exp, 0, a + exp_f32(x - shift), a + x)

static int64_t arg_row(const float *x, int64_t n, float sign, bool last) {
    float part[LANES], most = x[0] * sign;
    int64_t i = 0;
    for (int l = 0; l < LANES; l++) part[l] = most;
    for (; n - i >= LANES; i += LANES) _Pragma("omp simd") for (int l = 0; l < LANES; l++) {
            const float v = x[i + l] * sign;
            part[l] = v > part[l] ? v : part[l];
        }
    for (int l = 0; l < LANES; l++) most = part[l] > most ? part[l] : most;
    for (; i < n; i++) most = x[i] * sign > most ? x[i] * sign : most;
    most *= sign;
    if (last) {
        for (i = n - 1; i >= 0; i--)
            if (x[i] == most) return i;
        return 0;
    }
    for (i = 0; n - i >= LANES; i += LANES) {
        int found = 0;
        _Pragma("omp simd reduction(| : found)") for (int l = 0; l < LANES; l++) found |= x[i + l] == most;
        if (found) break;
    }
    for (; i < n; i++)
        if (x[i] == most) return i;
    return 0;
}

static void arg_columns(const float *x, int64_t rows, int64_t stride, int64_t w, float sign, bool last, int64_t *at) {
    float most[SKV_REDUCE_COLUMNS];
    int32_t place[SKV_REDUCE_COLUMNS];
    for (int64_t l = 0; l < w; l++) {
        most[l] = x[l] * sign;
        place[l] = 0;
    }
    for (int64_t r = 1; r < rows; r++) {
        const float *from = x + r * stride;
        const int32_t here = (int32_t)r;
        if (last) {
            _Pragma("omp simd") for (int64_t l = 0; l < w; l++) {
                const float v = from[l] * sign, m = most[l];
                most[l] = v >= m ? v : m;
                place[l] = v >= m ? here : place[l];
            }
        } else {
            _Pragma("omp simd") for (int64_t l = 0; l < w; l++) {
                const float v = from[l] * sign, m = most[l];
                most[l] = v > m ? v : m;
                place[l] = v > m ? here : place[l];
            }
        }
    }
    for (int64_t l = 0; l < w; l++) at[l] = place[l];
}

const skv_reduce_loops REDUCE_LOOPS = {
    .row = {row_sum, row_max, row_min, row_product, row_magnitude, row_square, row_exp},
    .columns = {columns_sum, columns_max, columns_min, columns_product, columns_magnitude, columns_square, columns_exp},
    .arg_row = arg_row,
    .arg_columns = arg_columns,
};
