/* AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019). */
#include "train/adam.h"

static void update(const skv_update *u) { skv_adam_update(u, true); }

const skv_optimizer skv_optimizer_adamw = {
    .name = "adamw",
    .brief = "Adam with decoupled weight decay",
    .states = 2,
    .update = update,
};
