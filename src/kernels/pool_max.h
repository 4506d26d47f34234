/* Max pooling of 16 lanes where windows neither overlap nor meet padding: each input is read and each gradient written
 * once. */
#ifndef SKV_KERNEL_POOL_MAX_H
#define SKV_KERNEL_POOL_MAX_H

#include <stdint.h>

typedef struct skv_pool_apart {
    int64_t kernel[2], out[2]; /* windows side by side */
    int64_t width;             /* of the input */
} skv_pool_apart;

typedef struct skv_pool_max_loops {
    void (*apart)(const skv_pool_apart *p, const float *x, float *y);
    /* dx is zero where no window lies */
    void (*spread)(const skv_pool_apart *p, const float *dy, const float *x, const float *y, float *dx);
} skv_pool_max_loops;
extern const skv_pool_max_loops skv_pool_max_loops_avx512;

#endif
