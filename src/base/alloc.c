/* Memory through the context's allocator: blocks, zeroed arrays, growing, strings.
 *
 * Pointers are returned through a void * that represents a T ** of any T; they are written with memcpy, which respects
 * the aliasing rules. */
#include <stdio.h>
#include <string.h>

#include "base/context.h"

static void put(void *out_pointer, void *block) { memcpy(out_pointer, &block, sizeof block); }

static skive_status out_of_memory(skive_context *ctx, size_t size) {
    if (size <= (size_t)PTRDIFF_MAX - 64 && !skv_budget_allows(ctx, size)) return skv_budget_refuse(ctx, size);
    return SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "out of memory: cannot allocate %zu bytes", size);
}

void *skv_raw_alloc(skive_context *ctx, size_t size) {
    if (size > (size_t)PTRDIFF_MAX - 64) return NULL;
    if (!skv_budget_allows(ctx, size)) return NULL;
    void *block = ctx->allocator.alloc(ctx->allocator.user, size ? size : 1);
    if (block) skv_budget_count(ctx, block, true);
    return block;
}

skive_status skv_alloc(skive_context *ctx, size_t size, void *out_pointer) {
    void *block = skv_raw_alloc(ctx, size);
    put(out_pointer, block);
    return block ? SKIVE_OK : out_of_memory(ctx, size);
}

skive_status skv_alloc_array(skive_context *ctx, size_t count, size_t size, void *out_pointer) {
    size_t bytes;
    if (!skv_mul_size(count, size, &bytes)) {
        put(out_pointer, NULL);
        return SKV_FAIL(ctx, SKIVE_ERR_MEMORY, "out of memory: cannot allocate %zu times %zu bytes", count, size);
    }
    SKV_TRY(skv_alloc(ctx, bytes, out_pointer));
    void *block;
    memcpy(&block, out_pointer, sizeof block);
    memset(block, 0, bytes);
    return SKIVE_OK;
}

skive_status skv_grow(skive_context *ctx, void *pointer, size_t old_count, size_t new_count, size_t size) {
    void *old, *fresh;
    memcpy(&old, pointer, sizeof old);
    SKV_TRY(skv_alloc_array(ctx, new_count, size, &fresh));
    size_t kept = old_count < new_count ? old_count : new_count;
    if (old && kept) memcpy(fresh, old, kept * size); /* no overflow: both blocks exist */
    put(pointer, fresh);
    skv_free(ctx, old);
    return SKIVE_OK;
}

skive_status skv_strdup_n(skive_context *ctx, const char *text, size_t length, char **out) {
    size_t size;
    *out = NULL;
    if (!skv_add_size(length, 1, &size)) return out_of_memory(ctx, length);
    SKV_TRY(skv_alloc(ctx, size, out));
    if (length) memcpy(*out, text, length);
    (*out)[length] = '\0';
    return SKIVE_OK;
}

skive_status skv_strdup(skive_context *ctx, const char *text, char **out) {
    return skv_strdup_n(ctx, text, strlen(text), out);
}

skive_status skv_asprintf(skive_context *ctx, char **out, const char *format, ...) {
    va_list args, again;
    *out = NULL;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    skive_status status = SKIVE_OK;
    if (length < 0)
        status = SKV_FAIL(ctx, SKIVE_ERR_INTERNAL, "a string could not be formatted");
    else
        status = skv_alloc(ctx, (size_t)length + 1, out);
    if (status == SKIVE_OK) (void)vsnprintf(*out, (size_t)length + 1, format, again);
    va_end(again);
    return status;
}

void skv_free(skive_context *ctx, void *pointer) {
    if (!ctx || !pointer) return;
    skv_budget_count(ctx, pointer, false);
    ctx->allocator.free(ctx->allocator.user, pointer);
}
