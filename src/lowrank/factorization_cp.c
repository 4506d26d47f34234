/* CP of a convolution: a sum of r terms, each an outer product over outputs, rows, columns and inputs. It is 1 x 1 to r
 * channels, then each channel by itself k x 1 and 1 x k, then 1 x 1 (Lebedev et al., ICLR 2015). Alternating least
 * squares; each step has a little of the identity added, which shrinks as the sweeps go on, and the norms of a term are
 * spread evenly over its four factors: without both, terms grow that cancel one another (the degeneracy that Phan et
 * al., ECCV 2020, stabilise). */
#include <math.h>
#include <string.h>

#include "lowrank/lowrank.h"

enum { MODES = 4, SWEEPS = 300, LEAST_SWEEPS = 20 };

static const char *why_not(const skv_site *s) {
    if (s->kind != SKV_SITE_CONV) return "cp is for convolutions";
    return s->kh > 1 && s->kw > 1 ? NULL : "the window has one direction only";
}

/* Any kernel is such a sum: a term for each input and position, or output and position. */
static int64_t full(const skv_site *s) { return (s->out < s->in ? s->out : s->in) * s->kh * s->kw; }

static void shape(const skv_site *s, skv_rank r, skv_factors *f) {
    f->n = 4;
    f->links[0] = skv_link_point(r.a, s->in, SKV_DOMAIN_INPUT);
    f->links[1] =
        (skv_link){.out = r.a, .in = r.a, .groups = r.a, .kh = s->kh, .kw = 1, .by_h = true, .domain = SKV_DOMAIN_ROWS};
    f->links[2] = (skv_link){
        .out = r.a, .in = r.a, .groups = r.a, .kh = 1, .kw = s->kw, .by_w = true, .domain = SKV_DOMAIN_OUTPUT};
    f->links[3] = skv_link_point(s->out, r.a, SKV_DOMAIN_OUTPUT);
}

typedef struct als {
    int64_t dims[MODES], r; /* out, in, kh, kw */
    double *x[MODES];       /* [dims][r] */
    double *gram, *right;   /* [r][r], [r][largest dim] */
    double *sum;            /* [largest dim][r] */
} als;

static void term(const als *a, int skip, const int64_t at[MODES], double *row) {
    for (int64_t r = 0; r < a->r; r++) row[r] = 1;
    for (int m = 0; m < MODES; m++) {
        if (m == skip) continue;
        const double *x = a->x[m] + at[m] * a->r;
        for (int64_t r = 0; r < a->r; r++) row[r] *= x[r];
    }
}

/* The best factor of one mode for the others. */
static skive_status solve(skive_context *ctx, const skv_site *s, als *a, int mode, double damping, double *row) {
    const int64_t r = a->r, n = a->dims[mode];
    memset(a->sum, 0, (size_t)(n * r) * sizeof *a->sum);
    int64_t at[MODES], index = 0;
    for (at[0] = 0; at[0] < a->dims[0]; at[0]++)
        for (at[1] = 0; at[1] < a->dims[1]; at[1]++)
            for (at[2] = 0; at[2] < a->dims[2]; at[2]++)
                for (at[3] = 0; at[3] < a->dims[3]; at[3]++) {
                    const double w = s->w[index++];
                    double *to = a->sum + at[mode] * r;
                    term(a, mode, at, row);
                    for (int64_t k = 0; k < r; k++) to[k] += w * row[k];
                }
    for (int64_t i = 0; i < r * r; i++) a->gram[i] = 1;
    for (int m = 0; m < MODES; m++) {
        for (int64_t i = 0; m != mode && i < r; i++)
            for (int64_t j = 0; j < r; j++) {
                double dot = 0;
                for (int64_t k = 0; k < a->dims[m]; k++) dot += a->x[m][k * r + i] * a->x[m][k * r + j];
                a->gram[i * r + j] *= dot;
            }
    }
    double trace = 0;
    for (int64_t i = 0; i < r; i++) trace += a->gram[i * r + i];
    /* Damping holds on to what the factor was. */
    const double hold = damping * trace / (double)r;
    for (int64_t i = 0; i < r; i++) a->gram[i * r + i] += hold;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < r; k++) a->right[k * n + i] = a->sum[i * r + k] + hold * a->x[mode][i * r + k];
    SKV_TRY(skv_solve(ctx, r, n, a->gram, a->right, a->right));
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < r; k++) a->x[mode][i * r + k] = a->right[k * n + i];
    return SKIVE_OK;
}

