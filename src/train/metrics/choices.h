/* Figures that were asked for with options: "top-k:5;f-beta:beta=0.5,average=micro". */
#ifndef SKV_TRAIN_METRICS_CHOICES_H
#define SKV_TRAIN_METRICS_CHOICES_H

#include "train/metric.h"

typedef struct skv_metric_choice {
    const skv_metric *metric;
    skv_option_values values;
    char title[64]; /* "F0.5 micro" */
} skv_metric_choice;

/* Reads the text form into s->choices; NULL: none. Errors: ARGUMENT (an unknown figure or option; the same figure
 * twice), MEMORY. */
skive_status skv_choices_read(skive_context *ctx, const char *text, skv_scored *s);
/* Is the text form right, and is there each figure for one of the tasks, SKV_OF(task) joined by | (0: not asked)? */
skive_status skv_choices_check(skive_context *ctx, const char *text, unsigned tasks);
/* Of an evaluation of n targets: does each choice fit one of them, and are there the classes that choices name? Errors:
 * ARGUMENT. */
skive_status skv_choices_fit(skive_context *ctx, const skv_scored *const *scored, size_t n);
/* The choice of a figure; NULL: it was not asked for in this form. */
const skv_metric_choice *skv_choice_of(const skv_scored *s, const skv_metric *m);

#endif
