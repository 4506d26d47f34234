/* Options of pruning: defaults and checks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "prune/prune.h"

skive_prune_options skive_prune_options_default(void) {
    return (skive_prune_options){.size = sizeof(skive_prune_options),
                                 .granularity = "element",
                                 .criterion = "magnitude",
                                 .schedule = "one-shot",
                                 .sparsity = 0.9,
                                 .max_drop = -1,
                                 .layer_floor = -1,
                                 .steps = 5,
                                 .surgery_until = 0.75,
                                 .temperature = 4,
                                 .recalibrate_bn = "auto"};
}

skive_train_options skive_prune_finetune_default(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 0;
    o.learning_rate = 0.01;
    o.warmup_epochs = 0;
    return o;
}

/* ---- the table ---- */

const skv_option skv_prune_step_options[2] = {
    {.name = "steps",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1000,
     .fallback = 5,
     SKV_FIELD(INT, skive_prune_options, steps),
     .brief = "steps of a gradual schedule"},
    {.name = "last-step",
     .needs = "train.epochs",
     .type = SKV_OPTION_REAL,
     .most = 1,
     SKV_FIELD(DOUBLE, skive_prune_options, last_step),
     .brief = "fraction of fine-tuning after the last step; 0: the same as after each step"},
};

static const char *recalibrations(size_t i) {
    static const char *const names[] = {"auto", "on", "off"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

#define BUDGET(name_, field_, unit_, brief_)                                                   \
    {                                                                                          \
        .name = (name_), .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = (unit_), \
        SKV_FIELD(TEXT, skive_prune_options, field_), .brief = (brief_)                        \
    }

static const skv_option options[] = {
    {.name = "granularity",
     .type = SKV_OPTION_RECORD,
     .family = &skv_granularity_family,
     .text = "element",
     SKV_FIELD(TEXT, skive_prune_options, granularity),
     .brief = "what goes at once"},
    BUDGET("macs", macs, "", "multiply-accumulates that remain, of channels"),
    BUDGET("params", params, "", "parameters that remain, of channels"),
    BUDGET("bytes", bytes, "B", "bytes of the ONNX file that remain, of channels"),
    BUDGET("latency", latency, "s", "time of a run that remains, of channels; measured on this machine"),
    {.name = "lossless",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_prune_options, lossless),
     .brief = "instead of a budget: remove channels that provably do nothing, and change no output"},
    {.name = "zeros",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_prune_options, zeros),
     .brief = "instead of a budget: remove channels that training left at zero"},
    {.name = "tolerance",
     .type = SKV_OPTION_REAL,
     .most = 1,
     SKV_FIELD(DOUBLE, skive_prune_options, tolerance),
     .needs = "lossless",
     .brief = "with lossless: constants of float32 within this fraction move into biases, and equal "
              "channels become one"},
    {.name = "sparsity",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .below = true,
     .fallback = 0.9,
     SKV_FIELD(DOUBLE, skive_prune_options, sparsity),
     .needs = "!lossless,!zeros",
     .brief = "fraction of the weights to remove"},
    {.name = "max-drop",
     .type = SKV_OPTION_REAL,
     .most = 100,
     .fallback = -1,
     SKV_FIELD(DOUBLE, skive_prune_options, max_drop),
     .needs = "!lossless,!zeros",
     .brief = "percentage points that may be lost on the validation split: as much of the way to the target as stays "
              "within"},
    {.name = "criterion",
     .type = SKV_OPTION_RECORD,
     .family = &skv_criterion_family,
     .text = "magnitude",
     SKV_FIELD(TEXT, skive_prune_options, criterion),
     .needs = "!lossless,!zeros",
     .brief = "how weights are scored"},
    {.name = "schedule",
     .type = SKV_OPTION_RECORD,
     .family = &skv_prune_schedule_family,
     .text = "one-shot",
     SKV_FIELD(TEXT, skive_prune_options, schedule),
     .needs = "!lossless,!zeros",
     .brief = "how sparsity grows"},
    {.name = "threshold",
     .type = SKV_OPTION_REAL,
     .most = INFINITY,
     SKV_FIELD(DOUBLE, skive_prune_options, threshold),
     .needs = "!lossless,!zeros",
     .brief = "instead of a sparsity: prune weights that score below this"},
    {.name = "threshold-std",
     .type = SKV_OPTION_REAL,
     .most = INFINITY,
     SKV_FIELD(DOUBLE, skive_prune_options, threshold_std),
     .needs = "!lossless,!zeros",
     .brief = "instead of a sparsity: prune weights below this many standard deviations of their layer"},
    {.name = "per-layer",
     .needs = "!threshold,!threshold-std",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_prune_options, per_layer),
     .brief = "the same sparsity in every layer instead of one threshold for all layers"},
    {.name = "layer-floor",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = -1, /* not set */
     SKV_FIELD(DOUBLE, skive_prune_options, layer_floor),
     .brief = "minimum fraction of each layer to keep (default: a twentieth of the fraction kept overall)"},
    {.name = "surgery",
     .needs = "train.epochs",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_prune_options, surgery),
     .brief = "train pruned weights too and let them return while fine-tuning"},
    {.name = "surgery-until",
     .needs = "surgery",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.75,
     SKV_FIELD(DOUBLE, skive_prune_options, surgery_until),
     .brief = "fraction of fine-tuning after which the mask no longer changes"},
    {.name = "distill-alpha",
     .needs = "train.epochs",
     .type = SKV_OPTION_REAL,
     .most = 1,
     SKV_FIELD(DOUBLE, skive_prune_options, distill_alpha),
     .brief = "weight of a teacher in the loss of fine-tuning"},
    {.name = "temperature",
     .needs = "distill-alpha",
     .type = SKV_OPTION_REAL,
     .most = 1000,
     .above = true,
     .fallback = 4,
     SKV_FIELD(DOUBLE, skive_prune_options, temperature),
     .brief = "temperature that softens the outputs of teacher and model"},
    {.name = "scratch-control",
     .needs = "train.epochs",
     .type = SKV_OPTION_INTEGER,
     .most = 1e6,
     SKV_FIELD(INT, skive_prune_options, scratch_control),
     .brief = "also train the pruned network from scratch for so many epochs, and report what it reaches"},
    {.name = "recalibrate-bn",
     .type = SKV_OPTION_CHOICE,
     .text = "auto",
     .choices = recalibrations,
     SKV_FIELD(TEXT, skive_prune_options, recalibrate_bn),
     .brief = "statistics of BatchNormalization anew from the data; auto: without fine-tuning, where there is data"},
    {.name = "reconstruct",
     .type = SKV_OPTION_SWITCH,
     .needs = "!lossless,!zeros,granularity=channel",
     SKV_FIELD(BOOL, skive_prune_options, reconstruct),
     .brief = "layers that read removed channels are fitted to what they gave, from the data"},
};

