/* Zeros that stay: those of parameters that were pruned (or what the option keep_zeros says), and the zero of a
 * codebook, which pruned weights that share values have as an entry: if it moved, all of them would come back. */
#include "graph/shared.h"
#include "train/train.h"

/* The rule keeps a byte per weight, uint8_t [n]: 0 stays zero. A resumed run starts from the same model and finds the
 * same bytes. */

static bool has_zero(const skv_param *p) {
    for (int64_t i = 0; i < p->n; i++)
        if (p->weight[i] == 0) return true;
    return false;
}

static bool asked(const skv_rule_site *at, const skv_param *p) {
    return (skv_shared_weight_of(p->value) || skv_keeps_zeros(at->options, p->value, p->role)) && has_zero(p);
}

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    SKV_TRY(skv_alloc_array(at->ctx, (size_t)p->n, 1, self));
    uint8_t *keep = *self;
    for (int64_t i = 0; i < p->n; i++) keep[i] = p->weight[i] != 0;
    return SKIVE_OK;
}

static void after(void *self, skv_param *p, const skv_step *s) {
    (void)s;
    skv_param_zero(p, self);
}

static bool holds(const void *self, const skv_param *p) { return skv_param_is_zero(p, self); }

const skv_rule skv_rule_zeros = {
    .name = "zeros",
    .brief = "weights that are zero stay zero",
    .asked = asked,
    .bind = bind,
    .unbind = skv_rule_unbind_memory,
    .after = after,
    .holds = holds,
};
