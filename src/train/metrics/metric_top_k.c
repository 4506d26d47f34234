/* Top-k accuracy: fewer than k classes come before the true one. */
#include <stdio.h>

#include "train/metric.h"

static int64_t k_of(const skv_scored *s) { return skv_metric_integer(s, &skv_metric_top_k, "k"); }

static bool fits(const skv_scored *s) { return s->classes > k_of(s); }

static double sample(const skv_scored *s, int64_t i) { return s->above[i] < k_of(s); }

static void entitle(const skv_scored *s, char *title, size_t size) {
    snprintf(title, size, "top-%lld", (long long)k_of(s));
}

static const skv_option options[] = {
    {.name = "k",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 3,
     .brief = "the true class may be so far down; less than there are classes"},
};

const skv_metric skv_metric_top_k = {
    .name = "top-k",
    .title = "top-3",
    .brief = "share of the samples whose class is among the k with the highest scores; of more than k classes",
    .tasks = SKV_OF(SKIVE_TASK_CLASSES),
    .form = SKIVE_FIGURE_PERCENT,
    .proportion = true,
    .on_request = true,
    SKV_OPTIONS(options),
    .entitle = entitle,
    .fits = fits,
    .sample = sample,
};
