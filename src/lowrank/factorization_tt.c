/* Tensor train of a large matrix: outputs and inputs are read as several indices each, and the matrix as a chain of
 * cores [r][out_k][in_k][r'], found one after the other by singular values (Oseledets 2011; Novikov et al. 2015).
 * In the graph each core is one product between reshapes. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"

enum { MOST_CORES = 3 };

typedef struct train {
    int n;
    int64_t out[MOST_CORES], in[MOST_CORES], rank[MOST_CORES + 1];
} train;

/* n as a product of `parts` factors that are as even as they come. */
static void split(int64_t n, int parts, int64_t *to) {
    for (int i = 0; i < parts; i++) {
        const int left = parts - i;
        const double even = pow((double)n, 1.0 / left);
        int64_t best = 1;
        for (int64_t k = 1; k <= n && (double)k <= even * 1.000001; k++)
            if (n % k == 0) best = k;
        to[i] = left == 1 ? n : best;
        n /= to[i];
    }
}

static train train_of(const skv_site *s, int64_t r) {
    train t = {.n = s->out >= 256 && s->in >= 256 ? 3 : 2};
    split(s->out, t.n, t.out);
    split(s->in, t.n, t.in);
    t.rank[0] = t.rank[t.n] = 1;
    int64_t left = 1, all = s->out * s->in;
    for (int k = 1; k < t.n; k++) {
        left *= t.out[k - 1] * t.in[k - 1];
        const int64_t right = all / left, most = left < right ? left : right;
        t.rank[k] = r < most ? r : most;
    }
    return t;
}

static const char *why_not(const skv_site *s) {
    if (s->kind != SKV_SITE_PRODUCT) return "tt is for products";
    if (s->n_members > 1) return "tt is for products by themselves, not for several with one factor in common";
    const train t = train_of(s, 1);
    return t.out[0] * t.in[0] < 4 ? "its sizes cannot be split into factors" : NULL;
}

static int64_t full(const skv_site *s) {
    const train t = train_of(s, INT64_MAX);
    int64_t most = 1;
    for (int k = 1; k < t.n; k++)
        if (t.rank[k] > most) most = t.rank[k];
    return most;
}

/* From the last core to the first: link i is core n - 1 - i. */
static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    const train t = train_of(s, r.a);
    int64_t before = s->in, behind = 1;
    f->n = (size_t)t.n;
    for (int i = 0; i < t.n; i++) {
        const int k = t.n - 1 - i;
        before /= t.in[k];
        f->links[i] = skv_link_point(t.rank[k] * t.out[k], t.in[k] * t.rank[k + 1], SKV_DOMAIN_OUTPUT);
        f->links[i].times = before * behind;
        behind *= t.out[k];
    }
}

/* The matrix as a tensor (out 1, in 1, out 2, in 2 ...). */
static void interleave(const train *t, const skv_site *s, bool back, const double *from, double *to) {
    for (int64_t o = 0; o < s->out; o++)
        for (int64_t i = 0; i < s->in; i++) {
            int64_t place = 0, oo = s->out, ii = s->in, po = o, pi = i;
            for (int k = 0; k < t->n; k++) {
                oo /= t->out[k];
                ii /= t->in[k];
                place = (place * t->out[k] + po / oo) * t->in[k] + pi / ii;
                po %= oo;
                pi %= ii;
            }
            if (back)
                to[o * s->in + i] = from[place];
            else
                to[place] = from[o * s->in + i];
        }
}

/* A core as the data of its link: [rank out][in rank'] from [rank][out][in][rank']. */
static skive_status take_core(skive_context *ctx, const train *t, int k, const double *u, int64_t ld, skv_link *l) {
    SKV_TRY(skv_link_data(ctx, l));
    const int64_t n = t->rank[k] * t->out[k] * t->in[k];
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < t->rank[k + 1]; r++) l->data[i * t->rank[k + 1] + r] = (float)u[i * ld + r];
    return SKIVE_OK;
}

