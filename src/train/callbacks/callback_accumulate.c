/* The update is made from the mean gradient of several batches: a batch that does not fit into memory, in parts. Where
 * samples do not see one another (no BatchNormalization), it is the update of the large batch but for rounding. Batches
 * that wait for an update at the end of an epoch wait for the first ones of the next. */
#include <string.h>

#include "train/train.h"

typedef struct accumulation {
    float *sum; /* [n] of the gradients so far */
    int64_t n, batches, gathered;
} accumulation;

static bool asked(const skive_train_options *o) { return o->accumulate > 1; }

static skive_status start(const skv_callback_site *at, void **self) {
    accumulation *a = NULL;
    float *all;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *a, &a));
    *self = a;
    a->batches = at->options->accumulate;
    SKV_TRY(skv_trainer_gradients(at->trainer, &all, &a->n));
    return skv_alloc_array(at->ctx, (size_t)a->n, sizeof *a->sum, &a->sum);
}

static void end(skive_context *ctx, void *self) {
    accumulation *a = self;
    if (a) skv_free(ctx, a->sum);
    skv_free(ctx, a);
}

static skive_status reduce(void *self, skv_trainer *t, skv_step *step) {
    accumulation *a = self;
    float *all;
    int64_t n;
    SKV_TRY(skv_trainer_gradients(t, &all, &n));
    for (int64_t i = 0; i < n; i++) a->sum[i] += all[i];
    if (++a->gathered < a->batches) {
        step->hold = true;
        return SKIVE_OK;
    }
    const float part = (float)(1.0 / (double)a->batches);
    for (int64_t i = 0; i < n; i++) all[i] = a->sum[i] * part;
    memset(a->sum, 0, (size_t)n * sizeof *a->sum);
    a->gathered = 0;
    return SKIVE_OK;
}

static skive_status epoch(void *self, const skv_watch *w, bool *counts, bool *stop) {
    const accumulation *a = self;
    (void)counts;
    (void)stop;
    if (w->epoch == w->epochs && a->gathered > 0)
        skv_note(skv_trainer_context(w->trainer),
                 "the last %lld batch%s of the run made no update: --accumulate waits for %lld", (long long)a->gathered,
                 a->gathered == 1 ? "" : "es", (long long)a->batches);
    return SKIVE_OK;
}

static skive_status states(void *self, skv_trainer *t, skv_states *s) {
    accumulation *a = self;
    (void)t;
    SKV_TRY(skv_state(s, "accumulate", "gathered", &a->gathered, 1, sizeof a->gathered));
    return skv_state(s, "accumulate", "gradients", a->sum, (size_t)a->n, sizeof *a->sum);
}

const skv_callback skv_callback_accumulate = {.name = "accumulate",
                                              .brief = "one update from the gradients of several batches",
                                              .asked = asked,
                                              .start = start,
                                              .end = end,
                                              .reduce = reduce,
                                              .epoch = epoch,
                                              .states = states};
