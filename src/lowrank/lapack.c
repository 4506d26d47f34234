/* The decompositions by LAPACKE, on one thread: OpenBLAS's own threads would compete with OpenMP's. Its number of
 * threads is put back behind each call, and nothing else of it is set.
 *
 * The library is loaded when it is first needed and is not linked: OpenBLAS starts threads of its own as soon as it is
 * loaded, in every program, and a signal may then arrive at one of these. With little address space it is not loaded.
 */
#include "lowrank/linear.h"

#if SKIVE_WITH_LAPACKE

#include <dlfcn.h>
#include <lapacke.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

typedef struct library {
    void *handle; /* NULL: it is not there */
    lapack_int (*dgesdd)(int, char, lapack_int, lapack_int, double *, lapack_int, double *, double *, lapack_int,
                         double *, lapack_int);
    lapack_int (*dsyevd)(int, char, char, lapack_int, double *, lapack_int, double *);
    lapack_int (*dgeqrf)(int, lapack_int, lapack_int, double *, lapack_int, double *);
    lapack_int (*dorgqr)(int, lapack_int, lapack_int, lapack_int, double *, lapack_int, const double *);
    lapack_int (*dpotrf)(int, char, lapack_int, double *, lapack_int);
    lapack_int (*dpotrs)(int, char, lapack_int, lapack_int, const double *, lapack_int, double *, lapack_int);
    /* of the library under it */
    void (*dgemm)(const char *, const char *, const lapack_int *, const lapack_int *, const lapack_int *,
                  const double *, const double *, const lapack_int *, const double *, const lapack_int *,
                  const double *, double *, const lapack_int *);
    int (*get_threads)(void); /* NULL: it is not OpenBLAS */
    void (*set_threads)(int);
} library;

/* Written once, by load. */
static library the_library;
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

static bool find(void *handle, const char *name, void *pointer) {
    void *found = dlsym(handle, name);
    memcpy(pointer, &found, sizeof found);
    return found != NULL;
}

/* OpenBLAS takes memory for each of its threads when it is loaded, and where it gets none it tries again for ever. */
static bool address_space_is_short(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < (rlim_t)2 << 30;
}

static void load(void) {
    if (address_space_is_short()) return;
    library l = {.handle = dlopen("liblapacke.so.3", RTLD_NOW | RTLD_LOCAL)};
    if (!l.handle) return;
    bool all = find(l.handle, "LAPACKE_dgesdd", &l.dgesdd) && find(l.handle, "LAPACKE_dsyevd", &l.dsyevd);
    all = all && find(l.handle, "LAPACKE_dgeqrf", &l.dgeqrf) && find(l.handle, "LAPACKE_dorgqr", &l.dorgqr);
    all = all && find(l.handle, "LAPACKE_dpotrf", &l.dpotrf) && find(l.handle, "LAPACKE_dpotrs", &l.dpotrs);
    all = all && find(l.handle, "dgemm_", &l.dgemm);
    if (!find(l.handle, "openblas_get_num_threads", &l.get_threads) ||
        !find(l.handle, "openblas_set_num_threads", &l.set_threads))
        l.get_threads = NULL;
    if (all)
        the_library = l;
    else
        dlclose(l.handle);
}

/* NULL: skive's own code does it. */
static const library *lapack(void) {
    (void)pthread_once(&loaded, load);
    return the_library.handle ? &the_library : NULL;
}

/* Returns how many threads there were; 0: nothing was changed. */
static int one_thread(const library *l) {
    const int before = l->get_threads ? l->get_threads() : 1;
    if (before == 1) return 0;
    l->set_threads(1);
    return before;
}

static void put_back(const library *l, int before) {
    if (before) l->set_threads(before);
}

static skive_status result(skive_context *ctx, lapack_int info, const char *what) {
    if (info == 0) return SKIVE_OK;
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "not enough memory for the %s", what);
    return SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "the %s did not converge", what);
}

/* What is row-major to us is the transposed matrix to a library that counts by columns: a' = v s u'. */
skive_status skv_svd(skive_context *ctx, int64_t m, int64_t n, const double *a, double *u, double *s, double *vt) {
    const int64_t k = m < n ? m : n;
    double *copy = NULL, *own_u = NULL, *own_v = NULL;
    skive_status status = SKIVE_OK;
    const library *l = lapack();
    if (!l) return skv_svd_plain(ctx, m, n, a, u, s, vt);
    if (m > INT32_MAX || n > INT32_MAX) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a matrix is too large to decompose");
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *copy, &copy));
    memcpy(copy, a, (size_t)(m * n) * sizeof *copy);
    const char job = u || vt ? 'S' : 'N';
    if (job == 'S' && !u) SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * k), sizeof *own_u, &own_u));
    if (job == 'S' && !vt) SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(k * n), sizeof *own_v, &own_v));
    const int before = one_thread(l);
    const lapack_int info = l->dgesdd(LAPACK_COL_MAJOR, job, (lapack_int)n, (lapack_int)m, copy, (lapack_int)n, s,
                                      vt ? vt : own_v, (lapack_int)n, u ? u : own_u, (lapack_int)k);
    put_back(l, before);
    status = result(ctx, info, "singular value decomposition");
done:
    skv_free(ctx, copy);
    skv_free(ctx, own_u);
    skv_free(ctx, own_v);
    return status;
}

