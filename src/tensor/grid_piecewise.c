/* Two regions with even steps each (PWLQ, Fang et al. 2020): half of the 16 levels lie around zero, the others
 * beyond a breakpoint on both sides. Breakpoint and end are those of the least squared error among 8 ends and 15
 * breakpoints, and int4 with one step is among what is compared, so that the error is never larger than that of
 * int4. */
#include "tensor/grid.h"

enum { LEVELS = 16, HALF = 4, ENDS = 8, BREAKS = 16, MOST = 65536 };

/* Levels -8 to 7 in steps of `inner` up to -4 and 3 and of `outer` beyond. */
static void set_levels(float inner, float outer, float *levels) {
    for (int k = 0; k < LEVELS; k++) {
        const int level = k - LEVELS / 2, near = level < -HALF ? -HALF : level > HALF - 1 ? HALF - 1 : level;
        levels[k] = (float)near * inner + (float)(level - near) * outer;
    }
}

static skive_status search(const skv_quantizer *q, const float *x, int64_t n, float *inner, float *outer,
                           float *levels) {
    const float most = skv_grid_largest(x, n);
    skv_grid_params p = {.scale = 1, .levels = levels};
    double best = INFINITY;
    for (int e = 0; e < (q->fit == SKV_FIT_RANGE ? 1 : ENDS); e++) {
        const float end = most * (1 - 0.07f * (float)e);
        for (int b = 1; b < BREAKS; b++) {
            const float at = end * (float)b / BREAKS;
            set_levels(at / HALF, (end - at) / HALF, levels);
            const double error = skv_grid_error(q, &p, x, n);
            if (error >= best) continue;
            best = error;
            *inner = at / HALF;
            *outer = (end - at) / HALF;
        }
    }
    return SKIVE_OK;
}

static skive_status solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p) {
    skv_quantizer even = skv_quantizer_of(&skv_grid_int4);
    skv_grid_params linear;
    float inner, outer, *some = NULL;
    *p = (skv_grid_params){.scale = 1, .levels = levels};
    even.fit = q->fit;
    SKV_TRY(even.grid->solve(ctx, &even, x, n, NULL, &linear));
    if (!(linear.scale > 0)) linear.scale = 1;
    inner = outer = linear.scale;
    if (!(skv_grid_largest(x, n) > 1e-30f)) {
        set_levels(inner, outer, levels);
        return SKIVE_OK;
    }
    const int64_t m = n < MOST ? n : MOST; /* evenly spaced ones stand for all */
    if (m < n) {
        SKV_TRY(skv_alloc_array(ctx, (size_t)m, sizeof *some, &some));
        for (int64_t i = 0; i < m; i++) some[i] = x[(int64_t)((double)i * (double)(n - 1) / (double)(m - 1))];
    }
    const skive_status status = search(q, some ? some : x, m, &inner, &outer, levels);
    skv_free(ctx, some);
    SKV_TRY(status);
    set_levels(inner, outer, levels);
    const double error = skv_grid_error(q, p, x, n);
    set_levels(linear.scale, linear.scale, levels);
    if (error < skv_grid_error(q, p, x, n)) set_levels(inner, outer, levels);
    return SKIVE_OK;
}

static const skv_option options[] = {SKV_GRID_GROUP("tensor"), SKV_GRID_FIT};

const skv_grid skv_grid_piecewise = {
    .name = "piecewise",
    .brief = "4 bits: two regions with even steps each",
    .bits = 4,
    .low = 0,
    .high = LEVELS - 1,
    SKV_OPTIONS(options),
    .own_levels = true,
    .form = "codebook",
    .encode = skv_table_encode,
    .decode = skv_table_decode,
    .solve = solve,
    .inside = skv_table_inside,
};
