/* Integers on a uniform grid (Jacob et al. 2018): x = scale * (code - zero_point). */
#include "tensor/grid.h"

#define LEAST_SCALE 1e-30f /* so that its inverse stays finite */

void skv_integer_encode(const skv_quantizer *q, const skv_grid_params *p, const float *x, int64_t n, int32_t *code) {
    const float low = (float)(q->low - p->zero_point), high = (float)(q->high - p->zero_point), scale = p->scale;
    const int32_t zero = p->zero_point;
    for (int64_t i = 0; i < n; i++) {
        float t = rintf(x[i] / scale);
        t = isnan(t) ? 0.0f : t;
        t = t < low ? low : t > high ? high : t;
        code[i] = (int32_t)t + zero;
    }
}

void skv_integer_decode(const skv_quantizer *q, const skv_grid_params *p, const int32_t *code, int64_t n, float *x) {
    (void)q;
    for (int64_t i = 0; i < n; i++) x[i] = (float)(code[i] - p->zero_point) * p->scale;
}

void skv_integer_inside(const skv_quantizer *q, const skv_grid_params *p, float *low, float *high) {
    *low = (float)(q->low - p->zero_point) - 0.5f;
    *high = (float)(q->high - p->zero_point) + 0.5f;
}

/* Levels on one side that a symmetric grid uses: of unsigned integers half of them, around the middle. */
static int32_t side_of(const skv_quantizer *q) { return q->low < 0 ? q->high : (q->high - q->low) / 2; }

/* The zero point of a symmetric grid. Unsigned integers have 0 if nothing is negative. */
static int32_t middle_of(const skv_quantizer *q, bool negative) {
    return q->low < 0 || !negative ? 0 : q->low + side_of(q) + 1;
}

static skv_grid_params symmetric(const skv_quantizer *q, double low, double high) {
    const bool one_side = q->low >= 0 && low >= 0;
    const double most = high > -low ? high : -low, steps = one_side ? q->high : side_of(q);
    float scale = (float)(most / steps);
    if (!(scale > 0)) return (skv_grid_params){.scale = 1.0f, .zero_point = 0};
    scale = scale < LEAST_SCALE ? LEAST_SCALE : scale;
    if (q->power_of_two) scale = skv_grid_power_above(scale);
    return (skv_grid_params){.scale = scale, .zero_point = middle_of(q, !one_side)};
}

static void solve_range(const skv_quantizer *q, double low, double high, skv_grid_params *p) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    if (!q->asymmetric) {
        *p = symmetric(q, low, high);
        return;
    }
    float scale = (float)((high - low) / (double)(q->high - q->low));
    *p = (skv_grid_params){.scale = 1.0f}; /* only zeros: any scale represents them */
    if (!(scale > 0)) return;
    scale = scale < LEAST_SCALE ? LEAST_SCALE : scale;
    if (q->power_of_two) scale = skv_grid_power_above(scale);
    double zero = q->low + rint(-low / (double)scale);
    zero = zero < q->low ? q->low : zero > q->high ? q->high : zero;
    *p = (skv_grid_params){.scale = scale, .zero_point = (int32_t)zero};
}

static void range_of(const float *x, int64_t n, double *low, double *high) {
    *low = *high = 0;
    for (int64_t i = 0; i < n; i++) {
        *low = (double)x[i] < *low ? (double)x[i] : *low;
        *high = (double)x[i] > *high ? (double)x[i] : *high;
    }
}

/* The least error among ranges whose ends are clipped independently, in 32 steps each. */
static void search_both_ends(const skv_quantizer *q, const float *x, int64_t n, skv_grid_params *p) {
    enum { STEPS = 32 };
    double low, high, best = INFINITY;
    range_of(x, n, &low, &high);
    for (int i = 0; i < STEPS && (i == 0 || low < 0); i++) {
        for (int k = 0; k < STEPS && (k == 0 || high > 0); k++) {
            skv_grid_params candidate;
            solve_range(q, low * (1 - (double)i / STEPS), high * (1 - (double)k / STEPS), &candidate);
            const double error = skv_grid_error(q, &candidate, x, n);
            if (error >= best) continue;
            best = error;
            *p = candidate;
        }
    }
}

