/* Dense linear algebra of factorizations, in double, row-major: [m][n]. With LAPACKE the decompositions are its own, on
 * one thread; without it, one-sided Jacobi rotations, Householder reflections and Cholesky's method in plain loops do
 * the same, slower. */
#ifndef SKV_LOWRANK_LINEAR_H
#define SKV_LOWRANK_LINEAR_H

#include "base/base.h"

/* C = op(A) op(B), [m][n] over k; `add`: C is added to. */
typedef struct skv_product {
    bool trans_a, trans_b, add;
    int64_t m, n, k;
    const double *a, *b; /* [m][k] or [k][m]; [k][n] or [n][k] */
    double *c;
} skv_product;
skive_status skv_multiply(skive_context *ctx, const skv_product *p);
skive_status skv_multiply_plain(skive_context *ctx, const skv_product *p);

/* The singular values s[k], descending, with u [m][k] and vt [k][n], k = min(m, n): a = u diag(s) vt. u and vt may be
 * NULL. Errors: NUMERIC (no convergence), MEMORY. */
skive_status skv_svd(skive_context *ctx, int64_t m, int64_t n, const double *a, double *u, double *s, double *vt);
/* The same by the code that needs no library. */
skive_status skv_svd_plain(skive_context *ctx, int64_t m, int64_t n, const double *a, double *u, double *s, double *vt);
/* The leading `rank` of them by random projection and power iterations (Halko, Martinsson & Tropp 2011, "Finding
 * structure with randomness"), with products in float32: for large matrices. Where the singular values do not fall far,
 * iterations are shifted (Feng, Yu & Xie 2022, dashSVD), which needs fewer of them. Takes the matrix over, also on
 * failure. u [m][rank], s[rank], vt [rank][n]. */
skive_status skv_svd_random(skive_context *ctx, int64_t m, int64_t n, float *take, int64_t rank, uint64_t seed,
                            double *u, double *s, double *vt);
/* Eigenvalues w[n], descending, of a symmetric matrix without negative ones, and its eigenvectors as columns of v
 * [n][n]. */
skive_status skv_eigen(skive_context *ctx, int64_t n, const double *a, double *w, double *v);
skive_status skv_eigen_plain(skive_context *ctx, int64_t n, const double *a, double *w, double *v);
/* a [m][n] becomes a matrix with orthonormal columns that spans the same space; m >= n. */
skive_status skv_orthonormalize(skive_context *ctx, int64_t m, int64_t n, double *a);
skive_status skv_orthonormalize_plain(skive_context *ctx, int64_t m, int64_t n, double *a);
/* x [n][k] with a x = b, for a symmetric positive matrix a [n][n]; what is missing to be positive is added to its
 * diagonal, as little as will do. x may be b. */
skive_status skv_solve(skive_context *ctx, int64_t n, int64_t k, const double *a, const double *b, double *x);
skive_status skv_solve_plain(skive_context *ctx, int64_t n, int64_t k, const double *a, const double *b, double *x);
/* "LAPACKE" or NULL: skive's own code. */
const char *skv_linear_library(void);

/* The analytic solution of variational Bayesian matrix factorization (Nakajima, Sugiyama, Babacan & Tomioka, JMLR 2013)
 * on the singular values s[h] of an [m][n] matrix, whose noise is estimated: how many of them are signal. */
int64_t skv_vbmf_rank(int64_t m, int64_t n, const double *s, int64_t h);
/* The least number of them that has this share of the sum of squares. */
int64_t skv_energy_rank(const double *s, int64_t h, double share);

#endif
