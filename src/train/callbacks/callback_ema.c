/* The exponential moving average of the weights (Polyak & Juditsky 1992; of BatchNormalization's statistics too): after
 * each update it becomes d times itself plus 1 - d times the weights. d grows as (1 + n) / (10 + n) up to the decay, so
 * that the average does not hang on the first weights. The average is the model that is validated and written; the
 * weights themselves are trained on. */
#include <math.h>

#include "train/callbacks/averages.h"
#include "train/train.h"

static bool asked(const skive_train_options *o) { return o->ema > 0; }

static skive_status start(const skv_callback_site *at, void **self) {
    skv_averages *a = NULL;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *a, &a));
    *self = a;
    return skv_averages_start(at->ctx, at->trainer, a);
}

static void end(skive_context *ctx, void *self) {
    if (self) skv_averages_free(self);
    skv_free(ctx, self);
}

static skive_status applied(void *self, skv_trainer *t, const skv_step *step) {
    skv_averages *a = self;
    const double n = (double)a->count;
    skv_averages_add(a, t, fmin(step->options->ema, (1 + n) / (10 + n)), true);
    return SKIVE_OK;
}

static skive_status show(void *self, const skv_watch *w, bool on) {
    skv_averages *a = self;
    return a->count ? skv_averages_show(a, w->trainer, on) : SKIVE_OK;
}

static skive_status states(void *self, skv_trainer *t, skv_states *s) {
    (void)t;
    return skv_averages_states(self, s, "ema");
}

const skv_callback skv_callback_ema = {.name = "ema",
                                       .brief = "a moving average of the weights, which is validated and written",
                                       .asked = asked,
                                       .start = start,
                                       .end = end,
                                       .applied = applied,
                                       .show = show,
                                       .states = states};
