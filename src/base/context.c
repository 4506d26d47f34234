/* The context: creation, destruction, and access to its contents. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context.h"

/* Large blocks (weights, arenas) request huge pages: page faults for 200 MB in small pages cost more than filling
 * them. */
static void *default_alloc(void *user, size_t size) {
    enum { ALIGN = 64, HUGE_PAGE = 2 << 20 };
    (void)user;
    if (size < HUGE_PAGE) return aligned_alloc(ALIGN, skv_align_up(size, ALIGN));
    void *block; /* aligned_alloc wants sizes that are multiples of the alignment */
    if (posix_memalign(&block, HUGE_PAGE, size) != 0) return NULL;
    /* Only the part that fills whole huge pages, so that no more memory is used than was requested. A refusal does not
     * matter. */
    (void)madvise(block, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return block;
}

static void default_free(void *user, void *pointer) {
    (void)user;
    free(pointer);
}

skive_context_options skive_context_options_default(void) {
    return (skive_context_options){.size = sizeof(skive_context_options), .log_level = SKIVE_LOG_WARNING};
}

static void set_threads(skive_context *ctx, int wanted) {
    ctx->threads = skv_possible_threads(wanted);
    if (ctx->threads < wanted) {
#ifdef _OPENMP
        skv_note(ctx, "%d threads were requested, but only %d can be started (limits on memory or threads)", wanted,
                 ctx->threads);
#else
        skv_note(ctx, "%d threads were requested, but this build has no OpenMP: one is used", wanted);
#endif
    }
}

skive_status skive_context_create(const skive_context_options *options, skive_context **out) {
    skive_context_options o = skive_context_options_default();
    if (!out) return SKIVE_ERR_ARGUMENT;
    *out = NULL;
    if (skive_cpu_problem()) return SKIVE_ERR_UNSUPPORTED;
    SKV_TRY(skv_options_take(NULL, "skive_context_options", options, &o, sizeof o));
    if (o.threads < 0 || o.threads > SKIVE_MAX_THREADS) return SKIVE_ERR_ARGUMENT;
    if (!o.allocator.alloc) o.allocator = (skive_allocator){.alloc = default_alloc, .free = default_free, .user = NULL};
    if (!o.allocator.free) return SKIVE_ERR_ARGUMENT;

    skive_context *ctx = o.allocator.alloc(o.allocator.user, sizeof *ctx);
    if (!ctx) return SKIVE_ERR_MEMORY;
    memset(ctx, 0, sizeof *ctx);
    ctx->allocator = o.allocator;
    skv_budget_start(ctx, o.allocator.alloc == default_alloc);
    set_threads(ctx, o.threads ? o.threads : skv_default_threads());
    ctx->seed = o.seed;
    ctx->log_level = o.log_level;
    ctx->log = o.log;
    ctx->log_user = o.log_user;
    ctx->progress = o.progress;
    ctx->progress_user = o.progress_user;
    ctx->job_left = -1.0;

    if (skive_cpu_isa_problem())
        skv_log(ctx, SKIVE_LOG_WARNING, "%s; '%s' is ignored", skive_cpu_isa_problem(), getenv("SKIVE_ISA"));
    *out = ctx;
    return SKIVE_OK;
}

void skive_context_free(skive_context *ctx) {
    if (!ctx) return;
    if (ctx->free_choices) ctx->free_choices(ctx->choices);
    skive_context_clear_notes(ctx);
    skv_free(ctx, ctx->notes);
    skive_allocator allocator = ctx->allocator;
    allocator.free(allocator.user, ctx);
}

const char *skive_context_message(const skive_context *ctx) { return ctx ? ctx->message : ""; }

const char *skive_context_subject(const skive_context *ctx) { return ctx ? ctx->subject : ""; }

void skive_context_clear(skive_context *ctx) {
    if (!ctx) return;
    ctx->message[0] = '\0';
    ctx->subject[0] = '\0';
}

size_t skive_context_note_count(const skive_context *ctx) { return ctx ? ctx->note_count : 0; }

const char *skive_context_note(const skive_context *ctx, size_t index) {
    return ctx && index < ctx->note_count ? ctx->notes[index] : "";
}

void skive_context_clear_notes(skive_context *ctx) {
    if (!ctx) return;
    for (size_t i = 0; i < ctx->note_count; i++) skv_free(ctx, ctx->notes[i]);
    ctx->note_count = 0;
}

int skive_context_threads(const skive_context *ctx) { return ctx ? ctx->threads : 1; }

skive_status skive_context_set_threads(skive_context *ctx, int threads) {
    SKV_NEED(ctx, "ctx", ctx);
    if (threads < 0 || threads > SKIVE_MAX_THREADS) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "threads",
                           "threads: %d is out of range; give 1 to %d, or 0 for all", threads, SKIVE_MAX_THREADS);
    }
    set_threads(ctx, threads ? threads : skv_default_threads());
    return SKIVE_OK;
}

uint64_t skive_context_seed(const skive_context *ctx) { return ctx ? ctx->seed : 0; }

void skive_context_set_seed(skive_context *ctx, uint64_t seed) {
    if (ctx) ctx->seed = seed;
}
