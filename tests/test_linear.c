/* The linear algebra of factorizations: decompositions by the library and by skive's own code, against what they must
 * give; ranks by variational Bayes and by energy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lowrank/linear.h"
#include "support.h"

typedef skive_status (*svd_fn)(skive_context *, int64_t, int64_t, const double *, double *, double *, double *);
typedef skive_status (*eigen_fn)(skive_context *, int64_t, const double *, double *, double *);
typedef skive_status (*ortho_fn)(skive_context *, int64_t, int64_t, double *);

enum { MOST = 64 * 64 };

static void fill(double *a, int64_t n, uint64_t seed) {
    for (int64_t i = 0; i < n; i++) a[i] = skv_rng_normal(seed, 1, (uint64_t)i);
}

/* a [m][n] of this rank, with noise of this standard deviation. */
static void of_rank(double *a, int64_t m, int64_t n, int64_t rank, double noise, uint64_t seed) {
    static double x[MOST], y[MOST];
    fill(x, m * rank, seed);
    fill(y, rank * n, seed + 1);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = noise * skv_rng_normal(seed + 2, 1, (uint64_t)(i * n + j));
            for (int64_t r = 0; r < rank; r++) sum += x[i * rank + r] * y[r * n + j];
            a[i * n + j] = sum;
        }
}

static double off_identity(const double *q, int64_t m, int64_t n, bool rows) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < m; k++) sum += rows ? q[i * m + k] * q[j * m + k] : q[k * n + i] * q[k * n + j];
            if (fabs(sum) > worst) worst = fabs(sum);
        }
    return worst;
}

static void check_svd(svd_fn svd, int64_t m, int64_t n, int64_t rank) {
    skive_context *ctx = skv_test_context();
    static double a[MOST], u[MOST], s[64], vt[MOST];
    const int64_t k = m < n ? m : n;
    of_rank(a, m, n, rank, 0, 3);
    skv_test_ok(ctx, svd(ctx, m, n, a, u, s, vt));
    for (int64_t i = 1; i < k; i++) assert_true(s[i] <= s[i - 1] && s[i] >= 0);
    for (int64_t i = rank; i < k; i++) assert_true(s[i] < 1e-9 * s[0]);
    assert_true(s[rank - 1] > 1e-3 * s[0]);
    assert_true(off_identity(u, m, k, false) < 1e-9);
    assert_true(off_identity(vt, n, k, true) < 1e-9);
    /* What is left out by each rank is what its singular values say. */
    for (int64_t r = 0; r <= k; r++) {
        double error = 0, dropped = 0, all = 0;
        for (int64_t i = r; i < k; i++) dropped += s[i] * s[i];
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double x = a[i * n + j];
                all += x * x;
                for (int64_t q = 0; q < r; q++) x -= u[i * k + q] * s[q] * vt[q * n + j];
                error += x * x;
            }
        assert_true(fabs(sqrt(error) - sqrt(dropped)) <= 1e-6 * sqrt(all));
    }
    double *nothing = NULL, again[64];
    skv_test_ok(ctx, svd(ctx, m, n, a, nothing, again, nothing));
    for (int64_t i = 0; i < k; i++) assert_true(fabs(again[i] - s[i]) <= 1e-9 * s[0]);
    skv_test_context_end(ctx);
}

static void test_svd(void **state) {
    (void)state;
    const svd_fn both[] = {skv_svd, skv_svd_plain};
    for (int i = 0; i < 2; i++) {
        check_svd(both[i], 7, 12, 3);
        check_svd(both[i], 12, 7, 7);
        check_svd(both[i], 9, 9, 4);
        check_svd(both[i], 1, 5, 1);
        check_svd(both[i], 5, 1, 1);
    }
}

static void test_zero(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static const double a[6] = {0};
    double u[4], s[2], vt[6];
    skv_test_ok(ctx, skv_svd_plain(ctx, 2, 3, a, u, s, vt));
    assert_true(s[0] == 0 && s[1] == 0);
    assert_true(off_identity(vt, 3, 2, true) < 1e-12);
    skv_test_context_end(ctx);
}

static skive_status by_projection(skive_context *ctx, int64_t m, int64_t n, const double *a, int64_t rank, double *u,
                                  double *s, double *vt) {
    float *x = NULL;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m * n), sizeof *x, &x));
    for (int64_t i = 0; i < m * n; i++) x[i] = (float)a[i];
    return skv_svd_random(ctx, m, n, x, rank, 1, u, s, vt);
}

