/* The binary grid: -s or s. The mean magnitude is the scale with the least squared error (Rastegari et al. 2016). */
#include "tensor/grid.h"

static void encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    (void)q;
    (void)p;
    for (int64_t i = 0; i < n; i++) code[i] = x[i] < 0 ? 0 : 1;
}

static void decode(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    (void)q;
    for (int64_t i = 0; i < n; i++) x[i] = code[i] ? p->scale : -p->scale;
}

static void solve_range(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    const float scale = (float)(high > -low ? high : -low);
    *p = (skv_grid_params){.scale = scale > 0 ? scale : 1.0f};
    if (q->power_of_two && scale > 0) p->scale = skv_grid_power_above(scale);
}

static skive_status solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p) {
    double sum = 0;
    (void)ctx;
    (void)levels;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    *p = (skv_grid_params){.scale = (float)(sum / (double)n)};
    if (!q->power_of_two || !(p->scale > 0)) return SKIVE_OK;
    skv_grid_params half = {.scale = skv_grid_power_above(p->scale) / 2}; /* the nearer of the two powers around it */
    p->scale = half.scale * 2;
    if (skv_grid_error(q, &half, x, n) < skv_grid_error(q, p, x, n)) *p = half;
    return SKIVE_OK;
}

static const skv_option options[] = {SKV_GRID_GROUP("channel"), SKV_GRID_POWER};

const skv_grid skv_grid_binary = {
    .name = "binary",
    .brief = "-s or s",
    .bits = 1,
    .low = 0,
    .high = 1,
    SKV_OPTIONS(options),
    .scaled = true,
    .gradient = SKV_GRADIENT_ALL,
    .form = "binary",
    .encode = encode,
    .decode = decode,
    .solve_range = solve_range,
    .solve = solve,
};
