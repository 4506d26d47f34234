/* The outputs in groups (heads, gates, parts of the filters), each with a decomposition of its own: r channels for each
 * group from all inputs, then each group of outputs from its own channels. */
#include <string.h>

#include "lowrank/lowrank.h"

static int64_t groups_of(const skv_site *s) {
    if (s->heads > 1) return s->heads;
    return s->out % 4 == 0 && s->out >= 8 ? 4 : s->out % 2 == 0 ? 2 : 1;
}

static const char *why_not(const skv_site *s) {
    if (s->kind == SKV_SITE_CELL || s->kind == SKV_SITE_TABLE) return "grouped is for products and convolutions";
    if (s->n_members > 1) return "grouped is for products by themselves, not for several with one factor in common";
    return groups_of(s) > 1 ? NULL : "the number of outputs is odd";
}

static int64_t full(const skv_site *s) {
    const int64_t outs = s->out / groups_of(s);
    return outs < s->d ? outs : s->d;
}

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    const int64_t groups = groups_of(s);
    f->n = 2;
    f->links[0] = skv_link_window(s, groups * r.a, s->in);
    f->links[1] = skv_link_point(s->out, groups * r.a, SKV_DOMAIN_OUTPUT);
    f->links[1].groups = groups;
}

/* u holds the left vectors of all groups, [groups][outs][k]. */
static skive_status look(skive_context *ctx, const skv_site *s, int64_t most, skv_found *out) {
    const int64_t groups = groups_of(s), outs = s->out / groups, k = full(s);
    skv_spectrum *v = &out->of[0];
    (void)most;
    out->n = 1;
    *v = (skv_spectrum){.m = outs, .n = s->d, .k = k};
    SKV_TRY(skv_alloc_array(ctx, (size_t)k, sizeof *v->s, &v->s));
    SKV_TRY(skv_alloc_array(ctx, (size_t)(s->out * k), sizeof *v->u, &v->u));
    for (int64_t g = 0; g < groups; g++) {
        skv_site part = *s;
        skv_found one = {0};
        part.out = outs;
        part.w = s->w + g * outs * s->d;
        const skive_status status = skv_look_rows(ctx, &part, 0, &one);
        for (int64_t i = 0; status == SKIVE_OK && i < k; i++) v->s[i] += one.of[0].s[i] * one.of[0].s[i];
        if (status == SKIVE_OK) {
            v->all += one.of[0].all;
            memcpy(v->u + g * outs * k, one.of[0].u, (size_t)(outs * k) * sizeof *v->u);
        }
        skv_found_free(ctx, &one);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

static double lost(const skv_site *s, const skv_found *found, skv_rank r) {
    const skv_spectrum *v = &found->of[0];
    double sum = 0;
    (void)s;
    for (int64_t i = r.a; i < v->k; i++) sum += v->s[i]; /* squares already */
    return v->all > 0 ? sum / v->all : 0;
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank r, uint64_t seed,
                           skv_factors *f) {
    const skv_spectrum *v = &found->of[0];
    const int64_t groups = groups_of(s), outs = s->out / groups;
    (void)seed;
    shape(s, r, f);
    SKV_TRY(skv_factors_open(ctx, s, r.a, groups, f));
    SKV_TRY(skv_link_data(ctx, &f->links[0]));
    for (int64_t g = 0; g < groups; g++)
        for (int64_t k = 0; k < r.a; k++) {
            double *row = f->basis + (g * r.a + k) * s->d;
            for (int64_t o = 0; o < outs; o++) {
                const double x = v->u[(g * outs + o) * v->k + k], *w = s->w + (g * outs + o) * s->d;
                for (int64_t i = 0; i < s->d; i++) row[i] += x * w[i];
            }
            for (int64_t i = 0; i < s->d; i++) f->links[0].data[(g * r.a + k) * s->d + i] = (float)row[i];
        }
    return SKIVE_OK;
}

static skive_value *reshape(skv_builder *b, skive_value *x, int lead, int64_t m, int64_t n) {
    int64_t dims[SKIVE_MAX_RANK] = {0}; /* 0: as it is */
    dims[lead] = m;
    dims[lead + 1] = n;
    return skv_emit(b, "Reshape", SKV_IN(x, skv_emit_ints(b, dims, (size_t)lead + (n > 0 ? 2 : 1))), SKV_NONE);
}

/* The groups go in front of the rows, so that one product does all of them. */
static skive_value *swap(skv_builder *b, skive_value *x, int lead) {
    int64_t perm[SKIVE_MAX_RANK];
    for (int i = 0; i < lead + 2; i++) perm[i] = i;
    perm[lead - 1] = lead;
    perm[lead] = lead - 1;
    return skv_emit(b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)lead + 2)));
}

static skive_value *parameter(skv_builder *b, int rank, const int64_t *dims, skv_storage **s) {
    *s = NULL;
    if (b->status == SKIVE_OK) b->status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, s);
    if (b->status != SKIVE_OK) return NULL;
    skive_value *v = skv_emit_param(b, NULL, *s);
    if (v) v->trainable = true;
    return v;
}

static skive_value *build(skv_builder *b, const skv_site *s, const skv_factors *f, skive_value *x) {
    const int64_t groups = groups_of(s), outs = s->out / groups, r = f->rank.a;
    const int lead = x->type.rank - 1;
    skv_storage *one, *two;
    skive_value *first = parameter(b, 2, (int64_t[]){s->in, groups * r}, &one);
    skive_value *second = parameter(b, 3, (int64_t[]){groups, r, outs}, &two);
    if (b->status != SKIVE_OK) return NULL;
    for (int64_t i = 0; i < s->in; i++)
        for (int64_t k = 0; k < groups * r; k++)
            ((float *)one->tensor.data)[i * groups * r + k] = f->links[0].data[k * s->in + i];
    for (int64_t g = 0; g < groups; g++)
        for (int64_t k = 0; k < r; k++)
            for (int64_t o = 0; o < outs; o++)
                ((float *)two->tensor.data)[(g * r + k) * outs + o] = f->links[1].data[(g * outs + o) * r + k];
    skive_value *y = skv_emit(b, "MatMul", SKV_IN(x, first), SKV_NONE);
    y = swap(b, reshape(b, y, lead, groups, r), lead);
    y = swap(b, skv_emit(b, "MatMul", SKV_IN(y, second), SKV_NONE), lead);
    return reshape(b, y, lead, s->out, 0);
}

const skv_factorization skv_factorization_grouped = {
    .name = "grouped",
    .brief = "a decomposition for each group of outputs: each head, or 4 parts of the filters",
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .look = look,
    .lost = lost,
    .factor = factor,
    .refit = skv_regress_rows,
    .build = build,
};
