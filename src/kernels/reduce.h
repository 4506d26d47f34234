/* Loops of reductions of float32, for each instruction set. Sums are kept in float32 over a few hundred elements and in
 * double beyond. */
#ifndef SKV_REDUCE_H
#define SKV_REDUCE_H

#include <stdint.h>

#include "base/base.h"

enum { SKV_REDUCE_COLUMNS = 128 }; /* at most, of one call for columns */

typedef enum skv_reduce_step {
    SKV_RD_SUM,
    SKV_RD_MAX, /* NaN stays one */
    SKV_RD_MIN,
    SKV_RD_PRODUCT,
    SKV_RD_MAGNITUDE,
    SKV_RD_SQUARE,
    SKV_RD_EXP, /* sum of exp(x - shift) */
    SKV_RD_STEPS
} skv_reduce_step;

typedef struct skv_reduce_loops {
    /* sum step of n elements side by side. */
    double (*row[SKV_RD_STEPS])(const float *x, int64_t n, float shift, double sum);
    /* sums[w] step of the rows of w columns, `stride` apart; shift[w] is of SKV_RD_EXP. */
    void (*columns[SKV_RD_STEPS])(const float *x, int64_t rows, int64_t stride, int64_t w, const float *shift,
                                  double *sums);
    /* The first (or last) place of the largest element; times -1: of the smallest. A NaN is no candidate, but a NaN in
     * the first place stays. */
    int64_t (*arg_row)(const float *x, int64_t n, float sign, bool last);
    void (*arg_columns)(const float *x, int64_t rows, int64_t stride, int64_t w, float sign, bool last, int64_t *at);
} skv_reduce_loops;
extern const skv_reduce_loops skv_reduce_scalar, skv_reduce_avx2, skv_reduce_avx512;
const skv_reduce_loops *skv_reduce_loops_of(skv_isa isa);

#endif
