/* Figures of an evaluation: of classes, of single labels, of numbers. */
#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/metrics/choices.h"
#include "train/evaluation/statistics.h"

enum { TOP = 5, KEPT_SAMPLES = 256, MOST_IN_CONFUSION = 4096 };
#define MOST_KEPT   ((int64_t)1 << 22) /* numbers of the first outputs that the report keeps */
#define MOST_RANKED ((int64_t)1 << 26) /* scores kept for the areas */

static bool is_sigmoid(const skv_metrics *m) {
    return m->head->kind == SKIVE_OUTPUT_SIGMOID || m->head->kind == SKIVE_OUTPUT_SIGMOID_LOGITS;
}

static const skv_task_count *counted_by(const skv_metrics *m) {
    switch ((int)m->r->task) {
    case SKIVE_TASK_EMBEDDING: return &skv_count_embedding;
    case SKIVE_TASK_SEQUENCES: return &skv_count_sequences;
    case SKIVE_TASK_BOXES: return &skv_count_boxes;
    case SKIVE_TASK_PLACES: return &skv_count_places;
    default: return NULL;
    }
}

/* ---- start ---- */

static skive_status start_classes(skv_metrics *m) {
    skive_eval_report *r = m->r;
    skv_scored *s = m->s;
    const size_t k = (size_t)r->classes, n = (size_t)r->n + 1;
    if (k <= MOST_IN_CONFUSION) SKV_TRY(skv_alloc_array(m->ctx, k * k, sizeof *r->confusion, &r->confusion));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *r->predicted, &r->predicted));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *r->hit, &r->hit));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->truth, &s->truth));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->above, &s->above));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->confidence, &s->confidence));
    s->columns = k == 2 ? 1 : r->classes;
    return SKIVE_OK;
}

static skive_status start_labels(skv_metrics *m) {
    skive_eval_report *r = m->r;
    size_t decisions = 0;
    m->s->columns = r->targets;
    if (!skv_mul_size((size_t)r->n + 1, (size_t)r->targets + 1, &decisions))
        return SKV_FAIL(m->ctx, SKIVE_ERR_MEMORY, "too many labels to count");
    SKV_TRY(skv_alloc_array(m->ctx, decisions, 1, &m->s->decisions));
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)r->targets + 1, sizeof *r->average_precision, &r->average_precision));
    return skv_alloc_array(m->ctx, (size_t)r->n + 1, sizeof *r->hit, &r->hit);
}

static skive_status start_values(skv_metrics *m) {
    skive_eval_report *r = m->r;
    skv_scored *s = m->s;
    const size_t k = (size_t)r->targets + 1, n = (size_t)r->n + 1;
    s->columns = r->targets;
    s->several_axes = m->targets->info.target_rank > 1;
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *s->first, &s->first));
    for (int i = 0; i < 4; i++) SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *s->sums[i], &s->sums[i]));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->absolute, &s->absolute));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->cosine, &s->cosine));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->target_rmse, &r->target_rmse));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->target_mae, &r->target_mae));
    return skv_alloc_array(m->ctx, k, sizeof *r->target_r2, &r->target_r2);
}

/* The scores of all samples, for figures that need them together. */
static skive_status keep_rows(skv_metrics *m) {
    skv_scored *s = m->s;
    const bool values = s->task == SKIVE_TASK_VALUES;
    if (s->task > SKIVE_TASK_VALUES || (!m->all && !skv_figures_costly(m->named) && !skv_figures_chosen_costly(s)))
        return SKIVE_OK;
    if (s->n > MOST_RANKED / (s->scores > 0 ? s->scores : 1)) {
        skv_note(m->ctx, "%s left out: the outputs of %lld samples, %lld numbers each, are too many to keep",
                 values ? "the interval of R2 is" : "AUC and average precision are", (long long)s->n,
                 (long long)s->scores);
        return SKIVE_OK;
    }
    const size_t n = (size_t)(s->n * s->scores) + 1;
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *s->rows, &s->rows));
    return values ? skv_alloc_array(m->ctx, n, sizeof *s->wanted, &s->wanted) : SKIVE_OK;
}

