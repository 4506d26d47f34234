/* Factors of a layer: memory, costs, the best last factor, balance, errors. */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"

void skv_factors_free(skive_context *ctx, skv_factors *f) {
    for (size_t i = 0; i < SKV_MOST_LINKS; i++) skv_free(ctx, f->links[i].data);
    skv_free(ctx, f->basis);
    skv_free(ctx, f->last);
    skv_free(ctx, f->dense);
    skv_free(ctx, f->inner);
    *f = (skv_factors){0};
}

void skv_factors_settle(skive_context *ctx, skv_factors *f) {
    skv_free(ctx, f->basis);
    skv_free(ctx, f->last);
    skv_free(ctx, f->dense);
    skv_free(ctx, f->inner);
    f->basis = f->last = f->dense = f->inner = NULL;
}

skive_status skv_factors_open(skive_context *ctx, const skv_site *s, int64_t rows, int64_t blocks, skv_factors *f) {
    f->rows = rows;
    f->blocks = blocks;
    SKV_TRY(
        skv_alloc_array(ctx, (size_t)(rows * blocks * (f->taps > 0 ? f->taps : s->d)), sizeof *f->basis, &f->basis));
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
                      .domain = SKV_DOMAIN_OUTPUT};
}

skv_link skv_link_point(int64_t out, int64_t in, skv_link_domain domain) {
    return (skv_link){.out = out, .in = in, .groups = 1, .kh = 1, .kw = 1, .domain = domain};
}

void skv_factors_cost(const skv_site *s, const skv_factors *f, int64_t *macs, int64_t *parameters) {
    *macs = *parameters = 0;
    for (size_t i = 0; i < f->n; i++) {
        const skv_link *l = &f->links[i];
        const int64_t count = l->nonzeros > 0 ? l->nonzeros : skv_link_count(l);
        /* A table is looked up, not multiplied with. */
        const int64_t times = s->kind == SKV_SITE_TABLE && i == 0 ? 0 : l->times > 0 ? l->times : 1;
        *parameters = skv_add_sat(*parameters, skv_link_count(l));
        *macs = skv_add_sat(*macs, skv_mul_sat(count, skv_mul_sat(times, s->positions[l->domain])));
    }
}

/* x [n][d] times the transposed basis of single channels: [n][rows]. */
static void times_channels(const skv_site *s, const skv_factors *f, int64_t n, const double *x, double *to) {
    const int64_t taps = f->taps, each = f->rows / s->in;
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < f->rows; r++) {
            const double *a = x + i * s->d + r / each * taps, *b = f->basis + r * taps;
            double sum = 0;
            for (int64_t t = 0; t < taps; t++) sum += a[t] * b[t];
            to[i * f->rows + r] = sum;
        }
}

/* The same basis, but its rows are orthonormal and those of one channel follow each other: without moments the best
 * last factor is what they give of the weights; with them the system is that of all rows. */
static skive_status solve_channels(skive_context *ctx, const skv_site *s, const double *m, const double *target,
                                   skv_factors *f) {
    const int64_t rows = f->rows, d = s->d, taps = f->taps, each = rows / s->in;
    double *bm = NULL, *gram = NULL, *right = NULL;
    skive_status status = SKIVE_OK;
    if (!m) {
        times_channels(s, f, s->out, s->w, f->last);
        return SKIVE_OK;
    }
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * d), sizeof *bm, &bm));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * rows), sizeof *gram, &gram));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(rows * s->out), sizeof *right, &right));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < taps; t++) {
            const double x = f->basis[r * taps + t], *row = m + (r / each * taps + t) * d;
            for (int64_t i = 0; i < d; i++) bm[r * d + i] += x * row[i];
        }
    times_channels(s, f, rows, bm, gram);
    if (target) {
        times_channels(s, f, s->out, target, f->last);
        for (int64_t o = 0; o < s->out; o++)
            for (int64_t r = 0; r < rows; r++) right[r * s->out + o] = f->last[o * rows + r];
    } else {
        SKV_GO(status, done,
               skv_multiply(ctx, &(skv_product){
                                     .trans_b = true, .m = rows, .n = s->out, .k = d, .a = bm, .b = s->w, .c = right}));
    }
    SKV_GO(status, done, skv_solve(ctx, rows, s->out, gram, right, right));
    for (int64_t o = 0; o < s->out; o++)
        for (int64_t r = 0; r < rows; r++) f->last[o * rows + r] = right[r * s->out + o];
done:
    skv_free(ctx, bm);
    skv_free(ctx, gram);
    skv_free(ctx, right);
    return status;
}

/* The best A for W ~ A B in the norm of M: A (B M B') = W M B', or with a target T in the place of W M: T B'. */
static skive_status solve_block(skive_context *ctx, const skv_site *s, const double *m, const double *target,
                                skv_factors *f, int64_t block) {
    const int64_t rows = f->rows, d = s->d, out = s->out / f->blocks;
    const double *b = f->basis + block * rows * d, *w = (target ? target : s->w) + block * out * d;
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
    SKV_GO(status, done,
           skv_multiply(ctx,
                        &(skv_product){
                            .trans_b = true, .m = rows, .n = out, .k = d, .a = target ? b : left, .b = w, .c = right}));
    for (int64_t r = 0; m && r < rows; r++) f->inner[block * rows + r] = gram[r * rows + r];
    SKV_GO(status, done, skv_solve(ctx, rows, out, gram, right, right));
    for (int64_t o = 0; o < out; o++)
        for (int64_t r = 0; r < rows; r++) f->last[(block * out + o) * rows + r] = right[r * out + o];
done:
    skv_free(ctx, bm);
    skv_free(ctx, gram);
    skv_free(ctx, right);
    return status;
}

