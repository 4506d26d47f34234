/* Gradient clipping (Pascanu et al. 2013): where the norm of a clip group's gradient is larger than asked for, all of
 * it is scaled down to that norm. */
#include <math.h>

#include "train/train.h"

static bool asked(const skive_train_options *o) { return o->clip_norm > 0; }

static skive_status inspect(void *self, skv_trainer *t, skv_step *step) {
    const double most = step->options->clip_norm;
    double sum[SKV_CLIP_GROUPS] = {0};
    (void)self;
    for (size_t i = 0; i < skv_trainer_param_count(t); i++) {
        const skv_param *p = skv_trainer_param(t, i);
        double *of_group = &sum[p->clip_group];
        if (p->held) continue;
        for (int64_t k = 0; k < p->n; k++) *of_group += (double)p->gradient[k] * (double)p->gradient[k];
    }
    for (int g = 0; g < SKV_CLIP_GROUPS; g++) {
        const double norm = sqrt(sum[g]);
        if (norm > most) step->scale[g] *= most / norm;
    }
    return SKIVE_OK;
}

const skv_callback skv_callback_clip_norm = {
    .name = "clip-norm", .brief = "limits the norm of the gradient", .asked = asked, .inspect = inspect};
