/* Grids with a fixed table of levels: powers of two and of the square root of two, of both signs and for numbers
 * that are not negative (Miyashita et al. 2016), sums of two powers of two (APoT, Li et al. 2020), NF4 (Dettmers et
 * al. 2023), FP4 E2M1 (the element of MXFP4). */
#include "tensor/grid.h"

/* The code of the level nearest to t, ties to the even code. */
static int32_t nearest(const float *table, int32_t low, int32_t high, float t) {
    int32_t a = low, b = high;
    while (b - a > 1) {
        const int32_t middle = a + (b - a) / 2;
        if (table[middle - low] <= t)
            a = middle;
        else
            b = middle;
    }
    const double below = (double)t - (double)table[a - low], above = (double)table[b - low] - (double)t;
    if (below != above) return below < above ? a : b;
    return a % 2 == 0 ? a : b;
}

void skv_table_encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    const float *table = p->levels ? p->levels : q->grid->table;
    const int32_t zero = nearest(table, q->low, q->high, 0);
    for (int64_t i = 0; i < n; i++) {
        const float t = x[i] / p->scale;
        code[i] = isnan(t)                             ? zero
                  : t >= table[q->high - q->low]       ? q->high
                  : t <= table[0] || q->low == q->high ? q->low
                                                       : nearest(table, q->low, q->high, t);
    }
}

void skv_table_decode(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    const float *table = p->levels ? p->levels : q->grid->table;
    for (int64_t i = 0; i < n; i++) x[i] = table[code[i] - q->low] * p->scale;
}

void skv_table_inside(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high) {
    const float *table = p->levels ? p->levels : q->grid->table;
    const int32_t last = q->high - q->low;
    *low = table[0] - (last ? (table[1] - table[0]) / 2 : 0);
    *high = table[last] + (last ? (table[last] - table[last - 1]) / 2 : 0);
}

void skv_table_solve_range(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    const float *table = q->grid->table;
    const double below = low < 0 ? low / (double)table[0] : 0,
                 above = high > 0 ? high / (double)table[q->high - q->low] : 0;
    const float scale = (float)(below > above ? below : above);
    *p = (skv_grid_params){.scale = !(scale > 0) ? 1.0f : scale < 1e-30f ? 1e-30f : scale};
    if (q->power_of_two && scale > 0) p->scale = skv_grid_power_above(p->scale);
}

skive_status skv_table_solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                             skv_grid_params *p) {
    (void)levels;
    *p = (skv_grid_params){.scale = 1};
    return skv_grid_solve_scale(ctx, q, x, n, q->grid->table[q->high - q->low], p);
}

static const skv_option options[] = {SKV_GRID_GROUP("tensor"), SKV_GRID_POWER, SKV_GRID_FIT};
#define TABLE(id, title, n, first, last, both_, positive_, ...)           \
    static const float id##_levels[] = {__VA_ARGS__};                     \
    const skv_grid skv_grid_##id = {.name = #id,                          \
                                    .brief = title,                       \
                                    .bits = n,                            \
                                    .low = first,                         \
                                    .high = last,                         \
                                    SKV_OPTIONS(options),                 \
                                    .scaled = true,                       \
                                    .table = id##_levels,                 \
                                    .both = both_,                        \
                                    .positive = positive_,                \
                                    .form = "codebook",                   \
                                    .encode = skv_table_encode,           \
                                    .decode = skv_table_decode,           \
                                    .solve_range = skv_table_solve_range, \
                                    .solve = skv_table_solve,             \
                                    .inside = skv_table_inside};
TABLE(log2, "4 bits: 0 and powers of two, 1/64 to 1, of both signs", 4, -7, 7, NULL, &skv_grid_ulog2, -1, -0.5f, -0.25f,
      -0.125f, -0.0625f, -0.03125f, -0.015625f, 0, 0.015625f, 0.03125f, 0.0625f, 0.125f, 0.25f, 0.5f, 1)
TABLE(f4e2m1, "4-bit floats with 2 bits of exponent and 1 of fraction", 4, -7, 7, NULL, NULL, -6, -4, -3, -2, -1.5f, -1,
      -0.5f, 0, 0.5f, 1, 1.5f, 2, 3, 4, 6)
TABLE(log2h, "4 bits: 0 and powers of the square root of two, 1/8 to 1, of both signs", 4, -7, 7, NULL,
      &skv_grid_ulog2h, -1.0f, -0.7071067811865476f, -0.5f, -0.3535533905932738f, -0.25f, -0.1767766952966369f, -0.125f,
      0, 0.125f, 0.1767766952966369f, 0.25f, 0.3535533905932738f, 0.5f, 0.7071067811865476f, 1.0f)
TABLE(ulog2, "4 bits: 0 and powers of two, 2^-14 to 1", 4, 0, 15, &skv_grid_log2, NULL, 0, 6.103515625e-05f,
      0.0001220703125f, 0.000244140625f, 0.00048828125f, 0.0009765625f, 0.001953125f, 0.00390625f, 0.0078125f,
      0.015625f, 0.03125f, 0.0625f, 0.125f, 0.25f, 0.5f, 1.0f)
TABLE(ulog2h, "4 bits: 0 and powers of the square root of two, 1/128 to 1", 4, 0, 15, &skv_grid_log2h, NULL, 0,
      0.0078125f, 0.011048543456039806f, 0.015625f, 0.02209708691207961f, 0.03125f, 0.04419417382415922f, 0.0625f,
      0.08838834764831845f, 0.125f, 0.1767766952966369f, 0.25f, 0.3535533905932738f, 0.5f, 0.7071067811865476f, 1.0f)
TABLE(ulog2b3, "3 bits: 0 and powers of two, 1/64 to 1", 3, 0, 7, &skv_grid_log2b3, NULL, 0, 0.015625f, 0.03125f,
      0.0625f, 0.125f, 0.25f, 0.5f, 1.0f)
TABLE(log2b3, "3 bits: 0 and powers of two, 1/4 to 1, of both signs", 3, -3, 3, NULL, &skv_grid_ulog2b3, -1.0f, -0.5f,
      -0.25f, 0, 0.25f, 0.5f, 1.0f)
/* Each magnitude is one of 0, 1, 4, 8 plus one of 0, 2 (in sixteenths; the largest is 10). */
TABLE(apot, "4 bits: sums of two powers of two, of both signs", 4, -7, 7, NULL, &skv_grid_uapot, -10, -8, -6, -4, -3,
      -2, -1, 0, 1, 2, 3, 4, 6, 8, 10)
TABLE(uapot, "4 bits: sums of two powers of two", 4, 0, 15, &skv_grid_apot, NULL, 0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18,
      24, 32, 33, 36, 48)
/* The quantiles of a normal distribution as Dettmers et al. print them, made to contain 0, -1 and 1. */
TABLE(nf4, "4 bits: quantiles of the normal distribution", 4, 0, 15, NULL, NULL, -1, -0.6961928009986877f,
      -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f,
      0, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f,
      0.5626170039176941f, 0.7229568362236023f, 1)