const skv_table skv_prune_table = {"prune", options, SKV_LENGTH(options), NULL};

/* ---- what fits together ---- */

static skive_status check_sparsity(const skv_pruning *p, const char *of, double sparsity) {
    if (sparsity >= 0 && sparsity < 1) return SKIVE_OK;
    return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, of,
                       "%s is %g; it is the fraction of weights to remove, from 0 to below 1 (0.9 for 90 %%)", of,
                       sparsity);
}

/* What does nothing is removed without a budget, a score or steps. */
static skive_status check_dead(const skv_pruning *p, size_t budgets) {
    const skive_prune_options *o = p->o;
    const char *what = o->lossless ? "lossless" : "zeros";
    const char *other = o->lossless && o->zeros              ? "zeros"
                        : budgets > 0                        ? "a budget"
                        : !p->schedule->one_step             ? "a gradual schedule"
                        : o->lossless && o->finetune->epochs ? "fine-tuning"
                                                             : NULL;
    if (!other) return SKIVE_OK;
    return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, what,
                       "%s removes all channels that do nothing and no others: it cannot be used with %s", what, other);
}

/* Channels are removed down to a budget; what single weights have besides means nothing for them. */
static skive_status check_channels(const skv_pruning *p) {
    const skive_prune_options *o = p->o;
    const char *const budgets[] = {o->macs, o->params, o->bytes, o->latency};
    size_t given = 0;
    for (size_t i = 0; i < SKV_LENGTH(budgets); i++) given += budgets[i] != NULL;
    if (!p->granularity->removal && given > 0)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "granularity",
                           "a budget of macs, params, bytes or latency is for the granularity 'channel'; '%s' sets "
                           "weights to zero, which makes a model neither smaller nor faster by itself",
                           p->granularity->name);
    if (!p->granularity->removal && o->n_shapes > 0)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "shape",
                           "shapes of inputs are for the costs of channels; '%s' has no use for them",
                           p->granularity->name);
    for (size_t i = 0; i < o->n_shapes; i++) {
        if (!o->shapes || !o->shapes[i].input)
            return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "shape", "the shape of an input has no name");
    }
    if (!p->granularity->removal) return SKIVE_OK;
    if (o->lossless || o->zeros) {
        SKV_TRY(check_dead(p, given));
    } else if (given != 1)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "budget",
                           "%s: channels are removed until macs, params, bytes or latency is what one budget says",
                           given ? "more than one budget is given" : "there is no budget");
    const char *const other = o->surgery                                 ? "surgery"
                              : o->n_ratios > 0                          ? "a sparsity of a layer's own"
                              : o->threshold > 0 || o->threshold_std > 0 ? "a threshold"
                              : o->per_layer                             ? "the same sparsity in each layer"
                              : o->layer_floor >= 0                      ? "the floor of a layer"
                                                                         : NULL;
    if (other)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "granularity", "%s is for single weights, not for channels%s",
                           other, o->layer_floor >= 0 ? "; they have channel:floor=" : "");
    return SKIVE_OK;
}

bool skv_prune_scans(const skv_pruning *p) {
    const skv_granularity *g = p->granularity;
    const bool has = skv_option_index(g->options, g->n_options, "normalise") < g->n_options;
    return has && strcmp(skv_option_text(&p->granularity_options, "normalise"), "scan") == 0;
}

