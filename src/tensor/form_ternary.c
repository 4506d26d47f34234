/* The ternary form: -s, 0 or s, with s for each group of elements (Li & Liu 2016). */
#include "tensor/form.h"

/* The one magnitude of a group; 0 when all are zero, negative when there are several, or a -0. */
static float scale_of(const skv_form *form, const float *x, int64_t n) {
    float s = 0;
    (void)form;
    for (int64_t i = 0; i < n; i++) {
        if (skv_f32_bits(x[i]) == 0) continue;
        const float m = fabsf(x[i]);
        if (!isfinite(m) || m == 0 || (s > 0 && m != s)) return -1;
        s = m;
    }
    return s;
}

static unsigned symbol_of(const skv_form *form, float x, float scale) {
    (void)form;
    (void)scale;
    return x < 0 ? 0 : x > 0 ? 2 : 1;
}

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    const skv_scaled s = {&skv_form_ternary, 3, 1, scale_of, symbol_of};
    return skv_scaled_describe(ctx, &s, t, out, fits);
}

static const char *fault(const skv_coded *c) { return skv_scaled_fault(c, 3, 1); }

static float level(const skv_coded *c, unsigned symbol) {
    (void)c;
    return (float)symbol - 1.0f;
}

static float value(const skv_coded *c, int64_t i) {
    const float s = skv_scale_of(c, i);
    return c->symbols[i] == 1 ? 0.0f : c->symbols[i] ? s : -s;
}

const skv_form skv_form_ternary = {
    .name = "ternary",
    .brief = "-s, 0 or s",
    .code = 6,
    .describe = describe,
    .fault = fault,
    .value = value,
    .level = level,
    .scaled = true,
    .restore = skv_restore_values,
};
