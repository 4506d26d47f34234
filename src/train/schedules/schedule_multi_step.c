/* The rate reduced by a factor after each of the epochs that are named; those of He et al. 2016, half and three
 * quarters of the run, where none are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

/* The number that *text begins with; *text moves behind it and a comma. */
static bool next_number(const char **text, double *out) {
    const size_t length = strcspn(*text, ",");
    const bool good = skv_parse_number(*text, length, out);
    *text += length + ((*text)[length] == ',');
    return good;
}

static skive_status check(skive_context *ctx, const skv_schedule_args *a) {
    const char *text = skv_option_text(a->values, "at");
    for (double at = 0, before = 0; text && *text; before = at) {
        if (!next_number(&text, &at) || at <= before)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "schedule",
                               "'at' of the schedule 'multi-step' is '%s'; it must be epochs, each later than the one "
                               "before: at=30,60",
                               skv_option_text(a->values, "at"));
    }
    return SKIVE_OK;
}

static double factor(const skv_schedule_args *a) {
    const char *text = skv_option_text(a->values, "at");
    int steps = 0;
    if (!text) {
        const int epochs = a->options->epochs;
        steps = (a->epoch > 0.5 * epochs) + (a->epoch > 0.75 * epochs);
    }
    for (double at; text && *text;) steps += next_number(&text, &at) && a->epoch > at;
    return pow(skv_option_real(a->values, "factor"), steps);
}

static const skv_option options[] = {
    {.name = "at",
     .type = SKV_OPTION_LIST,
     .brief = "epochs after which the rate is reduced (default: half and three quarters of the run)"},
    {.name = "factor",
     .type = SKV_OPTION_REAL,
     .most = 10,
     .fallback = 0.1,
     .brief = "factor on the learning rate at each of them"},
};

const skv_schedule skv_schedule_multi_step = {.name = "multi-step",
                                              .brief = "reduced by a factor after the epochs that are named",
                                              SKV_OPTIONS(options),
                                              .check = check,
                                              .factor = factor};
