/* What the records of figures share: counts of decisions, and samples in the order of their scores. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/metric.h"

void skv_scored_free(skive_context *ctx, skv_scored *s) {
    if (!s) return;
    skv_free(ctx, s->truth);
    skv_free(ctx, s->above);
    skv_free(ctx, s->confidence);
    skv_free(ctx, s->decisions);
    skv_free(ctx, s->absolute);
    skv_free(ctx, s->cosine);
    skv_free(ctx, s->rows);
    skv_free(ctx, s->wanted);
    skv_free(ctx, s->first);
    for (int i = 0; i < 4; i++) skv_free(ctx, s->sums[i]);
    for (int64_t k = 0; s->ranks && k < s->columns; k++) {
        skv_free(ctx, s->ranks[k].order);
        skv_free(ctx, s->ranks[k].opens);
        skv_free(ctx, s->ranks[k].truth);
    }
    skv_free(ctx, s->ranks);
    skv_free(ctx, s->distance);
    skv_free(ctx, s->length);
    skv_free(ctx, s->places);
    skv_boxes_free(ctx, s->boxes);
    skv_free(ctx, s->choices);
    skv_free(ctx, s);
}

/* ---- counts ---- */

static void count_labels(const skv_scored *s, const uint32_t *weight, double *right, double *said, double *is) {
    for (int64_t i = 0; i < s->n; i++) {
        const double w = skv_weight_of(weight, i);
        const uint8_t *decisions = s->decisions + i * s->targets;
        if (w == 0) continue;
        for (int64_t k = 0; k < s->targets; k++) {
            right[k] += decisions[k] == 3 ? w : 0;
            said[k] += decisions[k] & 1 ? w : 0;
            is[k] += decisions[k] & 2 ? w : 0;
        }
    }
}

static void count_places(const skv_scored *s, const uint32_t *weight, double *right, double *said, double *is) {
    for (int64_t i = 0; i < s->n; i++) {
        const double w = skv_weight_of(weight, i);
        const int64_t *counts = s->places + i * 3 * s->classes;
        for (int64_t c = 0; c < s->classes && w > 0; c++) {
            right[c] += w * (double)counts[c];
            said[c] += w * (double)counts[s->classes + c];
            is[c] += w * (double)counts[2 * s->classes + c];
        }
    }
}

void skv_scored_counts(const skv_scored *s, const uint32_t *weight, double *right, double *said, double *is) {
    const size_t k = (size_t)(s->task == SKIVE_TASK_LABELS ? s->targets : s->classes);
    memset(right, 0, k * sizeof *right);
    memset(said, 0, k * sizeof *said);
    memset(is, 0, k * sizeof *is);
    if (s->task == SKIVE_TASK_LABELS) {
        count_labels(s, weight, right, said, is);
        return;
    }
    if (s->task == SKIVE_TASK_PLACES) {
        count_places(s, weight, right, said, is);
        return;
    }
    for (int64_t i = 0; i < s->n; i++) {
        const double w = skv_weight_of(weight, i);
        said[s->predicted[i]] += w;
        is[s->truth[i]] += w;
        if (s->predicted[i] == s->truth[i]) right[s->truth[i]] += w;
    }
}

/* ---- ranks ---- */

typedef struct ranked {
    double score;
    uint32_t sample;
} ranked;

static int falling(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->sample < y->sample ? -1 : 1;
}

/* log(sum(exp(row))), which makes logits of one sample comparable with those of another. */
static double log_sum(const float *row, int64_t k) {
    double top = (double)row[0], sum = 0;
    for (int64_t c = 1; c < k; c++) top = (double)row[c] > top ? (double)row[c] : top;
    if (isinf(top)) return top;
    for (int64_t c = 0; c < k; c++) sum += exp((double)row[c] - top);
    return top + log(sum);
}

static double score_of(const skv_scored *s, const double *logs, int64_t i, int64_t column) {
    const float *row = s->rows + i * s->scores;
    if (s->task != SKIVE_TASK_CLASSES) return (double)row[column];
    if (s->columns == 1) return (double)row[1] - (double)row[0];
    if (!logs) return (double)row[column];
    if (isinf(logs[i])) return (double)row[column] == logs[i] ? 0 : -INFINITY;
    return (double)row[column] - logs[i];
}

