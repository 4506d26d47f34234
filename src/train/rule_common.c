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
