/* The sparse form: positions and values of the nonzero elements, in 16 bits if these represent all of them exactly. */
#include "tensor/form_half.h"

static skive_status keep(skive_context *ctx, const skive_tensor *t, int64_t kept, skv_coded *c) {
    const int64_t n = skive_tensor_count(t);
    const float *x = t->data;
    skive_tensor values = {0};
    SKV_TRY(skv_alloc(ctx, (size_t)n, &c->symbols));
    SKV_TRY(skive_tensor_create(ctx, SKIVE_F32, 1, &kept, &values));
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        c->symbols[i] = skv_f32_bits(x[i]) != 0;
        if (c->symbols[i]) ((float *)values.data)[at++] = x[i];
    }
    const skive_dtype half = skv_half_holds(&values, SKIVE_F16)    ? SKIVE_F16
                             : skv_half_holds(&values, SKIVE_BF16) ? SKIVE_BF16
                                                                   : SKIVE_F32;
    if (half == SKIVE_F32) {
        c->values = values;
        return SKIVE_OK;
    }
    const skive_status status = skv_tensor_convert(ctx, &values, half, &c->values);
    skive_tensor_free(ctx, &values);
    return status;
}

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    const int64_t n = skive_tensor_count(t);
    const float *x = t->data;
    int64_t kept = 0;
    *fits = false;
    if (t->dtype != SKIVE_F32) return SKIVE_OK;
    for (int64_t i = 0; i < n; i++) kept += skv_f32_bits(x[i]) != 0;
    if (kept == n) return SKIVE_OK;
    skv_coded c = skv_coded_of(&skv_form_sparse, t);
    c.alphabet = 2;
    c.zero = 0;
    const skive_status status = keep(ctx, t, kept, &c);
    if (status != SKIVE_OK) {
        skv_coded_free(ctx, &c);
        return status;
    }
    *fits = true;
    *out = c;
    return SKIVE_OK;
}

static const char *fault(const skv_coded *c) {
    if (c->dtype != SKIVE_F32) return "this form stores float32 only";
    if (!c->symbols) return skv_lacks_symbols;
    if (c->alphabet != 2 || c->zero != 0) return "its symbols are not flags for zero and nonzero";
    if (c->values.dtype != SKIVE_F32 && c->values.dtype != SKIVE_F16 && c->values.dtype != SKIVE_BF16)
        return "its values are not floats";
    int64_t kept = 0;
    for (int64_t i = 0; i < skv_coded_count(c); i++) kept += c->symbols[i];
    return kept != skive_tensor_count(&c->values) ? "it does not have one value per nonzero element" : NULL;
}

static void restore(const skv_coded *c, skive_tensor *out) {
    float *x = out->data;
    size_t at = 0;
    for (int64_t i = 0; i < skive_tensor_count(out); i++) {
        x[i] = 0.0f;
        if (c->symbols[i]) skv_to_f32(c->values.dtype, c->values.data, at++, 1, &x[i]);
    }
}

const skv_form skv_form_sparse = {
    .name = "sparse",
    .brief = "positions and values of the nonzero elements",
    .code = 9,
    .describe = describe,
    .fault = fault,
    .restore = restore,
};