skive_status skv_factors_solve(skive_context *ctx, const skv_site *s, const double *moments, const double *target,
                               skv_factors *f) {
    if (!f->basis) return SKIVE_OK;
    if (f->taps > 0) return solve_channels(ctx, s, moments, target, f);
    if (moments && !f->inner) SKV_TRY(skv_alloc_array(ctx, (size_t)(f->rows * f->blocks), sizeof *f->inner, &f->inner));
    for (int64_t i = 0; i < f->blocks; i++) SKV_TRY(solve_block(ctx, s, moments, target, f, i));
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

/* The root of the mean square of an inner value behind the first link, where the basis says it. */
static double inner_value(const skv_site *s, const skv_factors *f, int64_t c) {
    const skv_link *l = &f->links[0];
    if (!f->inner || l->groups != 1 || l->out != f->rows * f->blocks || l->in * l->kh * l->kw != s->d) return 0;
    return f->inner[c] > 0 ? sqrt(f->inner[c]) : 0;
}

/* Each inner channel gets the same size on both sides: that of its values on the data where it is known, else of its
 * weights, and that of the weights that read it. Powers of two: nothing is rounded. */
static void balance(const skv_site *s, skv_factors *f, size_t i) {
    skv_link *a = &f->links[i], *b = &f->links[i + 1];
    if (a->out != b->in || !a->data || !b->data) return;
    for (int64_t c = 0; c < a->out; c++) {
        const double value = i == 0 ? inner_value(s, f, c) : 0;
        const double x = value > 0 ? value : norm_of_writer(a, c, 1), y = norm_of_reader(b, c, 1);
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
    for (size_t i = 0; i + 1 < f->n && s->kind != SKV_SITE_TABLE; i++) balance(s, f, i);
    return SKIVE_OK;
}

/* ---- errors ---- */

/* Outputs from to from + n, of one block, of what the factors are instead of the weights: [n][d]. */
static skive_status dense_of(skive_context *ctx, const skv_site *s, const skv_factors *f, int64_t from, int64_t n,
                             double *out) {
    const int64_t d = s->d, rows = f->rows, taps = f->taps, block = from / (s->out / f->blocks);
    if (taps == 0)
        return skv_multiply(
            ctx,
            &(skv_product){
                .m = n, .n = d, .k = rows, .a = f->last + from * rows, .b = f->basis + block * rows * d, .c = out});
    memset(out, 0, (size_t)(n * d) * sizeof *out);
    for (int64_t o = 0; o < n; o++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t t = 0; t < taps; t++)
                out[o * d + r / (rows / s->in) * taps + t] += f->last[(from + o) * rows + r] * f->basis[r * taps + t];
    return SKIVE_OK;
}

skive_status skv_factors_dense(skive_context *ctx, const skv_site *s, const skv_factors *f, double *out) {
    if (!f->basis) {
        memcpy(out, f->dense, (size_t)(s->out * s->d) * sizeof *out);
        return SKIVE_OK;
    }
    const int64_t n = s->out / f->blocks;
    for (int64_t i = 0; i < f->blocks; i++) SKV_TRY(dense_of(ctx, s, f, i * n, n, out + i * n * s->d));
    return SKIVE_OK;
}

enum { AT_ONCE = 64 }; /* outputs whose errors are in memory */

typedef struct errors {
    double *e, *em;          /* [AT_ONCE][d] */
    double weights, outputs; /* sums of squares */
} errors;

static skive_status add_errors(skive_context *ctx, const skv_site *s, const skv_factors *f, int64_t from, int64_t n,
                               errors *x) {
    const double *w = s->w + from * s->d;
    const int64_t count = n * s->d;
    if (f->basis)
        SKV_TRY(dense_of(ctx, s, f, from, n, x->e));
    else
        memcpy(x->e, f->dense + from * s->d, (size_t)count * sizeof *x->e);
    for (int64_t i = 0; i < count; i++) {
        x->e[i] -= w[i];
        x->weights += x->e[i] * x->e[i];
    }
    if (!x->em) return SKIVE_OK;
    SKV_TRY(skv_multiply(ctx, &(skv_product){.m = n, .n = s->d, .k = s->d, .a = x->e, .b = s->moments, .c = x->em}));
    for (int64_t i = 0; i < count; i++) x->outputs += x->em[i] * x->e[i];
    return SKIVE_OK;
}

skive_status skv_factors_error(skive_context *ctx, const skv_site *s, const skv_factors *f, double *weights,
                               double *outputs) {
    const int64_t per = f->basis ? s->out / f->blocks : s->out, most = per < AT_ONCE ? per : AT_ONCE;
    errors x = {0};
    skive_status status = skv_alloc_array(ctx, (size_t)(most * s->d), sizeof *x.e, &x.e);
    if (status == SKIVE_OK && outputs && s->moments)
        status = skv_alloc_array(ctx, (size_t)(most * s->d), sizeof *x.em, &x.em);
    for (int64_t from = 0, n; status == SKIVE_OK && from < s->out; from += n) {
        const int64_t left = per - from % per;
        n = left < most ? left : most;
        status = add_errors(ctx, s, f, from, n, &x);
    }
    if (weights) *weights = s->norm > 0 ? sqrt(x.weights / s->norm) : 0;
    if (outputs) *outputs = !x.em ? NAN : s->power > 0 ? sqrt((x.outputs > 0 ? x.outputs : 0) / s->power) : 0;
    skv_free(ctx, x.e);
    skv_free(ctx, x.em);
    return status;
}
