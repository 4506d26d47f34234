/* A small product in tiles of 4 rows and 2 vectors, compiled once for each instruction set. The includer says what a
 * vector is: vec, LANES, vec_load, vec_store, vec_all, vec_fma(a, b, c) = a b + c; ATTENTION_LOOPS names the table. */
#include <stddef.h>

#include "kernels/attention.h"

static inline void tile4(int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc) {
    vec s00 = vec_all(0), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
    for (int64_t p = 0; p < k; p++, b += ldb) {
        const vec left = vec_load(b), right = vec_load(b + LANES);
        vec f = vec_all(a[p]);
        s00 = vec_fma(f, left, s00);
        s01 = vec_fma(f, right, s01);
        f = vec_all(a[lda + p]);
        s10 = vec_fma(f, left, s10);
        s11 = vec_fma(f, right, s11);
        f = vec_all(a[2 * lda + p]);
        s20 = vec_fma(f, left, s20);
        s21 = vec_fma(f, right, s21);
        f = vec_all(a[3 * lda + p]);
        s30 = vec_fma(f, left, s30);
        s31 = vec_fma(f, right, s31);
    }
    vec_store(c, s00);
    vec_store(c + LANES, s01);
    vec_store(c + ldc, s10);
    vec_store(c + ldc + LANES, s11);
    vec_store(c + 2 * ldc, s20);
    vec_store(c + 2 * ldc + LANES, s21);
    vec_store(c + 3 * ldc, s30);
    vec_store(c + 3 * ldc + LANES, s31);
}

static inline void tile1(int64_t k, const float *a, const float *b, int64_t ldb, float *c) {
    vec left = vec_all(0), right = left;
    for (int64_t p = 0; p < k; p++, b += ldb) {
        const vec f = vec_all(a[p]);
        left = vec_fma(f, vec_load(b), left);
        right = vec_fma(f, vec_load(b + LANES), right);
    }
    vec_store(c, left);
    vec_store(c + LANES, right);
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                    int64_t ldc) {
    int64_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES) {
        int64_t i = 0;
        for (; i + 4 <= m; i += 4) tile4(k, a + i * lda, lda, b + j, ldb, c + i * ldc + j, ldc);
        for (; i < m; i++) tile1(k, a + i * lda, b + j, ldb, c + i * ldc + j);
    }
    if (j == n) return;
    for (int64_t i = 0; i < m; i++) { /* the last columns */
        float sum[2 * LANES] = {0};
        for (int64_t p = 0; p < k; p++) {
            for (int64_t q = j; q < n; q++) sum[q - j] += a[i * lda + p] * b[p * ldb + q];
        }
        for (int64_t q = j; q < n; q++) c[i * ldc + q] = sum[q - j];
    }
}

const skv_attention_loops ATTENTION_LOOPS = {product};