skive_status skv_metrics_start(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const size_t n = (size_t)r->n + 1;
    r->task = m->head->task;
    r->classes = r->task == SKIVE_TASK_BINARY ? 2 : r->task == SKIVE_TASK_CLASSES ? m->scores : 0;
    r->targets = r->task == SKIVE_TASK_LABELS || r->task == SKIVE_TASK_VALUES ? m->scores : 0;
    r->accuracy = r->low = r->high = r->top5 = r->loss = NAN;
    r->mse = r->rmse = r->mae = r->r2 = r->auc = r->f1_micro = r->f1_macro = r->map = NAN;
    SKV_TRY(skv_alloc_array(m->ctx, 1, sizeof *m->s, &m->s));
    r->scored = m->s;
    *m->s = (skv_scored){.ctx = m->ctx,
                         .task = r->task,
                         .kind = m->head->kind,
                         .n = r->n,
                         .scores = m->scores,
                         .classes = r->classes,
                         .targets = r->targets};
    SKV_TRY(skv_choices_read(m->ctx, m->asked, m->s));
    SKV_TRY(skv_alloc_array(m->ctx, n, sizeof *r->error, &r->error));
    r->scores = m->scores;
    r->n_kept = m->scores > MOST_KEPT / KEPT_SAMPLES ? MOST_KEPT / m->scores : KEPT_SAMPLES;
    r->n_kept = r->n_kept < r->n ? r->n_kept : r->n;
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)(r->n_kept * r->scores) + 1, sizeof *r->kept, &r->kept));
    const skv_task_count *other = counted_by(m);
    SKV_TRY(other                          ? other->start(m)
            : r->task == SKIVE_TASK_VALUES ? start_values(m)
            : r->task == SKIVE_TASK_LABELS ? start_labels(m)
                                           : start_classes(m));
    SKV_TRY(keep_rows(m));
    m->s->predicted = r->predicted;
    m->s->hit = r->hit;
    m->s->error = r->error;
    const size_t k = (size_t)(r->classes > m->s->columns ? r->classes : m->s->columns) + 1;
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->precision, &r->precision));
    SKV_TRY(skv_alloc_array(m->ctx, k, sizeof *r->recall, &r->recall));
    return skv_alloc_array(m->ctx, k, sizeof *r->f1, &r->f1);
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

/* Do the numbers look like the probabilities that the graph does not tell of? */
static bool are_shares(const float *row, int64_t k) {
    double sum = 0;
    for (int64_t c = 0; c < k; c++) {
        if (!(row[c] >= 0)) return false;
        sum += (double)row[c];
    }
    return fabs(sum - 1) < 1e-3;
}

/* Probabilities, or their logarithms, that are none. */
static void check_shares(skv_metrics *m, size_t i, const float *row) {
    const skive_output_kind kind = m->head->kind;
    const bool log_p = kind == SKIVE_OUTPUT_LOG_PROBABILITIES;
    const float least = log_p ? -INFINITY : -1e-3f, most = log_p ? 1e-3f : 1.001f;
    if (!log_p && kind != SKIVE_OUTPUT_PROBABILITIES && kind != SKIVE_OUTPUT_SIGMOID) return;
    for (int64_t c = 0; c < m->r->scores; c++) {
        if (row[c] >= least && row[c] <= most) continue;
        if (m->no_shares++ == 0) {
            m->first_no_share = i;
            m->no_share = (double)row[c];
        }
        return;
    }
}

/* The probability that the output gives to the class that it predicts. */
static double confidence(const skv_metrics *m, const float *row, int64_t best) {
    const skive_output_kind kind = m->head->kind;
    const double x = (double)row[m->r->task == SKIVE_TASK_BINARY ? 0 : best];
    const double p = kind == SKIVE_OUTPUT_LOG_PROBABILITIES ? exp(x)
                     : kind == SKIVE_OUTPUT_LOGITS          ? exp(x - log_sum_exp(row, m->scores))
                     : kind == SKIVE_OUTPUT_SIGMOID_LOGITS  ? 1 / (1 + exp(-x))
                                                            : x;
    return m->r->task == SKIVE_TASK_BINARY && best == 0 ? 1 - p : p;
}

