/* The dense integer convolution and product, prepared. */
#ifndef SKV_INT8_DENSE_H
#define SKV_INT8_DENSE_H

#include "kernels/int8/int8.h"

typedef struct skv_q8_dense {
    const skv_q8_gemm *gemm;
    skv_conv_shape s;        /* a product is a convolution of n rows, each one position */
    int64_t per_in, per_out; /* channels of a group in and out */
    bool gathers;            /* rows are copied together; otherwise the input is read in place, tap by tap */
    size_t taps, groups;     /* as in skv_q8_tile */
    size_t k, panels, panel_bytes;
    int64_t rows;                         /* n * output positions */
    size_t block_tiles;                   /* tiles handled at once */
    size_t pointer_bytes, gathered_bytes; /* of one thread's scratch */
    size_t item;                          /* bytes of an output element */
    int32_t x_zero;
    skv_q8_out out;
    char *b;
    int32_t *init;
    float *multiplier;
    uint8_t *padding; /* a row of the zero point */
} skv_q8_dense;

skive_status skv_q8_dense_prepare(skv_kernel_node *n, const skv_q8_gemm *gemm, const skv_conv_shape *s);
skive_status skv_q8_dense_run(const skv_kernel_call *c);
void skv_q8_dense_destroy(skive_context *ctx, void *state);

#endif
