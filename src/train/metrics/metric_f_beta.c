/* F-beta (van Rijsbergen 1979): (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP), in which recall counts beta times
 * as much as precision. Of several classes or labels the mean (macro), the mean weighted by how often each occurs
 * (weighted), or that of all decisions together (micro). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/metric.h"

static const char *const averages[] = {"macro", "micro", "weighted"};
static const char *average_name(size_t i) { return i < SKV_LENGTH(averages) ? averages[i] : NULL; }

/* NaN where the class neither occurs nor is predicted. */
static double f_beta(double beta, double right, double said, double is) {
    const double square = beta * beta, all = square * is + said;
    return all > 0 ? (1 + square) * right / all : (double)NAN;
}

static double micro(double beta, const double *counts, int64_t k) {
    double sum[3] = {0, 0, 0};
    for (int64_t i = 0; i < 3 * k; i++) sum[i / k] += counts[i];
    return f_beta(beta, sum[0], sum[1], sum[2]);
}

static double value(const skv_scored *s, const uint32_t *weight, double *scratch) {
    const skv_metric *m = &skv_metric_f_beta;
    const int64_t k = s->task == SKIVE_TASK_LABELS ? s->targets : s->classes, class = skv_metric_integer(s, m, "class");
    const double beta = skv_metric_real(s, m, "beta"), *is = scratch + 2 * k;
    const char *average = skv_metric_text(s, m, "average");
    double sum = 0, known = 0;
    skv_scored_counts(s, weight, scratch, scratch + k, scratch + 2 * k);
    if (class >= 0) return f_beta(beta, scratch[class], scratch[k + class], is[class]);
    if (strcmp(average, "micro") == 0) return micro(beta, scratch, k);
    const bool weighted = strcmp(average, "weighted") == 0;
    for (int64_t c = 0; c < k; c++) {
        const double f = f_beta(beta, scratch[c], scratch[k + c], is[c]), w = weighted ? is[c] : 1;
        if (isnan(f)) continue;
        sum += w * f;
        known += w;
    }
    return known > 0 ? sum / known : (double)NAN;
}

static void entitle(const skv_scored *s, char *title, size_t size) {
    const skv_metric *m = &skv_metric_f_beta;
    const double beta = skv_metric_real(s, m, "beta");
    const int64_t class = skv_metric_integer(s, m, "class");
    if (class >= 0)
        snprintf(title, size, "F%g of class %lld", beta, (long long)class);
    else
        snprintf(title, size, "F%g %s", beta, skv_metric_text(s, m, "average"));
}

static const skv_option options[] = {
    {.name = "beta",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .above = true,
     .most = 1000,
     .fallback = 2,
     .brief = "how many times as much recall counts as precision"},
    {.name = "average",
     .type = SKV_OPTION_CHOICE,
     .choices = average_name,
     .what = "average",
     .text = "macro",
     .brief = "mean of the classes, of all decisions together, or weighted by how often a class occurs"},
    SKV_METRIC_CLASS,
};

const skv_metric skv_metric_f_beta = {
    .name = "f-beta",
    .title = "F2 macro",
    .brief = "harmonic mean of precision and recall with another weight of recall",
    .tasks = SKV_OF_CLASSES | SKV_OF(SKIVE_TASK_LABELS) | SKV_OF(SKIVE_TASK_PLACES),
    .form = SKIVE_FIGURE_RATIO,
    .by_column = true,
    .on_request = true,
    SKV_OPTIONS(options),
    .entitle = entitle,
    .value = value,
};
