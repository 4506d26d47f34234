/* The binary form: -s or s, with s for each group of elements (the mean magnitude: Rastegari et al. 2016). */
#include "tensor/form.h"

static void round_group(const skv_form *form, float *x, int64_t n) {
    double sum = 0;
    (void)form;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    const float s = (float)(sum / (double)n);
    for (int64_t i = 0; i < n; i++) x[i] = x[i] < 0 ? -s : s;
}

static skive_status round_to(skive_context *ctx, const char *arg, skive_tensor *t) {
    return skv_round_groups(ctx, &skv_form_binary, arg, t, round_group);
}

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
    .round = round_to,
    .describe = describe,
    .fault = fault,
    .value = value,
    .level = level,
    .scaled = true,
    .restore = skv_restore_values,
};
