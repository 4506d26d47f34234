/* Perplexity: exp of the cross-entropy, the number of equally likely classes that would leave as much doubt. */
#include <math.h>

#include "train/metric.h"

static double sample(const skv_scored *s, int64_t i) { return s->error[i]; }

const skv_metric skv_metric_perplexity = {
    .name = "perplexity",
    .title = "perplexity",
    .brief = "exp of the cross-entropy: how many equally likely classes would leave as much doubt",
    .tasks = SKV_OF_CLASSES,
    .form = SKIVE_FIGURE_RATIO,
    .less = true,
    .sample = sample,
    .of_mean = exp,
};
