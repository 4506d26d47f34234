/* Least squares behind factorized layers: what the layer gave on its own input, W x, is to be met on the input y that
 * the factors in front of it leave. Of the product A of all factors the error is
 *     E|W x - A y|^2 = E|W x|^2 - 2 tr(A T') + tr(A M A'),   M = E[y y'], T = W E[x y'],
 * and each factor by itself, the others being held, is a linear system. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"

/* Unknowns of a first factor that is solved for as a whole. */
enum { MOST_UNKNOWNS = 2048 };

skive_status skv_regression_error(skive_context *ctx, const skv_site *s, const skv_regression *r, const skv_factors *f,
                                  double *error, double *outputs) {
    const int64_t n = s->out * s->d;
    double *a = NULL, *am = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *a, &a));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *am, &am));
    SKV_GO(status, done, skv_factors_dense(ctx, s, f, a));
    SKV_GO(status, done,
           skv_multiply(ctx, &(skv_product){.m = s->out, .n = s->d, .k = s->d, .a = a, .b = r->moments, .c = am}));
    *error = r->power;
    for (int64_t i = 0; i < n; i++) *error += a[i] * (am[i] - 2 * r->target[i]);
    if (*error < 0) *error = 0; /* of a difference of large numbers */
    for (int64_t o = 0; outputs && o < s->out; o++) {
        outputs[o] = 0;
        for (int64_t i = 0; i < s->d; i++) outputs[o] += a[o * s->d + i] * r->mean[i];
    }
done:
    skv_free(ctx, a);
    skv_free(ctx, am);
    return status;
}

/* ---- two factors at once ---- */

/* A of rank k with the least error: what the leading k eigenvectors of T M^-1 T' leave of T M^-1 (reduced-rank
 * regression; Izenman 1975). left [out][k] with orthonormal columns, right [k][d]. */
static skive_status reduced_rank(skive_context *ctx, int64_t out, int64_t d, int64_t k, const double *m,
                                 const double *t, double *left, double *right) {
    double *turned = NULL, *free_of = NULL, *g = NULL, *values = NULL, *v = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(out * d), sizeof *turned, &turned));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(out * d), sizeof *free_of, &free_of));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(out * out), sizeof *g, &g));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(out * out), sizeof *v, &v));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)out, sizeof *values, &values));
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < d; i++) turned[i * out + o] = t[o * d + i];
    SKV_GO(status, done, skv_solve(ctx, d, out, m, turned, free_of));
    SKV_GO(status, done, skv_multiply(ctx, &(skv_product){.m = out, .n = out, .k = d, .a = t, .b = free_of, .c = g}));
    for (int64_t i = 0; i < out; i++) /* symmetric but for rounding */
        for (int64_t j = 0; j < i; j++) g[i * out + j] = g[j * out + i] = 0.5 * (g[i * out + j] + g[j * out + i]);
    SKV_GO(status, done, skv_eigen(ctx, out, g, values, v));
    for (int64_t o = 0; o < out; o++)
        for (int64_t c = 0; c < k; c++) left[o * k + c] = v[o * out + c];
    status = skv_multiply(
        ctx, &(skv_product){
                 .trans_a = true, .trans_b = true, .m = k, .n = d, .k = out, .a = left, .b = free_of, .c = right});
done:
    skv_free(ctx, turned);
    skv_free(ctx, free_of);
    skv_free(ctx, g);
    skv_free(ctx, values);
    skv_free(ctx, v);
    return status;
}

skive_status skv_regress_rows(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f) {
    const int64_t out = s->out / f->blocks, rows = f->rows, d = s->d;
    if (rows > out || f->links[0].out != rows * f->blocks) return SKIVE_OK;
    for (int64_t b = 0; b < f->blocks; b++)
        SKV_TRY(reduced_rank(ctx, out, d, rows, r->moments, r->target + b * out * d, f->last + b * out * rows,
                             f->basis + b * rows * d));
    for (int64_t i = 0; i < f->blocks * rows * d; i++) f->links[0].data[i] = (float)f->basis[i];
    return SKIVE_OK;
}

/* ---- behind a factor of channels ---- */

/* a [n][m][taps] along m by v [m][b]: [n][b][taps]. */
static skive_status along(skive_context *ctx, int64_t n, int64_t m, int64_t b, int64_t taps, const double *a,
                          const double *v, double *to) {
    for (int64_t i = 0; i < n; i++)
        SKV_TRY(skv_multiply(
            ctx,
            &(skv_product){
                .trans_a = true, .m = b, .n = taps, .k = m, .a = v, .b = a + i * m * taps, .c = to + i * b * taps}));
    return SKIVE_OK;
}