skive_status skv_eigen(skive_context *ctx, int64_t n, const double *a, double *w, double *v) {
    double *copy = NULL, *up = NULL;
    skive_status status = SKIVE_OK;
    const library *l = lapack();
    if (!l) return skv_eigen_plain(ctx, n, a, w, v);
    if (n > INT32_MAX) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a matrix is too large to decompose");
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *copy, &copy));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *up, &up));
    memcpy(copy, a, (size_t)(n * n) * sizeof *copy);
    const int before = one_thread(l);
    const lapack_int info = l->dsyevd(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, copy, (lapack_int)n, up);
    put_back(l, before);
    SKV_GO(status, done, result(ctx, info, "eigenvalue decomposition"));
    for (int64_t k = 0; k < n; k++) { /* ascending, and a vector's numbers are side by side */
        w[k] = up[n - 1 - k] > 0 ? up[n - 1 - k] : 0;
        for (int64_t i = 0; v && i < n; i++) v[i * n + k] = copy[(n - 1 - k) * n + i];
    }
done:
    skv_free(ctx, copy);
    skv_free(ctx, up);
    return status;
}

skive_status skv_orthonormalize(skive_context *ctx, int64_t m, int64_t n, double *a) {
    double *tau = NULL, *t = NULL;
    skive_status status = SKIVE_OK;
    const library *l = lapack();
    if (!l) return skv_orthonormalize_plain(ctx, m, n, a);
    if (m > INT32_MAX) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a matrix is too large to decompose");
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *tau, &tau));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * n), sizeof *t, &t));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) t[j * m + i] = a[i * n + j];
    const int before = one_thread(l);
    lapack_int info = l->dgeqrf(LAPACK_COL_MAJOR, (lapack_int)m, (lapack_int)n, t, (lapack_int)m, tau);
    if (info == 0)
        info = l->dorgqr(LAPACK_COL_MAJOR, (lapack_int)m, (lapack_int)n, (lapack_int)n, t, (lapack_int)m, tau);
    put_back(l, before);
    SKV_GO(status, done, result(ctx, info, "QR decomposition"));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) a[i * n + j] = t[j * m + i];
done:
    skv_free(ctx, tau);
    skv_free(ctx, t);
    return status;
}

/* The matrix is symmetric, so that rows and columns are the same; the right sides become columns. */
skive_status skv_solve(skive_context *ctx, int64_t n, int64_t k, const double *a, const double *b, double *x) {
    double *lower = NULL, *t = NULL, trace = 0;
    skive_status status = SKIVE_OK;
    const library *l = lapack();
    if (!l || n < 64 || n > INT32_MAX || k > INT32_MAX) return skv_solve_plain(ctx, n, k, a, b, x);
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *lower, &lower));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * k), sizeof *t, &t));
    for (int64_t i = 0; i < n; i++) trace += a[i * n + i];
    const double unit = trace > 0 ? trace / (double)n : 1;
    const int before = one_thread(l);
    double add = 1e-14 * unit;
    lapack_int info = 1;
    for (; info != 0 && add < 1e3 * unit; add *= 10) {
        memcpy(lower, a, (size_t)(n * n) * sizeof *lower);
        for (int64_t i = 0; i < n; i++) lower[i * n + i] += add;
        info = l->dpotrf(LAPACK_COL_MAJOR, 'L', (lapack_int)n, lower, (lapack_int)n);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < k; c++) t[c * n + i] = b[i * k + c];
    if (info == 0)
        info = l->dpotrs(LAPACK_COL_MAJOR, 'L', (lapack_int)n, (lapack_int)k, lower, (lapack_int)n, t, (lapack_int)n);
    put_back(l, before);
    if (info != 0)
        status = SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "a system of equations has no solution: numbers are not finite");
    for (int64_t i = 0; status == SKIVE_OK && i < n; i++)
        for (int64_t c = 0; c < k; c++) x[i * k + c] = t[c * n + i];
done:
    skv_free(ctx, lower);
    skv_free(ctx, t);
    return status;
}

skive_status skv_multiply(skive_context *ctx, const skv_product *p) {
    const library *l = lapack();
    if (!l || p->m > INT32_MAX || p->n > INT32_MAX || p->k > INT32_MAX || p->m * p->n * p->k < 4096)
        return skv_multiply_plain(ctx, p);
    const lapack_int m = (lapack_int)p->m, n = (lapack_int)p->n, k = (lapack_int)p->k;
    const lapack_int lda = p->trans_a ? m : k, ldb = p->trans_b ? k : n;
    const double one = 1, beta = p->add ? 1 : 0;
    const int before = one_thread(l);
    l->dgemm(p->trans_b ? "T" : "N", p->trans_a ? "T" : "N", &n, &m, &k, &one, p->b, &ldb, p->a, &lda, &beta, p->c, &n);
    put_back(l, before);
    return SKIVE_OK;
}

const char *skv_linear_library(void) { return lapack() ? "LAPACKE" : NULL; }

#else

skive_status skv_solve(skive_context *ctx, int64_t n, int64_t k, const double *a, const double *b, double *x) {
    return skv_solve_plain(ctx, n, k, a, b, x);
}
skive_status skv_svd(skive_context *ctx, int64_t m, int64_t n, const double *a, double *u, double *s, double *vt) {
    return skv_svd_plain(ctx, m, n, a, u, s, vt);
}
skive_status skv_eigen(skive_context *ctx, int64_t n, const double *a, double *w, double *v) {
    return skv_eigen_plain(ctx, n, a, w, v);
}
skive_status skv_orthonormalize(skive_context *ctx, int64_t m, int64_t n, double *a) {
    return skv_orthonormalize_plain(ctx, m, n, a);
}
skive_status skv_multiply(skive_context *ctx, const skv_product *p) { return skv_multiply_plain(ctx, p); }
const char *skv_linear_library(void) { return NULL; }

#endif
