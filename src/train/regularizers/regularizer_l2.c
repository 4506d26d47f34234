/* l2:LAMBDA. The proximal step of LAMBDA w^2 / 2 behind each update: w / (1 + rate LAMBDA). Weights become small, not
 * zero. It is weight decay that neither momentum nor an adaptive optimizer sees (Loshchilov & Hutter 2019), and stays
 * stable at any LAMBDA. */
#include "train/regularizer.h"

static const skv_option options[] = {
    {.name = "lambda", .type = SKV_OPTION_REAL, .most = 1e6, .required = true, .brief = "weight of the penalty"},
};

static skive_status applied(skv_regularizing *r, const skv_step *step) {
    for (size_t i = 0; i < skv_trainer_param_count(r->trainer); i++) {
        skv_param *p = skv_trainer_param(r->trainer, i);
        const float factor = (float)(1 / (1 + step->rate * p->rate * skv_option_real(&r->values, "lambda")));
        if (p->held || !skv_role_decays(p->role)) continue;
        for (int64_t k = 0; k < p->n; k++) p->weight[k] *= factor;
    }
    return SKIVE_OK;
}

const skv_regularizer skv_regularizer_l2 = {
    .name = "l2",
    .brief = "L2 penalty of each weight, by the proximal step: weights become small, not zero",
    SKV_OPTIONS(options),
    .applied = applied,
    .example = "0.05",
};
