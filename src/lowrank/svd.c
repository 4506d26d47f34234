/* The singular value decomposition by one-sided Jacobi rotations. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowrank/linear.h"

enum { MOST_SWEEPS = 60 };

static double dot(const double *a, const double *b, int64_t n) {
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += a[i + k] * b[i + k];
    for (; i < n; i++) s[0] += a[i] * b[i];
    return s[0] + s[1] + s[2] + s[3];
}

static void rotate(double *a, double *b, int64_t n, double c, double s) {
    for (int64_t i = 0; i < n; i++) {
        const double x = a[i], y = b[i];
        a[i] = c * x - s * y;
        b[i] = s * x + c * y;
    }
}

/* Rotates pairs of the rows of x [k][n] until all are orthogonal, and the rows of r [k][k] alike. */
static bool orthogonalize(int64_t k, int64_t n, double *x, double *r) {
    double largest = 0;
    for (int64_t i = 0; i < k; i++) {
        const double d = dot(x + i * n, x + i * n, n);
        if (d > largest) largest = d;
    }
    const double nothing = largest * DBL_EPSILON * DBL_EPSILON;
    for (int sweep = 0; sweep < MOST_SWEEPS; sweep++) {
        bool changed = false;
        for (int64_t p = 0; p < k; p++) {
            for (int64_t q = p + 1; q < k; q++) {
                double *a = x + p * n, *b = x + q * n;
                const double aa = dot(a, a, n), bb = dot(b, b, n), ab = dot(a, b, n);
                if (aa <= nothing || bb <= nothing || fabs(ab) <= 1e-15 * sqrt(aa) * sqrt(bb)) continue;
                const double zeta = (bb - aa) / (2 * ab);
                const double t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
                const double c = 1 / sqrt(1 + t * t);
                rotate(a, b, n, c, c * t);
                rotate(r + p * k, r + q * k, k, c, c * t);
                changed = true;
            }
        }
        if (!changed) return true;
    }
    return false;
}

typedef struct ordered {
    double s;
    int64_t at;
} ordered;

static int larger_first(const void *x, const void *y) {
    const ordered *a = x, *b = y;
    return a->s != b->s ? (a->s > b->s ? -1 : 1) : (a->at > b->at) - (a->at < b->at);
}

/* A unit vector for row i that is orthogonal to the rows before it: of those that belong to a singular value of 0. */
static void complete(double *rows, int64_t i, int64_t n) {
    double *to = rows + i * n;
    for (int64_t e = 0; e < n; e++) {
        memset(to, 0, (size_t)n * sizeof *to);
        to[e] = 1;
        for (int twice = 0; twice < 2; twice++) {
            for (int64_t j = 0; j < i; j++) {
                const double d = dot(rows + j * n, to, n);
                for (int64_t c = 0; c < n; c++) to[c] -= d * rows[j * n + c];
            }
        }
        const double norm = sqrt(dot(to, to, n));
        if (norm < 0.5 / sqrt((double)n)) continue;
        for (int64_t c = 0; c < n; c++) to[c] /= norm;
        return;
    }
}

/* Of a wide matrix, m <= n: its rows become s vt, and the rotations u. */
static skive_status wide(skive_context *ctx, int64_t m, int64_t n, const double *a, double *u, double *s, double *vt) {
    double *x = NULL, *r = NULL, *v = NULL;
    ordered *order = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *x, &x));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * m), sizeof *r, &r));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)m, sizeof *order, &order));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *v, &v));
    memcpy(x, a, (size_t)(m * n) * sizeof *x);
    for (int64_t i = 0; i < m; i++) r[i * m + i] = 1;
    if (!orthogonalize(m, n, x, r)) {
        status = SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "the singular value decomposition did not converge");
        goto done;
    }
    for (int64_t i = 0; i < m; i++) order[i] = (ordered){sqrt(dot(x + i * n, x + i * n, n)), i};
    qsort(order, (size_t)m, sizeof *order, larger_first);
    for (int64_t k = 0; k < m; k++) {
        const double *row = x + order[k].at * n;
        s[k] = order[k].s;
        if (u)
            for (int64_t i = 0; i < m; i++) u[i * m + k] = r[order[k].at * m + i];
        if (s[k] > 0 && s[k] > s[0] * DBL_EPSILON)
            for (int64_t c = 0; c < n; c++) v[k * n + c] = row[c] / s[k];
        else
            complete(v, k, n);
    }
    if (vt) memcpy(vt, v, (size_t)(m * n) * sizeof *vt);
done:
    skv_free(ctx, x);
    skv_free(ctx, r);
    skv_free(ctx, v);
    skv_free(ctx, order);
    return status;
}

skive_status skv_svd_plain(skive_context *ctx, int64_t m, int64_t n, const double *a, double *u, double *s,
                           double *vt) {
    if (m <= n) return wide(ctx, m, n, a, u, s, vt);
    double *t = NULL, *tu = NULL, *tv = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *t, &t));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *tu, &tu));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *tv, &tv));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) t[j * m + i] = a[i * n + j];
    SKV_GO(status, done, wide(ctx, n, m, t, tu, s, tv)); /* a' = tu s tv, so a = tv' s tu' */
    for (int64_t i = 0; u && i < m; i++)
        for (int64_t k = 0; k < n; k++) u[i * n + k] = tv[k * m + i];
    for (int64_t k = 0; vt && k < n; k++)
        for (int64_t j = 0; j < n; j++) vt[k * n + j] = tu[j * n + k];
done:
    skv_free(ctx, t);
    skv_free(ctx, tu);
    skv_free(ctx, tv);
    return status;
}

/* A symmetric matrix without negative eigenvalues is its own singular value decomposition. */
skive_status skv_eigen_plain(skive_context *ctx, int64_t n, const double *a, double *w, double *v) {
    return skv_svd_plain(ctx, n, n, a, v, w, NULL);
}
