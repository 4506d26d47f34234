/* A k x k convolution becomes k x 1 to r channels and 1 x k from there (Jaderberg, Vedaldi & Zisserman 2014; the closed
 * form by singular values is that of Tai et al., ICLR 2016). */
#include "lowrank/lowrank.h"

static const char *why_not(const skv_site *s) {
    if (s->kind != SKV_SITE_CONV) return "spatial is for convolutions";
    return s->kh > 1 && s->kw > 1 ? NULL : "the window has one direction only";
}

static int64_t full(const skv_site *s) { return s->in * s->kh < s->out * s->kw ? s->in * s->kh : s->out * s->kw; }

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    f->n = 2;
    f->links[0] =
        (skv_link){.out = r.a, .in = s->in, .groups = 1, .kh = s->kh, .kw = 1, .by_h = true, .domain = SKV_DOMAIN_ROWS};
    f->links[1] = (skv_link){
        .out = s->out, .in = r.a, .groups = 1, .kh = 1, .kw = s->kw, .by_w = true, .domain = SKV_DOMAIN_OUTPUT};
}

/* The matrix [in kh][out kw]. */
static skive_status look(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out) {
    const int64_t m = s->in * s->kh, n = s->out * s->kw;
    double *a = NULL;
    out->n = 1;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m * n), sizeof *a, &a));
    for (int64_t o = 0; o < s->out; o++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t x = 0; x < s->kw; x++) a[i * n + o * s->kw + x] = s->w[(o * m + i) * s->kw + x];
    return skv_look_taken(ctx, m, n, a, most, &out->of[0]);
}

static double lost(const skv_site *s, const skv_found *found, skv_rank r) {
    return s->moments ? -1 : skv_spectrum_lost(&found->of[0], r.a);
}

/* Row (r, x) of the basis: the r-th column of kh taps, u [in kh][k], at x. */
static void write_out(const skv_site *s, int64_t k, const double *u, skv_factors *f) {
    const int64_t m = s->in * s->kh;
    for (int64_t c = 0; c < f->rank.a; c++) {
        for (int64_t i = 0; i < m; i++) {
            f->links[0].data[c * m + i] = (float)u[i * k + c];
            for (int64_t x = 0; x < s->kw; x++) f->basis[(c * s->kw + x) * s->d + i * s->kw + x] = u[i * k + c];
        }
    }
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    (void)seed;
    shape(s, r, f);
    SKV_TRY(skv_factors_open(ctx, s, r.a * s->kw, 1, f));
    SKV_TRY(skv_link_data(ctx, &f->links[0]));
    write_out(s, found->of[0].k, found->of[0].u, f);
    return SKIVE_OK;
}

/* The columns are a factor of channels whose positions are rows of the window too. */
static skive_status refit(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f) {
    const int64_t m = s->in * s->kh, b = f->rank.a;
    double *u = NULL;
    bool solved = false;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(m * b), sizeof *u, &u));
    for (int64_t c = 0; c < b; c++)
        for (int64_t i = 0; i < m; i++) u[i * b + c] = (double)f->links[0].data[c * m + i];
    const skv_channel_factor points = {.out = s->out, .m = m, .b = b, .taps = s->kw, .h = f->last, .v = u};
    const skive_status status = skv_regress_points(ctx, r, &points, &solved);
    f->first_stays = !solved;
    if (status == SKIVE_OK) write_out(s, b, u, f);
    skv_free(ctx, u);
    return status;
}

const skv_factorization skv_factorization_spatial = {
    .name = "spatial",
    .brief = "k x 1, then 1 x k (Jaderberg et al. 2014)",
    .automatic = true,
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .look = look,
    .lost = lost,
    .factor = factor,
    .refit = refit,
};