/* The product of the cores, back as a matrix. */
static skive_status rebuild(skive_context *ctx, const train *t, const skv_site *s, skv_factors *f, double *a,
                            double *b) {
    int64_t left = 1;
    a[0] = 1;
    for (int k = 0; k < t->n; k++) {
        const skv_link *l = &f->links[t->n - 1 - k];
        const int64_t n = t->out[k] * t->in[k] * t->rank[k + 1];
        double *core = NULL;
        SKV_TRY(skv_alloc_array(ctx, (size_t)(t->rank[k] * n), sizeof *core, &core));
        for (int64_t i = 0; i < t->rank[k] * n; i++) core[i] = (double)l->data[i];
        const skive_status status =
            skv_multiply(ctx, &(skv_product){.m = left, .n = n, .k = t->rank[k], .a = a, .b = core, .c = b});
        skv_free(ctx, core);
        SKV_TRY(status);
        left *= t->out[k] * t->in[k];
        memcpy(a, b, (size_t)(left * t->rank[k + 1]) * sizeof *a);
    }
    interleave(t, s, true, a, f->dense);
    return SKIVE_OK;
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    const train t = train_of(s, r.a);
    const int64_t n = s->out * s->in;
    int64_t widest = 1;
    double *a = NULL, *b = NULL;
    skive_status status;
    (void)found;
    (void)seed;
    shape(s, r, f);
    for (int k = 1; k < t.n; k++) widest = t.rank[k] > widest ? t.rank[k] : widest;
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *f->dense, &f->dense));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * widest), sizeof *a, &a));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(n * widest), sizeof *b, &b));
    interleave(&t, s, false, s->w, a);
    int64_t rest = n;
    for (int k = 0; k + 1 < t.n; k++) {
        const int64_t rows = t.rank[k] * t.out[k] * t.in[k];
        skv_spectrum x = {0};
        rest /= t.out[k] * t.in[k];
        status = skv_look_matrix(ctx, rows, rest, a, t.rank[k + 1], true, &x);
        if (status == SKIVE_OK) status = take_core(ctx, &t, k, x.u, x.k, &f->links[t.n - 1 - k]);
        for (int64_t i = 0; status == SKIVE_OK && i < t.rank[k + 1]; i++)
            for (int64_t j = 0; j < rest; j++) a[i * rest + j] = x.s[i] * x.vt[i * rest + j];
        skv_found_free(ctx, &(skv_found){.of = {x}});
        if (status != SKIVE_OK) goto done;
    }
    SKV_GO(status, done, take_core(ctx, &t, t.n - 1, a, 1, &f->links[0]));
    status = rebuild(ctx, &t, s, f, a, b);
done:
    skv_free(ctx, a);
    skv_free(ctx, b);
    return status;
}

/* ---- graph ---- */

static skive_value *reshape(skv_builder *b, skive_value *x, int lead, const int64_t *dims, int n) {
    int64_t all[SKIVE_MAX_RANK] = {0}; /* 0: as it is */
    for (int i = 0; i < n; i++) all[lead + i] = dims[i];
    return skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, all, (size_t)(lead + n))), SKV_NONE);
}

/* The last axis goes two places forward, or the other way. */
static skive_value *turn(skv_builder *b, skive_value *x, int lead, bool forward) {
    int64_t perm[SKIVE_MAX_RANK];
    const int64_t order[2][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}};
    for (int i = 0; i < lead; i++) perm[i] = i;
    for (int i = 0; i < 4; i++) perm[lead + i] = lead + order[forward][i];
    return skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)lead + 4)));
}

/* [in rank'][rank out] of a link [rank out][in rank']: what the product multiplies with. */
static skive_value *core_of(skv_builder *b, const skv_link *l) {
    const int64_t dims[2] = {l->in, l->out};
    skv_storage *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, 2, dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t o = 0; o < l->out; o++)
        for (int64_t i = 0; i < l->in; i++) ((float *)s->tensor.data)[i * l->out + o] = l->data[o * l->in + i];
    skive_value *v = skv_emit_param(b, NULL, s);
    if (v) v->trainable = true;
    return v;
}

/* The value is [.., inputs left, rank', outputs done]. */
static skive_value *build(skv_builder *b, const skv_site *s, const skv_factors *f, skive_value *x) {
    const train t = train_of(s, f->rank.a);
    const int lead = x->type.rank - 1;
    int64_t left = s->in, done = 1;
    for (int k = t.n - 1; k >= 0; k--) {
        const int64_t in = t.in[k] * t.rank[k + 1];
        left /= t.in[k];
        if (done > 1) x = turn(b, reshape(b, x, lead, (int64_t[]){left, t.in[k], t.rank[k + 1], done}, 4), lead, true);
        x = reshape(b, x, lead, (int64_t[]){left * done, in}, 2);
        x = skv_emit(b, "MatMul", SKV_IN(x, core_of(b, &f->links[t.n - 1 - k])), SKV_NONE);
        if (done > 1) x = turn(b, reshape(b, x, lead, (int64_t[]){left, done, t.rank[k], t.out[k]}, 4), lead, false);
        done *= t.out[k];
    }
    return reshape(b, x, lead, (int64_t[]){s->out}, 1);
}

const skv_factorization skv_factorization_tt = {
    .name = "tt",
    .brief = "tensor train of a large product (Novikov et al. 2015)",
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .factor = factor,
    .build = build,
};
