/* Factors of a layer: memory, costs, the best last factor, balance, errors. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"

void skv_factors_free(skive_context *ctx, skv_factors *f) {
    for (size_t i = 0; i < SKV_MOST_LINKS; i++) skv_free(ctx, f->links[i].data);
    skv_free(ctx, f->basis);
    skv_free(ctx, f->last);
    skv_free(ctx, f->dense);
    *f = (skv_factors){0};
}

skive_status skv_factors_open(skive_context *ctx, const skv_site *s, int64_t rows, int64_t blocks, skv_factors *f) {
    f->rows = rows;
    f->blocks = blocks;
    SKV_TRY(skv_alloc_array(ctx, (size_t)(rows * blocks * s->d), sizeof *f->basis, &f->basis));
    return skv_alloc_array(ctx, (size_t)(rows * s->out), sizeof *f->last, &f->last);
}

int64_t skv_link_count(const skv_link *l) { return l->out * (l->in / l->groups) * l->kh * l->kw; }

skive_status skv_link_data(skive_context *ctx, skv_link *l) {
    return skv_alloc_array(ctx, (size_t)skv_link_count(l), sizeof *l->data, &l->data);
}

skv_link skv_link_window(const skv_site *s, int64_t out, int64_t in) {
    return (skv_link){.out = out,
                      .in = in,
                      .groups = 1,
                      .kh = s->kh,
                      .kw = s->kw,
                      .by_h = true,
                      .by_w = true,
                      .place = SKV_PLACE_OUTPUT};
}

skv_link skv_link_point(int64_t out, int64_t in, skv_place place) {
    return (skv_link){.out = out, .in = in, .groups = 1, .kh = 1, .kw = 1, .place = place};
}

void skv_factors_cost(const skv_site *s, const skv_factors *f, int64_t *macs, int64_t *parameters) {
    *macs = *parameters = 0;
    for (size_t i = 0; i < f->n; i++) {
        const skv_link *l = &f->links[i];
        const int64_t count = l->nonzeros > 0 ? l->nonzeros : skv_link_count(l);
        /* A table is looked up, not multiplied with. */
        const int64_t times = s->kind == SKV_SITE_TABLE && i == 0 ? 0 : l->times > 0 ? l->times : 1;
        *parameters = skv_add_sat(*parameters, skv_link_count(l));
        *macs = skv_add_sat(*macs, skv_mul_sat(count, skv_mul_sat(times, s->positions[l->place])));
    }
}

/* The best A for W ~ A B in the norm of M: A (B M B') = W M B'. */
static skive_status solve_block(skive_context *ctx, const skv_site *s, const double *m, skv_factors *f, int64_t block) {
    const int64_t rows = f->rows, d = s->d, out = s->out / f->blocks;
    const double *b = f->basis + block * rows * d, *w = s->w + block * out * d;
    double *bm = NULL, *gram = NULL, *right = NULL;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * rows), sizeof *gram, &gram));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * out), sizeof *right, &right));
    const double *left = b;
    if (m) {
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * d), sizeof *bm, &bm));
        SKV_GO(status, done, skv_multiply(ctx, &(skv_product){.m = rows, .n = d, .k = d, .a = b, .b = m, .c = bm}));
        left = bm;
    }
    SKV_GO(
        status, done,
        skv_multiply(ctx, &(skv_product){.trans_b = true, .m = rows, .n = rows, .k = d, .a = left, .b = b, .c = gram}));
    SKV_GO(
        status, done,
        skv_multiply(ctx, &(skv_product){.trans_b = true, .m = rows, .n = out, .k = d, .a = left, .b = w, .c = right}));
    SKV_GO(status, done, skv_solve(ctx, rows, out, gram, right, right));
    for (int64_t o = 0; o < out; o++)
        for (int64_t r = 0; r < rows; r++) f->last[(block * out + o) * rows + r] = right[r * out + o];
done:
    skv_free(ctx, bm);
    skv_free(ctx, gram);
    skv_free(ctx, right);
    return status;
}

skive_status skv_factors_solve(skive_context *ctx, const skv_site *s, const double *moments, skv_factors *f) {
    if (!f->basis) return SKIVE_OK;
    for (int64_t i = 0; i < f->blocks; i++) SKV_TRY(solve_block(ctx, s, moments, f, i));
    return SKIVE_OK;
}

