/* Decompositions that records share: of a matrix by itself, and of a site's rows in the norm of its outputs. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"

/* Above this size of the shorter side, and for ranks far below it, random projection finds what is asked for. */
enum { RANDOM_ABOVE = 768, GRAM_FROM = 32 };

void skv_found_free(skive_context *ctx, skv_found *f) {
    for (size_t i = 0; i < SKV_SPECTRA; i++) {
        skv_free(ctx, f->of[i].s);
        skv_free(ctx, f->of[i].u);
        skv_free(ctx, f->of[i].vt);
    }
    *f = (skv_found){0};
}

/* Values and vectors of a matrix whose product with itself turned is g [m][m]. */
static skive_status roots(skive_context *ctx, int64_t m, const double *g, skv_spectrum *out) {
    SKV_TRY(skv_eigen(ctx, m, g, out->s, out->u));
    out->all = 0;
    for (int64_t i = 0; i < m; i++) {
        out->all += out->s[i];
        out->s[i] = sqrt(out->s[i]);
    }
    return SKIVE_OK;
}

/* Of a wide matrix only the left vectors: those of a a', which is much smaller. Values below 1e-8 of the largest one
 * are lost in its rounding; their share of the sum of squares is below that of a double. */
static skive_status by_gram(skive_context *ctx, int64_t m, int64_t n, const double *a, skv_spectrum *out) {
    double *g = NULL;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m * m), sizeof *g, &g));
    skive_status status =
        skv_multiply(ctx, &(skv_product){.trans_b = true, .m = m, .n = m, .k = n, .a = a, .b = a, .c = g});
    if (status == SKIVE_OK) status = roots(ctx, m, g, out);
    skv_free(ctx, g);
    return status;
}

/* The matrix is `a`, or what is taken over. */
static skive_status look(skive_context *ctx, int64_t m, int64_t n, const double *a, double **take, int64_t most,
                         bool right, skv_spectrum *out) {
    const int64_t full = m < n ? m : n;
    const bool random = full > RANDOM_ABOVE && most > 0 && most * 3 <= full;
    const int64_t k = random ? most : full;
    double *spare = NULL;
    float *x = NULL;
    *out = (skv_spectrum){.m = m, .n = n, .k = k};
    for (int64_t i = 0; i < m * n; i++) out->all += a[i] * a[i];
    SKV_TRY(skv_alloc_array(ctx, (size_t)k, sizeof *out->s, &out->s));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m * k), sizeof *out->u, &out->u));
    if (right) SKV_TRY(skv_alloc_array(ctx, (size_t)(k * n), sizeof *out->vt, &out->vt));
    if (!random && !right && m >= GRAM_FROM && n >= 2 * m) return by_gram(ctx, m, n, a, out);
    if (!random) return skv_svd(ctx, m, n, a, out->u, out->s, out->vt);
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m * n), sizeof *x, &x));
    for (int64_t i = 0; i < m * n; i++) x[i] = (float)a[i];
    if (take) { /* before the work needs as much */
        skv_free(ctx, *take);
        *take = NULL;
    }
    skive_status status = right ? SKIVE_OK : skv_alloc_array(ctx, (size_t)(k * n), sizeof *spare, &spare);
    if (status == SKIVE_OK)
        status = skv_svd_random(ctx, m, n, x, k, 1, out->u, out->s, right ? out->vt : spare);
    else
        skv_free(ctx, x);
    skv_free(ctx, spare);
    return status;
}

skive_status skv_look_matrix(skive_context *ctx, int64_t m, int64_t n, const double *a, int64_t most, bool right,
                             skv_spectrum *out) {
    return look(ctx, m, n, a, NULL, most, right, out);
}

skive_status skv_look_taken(skive_context *ctx, int64_t m, int64_t n, double *take, int64_t most, skv_spectrum *out) {
    const skive_status status = look(ctx, m, n, take, &take, most, false, out);
    skv_free(ctx, take);
    return status;
}

double skv_spectrum_lost(const skv_spectrum *s, int64_t rank) {
    double kept = 0;
    if (!(s->all > 0) || rank >= (s->m < s->n ? s->m : s->n)) return 0;
    if (rank <= s->k && s->k == (s->m < s->n ? s->m : s->n)) { /* small values are summed by themselves */
        double lost = 0;
        for (int64_t i = rank; i < s->k; i++) lost += s->s[i] * s->s[i];
        return lost / s->all;
    }
    for (int64_t i = 0; i < rank && i < s->k; i++) kept += s->s[i] * s->s[i];
    return kept < s->all ? 1 - kept / s->all : 0;
}

/* The outputs of W on inputs with moments M: the eigenvectors of W M W', or, where there are more outputs than inputs,
 * the left vectors of W V sqrt(D), with M = V D V'. */
static skive_status look_outputs(skive_context *ctx, const skv_site *s, skv_spectrum *out) {
    const int64_t m = s->out, d = s->d;
    double *g = NULL, *values = NULL, *v = NULL;
    skive_status status = SKIVE_OK;
    if (m <= d) {
        *out = (skv_spectrum){.m = m, .n = d, .k = m};
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)m, sizeof *out->s, &out->s));
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * m), sizeof *out->u, &out->u));
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * m), sizeof *g, &g));
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * d), sizeof *v, &v));
        SKV_GO(status, done,
               skv_multiply(ctx, &(skv_product){.m = m, .n = d, .k = d, .a = s->w, .b = s->moments, .c = v}));
        SKV_GO(status, done,
               skv_multiply(ctx, &(skv_product){.trans_b = true, .m = m, .n = m, .k = d, .a = v, .b = s->w, .c = g}));
        status = roots(ctx, m, g, out);
    } else {
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)d, sizeof *values, &values));
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(d * d), sizeof *v, &v));
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(m * d), sizeof *g, &g));
        SKV_GO(status, done, skv_eigen(ctx, d, s->moments, values, v));
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < d; j++) v[i * d + j] *= sqrt(values[j]);
        SKV_GO(status, done, skv_multiply(ctx, &(skv_product){.m = m, .n = d, .k = d, .a = s->w, .b = v, .c = g}));
        status = skv_look_matrix(ctx, m, d, g, 0, false, out);
    }
done:
    skv_free(ctx, g);
    skv_free(ctx, values);
    skv_free(ctx, v);
    return status;
}

skive_status skv_look_rows(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out) {
    out->n = 1;
    return s->moments ? look_outputs(ctx, s, &out->of[0])
                      : skv_look_matrix(ctx, s->out, s->d, s->w, most, false, &out->of[0]);
}

double skv_lost_rows(const skv_site *s, const skv_found *found, skv_rank r) {
    (void)s;
    return skv_spectrum_lost(&found->of[0], r.a);
}
