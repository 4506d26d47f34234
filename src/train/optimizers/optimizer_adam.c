/* Adam (Kingma & Ba 2015): m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2, both divided by 1 - b^step, since they
 * start at zero;  w -= rate * m / (sqrt(v) + epsilon). */
#include <math.h>

#include "train/optimizers/adam.h"

void skv_adam_update(const skv_update *u, bool decoupled) {
    const double beta1 = skv_option_real(u->values, "beta1"), beta2 = skv_option_real(u->values, "beta2");
    const float b1 = (float)beta1, b2 = (float)beta2, epsilon = (float)skv_option_real(u->values, "epsilon");
    const float correct1 = (float)(1.0 / (1.0 - pow(beta1, (double)u->step)));
    const float correct2 = (float)(1.0 / (1.0 - pow(beta2, (double)u->step)));
    const float rate = (float)u->rate, scale = (float)u->gradient_scale;
    const float l2 = decoupled ? 0.0f : (float)u->decay, shrink = decoupled ? (float)(1.0 - u->rate * u->decay) : 1.0f;
    float *restrict w = u->weight, *restrict m = u->state[0], *restrict v = u->state[1];
    const float *restrict grad = u->gradient;
    const int64_t n = u->n;
#pragma omp parallel for simd num_threads(u->threads) if (u->threads > 1 && n > 65536) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * scale + l2 * w[i];
        m[i] = b1 * m[i] + (1.0f - b1) * g;
        v[i] = b2 * v[i] + (1.0f - b2) * g * g;
        w[i] = shrink * w[i] - rate * (m[i] * correct1) / (sqrtf(v[i] * correct2) + epsilon);
    }
}

static void update(const skv_update *u) { skv_adam_update(u, false); }

static const skv_option options[] = {SKV_BETA1, SKV_BETA2, SKV_EPSILON(1e-8)};

const skv_optimizer skv_optimizer_adam = {
    .name = "adam",
    .brief = "Adam, with weight decay added to the gradient",
    SKV_OPTIONS(options),
    .states = {SKV_MEAN_STATE, SKV_SQUARE_STATE},
    .rate = 0.001,
    .update = update,
};