/* ---- balance ---- */

/* The numbers of `l` that read input channel c: count of them, at start, step by step in rows of the output. */
static double norm_of_reader(const skv_link *l, int64_t c, double factor) {
    const int64_t per = l->in / l->groups, k = l->kh * l->kw, outs = l->out / l->groups, group = c / per;
    double sum = 0;
    for (int64_t o = group * outs; o < (group + 1) * outs; o++) {
        float *x = l->data + (o * per + c % per) * k;
        for (int64_t i = 0; i < k; i++) {
            sum += (double)x[i] * (double)x[i];
            x[i] = (float)((double)x[i] * factor);
        }
    }
    return sqrt(sum);
}

static double norm_of_writer(const skv_link *l, int64_t c, double factor) {
    const int64_t n = l->in / l->groups * l->kh * l->kw;
    double sum = 0;
    for (float *x = l->data + c * n, *end = x + n; x < end; x++) {
        sum += (double)*x * (double)*x;
        *x = (float)((double)*x * factor);
    }
    return sqrt(sum);
}

/* Powers of two: nothing is rounded. */
static void balance(skv_link *a, skv_link *b) {
    if (a->out != b->in || !a->data || !b->data) return;
    for (int64_t c = 0; c < a->out; c++) {
        const double x = norm_of_writer(a, c, 1), y = norm_of_reader(b, c, 1);
        if (!(x > 0) || !(y > 0)) continue;
        const double factor = exp2(round(0.5 * log2(y / x)));
        (void)norm_of_writer(a, c, factor);
        (void)norm_of_reader(b, c, 1 / factor);
    }
}

skive_status skv_factors_close(skive_context *ctx, const skv_site *s, skv_factors *f) {
    if (!f->basis) return SKIVE_OK;
    /* Of a table the rows are the factor that is solved for. */
    skv_link *last = &f->links[s->kind == SKV_SITE_TABLE ? 0 : f->n - 1];
    if (!last->data) SKV_TRY(skv_link_data(ctx, last));
    for (int64_t i = 0; i < s->out * f->rows; i++) last->data[i] = (float)f->last[i];
    for (size_t i = 0; i + 1 < f->n && s->kind != SKV_SITE_TABLE; i++) balance(&f->links[i], &f->links[i + 1]);
    return SKIVE_OK;
}

/* ---- errors ---- */

static skive_status dense_of(skive_context *ctx, const skv_site *s, const skv_factors *f, double *out) {
    const int64_t outs = s->out / f->blocks, d = s->d, rows = f->rows;
    for (int64_t i = 0; i < f->blocks; i++)
        SKV_TRY(skv_multiply(ctx, &(skv_product){.m = outs,
                                                 .n = d,
                                                 .k = rows,
                                                 .a = f->last + i * outs * rows,
                                                 .b = f->basis + i * rows * d,
                                                 .c = out + i * outs * d}));
    return SKIVE_OK;
}

skive_status skv_factors_error(skive_context *ctx, const skv_site *s, const skv_factors *f, double *weights,
                               double *outputs) {
    const int64_t n = s->out * s->d;
    double *e = NULL, *em = NULL, sum = 0, power = 0;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *e, &e));
    if (f->basis)
        SKV_GO(status, done, dense_of(ctx, s, f, e));
    else
        memcpy(e, f->dense, (size_t)n * sizeof *e);
    for (int64_t i = 0; i < n; i++) {
        e[i] -= s->w[i];
        sum += e[i] * e[i];
    }
    if (weights) *weights = s->norm > 0 ? sqrt(sum / s->norm) : 0;
    if (!outputs) goto done;
    *outputs = NAN;
    if (!s->moments) goto done;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n, sizeof *em, &em));
    SKV_GO(status, done,
           skv_multiply(ctx, &(skv_product){.m = s->out, .n = s->d, .k = s->d, .a = e, .b = s->moments, .c = em}));
    for (int64_t i = 0; i < n; i++) power += em[i] * e[i];
    *outputs = s->power > 0 ? sqrt((power > 0 ? power : 0) / s->power) : 0;
done:
    skv_free(ctx, e);
    skv_free(ctx, em);
    return status;
}
