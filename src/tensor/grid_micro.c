/* The formats MXFP4 and MXINT8 of the OCP Microscaling specification 1.0: blocks of 32 numbers share a scale that is
 * a power of two. Usually it is that of the specification, the largest power of two in the block over that of the
 * elements; what lies beyond the largest element is clipped. fit=range clips nothing, fit=least tries all that
 * matter. */
#include "tensor/grid.h"

/* `last`: the largest power of two among the levels. */
static skive_status solve(const skv_quantizer *q, const float *x, int64_t n, int last, skv_grid_params *p) {
    const float most = skv_grid_largest(x, n), top = skv_grid_level(q, &(skv_grid_params){.scale = 1}, q->high);
    int exponent;
    *p = (skv_grid_params){.scale = 1};
    if (!(most > 0)) return SKIVE_OK;
    (void)frexpf(most, &exponent);
    exponent -= 1 + last;
    p->scale = ldexpf(1, exponent < -126 ? -126 : exponent);
    if (q->fit == SKV_FIT_USUAL) return SKIVE_OK;
    skv_grid_params tried = {.scale = skv_grid_power_above(most / top < 1e-37f ? 1e-37f : most / top)};
    if (q->fit == SKV_FIT_RANGE) {
        *p = tried;
        return SKIVE_OK;
    }
    double best = skv_grid_error(q, p, x, n);
    for (int k = 0; k < 8; k++, tried.scale /= 2) {
        const double error = skv_grid_error(q, &tried, x, n);
        if (error >= best) continue;
        best = error;
        *p = tried;
    }
    return SKIVE_OK;
}

static skive_status solve_fp4(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                              skv_grid_params *p) {
    (void)ctx;
    (void)levels;
    return solve(q, x, n, 2, p);
}

static skive_status solve_int8(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                               skv_grid_params *p) {
    (void)ctx;
    (void)levels;
    return solve(q, x, n, 6, p);
}

static const skv_option options[] = {SKV_GRID_GROUP("32"), SKV_GRID_FIT};
static const float fp4_levels[] = {-6, -4, -3, -2, -1.5f, -1, -0.5f, 0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

const skv_grid skv_grid_mxfp4 = {
    .name = "mxfp4",
    .brief = "MXFP4: 4-bit floats, a power of two as scale for each 32",
    .bits = 4,
    .low = -7,
    .high = 7,
    SKV_OPTIONS(options),
    .scaled = true,
    .table = fp4_levels,
    .encode = skv_table_encode,
    .decode = skv_table_decode,
    .solve = solve_fp4,
    .inside = skv_table_inside,
};

const skv_grid skv_grid_mxint8 = {
    .name = "mxint8",
    .brief = "MXINT8: 8-bit integers, a power of two as scale for each 32",
    .bits = 8,
    .low = -127,
    .high = 127,
    SKV_OPTIONS(options),
    .scaled = true,
    .uniform = true,
    .form = "int8",
    .dtype = SKIVE_I8,
    .encode = skv_integer_encode,
    .decode = skv_integer_decode,
    .solve = solve_int8,
    .inside = skv_integer_inside,
};
