/* Options of pruning: defaults and checks. */
#include <math.h>
#include <stdio.h>

#include "prune/prune.h"

skive_prune_options skive_prune_options_default(void) {
    return (skive_prune_options){.size = sizeof(skive_prune_options),
                                 .criterion = "magnitude",
                                 .schedule = "one-shot",
                                 .sparsity = 0.9,
                                 .layer_floor = -1,
                                 .steps = 5,
                                 .surgery_until = 0.75,
                                 .temperature = 4};
}

skive_train_options skive_prune_finetune_default(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 0;
    o.learning_rate = 0.01;
    o.warmup_epochs = 0;
    return o;
}

static skive_status check_sparsity(const skv_pruning *p, const char *of, double sparsity) {
    if (sparsity >= 0 && sparsity < 1) return SKIVE_OK;
    return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, of,
                       "%s is %g; it is the fraction of weights to remove, from 0 to below 1 (0.9 for 90 %%)", of,
                       sparsity);
}

static skive_status check_threshold(const skv_pruning *p, const char *of, double threshold) {
    if (threshold >= 0 && isfinite(threshold)) return SKIVE_OK;
    return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, of, "%s is %g; it must be a number of at least 0", of, threshold);
}

static skive_status check_target(const skv_pruning *p) {
    const skive_prune_options *o = p->o;
    SKV_TRY(check_sparsity(p, "sparsity", o->sparsity));
    SKV_TRY(check_threshold(p, "threshold", o->threshold));
    SKV_TRY(check_threshold(p, "threshold of deviations", o->threshold_std));
    const bool by_threshold = o->threshold > 0 || o->threshold_std > 0;
    if ((o->sparsity > 0) + (o->threshold > 0) + (o->threshold_std > 0) > 1) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "threshold",
                           "a sparsity of %g, a threshold of %g and one of %g deviations are given; only one of them "
                           "can be used, set the others to 0",
                           o->sparsity, o->threshold, o->threshold_std);
    }
    if (by_threshold && !p->schedule->one_step) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "threshold",
                           "the schedule '%s' increases a sparsity; with a threshold use 'one-shot'", o->schedule);
    }
    if (o->threshold_std > 0 && !p->criterion->in_weights) {
        return skv_fail_at(
            p->ctx, SKIVE_ERR_ARGUMENT, "threshold of deviations",
            "the criterion '%s' does not score in the unit of the weights, so their deviation cannot be its threshold",
            o->criterion);
    }
    return SKIVE_OK;
}

static skive_status check_named(const skv_pruning *p) {
    const skive_prune_options *o = p->o;
    for (size_t i = 0; i < o->n_skip; i++) {
        if (!o->skip[i]) return SKV_FAIL(p->ctx, SKIVE_ERR_ARGUMENT, "a parameter to exclude has no name");
    }
    for (size_t i = 0; i < o->n_ratios; i++) {
        char of[160];
        if (!o->ratios[i].parameter)
            return SKV_FAIL(p->ctx, SKIVE_ERR_ARGUMENT, "a parameter with a sparsity of its own has no name");
        (void)snprintf(of, sizeof of, "sparsity of '%s'", o->ratios[i].parameter);
        SKV_TRY(check_sparsity(p, of, o->ratios[i].sparsity));
    }
    return SKIVE_OK;
}

static skive_status check_finetuning(const skv_pruning *p) {
    const skive_prune_options *o = p->o;
    if (!(o->surgery_until > 0 && o->surgery_until <= 1)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "surgery until",
                           "surgery until %g of fine-tuning is not possible; give above 0 and at most 1",
                           o->surgery_until);
    }
    if (!(o->last_step >= 0 && o->last_step <= 1)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "last step",
                           "a last step of %g of fine-tuning is not possible; give 0 to 1", o->last_step);
    }
    if (o->teacher && o->distill_alpha == 0) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "alpha", "there is a teacher, but its weight in the loss is 0");
    }
    if (o->finetune->epochs > 0) return SKIVE_OK;
    if (o->surgery) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "surgery", "surgery needs fine-tuning, which has no epochs");
    }
    if (o->distill_alpha != 0) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "alpha", "a teacher needs fine-tuning, which has no epochs");
    }
    return SKIVE_OK;
}

skive_status skv_prune_check(skv_pruning *p) {
    const skive_prune_options *o = p->o;
    p->criterion = skv_criterion_find(o->criterion);
    if (!p->criterion)
        return skv_fail_unknown(p->ctx, SKIVE_ERR_ARGUMENT, "criterion", "criterion", o->criterion, skv_criterion_name);
    p->schedule = skv_prune_schedule_find(o->schedule);
    if (!p->schedule)
        return skv_fail_unknown(p->ctx, SKIVE_ERR_ARGUMENT, "schedule", "pruning schedule", o->schedule,
                                skv_prune_schedule_name);
    if (!p->schedule->one_step && (o->steps < 1 || o->steps > 1000)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "steps", "%d steps are not possible; give 1 to 1000", o->steps);
    }
    if (!(o->layer_floor <= 1)) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "layer floor", "the layer floor is %g; it must be at most 1",
                           o->layer_floor);
    }
    SKV_TRY(check_target(p));
    SKV_TRY(check_named(p));
    return check_finetuning(p);
}
