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

static const skv_option options[] = {
    {.name = "epochs",
     .type = SKV_OPTION_INTEGER,
     .most = 1e6,
     .fallback = 10,
     SKV_FIELD(INT, skive_train_options, epochs),
     .brief = "passes over the training set"},
    {.name = "batch",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 128,
     SKV_FIELD(INT64, skive_train_options, batch),
     .brief = "batch: samples per step"},
    {.name = "loss",
     .type = SKV_OPTION_RECORD,
     .family = &skv_loss_family,
     SKV_FIELD(TEXT, skive_train_options, loss),
     .brief = "the loss (default: the one that fits the data and the model's output)"},
    {.name = "lr",
     .type = SKV_OPTION_REAL,
     .most = 1e3,
     .fallback = 0.02,
     SKV_FIELD(DOUBLE, skive_train_options, learning_rate),
     .brief = "learning rate; of adam and adamw by default 0.001"},
    {.name = "optimizer",
     .type = SKV_OPTION_RECORD,
     .family = &skv_optimizer_family,
     .text = "sgd",
     SKV_FIELD(TEXT, skive_train_options, optimizer),
     .brief = "how parameters are updated"},
    {.name = "weight-decay",
     .type = SKV_OPTION_REAL,
     .most = 1e3,
     .fallback = 5e-4,
     SKV_FIELD(DOUBLE, skive_train_options, weight_decay),
     .brief = "weight decay"},
    {.name = "decay-all",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_train_options, decay_all),
     .brief = "weight decay of biases and normalisation parameters as well"},
    {.name = "schedule",
     .type = SKV_OPTION_RECORD,
     .family = &skv_schedule_family,
     .text = "cosine",
     SKV_FIELD(TEXT, skive_train_options, schedule),
     .brief = "learning rate schedule"},
    {.name = "warmup",
     .type = SKV_OPTION_REAL,
     .most = 1e6,
     .fallback = 0.5,
     SKV_FIELD(DOUBLE, skive_train_options, warmup_epochs),
     .brief = "epochs of linear warm-up"},
    {.name = "clip-norm",
     .type = SKV_OPTION_REAL,
     .most = 1e9,
     SKV_FIELD(DOUBLE, skive_train_options, clip_norm),
     .brief = "clip the norm of the gradient to this; 0: off"},
    {.name = "class-weights",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, class_weights),
     .brief = "none (default), balanced, or one number per class: 1,2.5,1"},
    {.name = "best",
     .type = SKV_OPTION_LIST,
     .choices = skv_best_name,
     .what = "measure of the best epoch",
     SKV_FIELD(TEXT, skive_train_options, best),
     .brief = "figure of the best epoch, and others for ties (default: accuracy, then loss)"},
    {.name = "keep-best",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     SKV_FIELD(BOOL, skive_train_options, keep_best),
     .brief = "keep the parameters of the best epoch instead of the last"},
    {.name = "train",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, train),
     .brief = "also train these parameters: names or patterns, separated by commas"},
    {.name = "freeze",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, freeze),
     .brief = "do not train these parameters"},
    {.name = "keep-zeros",
     .type = SKV_OPTION_CHOICE,
     .choices = skv_keep_zeros_name,
     .what = "choice of zeros to keep",
     SKV_FIELD(TEXT, skive_train_options, keep_zeros),
     .brief = "weights whose zeros stay zero (default: pruned)"},
    {.name = "rule",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, rules),
     .brief = "rules of weights: [PATTERN=]RULE:OPTIONS, more behind ';' (clip, prox, grid, none)"},
    {.name = "raw-targets",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_train_options, raw_targets),
     .brief = "regression: compute the loss from the targets as they are, not standardised"},
    {.name = "augment",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, augment),
     .brief = "augment the training images, e.g. crop:2,flip"},
    {.name = "checkpoint",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, checkpoint),
     .brief = "written after each epoch; if it exists, training resumes from it"},
    {.name = "checkpoint-every",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, checkpoint_every),
     .brief = "write the checkpoint within epochs too: every 5m, 90s or 2h, or every N steps"},
    {.name = "resume",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_train_options, resume),
     .brief = "as --checkpoint, but the file must exist"},
    {.name = "seed",
     .type = SKV_OPTION_INTEGER,
     .most = 9e18,
     .fallback = 1,
     SKV_FIELD(UINT64, skive_train_options, seed),
     .brief = "seed for all random choices"},
};

const skv_table skv_train_table = {"train", options, SKV_LENGTH(options)};

skive_status skv_train_options_check(skive_context *ctx, const skive_train_options *o) {
    skive_train_options copy = *o;
    SKV_TRY(skv_table_resolve(ctx, &skv_train_table, &copy));
    SKV_TRY(skv_best_check(ctx, copy.best));
    SKV_TRY(skv_saving_check(ctx, &copy));
    const skv_loss *loss = copy.loss ? skv_loss_find(copy.loss) : NULL;
    if (loss && (loss->needs_teacher || loss->needs_features)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "loss", "loss '%s' needs a teacher; use distillation", copy.loss);
    }
    return SKIVE_OK;
}

skive_status skv_train_options_take(skive_context *ctx, const skive_train_options *given, skive_train_options *own) {
    SKV_TRY(skv_options_take(ctx, "skive_train_options", given, own, sizeof *own));
    return skv_table_resolve(ctx, &skv_train_table, own);
}
