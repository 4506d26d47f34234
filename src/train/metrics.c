/* Figures of an evaluation: of classes, of single labels, of numbers. */
#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/statistics.h"

enum { TOP = 5, KEPT_SAMPLES = 256, MOST_IN_CONFUSION = 4096 };
#define MOST_KEPT   ((int64_t)1 << 22) /* numbers of the first outputs that the report keeps */
#define MOST_RANKED ((int64_t)1 << 26) /* scores kept for the areas */

static bool is_sigmoid(const skv_metrics *m) {
    return m->head->kind == SKIVE_OUTPUT_SIGMOID || m->head->kind == SKIVE_OUTPUT_SIGMOID_LOGITS;
}

/* ---- start ---- */

static skive_status start_classes(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const size_t k = (size_t)r->classes, n = (size_t)r->n;
    if (k <= MOST_IN_CONFUSION) SKV_TRY(skv_alloc_array(m->ctx, k * k, sizeof *r->confusion, &r->confusion));
    for (int i = 0; i < 3; i++) SKV_TRY(skv_alloc_array(m->ctx, k + 1, sizeof *m->counts[i], &m->counts[i]));
    SKV_TRY(skv_alloc_array(m->ctx, n + 1, sizeof *r->predicted, &r->predicted));
    SKV_TRY(skv_alloc_array(m->ctx, n + 1, sizeof *r->hit, &r->hit));
    m->labels = k == 2 ? 1 : 0;
    return SKIVE_OK;
}

static skive_status start_labels(skv_metrics *m) {
    m->labels = m->scores;
    for (int i = 0; i < 3; i++)
        SKV_TRY(skv_alloc_array(m->ctx, (size_t)m->labels + 1, sizeof *m->counts[i], &m->counts[i]));
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)m->labels + 1, sizeof *m->r->average_precision, &m->r->average_precision));
    return skv_alloc_array(m->ctx, (size_t)m->r->n + 1, sizeof *m->r->hit, &m->r->hit);
}

static skive_status start_values(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const size_t k = (size_t)r->targets + 1;
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *m->first, &m->first));
    for (int i = 0; i < 4; i++) SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *m->sums[i], &m->sums[i]));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->target_rmse, &r->target_rmse));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->target_mae, &r->target_mae));
    return skv_alloc_array(m->ctx, k, sizeof *r->target_r2, &r->target_r2);
}

skive_status skv_metrics_start(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const size_t n = (size_t)r->n + 1;
    r->task = m->head->task;
    r->classes = r->task == SKIVE_TASK_BINARY ? 2 : r->task == SKIVE_TASK_CLASSES ? m->scores : 0;
    r->targets = r->task == SKIVE_TASK_LABELS || r->task == SKIVE_TASK_VALUES ? m->scores : 0;
    r->accuracy = r->low = r->high = r->top5 = r->loss = NAN;
    r->mse = r->rmse = r->mae = r->r2 = r->auc = r->f1_micro = r->f1_macro = r->map = NAN;
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *r->error, &r->error));
    r->scores = m->scores;
    r->n_kept = m->scores > MOST_KEPT / KEPT_SAMPLES ? MOST_KEPT / m->scores : KEPT_SAMPLES;
    r->n_kept = r->n_kept < r->n ? r->n_kept : r->n;
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)(r->n_kept * r->scores) + 1, sizeof *r->kept, &r->kept));
    SKV_TRY(r->task == SKIVE_TASK_VALUES   ? start_values(m)
            : r->task == SKIVE_TASK_LABELS ? start_labels(m)
                                           : start_classes(m));
    const size_t k = (size_t)(r->classes > m->labels ? r->classes : m->labels) + 1;
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->precision, &r->precision));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->recall, &r->recall));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->f1, &r->f1));
    if (m->labels == 0) return SKIVE_OK;
    if (r->n > MOST_RANKED / m->labels) {
        skv_note(m->ctx, "AUC and average precision are left out: %lld samples of %lld labels are too many to sort",
                 (long long)r->n, (long long)m->labels);
        return SKIVE_OK;
    }
    SKV_TRY(skv_alloc_array(m->ctx, n * (size_t)m->labels, sizeof *m->kept, &m->kept));
    return skv_alloc_array(m->ctx, n * (size_t)m->labels, sizeof *m->truth, &m->truth);
}

