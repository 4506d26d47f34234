/* Early stopping: the run ends when the figure that selects the best epoch has not become better for so many epochs. */
#include "train/train.h"

typedef struct waiting {
    double best;
    int64_t begun, waited;
} waiting;

static bool asked(const skive_train_options *o) { return o->patience > 0; }

static skive_status start(const skv_callback_site *at, void **self) {
    if (!at->validated)
        return skv_fail_at(at->ctx, SKIVE_ERR_ARGUMENT, "patience",
                           "patience needs validation samples, by which an epoch is judged, and there are none");
    return skv_alloc_array(at->ctx, 1, sizeof(waiting), self);
}

static void end(skive_context *ctx, void *self) { skv_free(ctx, self); }

static skive_status epoch(void *self, const skv_watch *w, bool *counts, bool *stop) {
    waiting *s = self;
    const skive_train_options *o = skv_trainer_options(w->trainer);
    const double figure = skv_best_figure(o->best, w->row);
    if (!*counts) return SKIVE_OK; /* not one of those among which the best is */
    if (!s->begun || figure > s->best) {
        *s = (waiting){.best = figure, .begun = 1};
        return SKIVE_OK;
    }
    if (++s->waited < o->patience || w->epoch >= w->epochs) return SKIVE_OK;
    skv_note(skv_trainer_context(w->trainer), "stopped after epoch %d of %d: %s has not become better for %d epoch%s",
             w->epoch, w->epochs, skv_best_rule(o->best, w->row), o->patience, o->patience == 1 ? "" : "s");
    *stop = true;
    return SKIVE_OK;
}

static skive_status states(void *self, skv_trainer *t, skv_states *s) {
    waiting *w = self;
    (void)t;
    SKV_TRY(skv_state(s, "patience", "best", &w->best, 1, sizeof w->best));
    SKV_TRY(skv_state(s, "patience", "begun", &w->begun, 1, sizeof w->begun));
    return skv_state(s, "patience", "waited", &w->waited, 1, sizeof w->waited);
}

const skv_callback skv_callback_patience = {.name = "patience",
                                            .brief = "ends a run that no longer becomes better",
                                            .asked = asked,
                                            .start = start,
                                            .end = end,
                                            .epoch = epoch,
                                            .states = states};
