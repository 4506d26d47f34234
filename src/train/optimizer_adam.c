/* Adam (Kingma & Ba 2015), beta 0.9 and 0.999, epsilon 1e-8. */
#include <math.h>

#include "train/adam.h"

void skv_adam_update(const skv_update *u, bool decoupled) {
    const float b1 = 0.9f, b2 = 0.999f, epsilon = 1e-8f;
    const float correct1 = (float)(1.0 / (1.0 - pow(0.9, (double)u->step)));
    const float correct2 = (float)(1.0 / (1.0 - pow(0.999, (double)u->step)));
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

const skv_optimizer skv_optimizer_adam = {
    .name = "adam",
    .brief = "Adam, with weight decay added to the gradient",
    .states = 2,
    .update = update,
};