skive_status skv_regress_behind(skive_context *ctx, const skv_site *s, const skv_regression *r, int64_t b,
                                const double *v, int64_t k, double *left, double *right) {
    const int64_t taps = s->d / s->in, n = b * taps, d = s->d;
    double *half = NULL, *turned = NULL, *m = NULL, *t = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(d * n), sizeof *half, &half));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(d * n), sizeof *turned, &turned));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *m, &m));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->out * n), sizeof *t, &t));
    SKV_GO(status, done, along(ctx, d, s->in, b, taps, r->moments, v, half));
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < n; j++) turned[j * d + i] = half[i * n + j];
    SKV_GO(status, done, along(ctx, n, s->in, b, taps, turned, v, m));
    SKV_GO(status, done, along(ctx, s->out, s->in, b, taps, r->target, v, t));
    status = reduced_rank(ctx, s->out, n, k, m, t, left, right);
done:
    skv_free(ctx, half);
    skv_free(ctx, turned);
    skv_free(ctx, m);
    skv_free(ctx, t);
    return status;
}

/* ---- a factor of channels ---- */

/* The system of v [m][b], where A[o][i][t] = sum over c of h[o][c][t] v[i][c]: for (i, c) and (j, e) the sum over taps
 * t and u of M[i t][j u] (h' h)[c t][e u]. */
static skive_status system_of(skive_context *ctx, const skv_channel_factor *p, const double *moments, double *to) {
    const int64_t m = p->m, b = p->b, taps = p->taps, d = m * taps, n = b * taps;
    double *hh = NULL, *left = NULL, *right = NULL, *all = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *hh, &hh));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(d * d), sizeof *left, &left));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *right, &right));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * m * b * b), sizeof *all, &all));
    SKV_GO(
        status, done,
        skv_multiply(ctx, &(skv_product){.trans_a = true, .m = n, .n = n, .k = p->out, .a = p->h, .b = p->h, .c = hh}));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t u = 0; u < taps; u++)
                    left[((i * m + j) * taps + t) * taps + u] = moments[(i * taps + t) * d + j * taps + u];
    for (int64_t t = 0; t < taps; t++)
        for (int64_t u = 0; u < taps; u++)
            for (int64_t c = 0; c < b; c++)
                for (int64_t e = 0; e < b; e++)
                    right[((t * taps + u) * b + c) * b + e] = hh[(c * taps + t) * n + e * taps + u];
    SKV_GO(
        status, done,
        skv_multiply(ctx, &(skv_product){.m = m * m, .n = b * b, .k = taps * taps, .a = left, .b = right, .c = all}));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++)
            for (int64_t c = 0; c < b; c++)
                for (int64_t e = 0; e < b; e++)
                    to[(i * b + c) * m * b + j * b + e] = all[((i * m + j) * b + c) * b + e];
done:
    skv_free(ctx, hh);
    skv_free(ctx, left);
    skv_free(ctx, right);
    skv_free(ctx, all);
    return status;
}

skive_status skv_regress_points(skive_context *ctx, const skv_regression *r, const skv_channel_factor *p,
                                bool *solved) {
    const int64_t m = p->m, b = p->b, taps = p->taps, d = m * taps, n = b * taps;
    double *system = NULL, *th = NULL;
    skive_status status = SKIVE_OK;
    *solved = m * b <= MOST_UNKNOWNS;
    if (!*solved) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * b * m * b), sizeof *system, &system));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(d * n), sizeof *th, &th));
    SKV_GO(status, done, system_of(ctx, p, r->moments, system));
    SKV_GO(status, done,
           skv_multiply(
               ctx, &(skv_product){.trans_a = true, .m = d, .n = n, .k = p->out, .a = r->target, .b = p->h, .c = th}));
    for (int64_t i = 0; i < m; i++)
        for (int64_t c = 0; c < b; c++) {
            double sum = 0;
            for (int64_t t = 0; t < taps; t++) sum += th[(i * taps + t) * n + c * taps + t];
            p->v[i * b + c] = sum;
        }
    status = skv_solve(ctx, m * b, 1, system, p->v, p->v);
done:
    skv_free(ctx, system);
    skv_free(ctx, th);
    return status;
}
