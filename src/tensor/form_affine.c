/* Symmetric integers of 8, 4 or 2 bits with a float32 scale for each group of elements. */
#include "tensor/form_affine.h"

#include "tensor/grid.h"

/* The numbers of a form are those of the grid of its name. Asked for each element. */
static skv_quantizer quantizer_of(const skv_form *form) {
    const skv_grid *g = form == &skv_form_int8   ? &skv_grid_int8
                        : form == &skv_form_int4 ? &skv_grid_int4
                                                 : &skv_grid_int2;
    return (skv_quantizer){.grid = g, .low = g->low, .high = g->high};
}

/* Are all of x exactly, to the bit, the scale times integers? */
static bool on_grid(const skv_quantizer *q, const float *x, int64_t n, float scale) {
    const skv_grid_params p = {.scale = scale};
    for (int64_t i = 0; i < n; i++) {
        float near;
        skv_grid_fake(q, &p, &x[i], 1, &near);
        /* a NaN times the scale has its bits, but no integer stands for it */
        if (isnan(x[i]) || skv_f32_bits(near) != skv_f32_bits(x[i])) return false;
    }
    return true;
}

/* The scale of a grid that contains all of x; negative if there is none. The largest magnitude is an integer times the
 * scale, rounded once. */
static float find_scale(const skv_form *form, const float *x, int64_t n) {
    const skv_quantizer q = quantizer_of(form);
    const float most = skv_grid_largest(x, n);
    if (!isfinite(most)) return -1;
    if (most == 0) return on_grid(&q, x, n, 0) ? 0.0f : -1.0f;
    for (int32_t code = -q.low; code >= 1; code--) {
        const float near = most / (float)code;
        const float tried[] = {near, nextafterf(near, 0), nextafterf(near, INFINITY)};
        for (int k = 0; k < 3; k++) {
            if (on_grid(&q, x, n, tried[k])) return tried[k];
        }
    }
    return -1;
}

static unsigned symbol_of(const skv_form *form, float x, float scale) {
    const skv_quantizer q = quantizer_of(form);
    return (unsigned)(skv_grid_encode(&q, &(skv_grid_params){.scale = scale}, x) - q.low);
}

skive_status skv_affine_describe(skive_context *ctx, const skv_form *form, const skive_tensor *t, skv_coded *out,
                                 bool *fits) {
    const skv_quantizer q = quantizer_of(form);
    const skv_scaled s = {form, 1u << q.grid->bits, -q.low, find_scale, symbol_of};
    return skv_scaled_describe(ctx, &s, t, out, fits);
}

const char *skv_affine_fault(const skv_coded *c) {
    const skv_quantizer q = quantizer_of(c->form);
    return skv_scaled_fault(c, 1u << q.grid->bits, -q.low);
}

float skv_affine_level(const skv_coded *c, unsigned symbol) { return (float)((int)symbol - c->zero); }

float skv_affine_value(const skv_coded *c, int64_t i) {
    return skv_affine_level(c, c->symbols[i]) * skv_scale_of(c, i);
}