static void add_class(skv_metrics *m, size_t i, const float *row, int64_t label) {
    skive_eval_report *r = m->r;
    int64_t best = 0, above = 0;
    if (r->task == SKIVE_TASK_BINARY) {
        best = row[0] >= skv_output_threshold(m->head->kind);
    } else {
        if (!m->not_shares) m->not_shares = !are_shares(row, r->classes);
        for (int64_t c = 1; c < r->classes; c++) best = row[c] > row[best] ? c : best;
        /* Of equal scores the lower class comes first, as it does in what is predicted. */
        for (int64_t c = 0; c < r->classes; c++) above += c < label ? !(row[c] < row[label]) : row[c] > row[label];
    }
    r->predicted[i] = (int32_t)best;
    r->hit[i] = best == label;
    r->correct += best == label;
    r->correct_top5 += above < TOP;
    if (r->confusion) r->confusion[label * r->classes + best]++;
    r->error[i] = class_loss(m, row, label);
    m->s->truth[i] = (int32_t)label;
    m->s->above[i] = (int32_t)above;
    m->s->confidence[i] = (float)confidence(m, row, best);
}

static void add_labels(skv_metrics *m, size_t i, const float *row, const float *target) {
    const float from = skv_output_threshold(m->head->kind);
    bool all = true;
    double loss = 0;
    uint8_t *decisions = m->s->decisions + (int64_t)i * m->s->targets;
    for (int64_t k = 0; k < m->s->targets; k++) {
        const bool said = row[k] >= from, is = target[k] >= 0.5f;
        decisions[k] = (uint8_t)(said + 2 * is);
        all = all && said == is;
        loss += binary_loss(m, (double)row[k], (double)target[k]);
    }
    m->r->hit[i] = all;
    m->r->correct += all;
    m->r->error[i] = loss / (double)m->s->targets;
}

/* Sums are counted from the first target: numbers far from zero would lose their variance. */
static void add_values(skv_metrics *m, size_t i, const float *row, const float *target, bool first) {
    double sum = 0, absolute = 0, product = 0, squares[2] = {0, 0};
    skv_scored *s = m->s;
    for (int64_t k = 0; k < s->targets; k++) {
        const double t = (double)target[k], x = (double)row[k], d = x - t;
        if (first) s->first[k] = t;
        const double from_first = t - s->first[k];
        s->sums[0][k] += from_first;
        s->sums[1][k] += from_first * from_first;
        s->sums[2][k] += d * d;
        s->sums[3][k] += fabs(d);
        sum += d * d;
        absolute += fabs(d);
        product += x * t;
        squares[0] += x * x;
        squares[1] += t * t;
    }
    if (s->wanted) memcpy(s->wanted + (int64_t)i * s->targets, target, (size_t)s->targets * sizeof *target);
    m->squares += sum;
    m->r->error[i] = sum / (double)s->targets;
    s->absolute[i] = absolute / (double)s->targets;
    s->cosine[i] = squares[0] > 0 && squares[1] > 0 ? product / sqrt(squares[0] * squares[1]) : (double)NAN;
}

void skv_metrics_add(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target) {
    skive_eval_report *r = m->r;
    if ((int64_t)i < r->n_kept) memcpy(r->kept + (int64_t)i * r->scores, row, (size_t)r->scores * sizeof *row);
    if (m->s->rows) memcpy(m->s->rows + (int64_t)i * r->scores, row, (size_t)r->scores * sizeof *row);
    const skv_task_count *other = counted_by(m);
    check_shares(m, i, row);
    if (other) {
        other->add(m, i, row, label, target);
    } else if (r->task == SKIVE_TASK_VALUES) {
        add_values(m, i, row, target, r->measured == 0);
    } else if (r->task == SKIVE_TASK_LABELS) {
        add_labels(m, i, row, target);
    } else {
        for (int64_t c = 1; target && c < m->scores; c++) {
            if (target[c] > target[label]) label = c;
        }
        add_class(m, i, row, label);
    }
    r->measured++;
}

