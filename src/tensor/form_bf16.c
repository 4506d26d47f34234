/* The bfloat16 form: float32 values that bfloat16 represents exactly. */
#include "tensor/form_half.h"

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    return skv_half_describe(ctx, &skv_form_bf16, t, SKIVE_BF16, out, fits);
}

static const char *fault(const skv_coded *c) { return skv_half_fault(c, SKIVE_BF16); }

const skv_form skv_form_bf16 = {
    .name = "bf16",
    .brief = "float32 rounded to bfloat16",
    .code = 2,
    .describe = describe,
    .fault = fault,
    .restore = skv_half_restore,
};
