/* The product of float32 matrices against sums in double, over shapes that reach every edge of its blocks, and the
 * same bits whatever the number of threads. CTest runs this program once at each instruction-set level. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "kernels/sgemm.h"
#include "support.h"

#include <cmocka.h>

typedef struct shape {
    int64_t m, n, k;
} shape;

static float *random_floats(int64_t n, uint64_t seed) {
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)skv_rng_normal(seed, 1, (uint64_t)i);
    return x;
}

static void *scratch_of(const shape *s, int threads) {
    void *scratch = aligned_alloc(64, (skv_sgemm_scratch(s->n, s->k, threads) + 63) / 64 * 64);
    assert_non_null(scratch);
    return scratch;
}

/* What is done beside the product, which shows when it is done twice, or to a wrong element. */
static void begin(const void *user, int64_t i, int64_t j, int64_t rows, int64_t columns, float *c) {
    const skv_sgemm *g = user;
    assert_true(c == g->c + i * g->ldc + j && rows > 0 && columns > 0 && i + rows <= g->m && j + columns <= g->n);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < columns; k++) c[r * g->ldc + k] += (float)((i + r) % 7 + (j + k) % 5);
}

static void end(const void *user, int64_t i, int64_t j, int64_t rows, int64_t columns, float *c) {
    const skv_sgemm *g = user;
    assert_true(c == g->c + i * g->ldc + j && rows > 0 && columns > 0 && i + rows <= g->m && j + columns <= g->n);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < columns; k++) c[r * g->ldc + k] *= 2;
}

/* Lines of A, B and C are a little longer than what is read or written; the rest must stay as it was. */
static void one_shape(const shape *s, bool trans_a, bool trans_b, bool add, bool packed, bool beside) {
    const int64_t lda = (trans_a ? s->m : s->k) + 3, ldb = (trans_b ? s->k : s->n) + 5, ldc = s->n + 2;
    float *a = random_floats((trans_a ? s->k : s->m) * lda, 1), *b = random_floats((trans_b ? s->n : s->k) * ldb, 2);
    float *before = random_floats(s->m * ldc, 3), *c[2], *panels = NULL;
    skv_sgemm g = {.trans_a = trans_a,
                   .trans_b = trans_b,
                   .m = s->m,
                   .n = s->n,
                   .k = s->k,
                   .a = a,
                   .b = b,
                   .lda = lda,
                   .ldb = ldb,
                   .ldc = ldc,
                   .alpha = add ? 0.5f : 1,
                   .add = add};
    if (beside) {
        g.begin = add ? begin : NULL;
        g.end = end;
        g.user = &g;
    }
    if (packed) {
        panels = aligned_alloc(64, (skv_sgemm_packed(s->n, s->k) * sizeof(float) + 63) / 64 * 64);
        assert_non_null(panels);
        skv_sgemm_pack(trans_b, s->n, s->k, b, ldb, panels);
        g.packed = panels;
        g.b = NULL;
    }
    for (int t = 0; t < 2; t++) {
        void *scratch = scratch_of(s, t ? 3 : 1);
        c[t] = malloc((size_t)(s->m * ldc) * sizeof(float));
        assert_non_null(c[t]);
        memcpy(c[t], before, (size_t)(s->m * ldc) * sizeof(float));
        g.c = c[t];
        skv_sgemm_run(&g, t ? 3 : 1, scratch);
        free(scratch);
    }
    assert_memory_equal(c[0], c[1], (size_t)(s->m * ldc) * sizeof(float));
    for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = 0; j < ldc; j++) {
            double sum = 0, size = 0;
            for (int64_t p = 0; j < s->n && p < s->k; p++) {
                const double x =
                    (double)a[trans_a ? p * lda + i : i * lda + p] * (double)b[trans_b ? j * ldb + p : p * ldb + j];
                sum += x;
                size += fabs(x);
            }
            const double old = (double)before[i * ldc + j], begun = beside ? (double)(i % 7 + j % 5) : 0;
            const double product = add ? old + begun + 0.5 * sum : sum;
            const double want = j >= s->n ? old : beside ? 2 * product : product;
            const double got = (double)c[0][i * ldc + j],
                         most = j >= s->n ? 0 : (beside ? 2e-6 * (10 + size) : 1e-6 * (1 + size));
            if (!(fabs(got - want) <= most)) {
                fail_msg("%d x %d x %d %s%s%s%s%s at %d, %d: %g instead of %g", (int)s->m, (int)s->n, (int)s->k,
                         trans_a ? "T" : "N", trans_b ? "T" : "N", add ? " add" : "", packed ? " packed" : "",
                         beside ? " beside" : "", (int)i, (int)j, got, want);
            }
        }
    }
    free(a);
    free(b);
    free(before);
    free(c[0]);
    free(c[1]);
    free(panels);
}

static void shapes(void **state) {
    static const shape all[] = {{1, 1, 1},       {1, 130, 7},   {2, 300, 20},  {3, 33, 400},
                                {4, 31, 5},      {7, 48, 385},  {8, 16, 9},    {12, 32, 384},
                                {13, 65, 30},    {25, 100, 50}, {97, 40, 12},  {170, 50, 60},
                                {30, 1200, 500}, {5, 1300, 3},  {200, 200, 2}, {64, 3, 770}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const int step = skv_test_sanitized() ? 5 : 1;
        for (int form = (int)i % step; form < 16; form += step)
            one_shape(&all[i], form & 1, form & 2, form & 4, form & 8, false);
        one_shape(&all[i], false, false, false, false, true);
        one_shape(&all[i], false, true, true, false, true);
        one_shape(&all[i], false, false, true, true, true);
    }
}

static void nothing_to_add(void **state) {
    float c[6] = {1, 2, 3, 4, 5, 6}, a = 0, b = 0;
    skv_sgemm g = {.m = 2, .n = 3, .a = &a, .b = &b, .lda = 1, .ldb = 3, .ldc = 3, .c = c, .alpha = 1, .add = true};
    (void)state;
    skv_sgemm_run(&g, 1, NULL);
    assert_true(c[0] == 1 && c[5] == 6); /* k is 0 */
    g.add = false;
    skv_sgemm_run(&g, 1, NULL);
    for (int i = 0; i < 6; i++) assert_true(c[i] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(nothing_to_add)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
