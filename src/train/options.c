/* Options of a training run: defaults, checks, and the rate at any moment. */
#include <math.h>

#include "train/train.h"

skive_train_options skive_train_options_default(void) {
    return (skive_train_options){
        .size = sizeof(skive_train_options),
        .epochs = 10,
        .batch = 128,
        .optimizer = "sgd",
        .learning_rate = 0.02,
        .momentum = 0.9,
        .nesterov = true,
        .weight_decay = 5e-4,
        .schedule = "cosine",
        .warmup_epochs = 0.5,
        .step_every = 10,
        .step_factor = 0.1,
        .final_rate = 0.01,
        .seed = 1,
        .keep_best = true,
    };
}

double skv_schedule_rate(const skv_schedule *s, const skive_train_options *o, double epoch) {
    const double warm = o->warmup_epochs > 0 && epoch < o->warmup_epochs ? epoch / o->warmup_epochs : 1.0;
    return o->learning_rate * warm * s->factor(o, epoch);
}

typedef struct number_rule {
    const char *name;
    double value, low, high;
} number_rule;

skive_status skv_train_options_check(skive_context *ctx, const skive_train_options *o) {
    const number_rule rules[] = {
        {"epochs", o->epochs, 0, 1e6},
        {"batch", (double)o->batch, 1, 1e6},
        {"label smoothing", o->label_smoothing, 0, 0.999},
        {"learning rate", o->learning_rate, 0, 1e3},
        {"momentum", o->momentum, 0, 0.9999},
        {"weight decay", o->weight_decay, 0, 1e3},
        {"warm-up epochs", o->warmup_epochs, 0, 1e6},
        {"step every", o->step_every, 1e-3, 1e6},
        {"step factor", o->step_factor, 0, 10},
        {"final rate", o->final_rate, 0, 10},
        {"clip norm", o->clip_norm, 0, 1e9},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].value >= rules[i].low && rules[i].value <= rules[i].high) continue;
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, rules[i].name, "%s is %g; it must be between %g and %g",
                           rules[i].name, rules[i].value, rules[i].low, rules[i].high);
    }
    if (o->loss && !skv_loss_find(o->loss))
        return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "loss", "loss", o->loss, skv_loss_name);
    if (o->loss && skv_loss_find(o->loss)->needs_teacher) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "loss", "loss '%s' needs a teacher; use distillation", o->loss);
    }
    if (!skv_optimizer_find(o->optimizer)) {
        return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "optimizer", "optimizer", o->optimizer, skv_optimizer_name);
    }
    if (!skv_schedule_find(o->schedule)) {
        return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "schedule", "schedule of the learning rate", o->schedule,
                                skv_schedule_name);
    }
    if (o->keep_zeros && !skv_keep_zeros_known(o->keep_zeros))
        return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "keep zeros", "choice of zeros to keep", o->keep_zeros,
                                skv_keep_zeros_name);
    return skv_best_check(ctx, o->best);
}