static void spread(als *a) {
    for (int64_t r = 0; r < a->r; r++) {
        double norm[MODES], all = 1;
        for (int m = 0; m < MODES; m++) {
            norm[m] = 0;
            for (int64_t k = 0; k < a->dims[m]; k++) norm[m] += a->x[m][k * a->r + r] * a->x[m][k * a->r + r];
            norm[m] = sqrt(norm[m]);
            all *= norm[m];
        }
        if (!(all > 0) || !isfinite(all)) continue;
        const double each = sqrt(sqrt(all));
        for (int m = 0; m < MODES; m++)
            for (int64_t k = 0; k < a->dims[m]; k++) a->x[m][k * a->r + r] *= each / norm[m];
    }
}

static double error_of(const skv_site *s, const als *a, double *row) {
    double sum = 0;
    int64_t at[MODES], index = 0;
    for (at[0] = 0; at[0] < a->dims[0]; at[0]++)
        for (at[1] = 0; at[1] < a->dims[1]; at[1]++)
            for (at[2] = 0; at[2] < a->dims[2]; at[2]++)
                for (at[3] = 0; at[3] < a->dims[3]; at[3]++) {
                    double e = -s->w[index++];
                    term(a, -1, at, row);
                    for (int64_t k = 0; k < a->r; k++) e += row[k];
                    sum += e * e;
                }
    return s->norm > 0 ? sqrt(sum / s->norm) : 0;
}

static skive_status run(skive_context *ctx, const skv_site *s, als *a, double *row) {
    double before = INFINITY;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        const double damping = 1e-2 * pow(0.7, sweep);
        SKV_TRY(skv_check_interrupt(ctx));
        for (int m = 0; m < MODES; m++) SKV_TRY(solve(ctx, s, a, (m + 1) % MODES, damping, row));
        spread(a);
        if (sweep < LEAST_SWEEPS || sweep % 5) continue;
        const double error = error_of(s, a, row);
        if (error < 1e-7 || before - error < 1e-4 * error) break;
        before = error;
    }
    return SKIVE_OK;
}

/* A start for which the sum is exact: where the rank allows it, a term for each channel and position. */
static void start(const skv_site *s, als *a, uint64_t seed) {
    const int64_t taps = s->kh * s->kw;
    const bool by_out = s->out < s->in;
    if (a->r < full(s)) {
        for (int m = 0; m < MODES; m++)
            for (int64_t i = 0; i < a->dims[m] * a->r; i++)
                a->x[m][i] = skv_rng_normal(seed, 0x6370 + (uint64_t)m, (uint64_t)i);
        return;
    }
    for (int64_t r = 0; r < full(s); r++) {
        const int64_t c = r / taps, h = r % taps / s->kw, w = r % s->kw;
        a->x[2][h * a->r + r] = a->x[3][w * a->r + r] = 1;
        a->x[by_out ? 0 : 1][c * a->r + r] = 1;
        for (int64_t i = 0; i < (by_out ? s->in : s->out); i++)
            a->x[by_out ? 1 : 0][i * a->r + r] =
                by_out ? s->w[(c * s->in + i) * taps + r % taps] : s->w[(i * s->in + c) * taps + r % taps];
    }
}

