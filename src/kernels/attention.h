/* Small products, for each instruction set: of the attention kernel and of recurrent layers. */
#ifndef SKV_ATTENTION_H
#define SKV_ATTENTION_H

#include <stdint.h>

#include "base/base.h"

typedef struct skv_attention_loops {
    int columns; /* that a tile takes at once; fewer are slow */
    /* c[m][n] = a[m][k] b[k][n], rows `lda`, `ldb`, `ldc` apart. */
    void (*product)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                    int64_t ldc);
    /* The same, added to c. */
    void (*add_product)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                        float *c, int64_t ldc);
} skv_attention_loops;
extern const skv_attention_loops skv_attention_loops_scalar, skv_attention_loops_avx2, skv_attention_loops_avx512,
    skv_attention_loops_neon;
const skv_attention_loops *skv_attention_loops_of(skv_isa isa);

#endif