static void test_random(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static double a[MOST], u[MOST], s[64], vt[MOST], exact[64];
    of_rank(a, 60, 50, 6, 0.01, 5);
    skv_test_ok(ctx, skv_svd(ctx, 60, 50, a, NULL, exact, NULL));
    skv_test_ok(ctx, by_projection(ctx, 60, 50, a, 6, u, s, vt));
    for (int i = 0; i < 6; i++) assert_true(fabs(s[i] - exact[i]) < 1e-4 * exact[0]);
    double error = 0, dropped = 0;
    for (int i = 6; i < 50; i++) dropped += exact[i] * exact[i];
    for (int64_t i = 0; i < 60; i++)
        for (int64_t j = 0; j < 50; j++) {
            double x = a[i * 50 + j];
            for (int64_t q = 0; q < 6; q++) x -= u[i * 6 + q] * s[q] * vt[q * 50 + j];
            error += x * x;
        }
    assert_true(sqrt(error) < 1.01 * sqrt(dropped));
    skv_test_context_end(ctx);
}

/* Singular values that fall slowly, quickly, and to nothing at rank 12: what is lost at a rank is at most one part in a
 * hundred more than must be, vectors are orthonormal, and numbers do not depend on the threads. */
static void projections_lose_little_more(void **state) {
    enum { M = 150, N = 220, RANK = 20 };
    static double a[M * N], again[M * RANK], u[M * RANK], s[RANK], vt[RANK * N], left[M * M], right[N * N];
    (void)state;
    for (int form = 0; form < 3; form++) {
        skive_context *ctx = skv_test_context();
        for (int64_t i = 0; i < M * M; i++) left[i] = skv_rng_normal(1, (uint64_t)form, (uint64_t)i);
        for (int64_t i = 0; i < N * N; i++) right[i] = skv_rng_normal(2, (uint64_t)form, (uint64_t)i);
        skv_test_ok(ctx, skv_orthonormalize(ctx, M, M, left));
        skv_test_ok(ctx, skv_orthonormalize(ctx, N, N, right));
        memset(a, 0, sizeof a);
        double rest = 0, all = 0;
        for (int k = 0; k < M; k++) {
            const double value = form == 0 ? 1 / sqrt(1.0 + k) : form == 1 ? exp(-k / 3.0) : k < 12 ? 1 + k : 0;
            all += value * value;
            if (form < 2 ? k >= RANK : k >= 12) rest += value * value;
            for (int64_t i = 0; i < M; i++)
                for (int64_t j = 0; j < N; j++) a[i * N + j] += value * left[i * M + k] * right[j * N + k];
        }
        skv_test_ok(ctx, by_projection(ctx, M, N, a, RANK, u, s, vt));
        double lost = 0;
        for (int64_t i = 0; i < M; i++)
            for (int64_t j = 0; j < N; j++) {
                double x = a[i * N + j];
                for (int q = 0; q < RANK; q++) x -= u[i * RANK + q] * s[q] * vt[q * N + j];
                lost += x * x;
            }
        if (!(sqrt(lost) <= 1.01 * sqrt(rest) + 1e-5 * sqrt(all)))
            fail_msg("form %d: %g, not %g", form, sqrt(lost), sqrt(rest));
        for (int p = 0; p < RANK; p++)
            for (int q = 0; q <= p; q++) {
                double by_u = 0, by_v = 0;
                for (int64_t i = 0; i < M; i++) by_u += u[i * RANK + p] * u[i * RANK + q];
                for (int64_t j = 0; j < N; j++) by_v += vt[p * N + j] * vt[q * N + j];
                assert_true(fabs(by_u - (p == q)) < 1e-5 && fabs(by_v - (p == q)) < 1e-5);
            }
        memcpy(again, u, sizeof u);
        skive_context_options co = skive_context_options_default();
        skive_context *two = NULL;
        co.threads = 3;
        skv_test_ok(ctx, skive_context_create(&co, &two));
        skv_test_ok(two, by_projection(two, M, N, a, RANK, u, s, vt));
        assert_memory_equal(again, u, sizeof u);
        skive_context_free(two);
        skv_test_context_end(ctx);
    }
}

static void test_eigen(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const eigen_fn both[] = {skv_eigen, skv_eigen_plain};
    static double x[MOST], a[MOST], w[16], v[MOST];
    fill(x, 16 * 10, 7);
    skv_test_ok(ctx,
                skv_multiply(ctx, &(skv_product){.trans_b = true, .m = 16, .n = 16, .k = 10, .a = x, .b = x, .c = a}));
    for (int i = 0; i < 2; i++) {
        skv_test_ok(ctx, both[i](ctx, 16, a, w, v));
        for (int64_t c = 0; c < 16; c++) {
            assert_true(c == 0 || w[c] <= w[c - 1]);
            for (int64_t r = 0; r < 16; r++) {
                double sum = -w[c] * v[r * 16 + c];
                for (int64_t k = 0; k < 16; k++) sum += a[r * 16 + k] * v[k * 16 + c];
                assert_true(fabs(sum) < 1e-9 * w[0]);
            }
        }
    }
    skv_test_context_end(ctx);
}