void skv_metrics_free(skv_metrics *m) {
    for (int i = 0; i < 4; i++) skv_free(m->ctx, m->sums[i]);
    for (int i = 0; i < 3; i++) skv_free(m->ctx, m->counts[i]);
    skv_free(m->ctx, m->first);
    skv_free(m->ctx, m->kept);
    skv_free(m->ctx, m->truth);
}

/* ---- one sample ---- */

static double log_sum_exp(const float *row, int64_t k) {
    double top = (double)row[0], sum = 0;
    /* Not fmax, which ends gcc 12 with an internal error on AArch64; a NaN reaches the sum either way. */
    for (int64_t c = 1; c < k; c++) top = (double)row[c] > top ? (double)row[c] : top;
    for (int64_t c = 0; c < k; c++) sum += exp((double)row[c] - top);
    return top + log(sum);
}

/* -log of the probability of what is true. One of exactly 0, which a quantized softmax gives, counts as 1e-7 and is
 * told. */
static double minus_log(skv_metrics *m, double p) {
    if (p > 0) return -log(p);
    m->zeros++;
    return -log(1e-7);
}

/* -log(sigmoid(z)) */
static double minus_log_sigmoid(double z) { return z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z; }

/* Of one score taken by itself, whose target is 0, 1 or between. */
static double binary_loss(skv_metrics *m, double x, double target) {
    const bool odds = m->head->kind == SKIVE_OUTPUT_SIGMOID_LOGITS;
    const bool log_p = m->head->kind == SKIVE_OUTPUT_LOG_PROBABILITIES;
    const double p = log_p ? exp(x) : x;
    double loss = 0;
    if (target > 0) loss += target * (odds ? minus_log_sigmoid(x) : minus_log(m, p));
    if (target < 1) loss += (1 - target) * (odds ? minus_log_sigmoid(-x) : minus_log(m, 1 - p));
    return loss;
}

static double class_loss(skv_metrics *m, const float *row, int64_t label) {
    const skive_output_kind kind = m->head->kind;
    double sum = 0;
    if (m->r->task == SKIVE_TASK_BINARY) return binary_loss(m, (double)row[0], label == 1);
    if (kind == SKIVE_OUTPUT_PROBABILITIES) return minus_log(m, (double)row[label]);
    if (kind == SKIVE_OUTPUT_LOG_PROBABILITIES) return -(double)row[label];
    if (!is_sigmoid(m)) return log_sum_exp(row, m->scores) - (double)row[label];
    for (int64_t c = 0; c < m->scores; c++) sum += binary_loss(m, (double)row[c], c == label);
    return sum / (double)m->scores;
}

/* The score from which on a sample is of class 1, or has the label. */
static float threshold(const skv_metrics *m) {
    const skive_output_kind kind = m->head->kind;
    return kind == SKIVE_OUTPUT_SIGMOID || kind == SKIVE_OUTPUT_PROBABILITIES ? 0.5f
           : kind == SKIVE_OUTPUT_LOG_PROBABILITIES                           ? -0.69314718f
                                                                              : 0.0f;
}

/* Do the numbers look like the probabilities that the graph does not tell of? */
static bool are_shares(const float *row, int64_t k) {
    double sum = 0;
    for (int64_t c = 0; c < k; c++) {
        if (!(row[c] >= 0)) return false;
        sum += (double)row[c];
    }
    return fabs(sum - 1) < 1e-3;
}

