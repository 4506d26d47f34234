/* The memory limit of a context.
 *
 * Files of a few bytes can request any amount of memory: a tensor that contains only zeros, a node that repeats its
 * input. Each allocation is checked before it is made; one that would exceed the limit fails with SKIVE_ERR_LIMIT and
 * changes nothing. Contexts with the caller's own allocator have no limit: there the allocator refuses. */
#ifndef SKIVE_MEMORY_H
#define SKIVE_MEMORY_H

#include <skive/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that may be in use at one time; 0: the default, which is nine tenths of the machine's memory (or of what the
 * control group allows), and while a model file is read no more than 128 MiB plus 64 times its size. A limit that is
 * set replaces both. Errors: ARGUMENT (ctx NULL). */
SKIVE_API skive_status skive_context_set_memory_limit(skive_context *ctx, uint64_t bytes);
SKIVE_API uint64_t skive_context_memory_limit(const skive_context *ctx); /* 0: none */
SKIVE_API uint64_t
skive_context_memory_used(const skive_context *ctx); /* in bytes, by this context and those of its threads */

#ifdef __cplusplus
}
#endif

#endif