static skive_status check_target(const skv_pruning *p) {
    const skive_prune_options *o = p->o;
    SKV_TRY(check_channels(p));
    if (skv_prune_scans(p) && !p->train)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "granularity",
                           "normalise=scan measures the loss: a training set is missing (--data)");
    if (p->granularity->removal && p->criterion->refits)
        return skv_fail_at(
            p->ctx, SKIVE_ERR_ARGUMENT, "criterion",
            "the criterion '%s' fits single weights anew, which it does not do for channels; use another",
            p->criterion->name);
    if (p->granularity->removal) return SKIVE_OK;
    if (p->criterion->channels_only)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "criterion",
                           "the criterion '%s' scores whole channels; use it with the granularity 'channel'",
                           p->criterion->name);
    if (p->granularity->group && (o->surgery || o->threshold > 0 || o->threshold_std > 0))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "granularity", "%s is for single weights, not for '%s'",
                           o->surgery ? "surgery" : "a threshold", p->granularity->name);
    if (p->granularity->stay && o->max_drop >= 0)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "with '%s' the pattern says how many weights go: a limit on the loss has nothing to choose",
                           p->granularity->name);
    if (p->granularity->stay && (!p->schedule->one_step || o->per_layer || o->n_ratios > 0))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "granularity",
                           "with '%s' the pattern says how many weights go: there is neither a gradual schedule nor a "
                           "sparsity of a layer",
                           p->granularity->name);
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
    const bool anew = strcmp(o->recalibrate_bn, "on") == 0;
    if ((anew || o->reconstruct) && !p->train)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, anew ? "recalibrate-bn" : "reconstruct",
                           "%s looks at data: a training set is missing (--data)",
                           anew ? "recalibrate-bn on" : "reconstruct");
    if (anew && (o->lossless || o->finetune->epochs > 0))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "recalibrate-bn",
                           o->lossless ? "lossless pruning changes no output, and so no statistics"
                                       : "fine-tuning computes the statistics anew by itself");
    if (o->reconstruct && (!p->granularity->removal || o->lossless || o->zeros))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "reconstruct",
                           "it is for channels that are removed down to a budget");
    if (o->teacher && o->distill_alpha == 0) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "alpha", "there is a teacher, but its weight in the loss is 0");
    }
    if (o->scratch_control > 0 && !p->train)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "scratch-control", "training from scratch needs a training set");
    if (o->rewind && (o->surgery || o->zeros || o->lossless))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "rewind", "rewinding and %s cannot be combined",
                           o->surgery ? "surgery"
                           : o->zeros ? "zeros"
                                      : "lossless");
    if (o->finetune->epochs > 0) return SKIVE_OK;
    if (o->scratch_control > 0)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "scratch-control",
                           "training from scratch is compared with fine-tuning, which has no epochs");
    if (o->rewind)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "rewind", "rewinding needs fine-tuning, which has no epochs");
    if (o->surgery) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "surgery", "surgery needs fine-tuning, which has no epochs");
    }
    if (o->distill_alpha != 0) {
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "alpha", "a teacher needs fine-tuning, which has no epochs");
    }
    return SKIVE_OK;
}

skive_status skv_prune_take(skv_pruning *p, const skive_prune_options *given, skive_prune_options *o,
                            skive_train_options *finetune) {
    *o = skive_prune_options_default();
    *finetune = skive_prune_finetune_default();
    size_t index;
    p->o = o;
    SKV_TRY(skv_options_take(p->ctx, "skive_prune_options", given, o, sizeof *o));
    SKV_TRY(check_sparsity(p, "sparsity", o->sparsity)); /* says more than the table */
    SKV_TRY(skv_family_pick(p->ctx, &skv_criterion_family, "criterion", o->criterion, &index, &p->criterion_options));
    p->criterion = skv_criterion_at(index);
    SKV_TRY(skv_family_pick(p->ctx, &skv_granularity_family, "granularity", o->granularity, &index,
                            &p->granularity_options));
    p->granularity = skv_granularity_at(index);
    if ((o->lossless || o->zeros) && strcmp(p->granularity->name, "element") == 0) {
        SKV_TRY(skv_family_pick(p->ctx, &skv_granularity_family, "granularity", "channel", &index,
                                &p->granularity_options));
        p->granularity = skv_granularity_at(index);
    }
    if ((o->lossless || o->zeros) && strcmp(p->granularity->name, "channel") != 0)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, o->lossless ? "lossless" : "zeros",
                           "what does nothing is removed channel by channel, not by '%s'", p->granularity->name);
    if (o->tolerance != 0 && !o->lossless)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "tolerance", "it is for lossless, which is not asked for");
    if (o->layer_floor < 0) o->layer_floor = -1;
    SKV_TRY(skv_table_resolve(p->ctx, &skv_prune_table, o));
    SKV_TRY(skv_finetune_options_take(p->ctx, o->finetune, finetune));
    o->finetune = finetune;
    p->schedule = skv_prune_schedule_find(o->schedule);
    SKV_TRY(skv_prune_check_data(p));
    SKV_TRY(check_target(p));
    SKV_TRY(check_named(p));
    return check_finetuning(p);
}
