/* A small product in tiles of up to 6 rows and 2 vectors, compiled once for each instruction set. The includer says
 * what a vector is: vec, LANES, vec_load, vec_store, vec_all, vec_sum, vec_fma(a, b, c) = a b + c; ATTENTION_LOOPS
 * names the table. */
#include <stdbool.h>
#include <stddef.h>

#include "kernels/attention.h"
#include "kernels/unroll.h"

enum { SIX = 6 }; /* rows: their sums with two vectors fill sixteen registers */

/* Sums start at 0, or at what stands in c. */
SKV_INLINE vec begin(const float *c, const bool add) { return add ? vec_load(c) : vec_all(0); }

/* `rows` rows, at most SIX, and two vectors. */
SKV_INLINE void tile(const int rows, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                     int64_t ldc, const bool add) {
    vec s[SIX][2];
    SKV_UNROLL
    for (int r = 0; r < rows; r++) {
        s[r][0] = begin(c + r * ldc, add);
        s[r][1] = begin(c + r * ldc + LANES, add);
    }
    for (int64_t p = 0; p < k; p++, b += ldb) {
        const vec left = vec_load(b), right = vec_load(b + LANES);
        SKV_UNROLL
        for (int r = 0; r < rows; r++) {
            const vec f = vec_all(a[r * lda + p]);
            s[r][0] = vec_fma(f, left, s[r][0]);
            s[r][1] = vec_fma(f, right, s[r][1]);
        }
    }
    SKV_UNROLL
    for (int r = 0; r < rows; r++) {
        vec_store(c + r * ldc, s[r][0]);
        vec_store(c + r * ldc + LANES, s[r][1]);
    }
}

/* Rows of the next tile when `left` are to do: never one or two behind others, which would be slow, and so that the
 * order of sums does not depend on where a row stands. */
static inline int tile_rows(int64_t left) { return left > SIX + 2 ? SIX : left > SIX ? 4 : (int)left; }

/* One row and two vectors; two steps of k side by side, or each sum would wait for the one before. */
SKV_INLINE void tile1(int64_t k, const float *a, const float *b, int64_t ldb, float *c, const bool add) {
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
SKV_INLINE void wide1(int64_t k, const float *a, const float *b, int64_t ldb, float *c, const bool add) {
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

SKV_INLINE void any_product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                            float *c, int64_t ldc, const bool add) {
    int64_t j = 0;
    for (; m == 1 && j + 4 * LANES <= n; j += 4 * LANES) wide1(k, a, b + j, ldb, c + j, add);
    for (; j + 2 * LANES <= n; j += 2 * LANES) {
        if (m < 3) {
            for (int64_t i = 0; i < m; i++) tile1(k, a + i * lda, b + j, ldb, c + i * ldc + j, add);
            continue;
        }
        for (int64_t i = 0, rows; i < m; i += rows) {
            const float *from = a + i * lda;
            float *to = c + i * ldc + j;
            rows = tile_rows(m - i);
            switch (rows) {
            case 3: tile(3, k, from, lda, b + j, ldb, to, ldc, add); break;
            case 4: tile(4, k, from, lda, b + j, ldb, to, ldc, add); break;
            case 5: tile(5, k, from, lda, b + j, ldb, to, ldc, add); break;
            default: tile(SIX, k, from, lda, b + j, ldb, to, ldc, add); break;
            }
        }
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
