/* See averages.h. */
#include "train/callbacks/averages.h"

#include <string.h>

#include "train/train.h"

skive_status skv_averages_start(skive_context *ctx, skv_trainer *t, skv_averages *a) {
    *a = (skv_averages){.ctx = ctx, .n_weights = skv_trainer_weights(t), .n_statistics = skv_trainer_statistics(t)};
    SKV_TRY(skv_alloc_array(ctx, (size_t)a->n_weights, sizeof(float), &a->weights));
    SKV_TRY(skv_alloc_array(ctx, (size_t)a->n_weights, sizeof(float), &a->kept[0]));
    SKV_TRY(skv_alloc_array(ctx, (size_t)a->n_statistics, sizeof(float), &a->statistics));
    return skv_alloc_array(ctx, (size_t)a->n_statistics, sizeof(float), &a->kept[1]);
}

void skv_averages_free(skv_averages *a) {
    skv_free(a->ctx, a->weights);
    skv_free(a->ctx, a->statistics);
    skv_free(a->ctx, a->kept[0]);
    skv_free(a->ctx, a->kept[1]);
}

static void mix(float *average, const float *now, int64_t n, float share) {
    for (int64_t i = 0; i < n; i++) average[i] = share * average[i] + (1.0f - share) * now[i];
}

void skv_averages_add(skv_averages *a, skv_trainer *t, double share, bool statistics) {
    const float part = a->count++ ? (float)share : 0.0f;
    skv_trainer_get_weights(t, a->kept[0]);
    mix(a->weights, a->kept[0], a->n_weights, part);
    if (!statistics) return;
    skv_trainer_get_statistics(t, a->kept[1]);
    mix(a->statistics, a->kept[1], a->n_statistics, part);
}

skive_status skv_averages_show(skv_averages *a, skv_trainer *t, bool on) {
    if (on) {
        skv_trainer_get_weights(t, a->kept[0]);
        skv_trainer_get_statistics(t, a->kept[1]);
    }
    skv_trainer_set_statistics(t, on ? a->statistics : a->kept[1]);
    return skv_trainer_set_weights(t, on ? a->weights : a->kept[0]);
}

skive_status skv_averages_states(skv_averages *a, skv_states *s, const char *owner) {
    SKV_TRY(skv_state(s, owner, "count", &a->count, 1, sizeof a->count));
    SKV_TRY(skv_state(s, owner, "weights", a->weights, (size_t)a->n_weights, sizeof *a->weights));
    return skv_state(s, owner, "statistics", a->statistics, (size_t)a->n_statistics, sizeof *a->statistics);
}

/* ---- statistics computed anew ---- */

typedef struct gathered {
    double *sums; /* [n] of the batches' own */
    float *fresh; /* [n] */
    int64_t n, seen;
} gathered;

static skive_status gather(void *self, skv_trainer *t) {
    gathered *g = self;
    skv_trainer_batch_statistics(t, g->fresh);
    for (int64_t i = 0; i < g->n; i++) g->sums[i] += (double)g->fresh[i];
    g->seen++;
    return SKIVE_OK;
}

skive_status skv_statistics_renewed(const skv_watch *w, int64_t batches, float *statistics) {
    skive_context *ctx = skv_trainer_context(w->trainer);
    gathered g = {.n = skv_trainer_statistics(w->trainer)};
    skive_status status;
    if (g.n == 0) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g.n, sizeof *g.sums, &g.sums));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g.n, sizeof *g.fresh, &g.fresh));
    SKV_GO(status, done, w->replay(w, batches, gather, &g));
    for (int64_t i = 0; i < g.n && g.seen > 0; i++) statistics[i] = (float)(g.sums[i] / (double)g.seen);
done:
    skv_free(ctx, g.sums);
    skv_free(ctx, g.fresh);
    return status;
}
