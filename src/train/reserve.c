/* What a run needs beside a training step, so that a step can be made smaller in time (skive/exec.h, recomputation). */
#include <skive/memory.h>

#include "base/context.h"
#include "data/feed.h"
#include "train/train.h"

enum { LOADED = 6 /* batches that a loader holds */, SMALL_THINGS = 4 << 20 };

size_t skv_fit_reserve(skive_context *ctx, const skive_graph *model, const skv_feeds *feeds,
                       const skive_dataset *validation) {
    skive_plan_options o = skive_plan_options_default();
    skive_graph *g = NULL;
    skive_plan *plan = NULL;
    size_t bytes = 0, samples = 0;
    const uint64_t before = skive_context_memory_used(ctx);
    if (!ctx->limit_given) return 0;
    if (!validation) return SMALL_THINGS;
    o.batch = SKV_VALIDATION_BATCH;
    if (skv_problem_bind(ctx, model, feeds, SKV_VALIDATION_BATCH, &g) == SKIVE_OK &&
        skive_plan_create(ctx, g, &o, &plan) == SKIVE_OK) {
        for (size_t k = 0; k < feeds->n; k++) {
            size_t sample = sizeof(float);
            for (int i = 0; i < feeds->items[k].rank; i++) sample *= (size_t)feeds->items[k].dims[i];
            samples += sample;
        }
        bytes = skive_plan_arena_bytes(plan) + (size_t)(skive_context_memory_used(ctx) - before) +
                LOADED * SKV_VALIDATION_BATCH * samples;
    }
    skive_plan_free(plan);
    skive_graph_free(g);
    return SMALL_THINGS + bytes; /* what does not fit at all is refused when it is needed */
}