static void add_class(skv_metrics *m, size_t i, const float *row, int64_t label) {
    skive_eval_report *r = m->r;
    int64_t best = 0, above = 0;
    if (r->task == SKIVE_TASK_BINARY) {
        best = row[0] >= threshold(m);
    } else {
        if (!m->not_shares) m->not_shares = !are_shares(row, r->classes);
        for (int64_t c = 1; c < r->classes; c++) best = row[c] > row[best] ? c : best;
        for (int64_t c = 0; c < r->classes; c++) above += row[c] > row[label];
    }
    r->predicted[i] = (int32_t)best;
    r->hit[i] = best == label;
    r->correct += best == label;
    r->correct_top5 += above < TOP;
    if (r->confusion) r->confusion[label * r->classes + best]++;
    m->counts[0][best] += best == label;
    m->counts[1][best]++;
    m->counts[2][label]++;
    r->error[i] = class_loss(m, row, label);
    if (m->kept) {
        m->kept[i] = r->task == SKIVE_TASK_BINARY ? row[0] : row[1] - row[0];
        m->truth[i] = label == 1;
    }
}

static void add_labels(skv_metrics *m, size_t i, const float *row, const float *target) {
    const float from = threshold(m);
    bool all = true;
    double loss = 0;
    for (int64_t k = 0; k < m->labels; k++) {
        const bool said = row[k] >= from, is = target[k] >= 0.5f;
        m->counts[0][k] += said && is;
        m->counts[1][k] += said;
        m->counts[2][k] += is;
        all = all && said == is;
        loss += binary_loss(m, (double)row[k], (double)target[k]);
        if (!m->kept) continue;
        m->kept[(int64_t)i * m->labels + k] = row[k];
        m->truth[(int64_t)i * m->labels + k] = is;
    }
    m->r->hit[i] = all;
    m->r->correct += all;
    m->r->error[i] = loss / (double)m->labels;
}

/* Sums are counted from the first target: numbers far from zero would lose their variance. */
static void add_values(skv_metrics *m, size_t i, const float *row, const float *target, bool first) {
    double sum = 0;
    for (int64_t k = 0; k < m->r->targets; k++) {
        const double t = (double)target[k], d = (double)row[k] - t;
        if (first) m->first[k] = t;
        const double from_first = t - m->first[k];
        m->sums[0][k] += from_first;
        m->sums[1][k] += from_first * from_first;
        m->sums[2][k] += d * d;
        m->sums[3][k] += fabs(d);
        sum += d * d;
        m->absolutes += fabs(d);
    }
    m->squares += sum;
    m->r->error[i] = sum / (double)m->r->targets;
}

void skv_metrics_add(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target) {
    skive_eval_report *r = m->r;
    if ((int64_t)i < r->n_kept) memcpy(r->kept + (int64_t)i * r->scores, row, (size_t)r->scores * sizeof *row);
    if (r->task == SKIVE_TASK_VALUES) {
        add_values(m, i, row, target, r->measured == 0);
    } else if (r->task == SKIVE_TASK_LABELS) {
        add_labels(m, i, row, target);
    } else {
        for (int64_t c = 1; target && c < m->scores; c++) {
            if (target[c] > target[label]) label = c;
        }
        add_class(m, i, row, label);
    }
    m->loss_sum += r->error[i];
    r->measured++;
}

const char *skv_metrics_text(const skv_metrics *m, int64_t seen, char *buffer, size_t size) {
    const double n = seen > 0 ? (double)seen : 1;
    if (m->r->task == SKIVE_TASK_VALUES)
        snprintf(buffer, size, "rmse %.4g", sqrt(m->squares / n / (double)m->r->targets));
    else
        snprintf(buffer, size, "%s %.2f %%", m->r->task == SKIVE_TASK_LABELS ? "all labels right" : "accuracy",
                 100.0 * (double)m->r->correct / n);
    return buffer;
}

/* ---- finish ---- */

static void rates(skive_eval_report *r, int64_t k, double right, double predicted, double truth) {
    r->precision[k] = predicted > 0 ? right / predicted : NAN;
    r->recall[k] = truth > 0 ? right / truth : NAN;
    r->f1[k] = truth + predicted > 0 ? 2 * right / (truth + predicted) : NAN;
}

static double mean_of_known(const double *x, int64_t n) {
    double sum = 0, known = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i])) continue;
        sum += x[i];
        known++;
    }
    return known > 0 ? sum / known : NAN;
}