const char *skv_metrics_text(const skv_metrics *m, int64_t seen, char *buffer, size_t size) {
    const double n = seen > 0 ? (double)seen : 1;
    if (counted_by(m))
        snprintf(buffer, size, "%lld samples", (long long)seen);
    else if (m->r->task == SKIVE_TASK_VALUES)
        snprintf(buffer, size, "rmse %.4g", sqrt(m->squares / n / (double)m->r->targets));
    else
        snprintf(buffer, size, "%s %.2f %%", m->r->task == SKIVE_TASK_LABELS ? "all labels right" : "accuracy",
                 100.0 * (double)m->r->correct / n);
    return buffer;
}

/* ---- finish ---- */

/* Precision, recall and F1 of each class or label. */
static skive_status finish_counts(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const int64_t k = r->task == SKIVE_TASK_LABELS ? r->targets : r->classes;
    double *counts = NULL;
    SKV_TRY(skv_alloc_array(m->ctx, 3 * (size_t)k + 1, sizeof *counts, &counts));
    double *right = counts, *said = counts + k, *is = counts + 2 * k;
    skv_scored_counts(m->s, NULL, right, said, is);
    m->s->classes_seen = 0;
    for (int64_t c = 0; c < k; c++) {
        r->precision[c] = said[c] > 0 ? right[c] / said[c] : (double)NAN;
        r->recall[c] = is[c] > 0 ? right[c] / is[c] : (double)NAN;
        r->f1[c] = skv_f1(right[c], said[c], is[c]);
        m->s->classes_seen += is[c] > 0;
    }
    skv_free(m->ctx, counts);
    return SKIVE_OK;
}

static void finish_values(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const double n = r->n > 0 ? (double)r->n : 1;
    double *const *sums = m->s->sums;
    for (int64_t t = 0; t < r->targets; t++) {
        const double variation = sums[1][t] - sums[0][t] * sums[0][t] / n;
        r->target_rmse[t] = sqrt(sums[2][t] / n);
        r->target_mae[t] = sums[3][t] / n;
        r->target_r2[t] = variation > 0 ? 1 - sums[2][t] / variation : (double)NAN;
    }
}

skive_status skv_metrics_finish(skv_metrics *m) {
    skive_eval_report *r = m->r;
    r->samples_per_second = r->seconds > 0 ? (r->n ? (double)r->n : 1) / r->seconds : 0;
    if (m->no_shares > 0)
        skv_note(
            m->ctx,
            "the output '%s' is taken for %s, but %lld sample%s %s numbers that are none (%g of sample %zu): figures "
            "made of them, such as cross-entropy and calibration error, mean nothing; --output-kind says what it is",
            m->head->value->name,
            m->head->kind == SKIVE_OUTPUT_LOG_PROBABILITIES ? "logarithms of probabilities" : "probabilities",
            (long long)m->no_shares, m->no_shares == 1 ? "" : "s", m->no_shares == 1 ? "has" : "have", m->no_share,
            m->first_no_share);
    else if (m->zeros > 0)
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
    const skv_task_count *other = counted_by(m);
    if (other) SKV_TRY(other->finish(m));
    if (r->task == SKIVE_TASK_VALUES)
        finish_values(m);
    else if (!other || r->task == SKIVE_TASK_PLACES)
        SKV_TRY(finish_counts(m));
    SKV_TRY(skv_figures_make(m->ctx, r, m->all, m->named));
    if (m->s->ranks) r->map = skv_mean_area(m->s, NULL, true); /* the figure may be that of one class */
    if (r->task == SKIVE_TASK_VALUES) {
        r->loss = r->mse;
        return SKIVE_OK;
    }
    if (r->task == SKIVE_TASK_BOXES || r->task == SKIVE_TASK_PLACES) return SKIVE_OK;
    skv_wilson(r->correct, r->n, &r->low, &r->high);
    if (r->task == SKIVE_TASK_CLASSES || r->task == SKIVE_TASK_BINARY) r->f1_micro = r->accuracy;
    for (int64_t k = 0; r->average_precision && k < r->targets; k++) {
        double auc = NAN;
        r->average_precision[k] = NAN;
        if (m->s->ranks) skv_ranks_areas(&m->s->ranks[k], r->n, NULL, &auc, &r->average_precision[k]);
    }
    return SKIVE_OK;
}
