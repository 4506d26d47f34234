/* What several rules have in common. */
#include "train/train.h"

void skv_param_zero(skv_param *p, const uint8_t *keep) {
    for (int64_t i = 0; i < p->n; i++) p->weight[i] = keep[i] ? p->weight[i] : 0.0f;
    for (int k = 0; k < SKV_OPTIMIZER_STATES && p->state[k]; k++)
        for (int64_t i = 0; i < p->n; i++) p->state[k][i] = keep[i] ? p->state[k][i] : 0.0f;
}

bool skv_param_is_zero(const skv_param *p, const uint8_t *keep) {
    for (int64_t i = 0; i < p->n; i++)
        if (!keep[i] && p->seen[i] != 0) return false;
    return true;
}

skive_status skv_rule_bind_number(const skv_rule_site *at, const char *option, void **self) {
    double *number = NULL;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *number, &number));
    *number = skv_option_real(at->values, option);
    *self = number;
    return SKIVE_OK;
}

void skv_rule_unbind_memory(skive_context *ctx, void *self) { skv_free(ctx, self); }
