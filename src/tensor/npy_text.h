/* Strings in .npy files: `U`, code points of 32 bits each, and `S`, bytes; all of one width, filled up with zeros. */
#ifndef SKV_TENSOR_NPY_TEXT_H
#define SKV_TENSOR_NPY_TEXT_H

#include "tensor/tensor.h"

/* From the elements at `data`, which the header in `info` describes. */
skive_status skv_npy_text_read(skive_context *ctx, const char *path, const skv_npy_info *info, const void *data,
                               skive_tensor *out);
/* Code points of the longest string, at least 1. ERR_FORMAT where one is not UTF-8. */
skive_status skv_npy_text_width(skive_context *ctx, const char *path, const skive_tensor *t, size_t *out);
/* As `<U`. */
skive_status skv_npy_text_write(skive_context *ctx, skv_writer *w, const skive_tensor *t, size_t width);

#endif
