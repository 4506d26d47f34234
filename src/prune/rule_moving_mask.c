/* A mask that may move: all weights are kept and trained, masked ones by the gradient of what the graph sees in their
 * place (straight through); the graph sees weight * keep. `given` is a skv_live_mask. */
#include <string.h>

#include "prune/prune.h"

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    skv_live_mask *live = (skv_live_mask *)at->use->given;
    SKV_TRY(skv_mask_fits(at->ctx, p, live->count));
    SKV_TRY(skv_param_detach(at->ctx, p));
    live->param = p;
    *self = live;
    return SKIVE_OK;
}

/* The parameter is gone with its trainer. */
static void unbind(skive_context *ctx, void *self) {
    skv_live_mask *live = self;
    (void)ctx;
    if (live) live->param = NULL;
}

static skive_status show(void *self, skv_param *p) {
    const uint8_t *keep = ((const skv_live_mask *)self)->keep;
    for (int64_t i = 0; i < p->n; i++) p->seen[i] = keep[i] ? p->seen[i] : 0.0f;
    return SKIVE_OK;
}

static skive_status states(void *self, const skv_param *p, skv_states *s) {
    return skv_state(s, p->value->name, "moving mask", ((skv_live_mask *)self)->keep, (size_t)p->n, 1);
}

static bool holds(const void *self, const skv_param *p) {
    const skv_live_mask *live = self;
    for (int64_t i = 0; i < p->n; i++)
        if (!live->keep[i] && p->seen[i] != 0) return false;
    return true;
}

static uint64_t key(const skv_rule_use *use) {
    const skv_live_mask *live = use->given;
    return skv_hash64(live->keep, (size_t)live->count, 0);
}

const skv_rule skv_rule_moving_mask = {
    .name = "moving-mask",
    .brief = "weights that a mask leaves out are zero for the model, but are trained and may come back",
    .bind = bind,
    .unbind = unbind,
    .show = show,
    .states = states,
    .holds = holds,
    .key = key,
    .of_trained = true,
    .knows_numbers = true,
};
