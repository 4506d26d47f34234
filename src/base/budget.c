/* Counts the memory in use and limits it; see skive/memory.h. Blocks of the C library are counted with their usable
 * size, which is also known when they are freed, so that no block needs a header. */
#include "base/budget.h"

#include <malloc.h>
#include <skive/memory.h>
#include <stdio.h>
#include <unistd.h>

#include "base/context.h"

#define FILE_BASE  ((int64_t)128 << 20)
#define FILE_TIMES 64

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The number in a system file; UINT64_MAX if there is none ("max"). */
static uint64_t number_in(const char *path) {
    unsigned long long n;
    FILE *f = fopen(path, "re");
    const bool found = f && fscanf(f, "%llu", &n) == 1;
    if (f) (void)fclose(f);
    return found ? n : UINT64_MAX;
}

static int64_t of_the_machine(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t n = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : (uint64_t)INT64_MAX;
    n = least(n, number_in("/sys/fs/cgroup/memory.max"));
    n = least(n, number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    return (int64_t)(least(n, (uint64_t)INT64_MAX) / 10 * 9);
}

void skv_budget_start(skive_context *ctx, bool counted) {
    ctx->counted = counted;
    ctx->usage = &ctx->own_usage;
    ctx->limit = counted ? of_the_machine() : INT64_MAX;
    ctx->file_limit = INT64_MAX;
}

static int64_t in_use(const skive_context *ctx) { return atomic_load_explicit(ctx->usage, memory_order_relaxed); }

static bool fits(int64_t used, size_t bytes, int64_t limit) {
    return bytes <= (size_t)INT64_MAX && (used <= 0 ? (int64_t)bytes <= limit : (int64_t)bytes <= limit - used);
}

bool skv_budget_allows(const skive_context *ctx, size_t bytes) {
    if (!ctx->counted) return true;
    const int64_t used = in_use(ctx);
    return fits(used, bytes, ctx->limit) && fits(used, bytes, ctx->file_limit);
}

void skv_budget_count(skive_context *ctx, void *block, bool taken) {
    if (!ctx->counted) return;
    const int64_t bytes = (int64_t)malloc_usable_size(block);
    (void)atomic_fetch_add_explicit(ctx->usage, taken ? bytes : -bytes, memory_order_relaxed);
}

skive_status skv_budget_refuse(skive_context *ctx, size_t bytes) {
    const int64_t used = in_use(ctx);
    const bool large = ctx->limit >= 1 << 20;
    if (!fits(used, bytes, ctx->limit)) {
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT,
                        "allocating %zu more bytes would exceed the memory limit of %lld %s (option --memory)", bytes,
                        (long long)(ctx->limit >> (large ? 20 : 10)), large ? "MiB" : "KiB");
    }
    return SKV_FAIL(
        ctx, SKIVE_ERR_LIMIT,
        "allocating %zu more bytes would exceed the limit for a file of this size, %lld MiB (option --memory)", bytes,
        (long long)((ctx->file_limit - ctx->file_start) >> 20));
}

skive_status skv_budget_check(skive_context *ctx, size_t bytes) {
    return skv_budget_allows(ctx, bytes) ? SKIVE_OK : skv_budget_refuse(ctx, bytes);
}

static int64_t allowance(size_t bytes) {
    return bytes < (size_t)INT64_MAX / 4 / FILE_TIMES ? (int64_t)bytes * FILE_TIMES : INT64_MAX / 4;
}

skv_budget skv_budget_begin(skive_context *ctx, size_t bytes) {
    const skv_budget b = {ctx->file_limit};
    if (!ctx->counted || ctx->limit_given) return b;
    const int64_t used = in_use(ctx), limit = (used > 0 ? used : 0) + FILE_BASE + allowance(bytes);
    if (b.before == INT64_MAX) ctx->file_start = used > 0 ? used : 0;
    if (limit < ctx->file_limit) ctx->file_limit = limit;
    return b;
}

void skv_budget_add(skive_context *ctx, size_t bytes) {
    const int64_t more = allowance(bytes);
    if (ctx->file_limit != INT64_MAX)
        ctx->file_limit = ctx->file_limit < INT64_MAX - more ? ctx->file_limit + more : INT64_MAX - 1;
}

void skv_budget_end(skive_context *ctx, skv_budget budget) { ctx->file_limit = budget.before; }

skive_status skive_context_set_memory_limit(skive_context *ctx, uint64_t bytes) {
    SKV_NEED(ctx, "ctx", ctx);
    if (!ctx->counted) return SKIVE_OK;
    ctx->limit_given = bytes > 0;
    ctx->limit = bytes ? (int64_t)least(bytes, (uint64_t)INT64_MAX) : of_the_machine();
    return SKIVE_OK;
}

uint64_t skive_context_memory_limit(const skive_context *ctx) { return ctx && ctx->counted ? (uint64_t)ctx->limit : 0; }

uint64_t skive_context_memory_used(const skive_context *ctx) {
    const int64_t used = ctx ? in_use(ctx) : 0;
    return used > 0 ? (uint64_t)used : 0;
}
