/* The products of the attention kernel, for each instruction set. */
#ifndef SKV_ATTENTION_H
#define SKV_ATTENTION_H

#include <stdint.h>

typedef struct skv_attention_loops {
    /* c[m][n] = a[m][k] b[k][n], rows `lda`, `ldb`, `ldc` apart. */
    void (*product)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                    int64_t ldc);
} skv_attention_loops;
extern const skv_attention_loops skv_attention_loops_scalar, skv_attention_loops_avx2, skv_attention_loops_avx512,
    skv_attention_loops_neon;

#endif
