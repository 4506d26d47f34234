/* A small product in tiles of up to 4 rows and 2 vectors, compiled once for each instruction set. The includer says
 * what a vector is: vec, LANES, vec_load, vec_store, vec_all, vec_sum, vec_fma(a, b, c) = a b + c; ATTENTION_LOOPS
 * names the table. */
#include <stdbool.h>
#include <stddef.h>

#include "kernels/attention.h"

/* Sums start at 0, or at what stands in c. */
static inline __attribute__((always_inline)) vec begin(const float *c, const bool add) {
    return add ? vec_load(c) : vec_all(0);
}

/* Four rows and two vectors, or three, which small batches often are. */
static inline __attribute__((always_inline)) void tile(const bool four, int64_t k, const float *a, int64_t lda,
                                                       const float *b, int64_t ldb, float *c, int64_t ldc,
                                                       const bool add) {
    vec s00 = begin(c, add), s01 = begin(c + LANES, add), s10 = begin(c + ldc, add), s11 = begin(c + ldc + LANES, add),
        s20 = begin(c + 2 * ldc, add), s21 = begin(c + 2 * ldc + LANES, add), s30 = vec_all(0), s31 = vec_all(0);
    if (four) {
        s30 = begin(c + 3 * ldc, add);
        s31 = begin(c + 3 * ldc + LANES, add);
    }
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
        if (!four) continue;
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
    if (!four) return;
    vec_store(c + 3 * ldc, s30);
    vec_store(c + 3 * ldc + LANES, s31);
}

/* One row and two vectors; two steps of k side by side, or each sum would wait for the one before. */
static inline __attribute__((always_inline)) void tile1(int64_t k, const float *a, const float *b, int64_t ldb,
                                                        float *c, const bool add) {
    vec left = begin(c, add), right = begin(c + LANES, add), left2 = vec_all(0), right2 = vec_all(0);
    int64_t p = 0;
    for (; p + 2 <= k; p += 2, b += 2 * ldb) {
        const vec f = vec_all(a[p]), g = vec_all(a[p + 1]);
        left = vec_fma(f, vec_load(b), left);
        right = vec_fma(f, vec_load(b + LANES), right);
        left2 = vec_fma(g, vec_load(b + ldb), left2);
        right2 = vec_fma(g, vec_load(b + ldb + LANES), right2);
    }
    if (p < k) {
        left = vec_fma(vec_all(a[p]), vec_load(b), left);
        right = vec_fma(vec_all(a[p]), vec_load(b + LANES), right);
    }
    vec_store(c, vec_sum(left, left2));
    vec_store(c + LANES, vec_sum(right, right2));
}

/* The same of four vectors, for a single row. */
static inline __attribute__((always_inline)) void wide1(int64_t k, const float *a, const float *b, int64_t ldb,
                                                        float *c, const bool add) {
    vec s0 = begin(c, add), s1 = begin(c + LANES, add), s2 = begin(c + 2 * LANES, add), s3 = begin(c + 3 * LANES, add),
        t0 = vec_all(0), t1 = vec_all(0), t2 = vec_all(0), t3 = vec_all(0);
    int64_t p = 0;
    for (; p + 2 <= k; p += 2, b += 2 * ldb) {
        const vec f = vec_all(a[p]), g = vec_all(a[p + 1]);
        s0 = vec_fma(f, vec_load(b), s0);
        s1 = vec_fma(f, vec_load(b + LANES), s1);
        s2 = vec_fma(f, vec_load(b + 2 * LANES), s2);
        s3 = vec_fma(f, vec_load(b + 3 * LANES), s3);
        t0 = vec_fma(g, vec_load(b + ldb), t0);
        t1 = vec_fma(g, vec_load(b + ldb + LANES), t1);
        t2 = vec_fma(g, vec_load(b + ldb + 2 * LANES), t2);
        t3 = vec_fma(g, vec_load(b + ldb + 3 * LANES), t3);
    }
    if (p < k) {
        const vec f = vec_all(a[p]);
        s0 = vec_fma(f, vec_load(b), s0);
        s1 = vec_fma(f, vec_load(b + LANES), s1);
        s2 = vec_fma(f, vec_load(b + 2 * LANES), s2);
        s3 = vec_fma(f, vec_load(b + 3 * LANES), s3);
    }
    vec_store(c, vec_sum(s0, t0));
    vec_store(c + LANES, vec_sum(s1, t1));
    vec_store(c + 2 * LANES, vec_sum(s2, t2));
    vec_store(c + 3 * LANES, vec_sum(s3, t3));
}

static inline __attribute__((always_inline)) void any_product(int64_t m, int64_t n, int64_t k, const float *a,
                                                              int64_t lda, const float *b, int64_t ldb, float *c,
                                                              int64_t ldc, const bool add) {
    int64_t j = 0;
    for (; m == 1 && j + 4 * LANES <= n; j += 4 * LANES) wide1(k, a, b + j, ldb, c + j, add);
    for (; j + 2 * LANES <= n; j += 2 * LANES) {
        int64_t i = 0;
        for (; i + 4 <= m; i += 4) tile(true, k, a + i * lda, lda, b + j, ldb, c + i * ldc + j, ldc, add);
        if (i + 3 == m) {
            tile(false, k, a + i * lda, lda, b + j, ldb, c + i * ldc + j, ldc, add);
            continue;
        }
        for (; i < m; i++) tile1(k, a + i * lda, b + j, ldb, c + i * ldc + j, add);
    }
    if (j == n) return;
    for (int64_t i = 0; i < m; i++) { /* the last columns */
        float sum[2 * LANES] = {0};
        for (int64_t q = j; add && q < n; q++) sum[q - j] = c[i * ldc + q];
        for (int64_t p = 0; p < k; p++) {
            for (int64_t q = j; q < n; q++) sum[q - j] += a[i * lda + p] * b[p * ldb + q];
        }
        for (int64_t q = j; q < n; q++) c[i * ldc + q] = sum[q - j];
    }
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                    int64_t ldc) {
    any_product(m, n, k, a, lda, b, ldb, c, ldc, false);
}

static void add_product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                        float *c, int64_t ldc) {
    any_product(m, n, k, a, lda, b, ldb, c, ldc, true);
}

const skv_attention_loops ATTENTION_LOOPS = {2 * LANES, product, add_product};