/* The least error of all scales and zero points; of many numbers, of the ranges above. */
static skive_status least_both(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n,
                               skv_grid_params *p) {
    const int64_t levels = (int64_t)q->high - q->low + 1;
    search_both_ends(q, x, n, p);
    if (q->fit != SKV_FIT_LEAST || q->power_of_two || levels > 256 || n > (1 << 18) / levels / levels) return SKIVE_OK;
    double best = skv_grid_error(q, p, x, n);
    for (int32_t zero = q->low; zero <= q->high; zero++) {
        const int32_t up = q->high - zero, down = zero - q->low;
        skv_grid_params tried = {.zero_point = zero};
        SKV_TRY(skv_grid_solve_scale(ctx, q, x, n, (float)(up > down ? up : down), &tried));
        const double error = tried.scale > 0 ? skv_grid_error(q, &tried, x, n) : INFINITY;
        if (error >= best) continue;
        best = error;
        *p = tried;
    }
    return SKIVE_OK;
}

static skive_status solve(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *levels,
                          skv_grid_params *p) {
    double low, high;
    (void)levels;
    range_of(x, n, &low, &high);
    if (q->asymmetric && q->fit != SKV_FIT_RANGE) return least_both(ctx, q, x, n, p);
    if (q->fit == SKV_FIT_RANGE) {
        solve_range(q, low, high, p);
        return SKIVE_OK;
    }
    const bool one_side = q->low >= 0 && low >= 0;
    *p = (skv_grid_params){.zero_point = middle_of(q, !one_side)};
    return skv_grid_solve_scale(ctx, q, x, n, (float)(one_side ? q->high : side_of(q)), p);
}

void skv_grid_dynamic_u8(float low, float high, skv_grid_params *p) {
    float scale = (high - low) / 255.0f;
    if (!(scale > 0)) scale = 1;
    const float zero = nearbyintf(fminf(fmaxf(0.0f - low / scale, 0), 255));
    *p = (skv_grid_params){.scale = scale, .zero_point = (int32_t)zero};
}

static const skv_option unsigned_options[] = {SKV_GRID_GROUP("channel"), SKV_GRID_ASYMMETRIC, SKV_GRID_POWER,
                                              SKV_GRID_FIT};
static const skv_option signed_options[] = {SKV_GRID_GROUP("channel"), SKV_GRID_ASYMMETRIC, SKV_GRID_NARROW,
                                            SKV_GRID_POWER, SKV_GRID_FIT};
/* n bits, codes from low to high, in elements of `holder`. */
#define INTEGER(id, n, first, last, holder, form_, options_)                           \
    const skv_grid skv_grid_##id = {.name = #id,                                       \
                                    .brief = #n "-bit integers, " #first " to " #last, \
                                    .bits = n,                                         \
                                    .low = first,                                      \
                                    .high = last,                                      \
                                    SKV_OPTIONS(options_),                             \
                                    .scaled = true,                                    \
                                    .uniform = true,                                   \
                                    .form = form_,                                     \
                                    .dtype = holder,                                   \
                                    .encode = skv_integer_encode,                      \
                                    .decode = skv_integer_decode,                      \
                                    .solve_range = solve_range,                        \
                                    .solve = solve,                                    \
                                    .inside = skv_integer_inside};
INTEGER(int2, 2, -2, 1, SKIVE_I4, "int2", signed_options)
INTEGER(int3, 3, -4, 3, SKIVE_I4, "int4", signed_options)
INTEGER(int4, 4, -8, 7, SKIVE_I4, "int4", signed_options)
INTEGER(int5, 5, -16, 15, SKIVE_I8, "int8", signed_options)
INTEGER(int6, 6, -32, 31, SKIVE_I8, "int8", signed_options)
INTEGER(int7, 7, -64, 63, SKIVE_I8, "int8", signed_options)
INTEGER(int8, 8, -128, 127, SKIVE_I8, "int8", signed_options)
INTEGER(int16, 16, -32768, 32767, SKIVE_I16, NULL, signed_options)
INTEGER(uint2, 2, 0, 3, SKIVE_U4, NULL, unsigned_options)
INTEGER(uint3, 3, 0, 7, SKIVE_U4, NULL, unsigned_options)
INTEGER(uint4, 4, 0, 15, SKIVE_U4, NULL, unsigned_options)
INTEGER(uint5, 5, 0, 31, SKIVE_U8, NULL, unsigned_options)
INTEGER(uint6, 6, 0, 63, SKIVE_U8, NULL, unsigned_options)
INTEGER(uint7, 7, 0, 127, SKIVE_U8, NULL, unsigned_options)
INTEGER(uint8, 8, 0, 255, SKIVE_U8, NULL, unsigned_options)
INTEGER(uint16, 16, 0, 65535, SKIVE_U16, NULL, unsigned_options)
