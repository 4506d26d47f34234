/* How much memory may be taken through a context.
 *
 * Files of a few bytes can ask for any amount: a tensor that holds nothing but zeros, a node that repeats its input.
 * Each allocation is checked before it is made; what goes over the limit fails with SKIVE_ERR_LIMIT and changes
 * nothing. Contexts with an allocator of the caller's own have no limit: there it is the allocator's to refuse. */
#ifndef SKIVE_MEMORY_H
#define SKIVE_MEMORY_H

#include <skive/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that may be in use at one time; 0: the default, which is nine tenths of the machine's memory (or of what the
 * control group allows), and while a model file is read no more than 128 MiB and 64 times its size. A limit
 * that is set holds for both. Errors: ARGUMENT (ctx NULL). */
SKIVE_API skive_status skive_context_set_memory_limit(skive_context *ctx, uint64_t bytes);
SKIVE_API uint64_t skive_context_memory_limit(const skive_context *ctx); /* 0: none */
SKIVE_API uint64_t skive_context_memory_used(const skive_context *ctx); /* in bytes, by this context and its threads' */

#ifdef __cplusplus
}
#endif

#endif
