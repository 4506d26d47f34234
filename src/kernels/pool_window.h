/* Pooling in f32 over windows: what the driver and the loops of an instruction set agree on. A window is taken first
 * down its rows, element by element of a line, and then along the line. */
#ifndef SKV_POOL_WINDOW_H
#define SKV_POOL_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Positions along a line whose taps all lie in it. Lanes: channels that stand together. */
typedef struct skv_pool_line {
    int64_t taps, outs, lanes;
    int64_t tap_step, out_step; /* floats */
} skv_pool_line;

typedef struct skv_pool_loops {
    /* y[i] = the largest or the sum of x[r][i], one row at least */
    void (*rows)(const float *const *x, size_t rows, float *y, int64_t n);
    /* y[o][lane] = that of x[o * out_step + tap * tap_step + lane] */
    void (*line)(const skv_pool_line *l, const float *x, float *y);
    /* of n numbers */
    float (*all)(const float *x, int64_t n);
    /* Lines of n floats to lines of `all`, of which `low` come before: what is around them becomes `nothing`. */
    void (*spread)(const float *x, int64_t lines, int64_t n, float *y, int64_t low, int64_t all, float nothing);
    /* The first n floats of lines of `all`, times share[line][n] unless that is NULL. */
    void (*collect)(const float *x, int64_t lines, int64_t all, const float *share, float *y, int64_t n);
} skv_pool_loops;
extern const skv_pool_loops skv_pool_max_scalar, skv_pool_max_avx2, skv_pool_max_avx512, skv_pool_max_neon;
extern const skv_pool_loops skv_pool_sum_scalar, skv_pool_sum_avx2, skv_pool_sum_avx512, skv_pool_sum_neon;

#endif
