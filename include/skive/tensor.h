/* Tensors: an element type, a shape and dense row-major data. */
#ifndef SKIVE_TENSOR_H
#define SKIVE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skive/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SKIVE_MAX_RANK 8

typedef enum skive_dtype {
    SKIVE_DTYPE_NONE = 0,
#define X(name, code, bits, text) SKIVE_##name = code,
#include <skive/dtypes.inc>
#undef X
} skive_dtype;

/* A dense row-major tensor. Rank 0 is a scalar; a dimension may be 0. Elements of less than a byte are packed, the
 * first in the lowest bits. A tensor made by skive_tensor_create owns its data; one filled in by hand borrows it. An
 * element of SKIVE_STRING is a `const char *`: UTF-8 that ends with a NUL, with none inside; NULL is the empty string.
 * skive_tensor_create gives empty strings, into which the caller writes pointers to text that he keeps. Tensors from
 * skive_tensor_copy, skive_tensor_load_npy and skive_session_run have their text with the elements, and freeing them
 * frees it; what a view of an exec (skive_exec_output) points to is valid until the exec's next run. */
typedef struct skive_tensor {
    skive_dtype dtype;
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
    void *data;
} skive_tensor;

SKIVE_API const char *skive_dtype_name(skive_dtype dtype); /* "float32"; "none" when unknown */
SKIVE_API int skive_dtype_bits(skive_dtype dtype);         /* 0 when unknown */
SKIVE_API skive_dtype skive_dtype_find(const char *name);  /* SKIVE_DTYPE_NONE when unknown */

/* Number of elements; -1 when a dimension is negative or the product overflows. */
SKIVE_API int64_t skive_tensor_count(const skive_tensor *tensor);
/* Bytes of the data, rounded up; 0 when the count is invalid. */
SKIVE_API size_t skive_tensor_bytes(const skive_tensor *tensor);

/* A zeroed tensor. Free with skive_tensor_free, which leaves *tensor empty. Errors: ARGUMENT, LIMIT, MEMORY. */
SKIVE_API skive_status skive_tensor_create(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                           skive_tensor *out);
SKIVE_API skive_status skive_tensor_copy(skive_context *ctx, const skive_tensor *tensor, skive_tensor *out);
SKIVE_API void skive_tensor_free(skive_context *ctx, skive_tensor *tensor);

/* Element `index` in row-major order as a double (and back, rounding to nearest even and saturating integers). For
 * tests and small tensors; not for hot loops. */
SKIVE_API double skive_tensor_get(const skive_tensor *tensor, int64_t index);
SKIVE_API void skive_tensor_set(skive_tensor *tensor, int64_t index, double value);

/* Element `index` of a tensor of strings, "" for NULL; NULL when there is no such element or it is no string. Numbers
 * and strings do not mix: of strings skive_tensor_get gives NaN, and skive_tensor_set leaves them alone. */
SKIVE_API const char *skive_tensor_string(const skive_tensor *tensor, int64_t index);

/* NumPy .npy files, version 1 to 3, C order; strings as arrays of str (read from bytes in UTF-8 as well). Errors: IO,
 * FORMAT, UNSUPPORTED (Fortran order, structured types, objects). */
SKIVE_API skive_status skive_tensor_load_npy(skive_context *ctx, const char *path, skive_tensor *out);
SKIVE_API skive_status skive_tensor_save_npy(skive_context *ctx, const char *path, const skive_tensor *tensor);
/* Saves tensors[i] as paths[i], i < n. Files are replaced only after all have been written: if one fails, none is
 * replaced. */
SKIVE_API skive_status skive_tensors_save_npy(skive_context *ctx, const char *const *paths, const skive_tensor *tensors,
                                              size_t n);

/* A .npy file that is written part by part, for tensors that need not be in memory as a whole. The file gets its name
 * only at the end; until then another file of that name stays. */
typedef struct skive_npy_stream skive_npy_stream;
/* For a tensor of this type and shape: dims[rank]. Errors: ARGUMENT (no valid shape or type), UNSUPPORTED (strings,
 * which all have the width of the longest in a file), IO, MEMORY. */
SKIVE_API skive_status skive_npy_stream_open(skive_context *ctx, const char *path, skive_dtype dtype, int rank,
                                             const int64_t *dims, skive_npy_stream **out);
/* The next entries along the first axis; all other dimensions are those of the whole. Errors: SHAPE (it does not
 * continue what was written), IO, MEMORY. */
SKIVE_API skive_status skive_npy_stream_write(skive_npy_stream *stream, const skive_tensor *part);
/* Finishes n files, which are replaced only if all are complete, and frees the streams, whatever the outcome; the
 * entries become NULL. Errors: ARGUMENT (entries are missing), IO. */
SKIVE_API skive_status skive_npy_streams_commit(skive_npy_stream **streams, size_t n);
/* Gives up: no file is written. NULL is accepted. */
SKIVE_API void skive_npy_stream_free(skive_npy_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
