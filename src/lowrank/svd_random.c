/* The leading singular values of a large matrix by random projection. */
#include <math.h>
#include <string.h>

#include "kernels/sgemm.h"
#include "lowrank/linear.h"

/* Columns more than asked for, and applications of a'a to the first guess. */
enum { MORE = 16, POWERS_EVEN = 2, POWERS = 3 };

/* Squares of the first guess's singular values that lie farther apart than this are far apart. */
static const double EVEN = 1e-4;

typedef struct projection {
    int64_t m, n, k;
    float *a, *y, *z, *q, *turn;            /* [m][n], [m][k], [n][k], [n][k], [k][k] */
    double *wide, *gram, *vectors, *values; /* [max(m, n)][k], [k][k], [k][k], [k] */
    void *scratch;
    int threads;
} projection;

/* out = a x, or out (+)= a' x. */
static void times(const projection *w, bool transposed, bool add, const float *x, float *out) {
    const skv_sgemm g = {.trans_a = transposed,
                         .m = transposed ? w->n : w->m,
                         .n = w->k,
                         .k = transposed ? w->m : w->n,
                         .a = w->a,
                         .b = x,
                         .lda = w->n,
                         .ldb = w->k,
                         .ldc = w->k,
                         .c = out,
                         .alpha = 1,
                         .add = add};
    skv_sgemm_run(&g, w->threads, w->scratch);
}

static void widen(const projection *w, int64_t rows, const float *x) {
    for (int64_t i = 0; i < rows * w->k; i++) w->wide[i] = (double)x[i];
}

/* to becomes an orthonormal basis of x's columns. */
static skive_status exact_basis(skive_context *ctx, const projection *w, int64_t rows, const float *x, float *to) {
    widen(w, rows, x);
    SKV_TRY(skv_orthonormalize(ctx, rows, w->k, w->wide));
    for (int64_t i = 0; i < rows * w->k; i++) to[i] = (float)w->wide[i];
    return SKIVE_OK;
}

/* q becomes one of z's columns by the eigenvectors of z'z, which is several times faster and tells the least singular
 * value of z. Where the values are far apart rounding would spoil it: the exact one is made, and `least` is 0. */
static skive_status quick_basis(skive_context *ctx, const projection *w, double *least) {
    const int64_t k = w->k;
    widen(w, w->n, w->z);
    SKV_TRY(skv_multiply(
        ctx, &(skv_product){.trans_a = true, .m = k, .n = k, .k = w->n, .a = w->wide, .b = w->wide, .c = w->gram}));
    SKV_TRY(skv_eigen(ctx, k, w->gram, w->values, w->vectors));
    *least = 0;
    if (!(w->values[k - 1] > EVEN * EVEN * w->values[0])) return exact_basis(ctx, w, w->n, w->z, w->q);
    *least = sqrt(w->values[k - 1]);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++) w->turn[i * k + j] = (float)(w->vectors[i * k + j] / sqrt(w->values[j]));
    const skv_sgemm g = {
        .m = w->n, .n = k, .k = k, .a = w->z, .b = w->turn, .lda = k, .ldb = k, .ldc = k, .c = w->q, .alpha = 1};
    skv_sgemm_run(&g, w->threads, w->scratch);
    return SKIVE_OK;
}

static skive_status open_work(skive_context *ctx, uint64_t seed, projection *w) {
    const int64_t longer = w->m > w->n ? w->m : w->n;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(w->m * w->k), sizeof *w->y, &w->y));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(w->n * w->k), sizeof *w->z, &w->z));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(w->n * w->k), sizeof *w->q, &w->q));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(w->k * w->k), sizeof *w->turn, &w->turn));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(longer * w->k), sizeof *w->wide, &w->wide));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(w->k * w->k), sizeof *w->gram, &w->gram));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(w->k * w->k), sizeof *w->vectors, &w->vectors));
    SKV_TRY(skv_alloc_array(ctx, (size_t)w->k, sizeof *w->values, &w->values));
    SKV_TRY(skv_alloc(ctx, skv_sgemm_scratch(w->k, longer, w->threads), &w->scratch));
    for (int64_t i = 0; i < w->m * w->k; i++) w->y[i] = (float)skv_rng_normal(seed, 0x72737664, (uint64_t)i);
    return SKIVE_OK;
}

