/* Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's form (Sutskever et al. 2013), weight decay as
 * part of the gradient: v = m v + g;  w -= rate * v  (Nesterov: rate * (g + m v)). */
#include "train/train.h"

static void update(const skv_update *u) {
    const float m = (float)u->options->momentum, rate = (float)u->rate, decay = (float)u->decay;
    const float scale = (float)u->gradient_scale;
    float *restrict w = u->weight, *restrict v = u->state[0];
    const float *restrict grad = u->gradient;
    const bool nesterov = u->options->nesterov;
    const int64_t n = u->n;
#pragma omp parallel for simd num_threads(u->threads) if (u->threads > 1 && n > 65536) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * scale + decay * w[i];
        v[i] = m * v[i] + g;
        w[i] -= rate * (nesterov ? g + m * v[i] : v[i]);
    }
}

static const skv_option options[] = {
    {.name = "momentum",
     .type = SKV_OPTION_REAL,
     .most = 0.9999,
     .fallback = 0.9,
     SKV_FIELD(DOUBLE, skive_train_options, momentum),
     .brief = "momentum of sgd"},
    {.name = "nesterov",
     .needs = "momentum",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     SKV_FIELD(BOOL, skive_train_options, nesterov),
     .brief = "Nesterov momentum instead of plain momentum"},
};

const skv_optimizer skv_optimizer_sgd = {
    .name = "sgd",
    .brief = "gradient descent with momentum, Nesterov on request",
    SKV_OPTIONS(options),
    .states = {"momentum"},
    .rate = 0.02,
    .update = update,
};
