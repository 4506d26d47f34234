/* Whole channels, removed from the graph with all that is coupled to them. How the scores of the weights of a channel
 * are combined, and made comparable between layers of different size, follows DepGraph (Fang et al. 2023). */
#include "prune/prune.h"

static const char *groups(size_t i) {
    static const char *const names[] = {"auto", "sum", "mean", "max", "first"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

static const char *normalisations(size_t i) {
    static const char *const names[] = {"auto", "family", "rank", "scan", "none"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

const skv_option skv_channel_options[5] = {
    {.name = "group",
     .type = SKV_OPTION_CHOICE,
     .text = "auto",
     .choices = groups,
     .brief =
         "of the scores of all slices of a channel: their sum, mean or largest, or that of the layer that makes it; "
         "auto: first for criteria of output channels, otherwise mean"},
    {.name = "normalise",
     .type = SKV_OPTION_CHOICE,
     .text = "auto",
     .choices = normalisations,
     .brief =
         "scores are divided by the mean of the channels that stand side by side (family); or are the place among "
         "them (rank), so that all lose the same part; or what the loss rises by about that place (scan), measured "
         "on data; auto: family where the criterion looks at weights only"},
    {.name = "floor",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.1,
     .brief = "fraction of the channels side by side that stays at least; one always does"},
    SKV_CHOOSE_OPTION,
    {.name = "multiple",
     .type = SKV_OPTION_INTEGER,
     .least = 0,
     .most = 1024,
     .brief = "widths are rounded to multiples of this; 0: of 1, 4, 8 or 16, whichever is measured to be fastest"},
};

const skv_granularity skv_granularity_channel = {
    .name = "channel",
    .brief = "filters, neurons, hidden units and heads are removed from the graph",
    SKV_OPTIONS(skv_channel_options),
    .removal = &skv_removal_channels,
};
