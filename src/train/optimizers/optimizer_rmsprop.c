/* RMSprop (Tieleman & Hinton 2012, lecture 6.5): v = a v + (1 - a) g^2;  step = g / (sqrt(v) + epsilon), of which
 * momentum gathers b = momentum * b + step;  w -= rate * b. Weight decay is part of the gradient. */
#include <math.h>

#include "train/optimizers/adam.h"

static void update(const skv_update *u) {
    const float a = (float)skv_option_real(u->values, "share"), epsilon = (float)skv_option_real(u->values, "epsilon");
    const float momentum = (float)skv_option_real(u->values, "momentum");
    const float rate = (float)u->rate, decay = (float)u->decay, scale = (float)u->gradient_scale;
    float *restrict w = u->weight, *restrict v = u->state[0], *restrict b = u->state[1];
    const float *restrict grad = u->gradient;
    const int64_t n = u->n;
#pragma omp parallel for simd num_threads(u->threads) if (u->threads > 1 && n > 65536) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * scale + decay * w[i];
        v[i] = a * v[i] + (1.0f - a) * g * g;
        b[i] = momentum * b[i] + g / (sqrtf(v[i]) + epsilon);
        w[i] -= rate * b[i];
    }
}

static const skv_option options[] = {
    SKV_BETA("share", 0.99, "share of the past in the mean square of the gradients"),
    SKV_BETA("momentum", 0, "momentum of the steps"),
    SKV_EPSILON(1e-8),
};

const skv_optimizer skv_optimizer_rmsprop = {
    .name = "rmsprop",
    .brief = "steps divided by the root mean square of past gradients",
    SKV_OPTIONS(options),
    .states = {SKV_SQUARE_STATE, "momentum"},
    .rate = 0.001,
    .update = update,
};