static skive_status write_out(skive_context *ctx, const skv_site *s, const als *a, skv_factors *f) {
    const int64_t r = a->r, taps = s->kh * s->kw;
    for (int i = 0; i < 3; i++) SKV_TRY(skv_link_data(ctx, &f->links[i]));
    for (int64_t k = 0; k < r; k++) {
        for (int64_t i = 0; i < s->in; i++) f->links[0].data[k * s->in + i] = (float)a->x[1][i * r + k];
        for (int64_t i = 0; i < s->kh; i++) f->links[1].data[k * s->kh + i] = (float)a->x[2][i * r + k];
        for (int64_t i = 0; i < s->kw; i++) f->links[2].data[k * s->kw + i] = (float)a->x[3][i * r + k];
        for (int64_t i = 0; i < s->in; i++)
            for (int64_t t = 0; t < taps; t++)
                f->basis[k * s->d + i * taps + t] =
                    a->x[1][i * r + k] * a->x[2][t / s->kw * r + k] * a->x[3][t % s->kw * r + k];
    }
    return SKIVE_OK;
}

static skive_status factor(skive_context *ctx, const skv_site *s, const skv_found *found, skv_rank rank, uint64_t seed,
                           skv_factors *f) {
    als a = {.dims = {s->out, s->in, s->kh, s->kw}, .r = rank.a};
    double *row = NULL;
    int64_t largest = 0;
    skive_status status = SKIVE_OK;
    (void)found;
    shape(s, rank, f);
    SKV_TRY(skv_factors_open(ctx, s, rank.a, 1, f));
    for (int m = 0; m < MODES; m++) {
        if (a.dims[m] > largest) largest = a.dims[m];
        SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(a.dims[m] * a.r), sizeof *a.x[m], &a.x[m]));
    }
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(a.r * a.r), sizeof *a.gram, &a.gram));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(a.r * largest), sizeof *a.right, &a.right));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(a.r * largest), sizeof *a.sum, &a.sum));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)a.r, sizeof *row, &row));
    start(s, &a, seed);
    if (a.r < full(s)) SKV_GO(status, done, run(ctx, s, &a, row));
    status = write_out(ctx, s, &a, f);
done:
    for (int m = 0; m < MODES; m++) skv_free(ctx, a.x[m]);
    skv_free(ctx, a.gram);
    skv_free(ctx, a.right);
    skv_free(ctx, a.sum);
    skv_free(ctx, row);
    return status;
}

/* The 1 x 1 in front, for the windows and the last factor behind it. */
static skive_status refit(skive_context *ctx, const skv_site *s, const skv_regression *r, skv_factors *f) {
    const int64_t b = f->rank.a, taps = s->kh * s->kw;
    const float *rows = f->links[1].data, *columns = f->links[2].data;
    double *v = NULL, *h = NULL;
    bool solved = false;
    skive_status status = SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->in * b), sizeof *v, &v));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)(s->out * b * taps), sizeof *h, &h));
    for (int64_t k = 0; k < b; k++) {
        for (int64_t i = 0; i < s->in; i++) v[i * b + k] = (double)f->links[0].data[k * s->in + i];
        for (int64_t t = 0; t < taps; t++)
            for (int64_t o = 0; o < s->out; o++)
                h[(o * b + k) * taps + t] =
                    f->last[o * b + k] * (double)rows[k * s->kh + t / s->kw] * (double)columns[k * s->kw + t % s->kw];
    }
    const skv_channel_factor points = {.out = s->out, .m = s->in, .b = b, .taps = taps, .h = h, .v = v};
    SKV_GO(status, done, skv_regress_points(ctx, r, &points, &solved));
    f->first_stays = !solved;
    for (int64_t k = 0; k < b; k++)
        for (int64_t i = 0; i < s->in; i++) {
            f->links[0].data[k * s->in + i] = (float)v[i * b + k];
            for (int64_t t = 0; t < taps; t++)
                f->basis[k * s->d + i * taps + t] =
                    v[i * b + k] * (double)rows[k * s->kh + t / s->kw] * (double)columns[k * s->kw + t % s->kw];
        }
done:
    skv_free(ctx, v);
    skv_free(ctx, h);
    return status;
}

const skv_factorization skv_factorization_cp = {
    .name = "cp",
    .brief = "1x1, k x 1 and 1 x k of each channel, 1x1 (Lebedev et al. 2015)",
    .why_not = why_not,
    .full = full,
    .shape = shape,
    .factor = factor,
    .refit = refit,
};
