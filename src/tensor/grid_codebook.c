/* A codebook: any levels, up to 256, those of the least squared error. In one dimension the optimal clusters are
 * intervals of the sorted numbers, and dynamic programming finds them (Wang & Song 2011); since the best first element
 * of the last interval moves right with the interval's end, each layer takes n log n steps. Of more than 65,536
 * numbers, evenly spaced ones of the sorted numbers stand for all. */
#include <stdlib.h>

#include "tensor/grid.h"

enum { MOST = 65536 };

typedef struct layers {
    const double *sum, *square; /* [n + 1] of the first i numbers */
    double *before, *now;       /* [n + 1] least error of the first i numbers in so many intervals */
    int32_t *first;             /* [levels][n + 1] where the last interval begins */
    int64_t n;
} layers;

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Error of the numbers from a up to b, with their mean. */
static double spread(const layers *l, int64_t a, int64_t b) {
    const double s = l->sum[b] - l->sum[a], e = l->square[b] - l->square[a] - s * s / (double)(b - a);
    return e > 0 ? e : 0;
}

/* now[i] for i in [from, to], whose last intervals begin in [least, most]. */
static void fill(const layers *l, int32_t *first, int64_t from, int64_t to, int64_t least, int64_t most) {
    if (from > to) return;
    const int64_t i = from + (to - from) / 2, last = most < i - 1 ? most : i - 1;
    double best = INFINITY;
    int64_t at = least;
    for (int64_t k = least; k <= last; k++) {
        const double error = l->before[k] + spread(l, k, i);
        if (error >= best) continue;
        best = error;
        at = k;
    }
    l->now[i] = best;
    first[i] = (int32_t)at;
    fill(l, first, from, i - 1, least, at);
    fill(l, first, i + 1, to, at, most);
}

/* The means of the best `levels` intervals of sorted numbers. */
static skive_status intervals(skive_context *ctx, const float *sorted, int64_t n, int64_t levels, float *out) {
    double *sums = NULL, *errors = NULL;
    int32_t *first = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, 2 * (size_t)(n + 1), sizeof *sums, &sums));
    SKV_GO(status, done, skv_alloc_array(ctx, 2 * (size_t)(n + 1), sizeof *errors, &errors));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)levels * (size_t)(n + 1), sizeof *first, &first));
    double *square = sums + n + 1;
    sums[0] = square[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        const double centred = (double)sorted[i] - (double)sorted[n / 2]; /* squares of small differences keep digits */
        sums[i + 1] = sums[i] + centred;
        square[i + 1] = square[i] + centred * centred;
    }
    layers l = {.sum = sums, .square = square, .before = errors, .now = errors + n + 1, .n = n};
    for (int64_t i = 1; i <= n; i++) l.now[i] = spread(&l, 0, i);
    for (int64_t k = 1; k < levels; k++) {
        double *swap = l.before;
        l.before = l.now;
        l.now = swap;
        fill(&l, first + k * (n + 1), k + 1, n, k, n - 1);
    }
    int64_t end = n;
    for (int64_t k = levels; k-- > 0;) {
        const int64_t begin = k ? first[k * (n + 1) + end] : 0;
        out[k] = (float)((sums[end] - sums[begin]) / (double)(end - begin) + (double)sorted[n / 2]);
        end = begin;
    }
done:
    skv_free(ctx, sums);
    skv_free(ctx, errors);
    skv_free(ctx, first);
    return status;
}

static bool has_zero(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (x[i] == 0) return true;
    return false;
}

/* The level nearest to 0 is 0: weights that were pruned stay so. */
static void keep_zero(float *levels, int64_t n) {
    int64_t nearest = 0;
    for (int64_t k = 1; k < n; k++)
        if (fabsf(levels[k]) < fabsf(levels[nearest])) nearest = k;
    levels[nearest] = 0;
}

static skive_status solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p) {
    const int64_t wanted = (int64_t)q->high + 1;
    float *sorted = NULL;
    *p = (skv_grid_params){.scale = 1, .levels = levels};
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof *sorted, &sorted));
    memcpy(sorted, x, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    int64_t distinct = 0, m = n;
    for (int64_t i = 0; i < n; i++) distinct += i == 0 || sorted[i] != sorted[i - 1];
    skive_status status = SKIVE_OK;
    if (distinct <= wanted) { /* exact; the last level fills up what is left */
        int64_t k = 0;
        for (int64_t i = 0; i < n; i++) {
            if (i == 0 || sorted[i] != sorted[i - 1]) levels[k++] = sorted[i];
        }
        for (; k < wanted; k++) levels[k] = levels[k - 1];
    } else {
        m = n < MOST ? n : MOST;
        for (int64_t i = 0; m < n && i < m; i++)
            sorted[i] = sorted[(int64_t)((double)i * (double)(n - 1) / (double)(m - 1))];
        status = intervals(ctx, sorted, m, wanted, levels);
        if (status == SKIVE_OK && has_zero(x, n)) keep_zero(levels, wanted);
    }
    skv_free(ctx, sorted);
    return status;
}

static void encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    skv_quantizer used = *q;
    while (used.high > 0 && !(p->levels[used.high] > p->levels[used.high - 1])) used.high--; /* without the filling */
    skv_table_encode(&used, p, x, n, code);
}

static const skv_option options[] = {{.name = "levels",
                                      .type = SKV_OPTION_INTEGER,
                                      .least = 2,
                                      .most = 256,
                                      .fallback = 16,
                                      .brief = "number of levels"},
                                     SKV_GRID_GROUP("tensor")};

const skv_grid skv_grid_codebook = {
    .name = "codebook",
    .brief = "up to 256 levels of its own",
    .bits = 8,
    .low = 0,
    .high = 15,
    SKV_OPTIONS(options),
    .own_levels = true,
    .gradient = SKV_GRADIENT_ALL,
    .form = "codebook",
    .encode = encode,
    .decode = skv_table_decode,
    .solve = solve,
};
