/* Each number of the gradient is brought into [-most, most], before anything looks at its norm. */
#include "train/train.h"

static bool asked(const skive_train_options *o) { return o->clip_value > 0; }

static skive_status inspect(void *self, skv_trainer *t, skv_step *step) {
    const float most = (float)step->options->clip_value;
    (void)self;
    for (size_t i = 0; i < skv_trainer_param_count(t); i++) {
        const skv_param *p = skv_trainer_param(t, i);
        for (int64_t k = 0; k < p->n; k++) {
            const float g = p->gradient[k];
            p->gradient[k] = g > most ? most : g < -most ? -most : g;
        }
    }
    return SKIVE_OK;
}

const skv_callback skv_callback_clip_value = {
    .name = "clip-value", .brief = "limits each number of the gradient", .asked = asked, .inspect = inspect};
