/* Singular value decomposition of a matrix: W [out][in] becomes A [out][r] times B [r][in]; of the products of query,
 * key and value together, of the stacked gates of a recurrent cell, of an embedding, of a 1 x 1 convolution. A is the
 * left singular vectors, B what they give of W, so that the error of each rank is the values that are left out; with
 * moments of the inputs both belong to the outputs (data whitening as in SVD-LLM, Wang et al. 2025). */
#include "lowrank/lowrank.h"

static const char *why_not(const skv_site *s) {
    if (s->kind == SKV_SITE_CONV && s->kh * s->kw > 1) return "svd is for matrices; for this convolution take channel";
    return NULL;
}

static int64_t full(const skv_site *s) { return s->out < s->d ? s->out : s->d; }

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    f->n = 2;
    if (s->kind == SKV_SITE_TABLE) { /* looked up first: the factor of the rows */
        f->links[0] = skv_link_point(s->out, r.a, SKV_DOMAIN_INPUT);
        f->links[1] = skv_link_point(r.a, s->in, SKV_DOMAIN_OUTPUT);
        return;
    }
    f->links[0] = skv_link_window(s, r.a, s->in);
    f->links[1] = skv_link_point(s->out, r.a, SKV_DOMAIN_OUTPUT);
}

/* The basis: what the first left vectors give of W. */
static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    const skv_spectrum *x = &found->of[0];
    double *u = NULL;
    (void)seed;
    shape(s, r, f);
    SKV_TRY(skv_factors_open(ctx, s, r.a, 1, f));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(s->out * r.a), sizeof *u, &u));
    for (int64_t i = 0; i < s->out; i++)
        for (int64_t j = 0; j < r.a; j++) u[i * r.a + j] = x->u[i * x->k + j];
    skive_status status = skv_multiply(
        ctx, &(skv_product){.trans_a = true, .m = r.a, .n = s->d, .k = s->out, .a = u, .b = s->w, .c = f->basis});
    skv_free(ctx, u);
    SKV_TRY(status);
    skv_link *first = &f->links[s->kind == SKV_SITE_TABLE ? 1 : 0];
    SKV_TRY(skv_link_data(ctx, first));
    for (int64_t i = 0; i < r.a * s->d; i++) first->data[i] = (float)f->basis[i];
    return SKIVE_OK;
}

const skv_factorization skv_factorization_svd = {
    .name = "svd",
    .brief = "two products in the place of one: matrices, 1x1 convolutions, gates, embeddings",
    .automatic = true,
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .look = skv_look_rows,
    .lost = skv_lost_rows,
    .factor = factor,
    .refit = skv_regress_rows,
};

/* ---- the same of a convolution with a window ---- */

static const char *why_not_channel(const skv_site *s) {
    if (s->kind != SKV_SITE_CONV) return "channel is for convolutions";
    return s->kh * s->kw > 1 ? NULL : "the window is 1 x 1: take svd";
}

const skv_factorization skv_factorization_channel = {
    .name = "channel",
    .brief = "a convolution to fewer channels, then 1x1 (Zhang et al. 2015)",
    .automatic = true,
    .why_not = why_not_channel,
    .full = full,
    .shape = shape,
    .look = skv_look_rows,
    .lost = skv_lost_rows,
    .factor = factor,
    .refit = skv_regress_rows,
};
