/* AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019): the weight first shrinks by 1 - rate * decay. */
#include "train/optimizers/adam.h"

static void update(const skv_update *u) { skv_adam_update(u, true); }

static const skv_option options[] = {SKV_BETA1, SKV_BETA2, SKV_EPSILON(1e-8)};

const skv_optimizer skv_optimizer_adamw = {
    .name = "adamw",
    .brief = "Adam with decoupled weight decay",
    SKV_OPTIONS(options),
    .states = {SKV_MEAN_STATE, SKV_SQUARE_STATE},
    .rate = 0.001,
    .update = update,
};
