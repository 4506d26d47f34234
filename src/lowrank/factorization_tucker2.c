/* Tucker-2 of a convolution: 1 x 1 to b channels, the window from b to a channels, 1 x 1 to the outputs (Kim et al.,
 * ICLR 2016). The bases are the leading vectors of the two unfoldings (HOSVD, De Lathauwer et al. 2000), then each
 * in turn the best for the other (HOOI). */
#include <string.h>

#include "lowrank/lowrank.h"

enum { SWEEPS = 5 };

static const char *why_not(const skv_site *s) {
    if (s->kind != SKV_SITE_CONV) return "tucker2 is for convolutions";
    return s->kh * s->kw > 1 ? NULL : "the window is 1 x 1: take svd";
}

static int64_t full(const skv_site *s) { return s->out; }

/* The same share of both sides. */
static int64_t second(const skv_site *s, int64_t a) {
    const int64_t b = (a * s->in + s->out - 1) / s->out;
    return b < 1 ? 1 : b < s->in ? b : s->in;
}

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    f->n = 3;
    f->links[0] = skv_link_point(r.b, s->in, SKV_DOMAIN_INPUT);
    f->links[1] = skv_link_window(s, r.a, r.b);
    f->links[2] = skv_link_point(s->out, r.a, SKV_DOMAIN_OUTPUT);
}

/* [in][out taps] of a kernel [out][in][taps]. */
static void unfold(const double *w, int64_t out, int64_t in, int64_t taps, double *to) {
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            memcpy(to + (i * out + o) * taps, w + (o * in + i) * taps, (size_t)taps * sizeof *to);
}

static skive_status look(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out) {
    const int64_t taps = s->kh * s->kw;
    double *a = NULL;
    (void)most;
    out->n = 2;
    SKV_TRY(skv_look_matrix(ctx, s->out, s->d, s->w, 0, false, &out->of[0]));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(s->out * s->d), sizeof *a, &a));
    unfold(s->w, s->out, s->in, taps, a);
    return skv_look_taken(ctx, s->in, s->out * taps, a, 0, &out->of[1]);
}

/* At most what both truncations lose by themselves (De Lathauwer et al. 2000); HOOI makes it less. */
static double lost(const skv_site *s, const skv_found *found, skv_rank r) {
    const double sum = skv_spectrum_lost(&found->of[0], r.a) + skv_spectrum_lost(&found->of[1], r.b);
    return s->moments ? -1 : sum < 1 ? sum : 1;
}

/* The leading r columns of a basis. */
static void leading(const skv_spectrum *v, int64_t r, double *to) {
    for (int64_t i = 0; i < v->m; i++)
        for (int64_t j = 0; j < r; j++) to[i * r + j] = j < v->k ? v->u[i * v->k + j] : 0;
}

typedef struct tucker {
    const skv_site *s;
    skv_rank r;
    double *u, *v;       /* [out][a], [in][b] */
    double *part, *turn; /* [out][b][taps] or [a][in][taps], and unfolded */
} tucker;

/* w along the inputs by v: [out][b][taps]. */
static skive_status by_inputs(skive_context *ctx, const tucker *t, double *out) {
    const int64_t taps = t->s->kh * t->s->kw;
    for (int64_t o = 0; o < t->s->out; o++)
        SKV_TRY(skv_multiply(ctx, &(skv_product){.trans_a = true,
                                                 .m = t->r.b,
                                                 .n = taps,
                                                 .k = t->s->in,
                                                 .a = t->v,
                                                 .b = t->s->w + o * t->s->d,
                                                 .c = out + o * t->r.b * taps}));
    return SKIVE_OK;
}

static skive_status improve(skive_context *ctx, tucker *t) {
    const int64_t taps = t->s->kh * t->s->kw;
    skv_spectrum x = {0};
    SKV_TRY(by_inputs(ctx, t, t->part));
    skive_status status = skv_look_matrix(ctx, t->s->out, t->r.b * taps, t->part, 0, false, &x);
    if (status == SKIVE_OK) leading(&x, t->r.a, t->u);
    skv_found_free(ctx, &(skv_found){.of = {x}});
    SKV_TRY(status);
    SKV_TRY(skv_multiply(
        ctx, &(skv_product){
                 .trans_a = true, .m = t->r.a, .n = t->s->d, .k = t->s->out, .a = t->u, .b = t->s->w, .c = t->part}));
    unfold(t->part, t->r.a, t->s->in, taps, t->turn);
    x = (skv_spectrum){0};
    status = skv_look_matrix(ctx, t->s->in, t->r.a * taps, t->turn, 0, false, &x);
    if (status == SKIVE_OK) leading(&x, t->r.b, t->v);
    skv_found_free(ctx, &(skv_found){.of = {x}});
    return status;
}

