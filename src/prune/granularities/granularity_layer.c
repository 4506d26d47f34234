/* Whole layers and residual blocks: depth. What is in front of a layer takes the place of what it gives, where both
 * have the same shape. How the scores of its weights are combined is an option. */
#include "prune/prune.h"

static const char *groups(size_t i) {
    static const char *const names[] = {"auto", "sum", "mean"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const char *kinds(size_t i) {
    static const char *const names[] = {"all", "blocks"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const skv_option options[] = {
    {.name = "of",
     .type = SKV_OPTION_CHOICE,
     .text = "all",
     .choices = kinds,
     .brief = "residual blocks and single layers, or residual blocks only"},
    {.name = "group",
     .type = SKV_OPTION_CHOICE,
     .text = "auto",
     .choices = groups,
     .brief = "of the scores of all weights: their sum or mean; auto: the sum for criteria that look at data"},
    SKV_CHOOSE_OPTION,
};

const skv_granularity skv_granularity_layer = {
    .name = "layer",
    .brief = "whole layers and residual blocks are removed from the graph",
    SKV_OPTIONS(options),
    .removal = &skv_removal_layers,
};
