/* The ternary grid: -s, 0 or s. The usual threshold and scale are those of ternary weight networks (Li & Liu 2016):
 * magnitudes up to 0.7 of the mean become 0, s is the mean of the others. */
#include "tensor/grid.h"

static float threshold_of(const skv_grid_params *p) { return p->threshold > 0 ? p->threshold : p->scale / 2; }

static void encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    const float threshold = threshold_of(p);
    (void)q;
    for (int64_t i = 0; i < n; i++) code[i] = !(fabsf(x[i]) > threshold) ? 0 : x[i] < 0 ? -1 : 1;
}

static void decode(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    (void)q;
    for (int64_t i = 0; i < n; i++) x[i] = code[i] == 0 ? 0.0f : code[i] < 0 ? -p->scale : p->scale;
}

static void solve_range(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    const float scale = (float)(high > -low ? high : -low);
    *p = (skv_grid_params){.scale = scale > 0 ? scale : 1.0f};
    if (q->power_of_two && scale > 0) p->scale = skv_grid_power_above(scale);
}

/* The largest float up to the threshold, so that comparing floats does what comparing doubles does. */
static float at_most(double threshold) {
    const float near = (float)threshold;
    return (double)near > threshold ? nextafterf(near, -INFINITY) : near;
}

static skive_status solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p) {
    double sum = 0, kept = 0, n_kept = 0;
    (void)levels;
    *p = (skv_grid_params){.scale = 1};
    if (q->fit != SKV_FIT_USUAL) return skv_grid_solve_scale(ctx, q, x, n, 1, p);
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    const double threshold = 0.7 * sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        if (fabs((double)x[i]) <= threshold) continue;
        kept += fabs((double)x[i]);
        n_kept++;
    }
    p->scale = n_kept > 0 ? (float)(kept / n_kept) : 0.0f;
    p->threshold = at_most(threshold);
    if (q->power_of_two && p->scale > 0) p->scale = skv_grid_power_above(p->scale);
    return SKIVE_OK;
}

static const skv_option options[] = {SKV_GRID_GROUP("channel"), SKV_GRID_POWER, SKV_GRID_FIT};

const skv_grid skv_grid_ternary = {
    .name = "ternary",
    .brief = "-s, 0 or s",
    .bits = 2,
    .low = -1,
    .high = 1,
    SKV_OPTIONS(options),
    .scaled = true,
    .gradient = SKV_GRADIENT_ALL,
    .form = "ternary",
    .dtype = SKIVE_I4,
    .encode = encode,
    .decode = decode,
    .solve_range = solve_range,
    .solve = solve,
};
