/* A depthwise convolution with r kernels for each input channel, then 1 x 1: the kernels of an input channel are a
 * matrix [out][taps], of which the first r right singular vectors are kept. */
#include <string.h>

#include "lowrank/lowrank.h"

static const char *why_not(const skv_site *s) {
    if (s->kind != SKV_SITE_CONV) return "separable is for convolutions";
    return s->kh * s->kw > 1 ? NULL : "the window is 1 x 1: take svd";
}

static int64_t full(const skv_site *s) { return s->kh * s->kw; }

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    f->n = 2;
    f->links[0] = skv_link_window(s, s->in * r.a, s->in);
    f->links[0].groups = s->in;
    f->links[1] = skv_link_point(s->out, s->in * r.a, SKV_DOMAIN_OUTPUT);
}

/* vt holds the vectors of all channels, [in][taps][taps]; s the root of the sums of squares over the channels. */
static skive_status look(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out) {
    const int64_t taps = s->kh * s->kw;
    skv_spectrum *v = &out->of[0];
    double *g = NULL, *values = NULL, *vectors = NULL;
    skive_status status = SKIVE_OK;
    (void)most;
    out->n = 1;
    *v = (skv_spectrum){.m = taps, .n = taps, .k = taps, .all = s->norm};
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)taps, sizeof *v->s, &v->s));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->in * taps * taps), sizeof *v->vt, &v->vt));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(taps * taps), sizeof *g, &g));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(taps * taps), sizeof *vectors, &vectors));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)taps, sizeof *values, &values));
    for (int64_t c = 0; c < s->in; c++) {
        memset(g, 0, (size_t)(taps * taps) * sizeof *g);
        for (int64_t o = 0; o < s->out; o++) {
            const double *w = s->w + (o * s->in + c) * taps;
            for (int64_t i = 0; i < taps; i++)
                for (int64_t j = 0; j < taps; j++) g[i * taps + j] += w[i] * w[j];
        }
        SKV_GO(status, done, skv_eigen(ctx, taps, g, values, vectors));
        for (int64_t i = 0; i < taps; i++) {
            v->s[i] += values[i];
            for (int64_t j = 0; j < taps; j++) v->vt[(c * taps + i) * taps + j] = vectors[j * taps + i];
        }
    }
done:
    skv_free(ctx, g);
    skv_free(ctx, values);
    skv_free(ctx, vectors);
    return status;
}

static double lost(const skv_site *s, const skv_found *found, skv_rank r) {
    const skv_spectrum *v = &found->of[0];
    double sum = 0;
    if (s->moments) return -1;
    for (int64_t i = r.a; i < v->k; i++) sum += v->s[i]; /* squares already */
    return s->norm > 0 ? sum / s->norm : 0;
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    const int64_t taps = s->kh * s->kw;
    (void)seed;
    shape(s, r, f);
    f->taps = taps;
    SKV_TRY(skv_factors_open(ctx, s, s->in * r.a, 1, f));
    SKV_TRY(skv_link_data(ctx, &f->links[0]));
    for (int64_t c = 0; c < s->in; c++)
        for (int64_t k = 0; k < r.a; k++)
            for (int64_t t = 0; t < taps; t++) {
                const double x = found->of[0].vt[(c * taps + k) * taps + t];
                f->links[0].data[(c * r.a + k) * taps + t] = (float)x;
                f->basis[(c * r.a + k) * taps + t] = x;
            }
    return SKIVE_OK;
}

/* All kernels [in][r][taps] by one system: for (c, k, t) and (e, l, u) it is M[c t][e u] times (last' last)[c k][e l].
 */
static skive_status refit(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f) {
    enum { MOST = 2048 }; /* unknowns */
    const int64_t taps = f->taps, rows = f->rows, each = rows / s->in, n = rows * taps;
    double *ll = NULL, *system = NULL, *lt = NULL, *x = NULL;
    skive_status status = SKIVE_OK;
    f->first_stays = n > MOST;
    if (f->first_stays) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * rows), sizeof *ll, &ll));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * s->d), sizeof *lt, &lt));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * n), sizeof *system, &system));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *x, &x));
    SKV_GO(status, done,
           skv_multiply(ctx,
                        &(skv_product){
                            .trans_a = true, .m = rows, .n = rows, .k = s->out, .a = f->last, .b = f->last, .c = ll}));
    SKV_GO(status, done,
           skv_multiply(
               ctx, &(skv_product){
                        .trans_a = true, .m = rows, .n = s->d, .k = s->out, .a = f->last, .b = r->target, .c = lt}));
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i / taps, at = row / each * taps + i % taps; /* of the inputs */
        x[i] = lt[row * s->d + at];
        for (int64_t j = 0; j < n; j++)
            system[i * n + j] = r->moments[at * s->d + j / taps / each * taps + j % taps] * ll[row * rows + j / taps];
    }
    SKV_GO(status, done, skv_solve(ctx, n, 1, system, x, x));
    for (int64_t i = 0; i < n; i++) f->links[0].data[i] = (float)(f->basis[i] = x[i]);
done:
    skv_free(ctx, ll);
    skv_free(ctx, lt);
    skv_free(ctx, system);
    skv_free(ctx, x);
    return status;
}

const skv_factorization skv_factorization_separable = {
    .name = "separable",
    .brief = "r kernels of each channel by itself, then 1x1: depthwise-separable",
    .automatic = true,
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .look = look,
    .lost = lost,
    .factor = factor,
    .refit = refit,
};
