/* Products, orthonormal bases and positive systems in plain C. */
#include "lowrank/linear.h"

#include <math.h>
#include <string.h>

#include "base/cholesky.h"

/* Rows of B that stay in the cache while a few rows of A pass over them. */
enum { BLOCK = 64 };

static skive_status transpose(skive_context *ctx, int64_t m, int64_t n, const double *a, double **out) {
    size_t count;
    if (!skv_mul_size((size_t)m, (size_t)n, &count)) return SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "a matrix is too large");
    SKV_TRY(skv_alloc_array(ctx, count, sizeof **out, out));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) (*out)[j * m + i] = a[i * n + j];
    return SKIVE_OK;
}

skive_status skv_multiply_plain(skive_context *ctx, const skv_product *p) {
    double *ta = NULL, *tb = NULL;
    const int64_t m = p->m, n = p->n, k = p->k;
    skive_status status = SKIVE_OK;
    if (p->trans_a) SKV_GO(status, done, transpose(ctx, k, m, p->a, &ta));
    if (p->trans_b) SKV_GO(status, done, transpose(ctx, n, k, p->b, &tb));
    const double *a = ta ? ta : p->a, *b = tb ? tb : p->b;
    if (!p->add) memset(p->c, 0, (size_t)(m * n) * sizeof *p->c);
#pragma omp parallel for num_threads(skv_threads(ctx)) schedule(static) if (m * n * k > 100000)
    for (int64_t i = 0; i < m; i++) {
        double *to = p->c + i * n;
        for (int64_t from = 0; from < n; from += 8 * BLOCK) {
            const int64_t end = from + 8 * BLOCK < n ? from + 8 * BLOCK : n;
            for (int64_t j = 0; j < k; j++) {
                const double x = a[i * k + j];
                const double *row = b + j * n;
                for (int64_t c = from; c < end; c++) to[c] += x * row[c];
            }
        }
    }
done:
    skv_free(ctx, ta);
    skv_free(ctx, tb);
    return status;
}

/* ---- orthonormal columns, by Householder reflections ---- */

static void reflect(const double *v, double beta, int64_t n, int64_t columns, double *a, int64_t lda) {
    for (int64_t j = 0; j < columns; j++) {
        double dot = 0;
        for (int64_t i = 0; i < n; i++) dot += v[i] * a[i * lda + j];
        dot *= beta;
        for (int64_t i = 0; i < n; i++) a[i * lda + j] -= dot * v[i];
    }
}

skive_status skv_orthonormalize_plain(skive_context *ctx, int64_t m, int64_t n, double *a) {
    double *v = NULL, *beta = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *v, &v));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *beta, &beta));
    for (int64_t k = 0; k < n; k++) {
        double *x = v + k * m, norm = 0;
        for (int64_t i = k; i < m; i++) {
            x[i] = a[i * n + k];
            norm += x[i] * x[i];
        }
        norm = sqrt(norm);
        if (norm == 0) continue; /* beta 0: no reflection */
        x[k] += x[k] < 0 ? -norm : norm;
        double square = 0;
        for (int64_t i = k; i < m; i++) square += x[i] * x[i];
        beta[k] = 2 / square;
        reflect(x + k, beta[k], m - k, n - k, a + k * n + k, n);
    }
    memset(a, 0, (size_t)(m * n) * sizeof *a);
    for (int64_t k = 0; k < n; k++) a[k * n + k] = 1;
    for (int64_t k = n - 1; k >= 0; k--) reflect(v + k * m + k, beta[k], m - k, n - k, a + k * n + k, n);
done:
    skv_free(ctx, v);
    skv_free(ctx, beta);
    return status;
}

/* ---- positive systems ---- */

skive_status skv_solve_plain(skive_context *ctx, int64_t n, int64_t k, const double *a, const double *b, double *x) {
    double *m = NULL, *t = NULL, trace = 0;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *m, &m));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * k), sizeof *t, &t));
    for (int64_t i = 0; i < n; i++) trace += a[i * n + i];
    const double unit = trace > 0 && n > 0 ? trace / (double)n : 1;
    bool positive = false;
    for (double add = 1e-14 * unit; !positive && add < 1e3 * unit; add *= 10) {
        memcpy(m, a, (size_t)(n * n) * sizeof *m);
        for (int64_t i = 0; i < n; i++) m[i * n + i] += add;
        positive = skv_cholesky_upper(m, n, skv_threads(ctx));
    }
    if (!positive) {
        status = SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "a system of equations has no solution: numbers are not finite");
        goto done;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < k; c++) t[c * n + i] = b[i * k + c];
    for (int64_t c = 0; c < k; c++) skv_cholesky_solve(m, n, t + c * n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < k; c++) x[i * k + c] = t[c * n + i];
done:
    skv_free(ctx, m);
    skv_free(ctx, t);
    return status;
}
