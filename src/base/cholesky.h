/* Cholesky factors in double. */
#ifndef SKV_CHOLESKY_H
#define SKV_CHOLESKY_H

#include <stdbool.h>
#include <stdint.h>

/* a [n][n], symmetric, of which the upper triangle counts, becomes M, upper triangular, with a = M M^T; what is below
 * the diagonal stays. False: a is not positive definite, and is spoilt. The result does not depend on the threads. */
bool skv_cholesky_upper(double *a, int64_t n, int threads);
/* x[n] becomes the solution of a x = b, where x is b and m is the factor of a. */
void skv_cholesky_solve(const double *m, int64_t n, double *x);
/* The inverse of the factor, upper triangular as it is; what is below the diagonal of u [n][n] becomes zero. The
 * inverse of a is u^T u. */
void skv_cholesky_invert(const double *m, int64_t n, double *u, int threads);

#endif
