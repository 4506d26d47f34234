/* Two evaluations of the same samples, held against one another. */
#include <math.h>

#include "train/evaluation/statistics.h"
#include "train/train.h"

static void compare_hits(const skive_eval_report *a, const skive_eval_report *b, skive_paired_report *r) {
    const bool classes = a->predicted && b->predicted;
    r->same_class = classes ? 0 : -1;
    for (int64_t i = 0; i < a->n; i++) {
        r->both += a->hit[i] && b->hit[i];
        r->only_a += a->hit[i] && !b->hit[i];
        r->only_b += !a->hit[i] && b->hit[i];
        r->neither += !a->hit[i] && !b->hit[i];
        if (classes) r->same_class += a->predicted[i] == b->predicted[i];
    }
    r->difference = b->accuracy - a->accuracy;
    skv_newcombe_paired(r->both, r->only_b, r->only_a, r->neither, &r->low, &r->high);
    r->p_value = skv_mcnemar_exact(r->only_a, r->only_b);
}

static void compare_errors(const skive_eval_report *a, const skive_eval_report *b, skive_paired_report *r) {
    double sum = 0, squares = 0;
    const double n = a->n > 0 ? (double)a->n : 1;
    for (int64_t i = 0; i < a->n; i++) sum += b->error[i] - a->error[i];
    const double mean = sum / n;
    for (int64_t i = 0; i < a->n; i++)
        squares += (b->error[i] - a->error[i] - mean) * (b->error[i] - a->error[i] - mean);
    const double of_mean = a->n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
    r->same_class = -1;
    r->difference = mean;
    r->low = mean - 1.959964 * of_mean;
    r->high = mean + 1.959964 * of_mean;
    r->p_value = of_mean > 0 ? erfc(fabs(mean / of_mean) / sqrt(2.0)) : mean != 0 ? 0 : 1;
}

static void compare_scores(const skive_eval_report *a, const skive_eval_report *b, skive_paired_report *r) {
    const int64_t samples = a->n_kept < b->n_kept ? a->n_kept : b->n_kept, n = samples * a->scores;
    double sum = 0, most = 0;
    r->mean_score_difference = r->max_score_difference = NAN;
    if (a->scores != b->scores || a->output.kind != b->output.kind || n < 1) return;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a->kept[i] - (double)b->kept[i]);
        most = d > most ? d : most;
        sum += d;
    }
    r->score_samples = samples;
    r->mean_score_difference = sum / (double)n;
    r->max_score_difference = most;
}

skive_status skive_compare_paired(skive_context *ctx, const skive_eval_report *a, const skive_eval_report *b,
                                  skive_paired_report *out) {
    SKV_NEED(ctx, "ctx, a, b, out", ctx, a, b, out);
    skive_paired_report r = {.n = a->n};
    if (a->n != b->n) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "evaluations of %lld and %lld samples cannot be paired",
                        (long long)a->n, (long long)b->n);
    }
    if (!a->hit != !b->hit || !a->predicted != !b->predicted) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT,
                        "evaluations of different tasks (classes, labels, values) cannot be paired");
    }
    if (a->hit)
        compare_hits(a, b, &r);
    else
        compare_errors(a, b, &r);
    compare_scores(a, b, &r);
    *out = r;
    return SKIVE_OK;
}
