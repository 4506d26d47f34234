/* Which epoch's parameters are kept: by what is asked for, and among equals by the loss. */
#include <math.h>
#include <string.h>

#include "train/train.h"

static const char *const rules[] = {"accuracy", "loss", "f1"};
enum { RULES = sizeof rules / sizeof rules[0] };

const char *skv_best_name(size_t i) { return i < RULES ? rules[i] : NULL; }

skive_status skv_best_check(skive_context *ctx, const char *by) {
    for (size_t i = 0; i < RULES; i++) {
        if (!by || strcmp(by, rules[i]) == 0) return SKIVE_OK;
    }
    return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "best", "measure of the best epoch", by, skv_best_name);
}

const char *skv_best_rule(const char *by, const skive_epoch_report *row) {
    return by ? by : isnan(row->validation_accuracy) ? "loss" : "accuracy";
}

static double figure(const char *rule, const skive_epoch_report *row) {
    if (strcmp(rule, "accuracy") == 0) return row->validation_accuracy;
    return strcmp(rule, "f1") == 0 ? row->validation_f1 : -row->validation_loss;
}

skive_status skv_best_better(skive_context *ctx, const char *by, const skive_epoch_report *row, skv_checkpoint *best,
                             bool *better) {
    const char *rule = skv_best_rule(by, row);
    double value = figure(rule, row), tie = figure("loss", row);
    if (isnan(value) && by && strcmp(by, "loss") != 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "best",
                           "the best epoch cannot be selected by %s, which is not defined for these data; use loss",
                           by);
    /* Scores so wild that the loss is no number are worse than any. */
    if (isnan(value)) value = -INFINITY;
    if (isnan(tie)) tie = -INFINITY;
    *better = best->best_epoch < 1 || value > best->best || (value == best->best && tie > best->tie);
    if (!*better) return SKIVE_OK;
    best->best = value;
    best->tie = tie;
    return SKIVE_OK;
}
