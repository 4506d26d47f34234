/* The int8 form: symmetric 8-bit integers with a scale for each group of elements. */
#include "tensor/form_affine.h"

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    return skv_affine_describe(ctx, &skv_form_int8, t, out, fits);
}

const skv_form skv_form_int8 = {
    .name = "int8",
    .brief = "8-bit integers times a scale per tensor, channel or group",
    .code = 3,
    .describe = describe,
    .fault = skv_affine_fault,
    .value = skv_affine_value,
    .level = skv_affine_level,
    .scaled = true,
    .restore = skv_restore_values,
};
