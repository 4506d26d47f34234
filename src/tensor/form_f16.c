/* The float16 form: float32 values that float16 represents exactly. */
#include "tensor/form_half.h"

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    return skv_half_describe(ctx, &skv_form_f16, t, SKIVE_F16, out, fits);
}

static const char *fault(const skv_coded *c) { return skv_half_fault(c, SKIVE_F16); }

const skv_form skv_form_f16 = {
    .name = "f16",
    .brief = "float32 rounded to float16",
    .code = 1,
    .describe = describe,
    .fault = fault,
    .restore = skv_half_restore,
};
