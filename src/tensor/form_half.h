/* The forms with two bytes per element, one for each 16-bit float type. */
#ifndef SKV_TENSOR_FORM_HALF_H
#define SKV_TENSOR_FORM_HALF_H

#include "tensor/form.h"

/* Does the narrower type represent every element of t exactly? */
bool skv_half_holds(const skive_tensor *t, skive_dtype half);
skive_status skv_half_describe(skive_context *ctx, const skv_form *form, const skive_tensor *t, skive_dtype half,
                               skv_coded *out, bool *fits);
const char *skv_half_fault(const skv_coded *c, skive_dtype half);
void skv_half_restore(const skv_coded *c, skive_tensor *out);

#endif
