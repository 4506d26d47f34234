/* Fixed point Qm.n in 8 bits (integers -128 to 127) and in 16, in steps of 2^-n, for processors without a float
 * unit. n, the bits after the point, is given (fixed:4) or chosen: from the one that covers everything, up to 7 bits
 * of the integer part may be given up for more bits after the point, whichever has the least squared error. */
#include "tensor/grid.h"

static void solve_range(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    const double below = low < 0 ? low / q->low : 0, above = high > 0 ? high / q->high : 0;
    const float scale = (float)(below > above ? below : above);
    *p = (skv_grid_params){.scale = q->fraction >= 0 ? ldexpf(1, -q->fraction)
                                    : scale > 1e-30f ? skv_grid_power_above(scale)
                                                     : 1.0f};
}

static skive_status solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p) {
    double low = 0, high = 0;
    (void)ctx;
    (void)levels;
    for (int64_t i = 0; i < n; i++) {
        low = (double)x[i] < low ? (double)x[i] : low;
        high = (double)x[i] > high ? (double)x[i] : high;
    }
    solve_range(q, low, high, p);
    if (q->fraction >= 0 || q->fit == SKV_FIT_RANGE) return SKIVE_OK;
    skv_grid_params tried = *p;
    double best = skv_grid_error(q, p, x, n);
    for (int k = 0; k < 7; k++) {
        tried.scale /= 2;
        const double error = skv_grid_error(q, &tried, x, n);
        if (error >= best) continue;
        best = error;
        *p = tried;
    }
    return SKIVE_OK;
}

static const skv_option options[] = {{.name = "fraction",
                                      .type = SKV_OPTION_INTEGER,
                                      .least = -1,
                                      .most = 30,
                                      .fallback = -1,
                                      .brief = "bits after the point; -1: chosen"},
                                     SKV_GRID_GROUP("channel"),
                                     SKV_GRID_FIT};

const skv_grid skv_grid_fixed = {
    .name = "fixed",
    .brief = "8-bit fixed point: integers in steps of a power of two",
    .bits = 8,
    .low = -128,
    .high = 127,
    SKV_OPTIONS(options),
    .scaled = true,
    .uniform = true,
    .form = "int8",
    .dtype = SKIVE_I8,
    .encode = skv_integer_encode,
    .decode = skv_integer_decode,
    .solve_range = solve_range,
    .solve = solve,
    .inside = skv_integer_inside,
};

const skv_grid skv_grid_fixed16 = {
    .name = "fixed16",
    .brief = "16-bit fixed point: integers in steps of a power of two",
    .bits = 16,
    .low = -32768,
    .high = 32767,
    SKV_OPTIONS(options),
    .scaled = true,
    .uniform = true,
    .dtype = SKIVE_I16,
    .encode = skv_integer_encode,
    .decode = skv_integer_decode,
    .solve_range = solve_range,
    .solve = solve,
    .inside = skv_integer_inside,
};