static void finish_classes(skv_metrics *m) {
    skive_eval_report *r = m->r;
    for (int64_t c = 0; c < r->classes; c++)
        rates(r, c, (double)m->counts[0][c], (double)m->counts[1][c], (double)m->counts[2][c]);
    r->f1_micro = r->accuracy;
    r->f1_macro = mean_of_known(r->f1, r->classes);
    r->top5 = r->n > 0 ? (double)r->correct_top5 / (double)r->n : 0;
}

static void finish_labels(skv_metrics *m) {
    skive_eval_report *r = m->r;
    double right = 0, predicted = 0, truth = 0;
    for (int64_t k = 0; k < m->labels; k++) {
        rates(r, k, (double)m->counts[0][k], (double)m->counts[1][k], (double)m->counts[2][k]);
        right += (double)m->counts[0][k];
        predicted += (double)m->counts[1][k];
        truth += (double)m->counts[2][k];
    }
    r->f1_micro = truth + predicted > 0 ? 2 * right / (truth + predicted) : NAN;
    r->f1_macro = mean_of_known(r->f1, m->labels);
}

static void finish_values(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const double n = r->n > 0 ? (double)r->n : 1, k = r->targets > 0 ? (double)r->targets : 1;
    double around_means = 0;
    for (int64_t t = 0; t < r->targets; t++) {
        const double variation = m->sums[1][t] - m->sums[0][t] * m->sums[0][t] / n;
        around_means += variation;
        r->target_rmse[t] = sqrt(m->sums[2][t] / n);
        r->target_mae[t] = m->sums[3][t] / n;
        r->target_r2[t] = variation > 0 ? 1 - m->sums[2][t] / variation : NAN;
    }
    r->mse = m->squares / n / k;
    r->rmse = sqrt(r->mse);
    r->mae = m->absolutes / n / k;
    const bool columns = m->targets->info.target_rank <= 1;
    r->r2 = columns ? mean_of_known(r->target_r2, r->targets) : around_means > 0 ? 1 - m->squares / around_means : NAN;
}

static skive_status rank(skv_metrics *m) {
    skive_eval_report *r = m->r;
    double areas = 0, known = 0, auc = NAN, precision = NAN;
    for (int64_t k = 0; m->kept && k < m->labels; k++) {
        SKV_TRY(skv_ranking(m->ctx, m->kept + k, m->truth + k, r->n, m->labels, &auc, &precision));
        if (r->average_precision) r->average_precision[k] = precision;
        if (isnan(auc)) continue;
        areas += auc;
        known++;
    }
    if (known > 0) r->auc = areas / known;
    if (r->task == SKIVE_TASK_LABELS && m->kept) r->map = mean_of_known(r->average_precision, m->labels);
    return SKIVE_OK;
}

skive_status skv_metrics_finish(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const double n = r->n ? (double)r->n : 1;
    r->loss = m->loss_sum / n;
    r->samples_per_second = r->seconds > 0 ? n / r->seconds : 0;
    if (m->zeros > 0)
        skv_note(m->ctx,
                 "%lld time%s the output gave a probability of exactly 0 for the true class; the cross-entropy counts "
                 "it as 1e-7",
                 (long long)m->zeros, m->zeros == 1 ? "" : "s");
    if (r->task == SKIVE_TASK_CLASSES && m->head->kind == SKIVE_OUTPUT_LOGITS && !m->head->from && r->n > 0 &&
        !m->not_shares)
        skv_note(m->ctx,
                 "all outputs '%s' are between 0 and 1 and sum to 1, but no node of the model makes them "
                 "probabilities; if they are, give --output-kind probabilities",
                 m->head->value->name);
    if (r->task == SKIVE_TASK_VALUES) {
        finish_values(m);
        return SKIVE_OK;
    }
    r->accuracy = (double)r->correct / n;
    skv_wilson(r->correct, r->n, &r->low, &r->high);
    if (r->task == SKIVE_TASK_LABELS)
        finish_labels(m);
    else
        finish_classes(m);
    return rank(m);
}
