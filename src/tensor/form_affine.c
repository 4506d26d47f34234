/* Symmetric integers of 8, 4 or 2 bits with a float32 scale for each group of elements. */
#include "tensor/form_affine.h"

enum { CLIPS = 24 }; /* ranges tried, from the largest magnitude down to 40 % of it */

static int bits_of(const skv_form *form) { return form == &skv_form_int8 ? 8 : form == &skv_form_int4 ? 4 : 2; }
static int lowest(int bits) { return -(1 << (bits - 1)); }
static int highest(int bits) { return (1 << (bits - 1)) - 1; }

static float quantized(float x, float scale, int low, int high) {
    const float q = scale > 0 ? rintf(x / scale) : 0.0f;
    return q < (float)low ? (float)low : q > (float)high ? (float)high : q;
}

static float largest(const float *x, int64_t n) {
    float most = 0;
    for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* The scale with the smallest squared error: the fewer the levels, the more is gained by clipping. */
static float best_scale(const float *x, int64_t n, int low, int high) {
    const float most = largest(x, n);
    double best_error = INFINITY;
    float best = 0;
    for (int k = 0; k < CLIPS && most > 0; k++) {
        const float scale = most * (1.0f - 0.6f * (float)k / CLIPS) / (float)(high > 1 ? high : 1);
        double error = 0;
        for (int64_t i = 0; i < n; i++) {
            const double d = (double)(quantized(x[i], scale, low, high) * scale - x[i]);
            error += d * d;
        }
        if (error >= best_error) continue;
        best_error = error;
        best = scale;
    }
    return best;
}

static void round_group(const skv_form *form, float *x, int64_t n) {
    const int low = lowest(bits_of(form)), high = highest(bits_of(form));
    const float scale = best_scale(x, n, low, high);
    for (int64_t i = 0; i < n; i++) x[i] = quantized(x[i], scale, low, high) * scale + 0.0f;
}

skive_status skv_affine_round(skive_context *ctx, const skv_form *form, const char *arg, skive_tensor *t) {
    return skv_round_groups(ctx, form, arg, t, round_group);
}

/* Are all of x exactly, to the bit, the scale times integers? */
static bool on_grid(const float *x, int64_t n, float scale, int low, int high) {
    for (int64_t i = 0; i < n; i++) {
        const float q = quantized(x[i], scale, low, high) + 0.0f;
        /* a NaN times the scale has its bits, but no integer stands for it */
        if (isnan(x[i]) || skv_f32_bits(q * scale) != skv_f32_bits(x[i])) return false;
    }
    return true;
}

/* The scale of a grid that contains all of x; negative if there is none. The largest magnitude is an integer times the
 * scale, rounded once. */
static float find_scale(const skv_form *form, const float *x, int64_t n) {
    const int low = lowest(bits_of(form)), high = highest(bits_of(form));
    const float most = largest(x, n);
    if (!isfinite(most)) return -1;
    if (most == 0) return on_grid(x, n, 0, low, high) ? 0.0f : -1.0f;
    for (int q = -low; q >= 1; q--) {
        const float near = most / (float)q;
        const float tried[] = {near, nextafterf(near, 0), nextafterf(near, INFINITY)};
        for (int k = 0; k < 3; k++) {
            if (on_grid(x, n, tried[k], low, high)) return tried[k];
        }
    }
    return -1;
}

static unsigned symbol_of(const skv_form *form, float x, float scale) {
    const int low = lowest(bits_of(form)), high = highest(bits_of(form));
    return (unsigned)((int)quantized(x, scale, low, high) - low);
}

skive_status skv_affine_describe(skive_context *ctx, const skv_form *form, const skive_tensor *t, skv_coded *out,
                                 bool *fits) {
    const int bits = bits_of(form);
    const skv_scaled s = {form, 1u << bits, -lowest(bits), find_scale, symbol_of};
    return skv_scaled_describe(ctx, &s, t, out, fits);
}

const char *skv_affine_fault(const skv_coded *c) {
    const int bits = bits_of(c->form);
    return skv_scaled_fault(c, 1u << bits, -lowest(bits));
}

float skv_affine_level(const skv_coded *c, unsigned symbol) { return (float)((int)symbol - c->zero); }

float skv_affine_value(const skv_coded *c, int64_t i) {
    return skv_affine_level(c, c->symbols[i]) * skv_scale_of(c, i);
}
