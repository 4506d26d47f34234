/* A mask that stays: pruned weights and their part of the optimizer's state are zero. `given` is the skive_mask. */
#include "prune/prune.h"

skive_status skv_mask_fits(skive_context *ctx, const skv_param *p, int64_t count) {
    if (count == p->n) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, p->value->name,
                       "the mask of '%s' has %lld elements, but the parameter has %lld", p->value->name,
                       (long long)count, (long long)p->n);
}

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    const skive_mask *mask = at->use->given;
    SKV_TRY(skv_mask_fits(at->ctx, p, mask->count));
    for (int64_t i = 0; i < p->n; i++)
        if (!mask->keep[i]) p->weight[i] = 0.0f;
    *self = (void *)mask;
    return SKIVE_OK;
}

static void after(void *self, skv_param *p, const skv_step *s) {
    (void)s;
    skv_param_zero(p, ((const skive_mask *)self)->keep);
}

static bool holds(const void *self, const skv_param *p) {
    return skv_param_is_zero(p, ((const skive_mask *)self)->keep);
}

static uint64_t key(const skv_rule_use *use) {
    const skive_mask *mask = use->given;
    return skv_hash64(mask->keep, (size_t)mask->count, 0);
}

const skv_rule skv_rule_mask = {
    .name = "mask",
    .brief = "weights that a mask leaves out stay zero",
    .bind = bind,
    .after = after,
    .holds = holds,
    .key = key,
};
