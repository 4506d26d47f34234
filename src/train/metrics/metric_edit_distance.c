/* Edit distance (Levenshtein 1966): the fewest labels put in, taken out or replaced that make of what is said what is
 * true; mean over the samples. What is said are the classes with the highest score of each step, repetitions taken
 * together and blanks taken out. */
#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->distance[i]; }

const skv_metric skv_metric_edit_distance = {
    .name = "edit-distance",
    .title = "edit distance",
    .brief = "labels to put in, take out or replace, of the best class of each step; mean over the samples",
    .tasks = SKV_OF(SKIVE_TASK_SEQUENCES),
    .form = SKIVE_FIGURE_NUMBER,
    .less = true,
    .sample = sample,
};
