/* Lion (Chen et al. 2023): c = b1 m + (1 - b1) g;  w = (1 - rate * decay) w - rate * sign(c);  m = b2 m + (1 - b2) g.
 * All steps are of one length, so that the rate is a third to a tenth of AdamW's. */
#include "train/optimizers/adam.h"

static void update(const skv_update *u) {
    const float b1 = (float)skv_option_real(u->values, "beta1"), b2 = (float)skv_option_real(u->values, "beta2");
    const float rate = (float)u->rate, scale = (float)u->gradient_scale, shrink = (float)(1.0 - u->rate * u->decay);
    float *restrict w = u->weight, *restrict m = u->state[0];
    const float *restrict grad = u->gradient;
    const int64_t n = u->n;
#pragma omp parallel for simd num_threads(u->threads) if (u->threads > 1 && n > 65536) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * scale, c = b1 * m[i] + (1.0f - b1) * g;
        w[i] = shrink * w[i] - (c > 0 ? rate : c < 0 ? -rate : 0.0f);
        m[i] = b2 * m[i] + (1.0f - b2) * g;
    }
}

static const skv_option options[] = {
    SKV_BETA("beta1", 0.9, "share of the past in what gives a step its sign"),
    SKV_BETA("beta2", 0.99, "share of the past in the mean of the gradients"),
};

const skv_optimizer skv_optimizer_lion = {
    .name = "lion",
    .brief = "steps of one length, by the sign of the averaged gradient",
    SKV_OPTIONS(options),
    .states = {SKV_MEAN_STATE},
    .rate = 0.0001,
    .update = update,
};
