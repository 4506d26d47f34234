/* bn-scale:LAMBDA. An L1 penalty of the scales of normalisations (network slimming, Liu and others 2017), by the
 * proximal step, so that scales become exactly zero; the criterion `scale` of pruning then removes their channels. */
#include "train/regularizer.h"

static const skv_option options[] = {
    {.name = "lambda", .type = SKV_OPTION_REAL, .most = 1e6, .required = true, .brief = "weight of the penalty"},
};

static skive_status start(skv_regularizing *r) {
    for (size_t i = 0; i < skv_trainer_param_count(r->trainer); i++)
        if (skv_trainer_param(r->trainer, i)->role == SKV_ROLE_SCALE) return SKIVE_OK;
    return skv_fail_at(
        r->ctx, SKIVE_ERR_UNSUPPORTED, "regularize",
        "bn-scale: the model has no normalisation whose scale is trained; group-lasso penalises channels "
        "of any layer");
}

static skive_status applied(skv_regularizing *r, const skv_step *step) {
    for (size_t i = 0; i < skv_trainer_param_count(r->trainer); i++) {
        skv_param *p = skv_trainer_param(r->trainer, i);
        const float by = (float)(step->rate * p->rate * skv_option_real(&r->values, "lambda"));
        if (p->held || p->role != SKV_ROLE_SCALE) continue;
        for (int64_t k = 0; k < p->n; k++) p->weight[k] = skv_soft_threshold(p->weight[k], by);
    }
    return SKIVE_OK;
}

const skv_regularizer skv_regularizer_bn_scale = {
    .name = "bn-scale",
    .brief = "L1 penalty of the scales of normalisations (network slimming)",
    SKV_OPTIONS(options),
    .start = start,
    .applied = applied,
    .example = "0.05",
};