/* Writes v [in][b] and core [a][b][taps] into links and basis, whose row a is the core's, back on all inputs. */
static skive_status write_out(skive_context *ctx, const skv_site *s, const double *v, const double *core,
                              skv_factors *f) {
    const int64_t taps = s->kh * s->kw, ranks = f->rank.b;
    for (int64_t b = 0; b < ranks; b++)
        for (int64_t i = 0; i < s->in; i++) f->links[0].data[b * s->in + i] = (float)v[i * ranks + b];
    for (int64_t i = 0; i < f->rank.a * ranks * taps; i++) f->links[1].data[i] = (float)core[i];
    for (int64_t a = 0; a < f->rank.a; a++)
        SKV_TRY(skv_multiply(
            ctx,
            &(skv_product){
                .m = s->in, .n = taps, .k = ranks, .a = v, .b = core + a * ranks * taps, .c = f->basis + a * s->d}));
    return SKIVE_OK;
}

/* Core [a][b][taps] = u' w v. */
static skive_status finish(skive_context *ctx, const tucker *t, skv_factors *f) {
    const skv_site *s = t->s;
    const int64_t taps = s->kh * s->kw;
    SKV_TRY(by_inputs(ctx, t, t->part));
    SKV_TRY(skv_multiply(
        ctx,
        &(skv_product){
            .trans_a = true, .m = t->r.a, .n = t->r.b * taps, .k = s->out, .a = t->u, .b = t->part, .c = t->turn}));
    SKV_TRY(skv_link_data(ctx, &f->links[0]));
    SKV_TRY(skv_link_data(ctx, &f->links[1]));
    return write_out(ctx, s, t->v, t->turn, f);
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    tucker t = {.s = s, .r = r};
    skive_status status;
    (void)seed;
    shape(s, r, f);
    SKV_TRY(skv_factors_open(ctx, s, r.a, 1, f));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->out * r.a), sizeof *t.u, &t.u));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->in * r.b), sizeof *t.v, &t.v));
    const int64_t by_out = r.a * s->d, by_in = s->out * r.b * s->kh * s->kw;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(by_out > by_in ? by_out : by_in), sizeof *t.part, &t.part));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)by_out, sizeof *t.turn, &t.turn));
    leading(&found->of[0], r.a, t.u);
    leading(&found->of[1], r.b, t.v);
    for (int i = 0; i < SWEEPS && (r.a < s->out || r.b < s->in); i++) SKV_GO(status, done, improve(ctx, &t));
    status = finish(ctx, &t, f);
done:
    skv_free(ctx, t.u);
    skv_free(ctx, t.v);
    skv_free(ctx, t.part);
    skv_free(ctx, t.turn);
    return status;
}

/* The inputs' factor for what is behind it, then the core and the last factor at once for what it gives. */
static skive_status refit(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f) {
    const int64_t ranks = f->rank.b, n = ranks * s->kh * s->kw;
    double *v = NULL, *core = NULL, *h = NULL;
    bool solved = false;
    skive_status status = SKIVE_OK;
    if (f->rank.a > s->out) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->in * ranks), sizeof *v, &v));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(f->rank.a * n), sizeof *core, &core));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->out * n), sizeof *h, &h));
    for (int64_t b = 0; b < ranks; b++)
        for (int64_t i = 0; i < s->in; i++) v[i * ranks + b] = (double)f->links[0].data[b * s->in + i];
    for (int64_t i = 0; i < f->rank.a * n; i++) core[i] = (double)f->links[1].data[i];
    SKV_GO(status, done,
           skv_multiply(ctx, &(skv_product){.m = s->out, .n = n, .k = f->rank.a, .a = f->last, .b = core, .c = h}));
    const skv_channel_factor points = {.out = s->out, .m = s->in, .b = ranks, .taps = s->kh * s->kw, .h = h, .v = v};
    SKV_GO(status, done, skv_regress_points(ctx, r, &points, &solved));
    f->first_stays = !solved;
    SKV_GO(status, done, skv_regress_behind(ctx, s, r, ranks, v, f->rank.a, f->last, core));
    status = write_out(ctx, s, v, core, f);
done:
    skv_free(ctx, v);
    skv_free(ctx, core);
    skv_free(ctx, h);
    return status;
}

const skv_factorization skv_factorization_tucker2 = {
    .name = "tucker2",
    .brief = "1x1, the window between fewer channels, 1x1 (Kim et al. 2016)",
    .automatic = true,
    .why_not = why_not,
    .full = full,
    .second = second,
    .shape = shape,
    .look = look,
    .lost = lost,
    .factor = factor,
    .refit = refit,
};
