/* R2: 1 - squared error / squared distance from the mean of the target. Of several targets it is the mean over those
 * that vary; of targets with several axes (images, series) it is of all their values together, each around its own
 * mean. Sums are counted from the first target: numbers far from zero would lose their variance. */
#include <math.h>

#include "train/metric.h"

/* Sums over the samples: weights, target, its square, squared error. */
static void sums_of(const skv_scored *s, int64_t k, const uint32_t *weight, double out[4]) {
    if (!weight || !s->wanted || !s->rows) {
        out[0] = weight ? (double)NAN : (double)s->n;
        for (int j = 0; j < 3; j++) out[j + 1] = s->sums[j][k];
        return;
    }
    out[0] = out[1] = out[2] = out[3] = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const double w = (double)weight[i], t = (double)s->wanted[i * s->targets + k] - s->first[k];
        const double d = (double)s->rows[i * s->targets + k] - (double)s->wanted[i * s->targets + k];
        out[0] += w;
        out[1] += w * t;
        out[2] += w * t * t;
        out[3] += w * d * d;
    }
}

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    double sum = 0, known = 0, variations = 0, squares = 0;
    (void)scratch;
    for (int64_t k = 0; k < s->targets; k++) {
        double of[4];
        sums_of(s, k, weight, of);
        if (!(of[0] > 0)) return NAN;
        const double variation = of[2] - of[1] * of[1] / of[0];
        variations += variation;
        squares += of[3];
        if (!(variation > 0)) continue;
        sum += 1 - of[3] / variation;
        known++;
    }
    if (s->several_axes) return variations > 0 ? 1 - squares / variations : (double)NAN;
    return known > 0 ? sum / known : (double)NAN;
}

const skv_metric skv_metric_r2 = {
    .name = "r2",
    .title = "R2",
    .brief = "1 - squared error / squared distance from the mean; of several targets the mean",
    .tasks = SKV_OF(SKIVE_TASK_VALUES),
    .form = SKIVE_FIGURE_RATIO,
    .by_column = true,
    .field = SKV_REPORT(r2),
    .value = value,
};
