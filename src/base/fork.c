/* A context for a thread's own use, with the allocator of another: it keeps its own messages, and neither logs nor
 * reports progress, since the callbacks may be called by one thread only. */
#include "base/context.h"

skive_status skv_context_fork(skive_context *ctx, skive_context **out) {
    skive_context_options o = skive_context_options_default();
    o.allocator = ctx->allocator;
    o.threads = 1;
    o.seed = ctx->seed;
    skive_status status = skive_context_create(&o, out);
    if (status != SKIVE_OK) return SKV_FAIL(ctx, status, "out of memory: cannot create a context for a thread");
    (*out)->usage = ctx->usage;
    (*out)->limit = ctx->limit;
    (*out)->limit_given = ctx->limit_given;
    (*out)->file_limit = ctx->file_limit;
    (*out)->file_start = ctx->file_start;
    return SKIVE_OK;
}
