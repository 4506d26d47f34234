/* LAMB (You et al. 2020), for large batches: r = m / (sqrt(v) + epsilon) + decay * w with the means of Adam;
 * w -= rate * (|w| / |r|) * r, where the norms are of the whole parameter. The factor is 1 where a norm is zero, and
 * for biases, scales and shifts: those start at or near zero, and would stay there. A weight
 * that a mask holds at zero, with its means, is set back after the step: it is not part of the norm of r. */
#include <math.h>

#include "train/optimizers/adam.h"

typedef struct constants {
    float correct1, correct2, epsilon, decay;
} constants;

static inline float direction(const constants *c, float w, float m, float v) {
    return m * c->correct1 / (sqrtf(v * c->correct2) + c->epsilon) + c->decay * w;
}

static void update(const skv_update *u) {
    const double beta1 = skv_option_real(u->values, "beta1"), beta2 = skv_option_real(u->values, "beta2");
    const float b1 = (float)beta1, b2 = (float)beta2, scale = (float)u->gradient_scale;
    const constants c = {.correct1 = (float)(1.0 / (1.0 - pow(beta1, (double)u->step))),
                         .correct2 = (float)(1.0 / (1.0 - pow(beta2, (double)u->step))),
                         .epsilon = (float)skv_option_real(u->values, "epsilon"),
                         .decay = (float)u->decay};
    float *restrict w = u->weight, *restrict m = u->state[0], *restrict v = u->state[1];
    const float *restrict grad = u->gradient;
    const int64_t n = u->n;
    double of_weights[SKV_SUM_BLOCKS], of_steps[SKV_SUM_BLOCKS], weights = 0, steps = 0;
#pragma omp parallel for num_threads(u->threads) if (u->threads > 1 && n > 65536) schedule(static)
    for (int block = 0; block < SKV_SUM_BLOCKS; block++) {
        double sum_w = 0, sum_r = 0;
        for (int64_t i = skv_sum_start(n, block); i < skv_sum_end(n, block); i++) {
            const float g = grad[i] * scale;
            const bool masked = w[i] == 0 && m[i] == 0 && v[i] == 0;
            m[i] = b1 * m[i] + (1.0f - b1) * g;
            v[i] = b2 * v[i] + (1.0f - b2) * g * g;
            const double r = (double)direction(&c, w[i], m[i], v[i]);
            sum_w += (double)w[i] * (double)w[i];
            if (!masked) sum_r += r * r;
        }
        of_weights[block] = sum_w;
        of_steps[block] = sum_r;
    }
    for (int block = 0; block < SKV_SUM_BLOCKS; block++) {
        weights += of_weights[block];
        steps += of_steps[block];
    }
    const double trust = u->adapts && weights > 0 && steps > 0 ? sqrt(weights / steps) : 1;
    const float rate = (float)(u->rate * trust);
#pragma omp parallel for simd num_threads(u->threads) if (u->threads > 1 && n > 65536) schedule(static)
    for (int64_t i = 0; i < n; i++) w[i] -= rate * direction(&c, w[i], m[i], v[i]);
}

static const skv_option options[] = {SKV_BETA1, SKV_BETA2, SKV_EPSILON(1e-6)};

const skv_optimizer skv_optimizer_lamb = {
    .name = "lamb",
    .brief = "AdamW with the length of each weight's step proportional to its norm",
    SKV_OPTIONS(options),
    .states = {SKV_MEAN_STATE, SKV_SQUARE_STATE},
    .rate = 0.005,
    .whole = true,
    .update = update,
};