static void close_work(skive_context *ctx, projection *w) {
    skv_free(ctx, w->a);
    skv_free(ctx, w->y);
    skv_free(ctx, w->z);
    skv_free(ctx, w->q);
    skv_free(ctx, w->turn);
    skv_free(ctx, w->wide);
    skv_free(ctx, w->gram);
    skv_free(ctx, w->vectors);
    skv_free(ctx, w->values);
    skv_free(ctx, w->scratch);
}

/* Of a q = p r, p orthonormal: with r = u' s v', the vectors of a are p u' and q v. */
static skive_status finish(skive_context *ctx, projection *w, int64_t rank, double *u, double *s, double *vt) {
    const int64_t m = w->m, n = w->n, k = w->k;
    double *p = NULL, *small_u = NULL, *few = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * k), sizeof *p, &p));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(k * k), sizeof *small_u, &small_u));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(k * rank), sizeof *few, &few));
    times(w, false, false, w->q, w->y);
    widen(w, m, w->y);
    memcpy(p, w->wide, (size_t)(m * k) * sizeof *p);
    SKV_GO(status, done, skv_orthonormalize(ctx, m, k, p));
    SKV_GO(
        status, done,
        skv_multiply(ctx, &(skv_product){.trans_a = true, .m = k, .n = k, .k = m, .a = p, .b = w->wide, .c = w->gram}));
    SKV_GO(status, done, skv_svd(ctx, k, k, w->gram, small_u, w->values, w->vectors));
    memcpy(s, w->values, (size_t)rank * sizeof *s);
    for (int64_t i = 0; i < k; i++)
        for (int64_t r = 0; r < rank; r++) few[i * rank + r] = small_u[i * k + r];
    SKV_GO(status, done, skv_multiply(ctx, &(skv_product){.m = m, .n = rank, .k = k, .a = p, .b = few, .c = u}));
    widen(w, n, w->q);
    status = skv_multiply(
        ctx, &(skv_product){.trans_b = true, .m = rank, .n = n, .k = k, .a = w->vectors, .b = w->wide, .c = vt});
done:
    skv_free(ctx, p);
    skv_free(ctx, small_u);
    skv_free(ctx, few);
    return status;
}

/* Applications with a basis on either side: every singular value that float32 can tell from the largest counts. */
static skive_status refine(skive_context *ctx, const projection *w) {
    for (int i = 0; i < POWERS; i++) {
        times(w, false, false, w->q, w->y);
        SKV_TRY(exact_basis(ctx, w, w->m, w->y, w->y));
        times(w, true, false, w->y, w->z);
        SKV_TRY(exact_basis(ctx, w, w->n, w->z, w->q));
    }
    return SKIVE_OK;
}

/* Applications of a'a less a shift, which does in two what the above does in nearly three, with one basis each. The
 * shift is half of the least value seen: below it nothing grows that would have shrunk. */
static skive_status refine_even(skive_context *ctx, const projection *w) {
    double shift = 0;
    for (int i = 0; i < POWERS_EVEN; i++) {
        times(w, false, false, w->q, w->y);
        for (int64_t j = 0; j < w->n * w->k; j++) w->z[j] = (float)(-shift * (double)w->q[j]);
        times(w, true, true, w->y, w->z);
        if (i + 1 == POWERS_EVEN) return exact_basis(ctx, w, w->n, w->z, w->q);
        double least = 0;
        SKV_TRY(quick_basis(ctx, w, &least));
        shift = least / 2;
    }
    return SKIVE_OK;
}

skive_status skv_svd_random(skive_context *ctx, int64_t m, int64_t n, float *take, int64_t rank, uint64_t seed,
                            double *u, double *s, double *vt) {
    const int64_t full = m < n ? m : n;
    projection w = {
        .m = m, .n = n, .k = rank + MORE < full ? rank + MORE : full, .a = take, .threads = skv_threads(ctx)};
    double least = 0;
    skive_status status = open_work(ctx, seed, &w);
    if (status == SKIVE_OK) {
        times(&w, true, false, w.y, w.z);
        status = quick_basis(ctx, &w, &least);
    }
    if (status == SKIVE_OK) {
        const bool even = least > 0 && w.values[w.k - 1] > EVEN * w.values[0];
        status = even ? refine_even(ctx, &w) : refine(ctx, &w);
    }
    if (status == SKIVE_OK) status = finish(ctx, &w, rank, u, s, vt);
    close_work(ctx, &w);
    return status;
}
