/* The symmetric integer forms: symbol minus zero, times a scale. */
#ifndef SKV_TENSOR_FORM_AFFINE_H
#define SKV_TENSOR_FORM_AFFINE_H

#include "tensor/form.h"

skive_status skv_affine_describe(skive_context *ctx, const skv_form *form, const skive_tensor *t, skv_coded *out,
                                 bool *fits);
const char *skv_affine_fault(const skv_coded *c);
float skv_affine_level(const skv_coded *c, unsigned symbol);
float skv_affine_value(const skv_coded *c, int64_t i);

#endif