static bool is_true(const skv_scored *s, int64_t i, int64_t column) {
    if (s->task == SKIVE_TASK_LABELS) return s->decisions[i * s->targets + column] & 2;
    return s->truth[i] == (s->columns == 1 ? 1 : column);
}

static void sort_column(skv_scored *s, const double *logs, int64_t column, ranked *r) {
    const skv_ranks *to = &s->ranks[column];
    for (int64_t i = 0; i < s->n; i++) r[i] = (ranked){score_of(s, logs, i, column), (uint32_t)i};
    qsort(r, (size_t)s->n, sizeof *r, falling);
    for (int64_t i = 0; i < s->n; i++) {
        to->order[i] = r[i].sample;
        to->opens[i] = i == 0 || r[i].score != r[i - 1].score;
        to->truth[i] = is_true(s, r[i].sample, column);
    }
}

static skive_status rank(skive_context *ctx, skv_scored *s, ranked **room, double **logs) {
    const size_t n = (size_t)s->n + 1;
    const int threads = skv_threads(ctx) < s->columns ? skv_threads(ctx) : (int)s->columns;
    SKV_TRY(skv_alloc_array(ctx, (size_t)s->columns + 1, sizeof *s->ranks, &s->ranks));
    for (int64_t k = 0; k < s->columns; k++) {
        SKV_TRY(skv_alloc_array(ctx, n, sizeof *s->ranks[k].order, &s->ranks[k].order));
        SKV_TRY(skv_alloc_array(ctx, n, 1, &s->ranks[k].opens));
        SKV_TRY(skv_alloc_array(ctx, n, 1, &s->ranks[k].truth));
    }
    if (s->task == SKIVE_TASK_CLASSES && s->columns > 1 && s->kind == SKIVE_OUTPUT_LOGITS) {
        SKV_TRY(skv_alloc_array(ctx, n, sizeof **logs, logs));
        for (int64_t i = 0; i < s->n; i++) (*logs)[i] = log_sum(s->rows + i * s->scores, s->scores);
    }
    SKV_TRY(skv_alloc_array(ctx, n * (size_t)threads, sizeof **room, room));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++)
        for (int64_t k = t; k < s->columns; k += threads) sort_column(s, *logs, k, *room + n * (size_t)t);
    return SKIVE_OK;
}

skive_status skv_scored_rank(skive_context *ctx, skv_scored *s) {
    ranked *room = NULL;
    double *logs = NULL;
    if (s->ranks || !s->rows || s->n > UINT32_MAX) return SKIVE_OK;
    const skive_status status = rank(ctx, s, &room, &logs);
    skv_free(ctx, room);
    skv_free(ctx, logs);
    return status;
}

void skv_ranks_areas(const skv_ranks *r, int64_t n, const uint32_t *weight, double *auc, double *average_precision) {
    double positives = 0, all = 0, area = 0, precision = 0, found = 0;
    for (int64_t i = 0; i < n;) {
        double here = 0, others = 0;
        do { /* equal scores */
            const double w = skv_weight_of(weight, r->order[i]);
            if (r->truth[i])
                here += w;
            else
                others += w;
            i++;
        } while (i < n && !r->opens[i]);
        area += others * (found + here / 2); /* positives above these negatives, and half of those beside them */
        found += here;
        all += here + others;
        if (here > 0) precision += here * found / all;
    }
    positives = found;
    *average_precision = positives > 0 ? precision / positives : (double)NAN;
    *auc = positives > 0 && all > positives ? area / (positives * (all - positives)) : (double)NAN;
}

double skv_mean_area(const skv_scored *s, const uint32_t *weight, bool precision) {
    double sum = 0, known = 0;
    for (int64_t k = 0; s->ranks && k < s->columns; k++) {
        double auc, ap;
        skv_ranks_areas(&s->ranks[k], s->n, weight, &auc, &ap);
        const double one = precision ? ap : auc;
        if (isnan(one)) continue;
        sum += one;
        known++;
    }
    return known > 0 ? sum / known : (double)NAN;
}
