/* Tensors of strings. An element is a pointer to UTF-8 text that ends with a NUL; NULL is the empty string.
 *
 * Who owns the text: a tensor made here, by skive_tensor_copy or by skv_op_evaluate has it in the same block as its
 * elements, so that freeing the tensor frees it. Parameters are such tensors. Text that an operator makes while a plan
 * runs lies in the room of that run (skv_eval.strings, skv_kernel_call.strings), and operators that move elements copy
 * pointers only. */
#ifndef SKV_TENSOR_STRINGS_H
#define SKV_TENSOR_STRINGS_H

#include <string.h>

#include "tensor/tensor.h"

/* Element i, never NULL. */
static inline const char *skv_string_at(const skive_tensor *t, size_t i) {
    const char *s = ((const char *const *)t->data)[i];
    return s ? s : "";
}

/* A tensor of empty strings with room for `bytes` bytes of text behind its elements. */
skive_status skv_strings_create(skive_context *ctx, int rank, const int64_t *dims, size_t bytes, skive_tensor *out,
                                char **room);
/* A tensor whose n strings, with their NULs, follow each other in text[bytes]; it is copied. ERR_FORMAT naming the
 * fault if there are fewer or more of them, or one is not UTF-8. */
skive_status skv_strings_parse(skive_context *ctx, int rank, const int64_t *dims, const char *text, size_t bytes,
                               skive_tensor *out);
/* The bytes of all strings with their NULs; false when they cannot be counted. */
bool skv_strings_bytes(const skive_tensor *t, size_t *out);
/* All strings one after the other, each with its NUL, to[skv_strings_bytes]. */
void skv_strings_join(const skive_tensor *t, char *to);
/* A tensor of strings that owns its block gets one that holds the text too; nothing happens to other types. */
skive_status skv_strings_own(skive_context *ctx, skive_tensor *t);

/* Of the elements of any type, strings by their text. */
uint64_t skv_tensor_hash(const skive_tensor *t, uint64_t seed);

/* ---- the room of a run ---- */

/* A copy of text[n], or of the two parts one after the other, that lives as long as the room. */
skive_status skv_room_string(skive_context *ctx, skv_arena **room, const char *text, size_t n, const char **out);
skive_status skv_room_join(skive_context *ctx, skv_arena **room, const char *a, const char *b, const char **out);

#endif
