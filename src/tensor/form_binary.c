/* The binary form: -s or s, with s for each group of elements (the mean magnitude: Rastegari et al. 2016). */
#include "tensor/form.h"

static float scale_of(const skv_form *form, const float *x, int64_t n) {
    (void)form;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]) || x[i] == 0 || fabsf(x[i]) != fabsf(x[0])) return -1;
    }
    return fabsf(x[0]);
}

static unsigned symbol_of(const skv_form *form, float x, float scale) {
    (void)form;
    (void)scale;
    return x > 0;
}

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    const skv_scaled s = {&skv_form_binary, 2, -1, scale_of, symbol_of};
    return skv_scaled_describe(ctx, &s, t, out, fits);
}

static const char *fault(const skv_coded *c) { return skv_scaled_fault(c, 2, -1); }

static float level(const skv_coded *c, unsigned symbol) {
    (void)c;
    return symbol ? 1.0f : -1.0f;
}

static float value(const skv_coded *c, int64_t i) { return c->symbols[i] ? skv_scale_of(c, i) : -skv_scale_of(c, i); }

const skv_form skv_form_binary = {
    .name = "binary",
    .brief = "-s or s",
    .code = 7,
    .describe = describe,
    .fault = fault,
    .value = value,
    .level = level,
    .scaled = true,
    .restore = skv_restore_values,
};
