/* What the two 16-bit float forms have in common. */
#include "tensor/form_half.h"

static float through(skive_dtype half, float x) {
    return half == SKIVE_F16 ? skv_f16_to_f32(skv_f32_to_f16(x)) : skv_bf16_to_f32(skv_f32_to_bf16(x));
}

bool skv_half_holds(const skive_tensor *t, skive_dtype half) {
    const float *x = t->data;
    const int64_t n = skive_tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        if (skv_f32_bits(through(half, x[i])) != skv_f32_bits(x[i])) return false;
    }
    return true;
}

skive_status skv_half_describe(skive_context *ctx, const skv_form *form, const skive_tensor *t, skive_dtype half,
                               skv_coded *out, bool *fits) {
    skv_coded c = skv_coded_of(form, t);
    *fits = t->dtype == SKIVE_F32 && skv_half_holds(t, half);
    if (!*fits) return SKIVE_OK;
    skive_tensor flat = *t;
    flat.rank = 1;
    flat.dims[0] = skive_tensor_count(t);
    SKV_TRY(skv_tensor_convert(ctx, &flat, half, &c.values));
    *out = c;
    return SKIVE_OK;
}

const char *skv_half_fault(const skv_coded *c, skive_dtype half) {
    if (c->dtype != SKIVE_F32) return "this form stores float32 only";
    if (c->symbols) return skv_needs_no_symbols;
    if (c->values.dtype != half || skive_tensor_count(&c->values) != skv_coded_count(c))
        return "it does not have one value per element";
    return NULL;
}

void skv_half_restore(const skv_coded *c, skive_tensor *out) {
    skv_to_f32(c->values.dtype, c->values.data, 0, (size_t)skive_tensor_count(out), out->data);
}
