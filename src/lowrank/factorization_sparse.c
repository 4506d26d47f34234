/* The sum of a low-rank and a sparse part: in turns the singular values of what the sparse part leaves, and the largest
 * twentieth of what the low-rank part leaves (as in GoDec, Zhou & Tao, ICML 2011). The sparse part stays in the layer,
 * whose zeros a plan's sparse kernels and packed files use. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowrank/lowrank.h"

enum { ROUNDS = 80, ONE_IN = 20 };

static const char *why_not(const skv_site *s) {
    if (s->kind == SKV_SITE_CELL || s->kind == SKV_SITE_TABLE) return "sparse is for products and convolutions";
    return s->n_members > 1 ? "sparse is for products by themselves, not for several with one factor in common" : NULL;
}

static int64_t full(const skv_site *s) { return s->out < s->d ? s->out : s->d; }

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    f->n = 3;
    f->links[0] = skv_link_window(s, r.a, s->in);
    f->links[1] = skv_link_point(s->out, r.a, SKV_DOMAIN_OUTPUT);
    f->links[2] = skv_link_window(s, s->out, s->in); /* beside the others */
    f->links[2].nonzeros = s->out * s->d / ONE_IN;
}

static int larger_first(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a < b) - (a > b);
}

typedef struct parts {
    double *low, *sparse, *sizes; /* [out][d] */
} parts;

static skive_status low_part(skive_context *ctx, const skv_site *s, int64_t r, const parts *p, skv_factors *f) {
    const int64_t n = s->out * s->d;
    skv_spectrum x = {0};
    double *a = NULL, *b = NULL;
    skive_status status;
    for (int64_t i = 0; i < n; i++) p->low[i] = s->w[i] - p->sparse[i];
    SKV_GO(status, done, skv_look_matrix(ctx, s->out, s->d, p->low, r, true, &x));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->out * r), sizeof *a, &a));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(r * s->d), sizeof *b, &b));
    for (int64_t k = 0; k < r; k++) {
        const double root = sqrt(x.s[k]);
        for (int64_t o = 0; o < s->out; o++)
            f->links[1].data[o * r + k] = (float)(a[o * r + k] = x.u[o * x.k + k] * root);
        for (int64_t i = 0; i < s->d; i++)
            f->links[0].data[k * s->d + i] = (float)(b[k * s->d + i] = x.vt[k * s->d + i] * root);
    }
    status = skv_multiply(ctx, &(skv_product){.m = s->out, .n = s->d, .k = r, .a = a, .b = b, .c = p->low});
done:
    skv_found_free(ctx, &(skv_found){.of = {x}});
    skv_free(ctx, a);
    skv_free(ctx, b);
    return status;
}

static void sparse_part(const skv_site *s, const parts *p, int64_t keep) {
    const int64_t n = s->out * s->d;
    for (int64_t i = 0; i < n; i++) p->sizes[i] = fabs(s->w[i] - p->low[i]);
    qsort(p->sizes, (size_t)n, sizeof *p->sizes, larger_first);
    const double least = keep < n ? p->sizes[keep] : 0;
    for (int64_t i = 0; i < n; i++) {
        const double rest = s->w[i] - p->low[i];
        p->sparse[i] = fabs(rest) > least ? rest : 0;
    }
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    const int64_t n = s->out * s->d;
    parts p = {0};
    double before = INFINITY;
    skive_status status = SKIVE_OK;
    (void)found;
    (void)seed;
    shape(s, r, f);
    for (int i = 0; i < 3; i++) SKV_TRY(skv_link_data(ctx, &f->links[i]));
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *f->dense, &f->dense));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *p.low, &p.low));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *p.sparse, &p.sparse));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *p.sizes, &p.sizes));
    sparse_part(s, &p, f->links[2].nonzeros); /* the largest weights first: they would lead the singular vectors */
    for (int i = 0; i < ROUNDS; i++) {
        SKV_GO(status, done, low_part(ctx, s, r.a, &p, f));
        sparse_part(s, &p, f->links[2].nonzeros);
        double error = 0;
        for (int64_t k = 0; k < n; k++)
            error += (s->w[k] - p.low[k] - p.sparse[k]) * (s->w[k] - p.low[k] - p.sparse[k]);
        if (before - error < 1e-4 * before) break;
        before = error;
    }
    for (int64_t i = 0; i < n; i++) {
        f->dense[i] = p.low[i] + p.sparse[i];
        f->links[2].data[i] = (float)p.sparse[i];
    }
done:
    skv_free(ctx, p.low);
    skv_free(ctx, p.sparse);
    skv_free(ctx, p.sizes);
    return status;
}

const skv_factorization skv_factorization_sparse = {
    .name = "sparse",
    .brief = "a low-rank part and a sparse one of a twentieth of the weights, added",
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .factor = factor,
    .beside = true,
};
