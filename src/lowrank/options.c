/* The options of factorization. */
#include "lowrank/lowrank.h"

skive_factorize_options skive_factorize_options_default(void) {
    return (skive_factorize_options){.size = sizeof(skive_factorize_options),
                                     .method = "auto",
                                     .rank = "auto",
                                     .energy = 0.95,
                                     .max_drop = -1,
                                     .weighting = "auto",
                                     .samples = 256,
                                     .round = true,
                                     .measure = true,
                                     .seed = 1,
                                     .distill_alpha = 0.5,
                                     .temperature = 4};
}

skive_train_options skive_factorize_finetune_default(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 0;
    o.learning_rate = 0.01;
    o.warmup_epochs = 0;
    o.clip_norm = 5; /* four factors of one weight, as of cp, have steep gradients at first */
    return o;
}

static const char *method_at(size_t i) { return i == 0 ? "auto" : skv_factorization_name(i - 1); }

static const char *weighting_at(size_t i) {
    static const char *const names[] = {"auto", "plain", "activations", "fisher"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

#define BUDGET(name_, field_, unit_, brief_)                                                   \
    {                                                                                          \
        .name = (name_), .type = SKV_OPTION_BUDGET, .most = 1, .above = true, .unit = (unit_), \
        SKV_FIELD(TEXT, skive_factorize_options, field_), .brief = (brief_)                    \
    }

static const skv_option options[] = {
    {.name = "method",
     .type = SKV_OPTION_RECORD,
     .family = &skv_factorization_family,
     .choices = method_at,
     .text = "auto",
     SKV_FIELD(TEXT, skive_factorize_options, method),
     .brief = "how layers are factorized; auto: the best for each"},
    {.name = "rank",
     .type = SKV_OPTION_TEXT,
     .text = "auto",
     SKV_FIELD(TEXT, skive_factorize_options, rank),
     .brief = "ranks: vbmf, energy, search (by --max-drop), a number; auto: by the budget, else energy"},
    {.name = "energy",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .above = true,
     .most = 1,
     .fallback = 0.95,
     SKV_FIELD(DOUBLE, skive_factorize_options, energy),
     .needs = "!macs,!params,!bytes,!latency",
     .brief = "share of the sum of squares that rank energy keeps"},
    BUDGET("macs", macs, "", "multiply-accumulates that remain"),
    BUDGET("params", params, "", "parameters that remain"),
    BUDGET("bytes", bytes, "B", "bytes of parameters that remain"),
    BUDGET("latency", latency, "s", "time of a run that remains, measured on this machine"),
    {.name = "max-drop",
     .type = SKV_OPTION_REAL,
     .most = 100,
     .fallback = -1,
     SKV_FIELD(DOUBLE, skive_factorize_options, max_drop),
     .brief = "percentage points that may be lost on the validation split: the smallest model, or as much of the way "
              "to the budget, as stays within"},
    {.name = "weighting",
     .type = SKV_OPTION_CHOICE,
     .choices = weighting_at,
     .text = "auto",
     SKV_FIELD(TEXT, skive_factorize_options, weighting),
     .brief = "what factors keep: plain (weights), activations (outputs on data), fisher (weights, by gradients)"},
    {.name = "samples",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 256,
     SKV_FIELD(INT64, skive_factorize_options, samples),
     .brief = "samples of the data set that are looked at"},
    {.name = "refit",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_factorize_options, refit),
     .brief = "then fit factors again, layer by layer, to the original's outputs behind factorized layers"},
    {.name = "joint",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_factorize_options, joint),
     .brief = "products with the same input (query, key, value) share their first factor"},
    {.name = "uniform",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_factorize_options, uniform),
     .needs = "macs|params|bytes|latency",
     .brief = "the same share of the budget for each layer, whatever it harms"},
    {.name = "round",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     SKV_FIELD(BOOL, skive_factorize_options, round),
     .needs = "!macs,!params,!bytes,!latency",
     .brief = "round ranks up to what is measured to take no longer"},
    {.name = "measure",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     SKV_FIELD(BOOL, skive_factorize_options, measure),
     .always = true,
     .brief = "measure the times of layers and of the model"},
    {.name = "merge",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_factorize_options, merge),
     .always = true,
     .brief = "only merge factors whose product is smaller than they are"},
    {.name = "seed",
     .type = SKV_OPTION_INTEGER,
     .most = 9e18,
     .fallback = 1,
     SKV_FIELD(UINT64, skive_factorize_options, seed),
     .brief = "seed of the samples, of random projection and of the start of cp"},
    {.name = "distill-alpha",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.5,
     SKV_FIELD(DOUBLE, skive_factorize_options, distill_alpha),
     .needs = "train.epochs",
     .brief = "weight of the teacher's soft labels in fine-tuning"},
    {.name = "temperature",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .above = true,
     .most = 1000,
     .fallback = 4,
     SKV_FIELD(DOUBLE, skive_factorize_options, temperature),
     .needs = "train.epochs",
     .brief = "temperature that softens the outputs of teacher and model"},
    {.name = "terms",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_factorize_options, terms),
     .needs = "train.epochs",
     .brief = "further terms of the loss in fine-tuning, NAME:OPTIONS with more behind ';': hint, attention ..."},
};

const skv_table skv_factorize_table = {"factorize", options, SKV_LENGTH(options), "!merge"};