static void test_orthonormal(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    const ortho_fn both[] = {skv_orthonormalize, skv_orthonormalize_plain};
    static double a[MOST], q[MOST];
    fill(a, 20 * 6, 9);
    for (int i = 0; i < 2; i++) {
        memcpy(q, a, 20 * 6 * sizeof *a);
        skv_test_ok(ctx, both[i](ctx, 20, 6, q));
        assert_true(off_identity(q, 20, 6, false) < 1e-10);
        for (int c = 0; c < 6; c++) { /* what of a is not in the span */
            double rest[20];
            for (int r = 0; r < 20; r++) rest[r] = a[r * 6 + c];
            for (int k = 0; k < 6; k++) {
                double dot = 0;
                for (int r = 0; r < 20; r++) dot += q[r * 6 + k] * a[r * 6 + c];
                for (int r = 0; r < 20; r++) rest[r] -= dot * q[r * 6 + k];
            }
            for (int r = 0; r < 20; r++) assert_true(fabs(rest[r]) < 1e-9);
        }
    }
    skv_test_context_end(ctx);
}

static void test_solve(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static double x[MOST], a[MOST], b[8 * 3], y[8 * 3];
    fill(x, 64, 11);
    fill(b, 24, 12);
    skv_test_ok(ctx,
                skv_multiply(ctx, &(skv_product){.trans_b = true, .m = 8, .n = 8, .k = 8, .a = x, .b = x, .c = a}));
    skv_test_ok(ctx, skv_solve(ctx, 8, 3, a, b, y));
    for (int i = 0; i < 8; i++)
        for (int c = 0; c < 3; c++) {
            double sum = -b[i * 3 + c];
            for (int k = 0; k < 8; k++) sum += a[i * 8 + k] * y[k * 3 + c];
            assert_true(fabs(sum) < 1e-6);
        }
    /* One that is not positive gets a little on its diagonal. */
    static const double flat[4] = {1, 1, 1, 1};
    double z[2] = {2, 2};
    skv_test_ok(ctx, skv_solve(ctx, 2, 1, flat, z, z));
    assert_true(fabs(z[0] + z[1] - 2) < 1e-6);
    skv_test_context_end(ctx);
}

/* With noise at 20 dB the rank is found; of noise alone it is 0. */
static void test_ranks(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    static double a[MOST], s[64];
    for (int64_t rank = 1; rank <= 8; rank++) {
        of_rank(a, 40, 60, rank, sqrt((double)rank) / 10, (uint64_t)rank * 10);
        skv_test_ok(ctx, skv_svd(ctx, 40, 60, a, NULL, s, NULL));
        assert_int_equal(skv_vbmf_rank(40, 60, s, 40), rank);
        assert_int_equal(skv_vbmf_rank(60, 40, s, 40), rank);
    }
    fill(a, 40 * 60, 99);
    skv_test_ok(ctx, skv_svd(ctx, 40, 60, a, NULL, s, NULL));
    assert_int_equal(skv_vbmf_rank(40, 60, s, 40), 0);
    static const double known[4] = {3, 2, 1, 0};
    assert_int_equal(skv_energy_rank(known, 4, 0.6), 1); /* 9 of 14 */
    assert_int_equal(skv_energy_rank(known, 4, 0.9), 2); /* 13 of 14 */
    assert_int_equal(skv_energy_rank(known, 4, 1), 3);
    assert_int_equal(skv_energy_rank(known, 4, 0), 1);
    skv_test_context_end(ctx);
}

static skive_status decompose(skive_context *ctx, void *user) {
    static double a[12 * 7], u[MOST], s[64], vt[MOST];
    (void)user;
    fill(a, 12 * 7, 13);
    SKV_TRY(skv_svd(ctx, 12, 7, a, u, s, vt));
    SKV_TRY(skv_svd_plain(ctx, 12, 7, a, u, s, vt));
    SKV_TRY(by_projection(ctx, 12, 7, a, 2, u, s, vt));
    return skv_orthonormalize_plain(ctx, 12, 7, a);
}

static void test_memory(void **state) {
    (void)state;
    assert_true(skv_test_walk_allocations(decompose, NULL, 1) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svd),    cmocka_unit_test(test_zero),
        cmocka_unit_test(test_random), cmocka_unit_test(projections_lose_little_more),
        cmocka_unit_test(test_eigen),  cmocka_unit_test(test_orthonormal),
        cmocka_unit_test(test_solve),  cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
