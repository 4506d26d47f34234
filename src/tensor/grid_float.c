/* Float grids of 16 and 8 bits. A code is the bits of the number. float8 has a scale and saturates (Micikevicius et al.
 * 2022; FNUZ: Noune et al. 2022); the 16-bit types have none and overflow to infinity, as a Cast does. */
#include "tensor/grid.h"

static void encode_f16(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    (void)q;
    (void)p;
    for (int64_t i = 0; i < n; i++) code[i] = skv_f32_to_f16(x[i]);
}

static void decode_f16(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    (void)q;
    (void)p;
    for (int64_t i = 0; i < n; i++) x[i] = skv_f16_to_f32((uint16_t)code[i]);
}

static void encode_bf16(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    (void)q;
    (void)p;
    for (int64_t i = 0; i < n; i++) code[i] = skv_f32_to_bf16(x[i]);
}

static void decode_bf16(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    (void)q;
    (void)p;
    for (int64_t i = 0; i < n; i++) x[i] = skv_bf16_to_f32((uint16_t)code[i]);
}

static void encode_f8(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    for (int64_t i = 0; i < n; i++) code[i] = skv_f64_to_f8(q->grid->dtype, (double)(x[i] / p->scale), true);
}

static void decode_f8(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)skv_f8_to_f64(q->grid->dtype, (uint8_t)code[i]) * p->scale;
}

static double largest_f8(const skv_quantizer *q) {
    return skv_f8_to_f64(q->grid->dtype, skv_f64_to_f8(q->grid->dtype, HUGE_VAL, true));
}

static void inside_f16(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high) {
    (void)q;
    (void)p;
    *high = 65504;
    *low = -*high;
}

static void inside_f8(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high) {
    (void)p;
    const double top = largest_f8(q),
                 below = skv_f8_to_f64(q->grid->dtype, (uint8_t)(skv_f64_to_f8(q->grid->dtype, top, true) - 1));
    *high = (float)(top + (top - below) / 2);
    *low = -*high;
}

static void no_range(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    (void)q;
    (void)low;
    (void)high;
    *p = (skv_grid_params){.scale = 1};
}

static skive_status no_solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                             skv_grid_params *p) {
    (void)ctx;
    (void)x;
    (void)n;
    (void)levels;
    no_range(q, 0, 0, p);
    return SKIVE_OK;
}

static void range_f8(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    const float scale = (float)((high > -low ? high : -low) / largest_f8(q));
    *p = (skv_grid_params){.scale = !(scale > 0) ? 1.0f : scale < 1e-30f ? 1e-30f : scale};
    if (q->power_of_two && scale > 0) p->scale = skv_grid_power_above(p->scale);
}

static skive_status solve_f8(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                             skv_grid_params *p) {
    (void)levels;
    *p = (skv_grid_params){.scale = 1};
    return skv_grid_solve_scale(ctx, q, x, n, (float)largest_f8(q), p);
}

static const skv_option f8_options[] = {SKV_GRID_GROUP("tensor"), SKV_GRID_POWER, SKV_GRID_FIT};
#define FLOAT(id, title, n, type, scaled_, form_, encode_, decode_, range_, solve_, inside_) \
    const skv_grid skv_grid_##id = {.name = #id,                                             \
                                    .brief = title,                                          \
                                    .bits = n,                                               \
                                    .low = 0,                                                \
                                    .high = (1 << (n)) - 1,                                  \
                                    .options = (scaled_) ? f8_options : NULL,                \
                                    .n_options = (scaled_) ? SKV_LENGTH(f8_options) : 0,     \
                                    .scaled = scaled_,                                       \
                                    .form = form_,                                           \
                                    .dtype = type,                                           \
                                    .encode = encode_,                                       \
                                    .decode = decode_,                                       \
                                    .solve_range = range_,                                   \
                                    .solve = solve_,                                         \
                                    .inside = inside_};
FLOAT(f16, "IEEE half floats, without a scale", 16, SKIVE_F16, false, "f16", encode_f16, decode_f16, no_range, no_solve,
      inside_f16)
FLOAT(bf16, "bfloat16, without a scale", 16, SKIVE_BF16, false, "bf16", encode_bf16, decode_bf16, no_range, no_solve,
      NULL)
FLOAT(f8e4m3, "8-bit floats with 4 bits of exponent and 3 of fraction, up to 448", 8, SKIVE_F8E4M3FN, true, "codebook",
      encode_f8, decode_f8, range_f8, solve_f8, inside_f8)
FLOAT(f8e5m2, "8-bit floats with 5 bits of exponent and 2 of fraction, up to 57344, and infinity", 8, SKIVE_F8E5M2,
      true, "codebook", encode_f8, decode_f8, range_f8, solve_f8, inside_f8)
FLOAT(f8e4m3fnuz, "8-bit floats as f8e4m3, up to 240, without -0", 8, SKIVE_F8E4M3FNUZ, true, "codebook", encode_f8,
      decode_f8, range_f8, solve_f8, inside_f8)
FLOAT(f8e5m2fnuz, "8-bit floats as f8e5m2, without infinity and -0", 8, SKIVE_F8E5M2FNUZ, true, "codebook", encode_f8,
      decode_f8, range_f8, solve_f8, inside_f8)
