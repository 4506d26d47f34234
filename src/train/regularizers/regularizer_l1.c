/* l1:LAMBDA. The proximal step of LAMBDA |w| behind each update (ISTA; Daubechies and others 2004): small weights
 * become exactly zero. The rule `prox` does the same for named parameters, and stays with the model. */
#include "train/regularizer.h"

static const skv_option options[] = {
    {.name = "lambda", .type = SKV_OPTION_REAL, .most = 1e6, .required = true, .brief = "weight of the penalty"},
};

static skive_status applied(skv_regularizing *r, const skv_step *step) {
    for (size_t i = 0; i < skv_trainer_param_count(r->trainer); i++) {
        skv_param *p = skv_trainer_param(r->trainer, i);
        const float by = (float)(step->rate * p->rate * skv_option_real(&r->values, "lambda"));
        if (p->held || !skv_role_decays(p->role)) continue;
        for (int64_t k = 0; k < p->n; k++) p->weight[k] = skv_soft_threshold(p->weight[k], by);
    }
    return SKIVE_OK;
}

const skv_regularizer skv_regularizer_l1 = {
    .name = "l1",
    .brief = "L1 penalty of each weight, by the proximal step: small weights become exactly zero",
    SKV_OPTIONS(options),
    .applied = applied,
    .example = "0.05",
};
