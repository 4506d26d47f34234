/* Labels of places (pixels of a picture, steps of a series): what is said and true of each class, sample by sample.
 * Scores are [n][classes][places] or [n][places][classes]; places of label -1 do not count. */
#include <math.h>
#include <string.h>

#include "train/metrics.h"

enum { MOST_IN_CONFUSION = 4096 };

static skive_status start(skv_metrics *m) {
    skv_scored *s = m->s;
    skive_eval_report *r = m->r;
    const size_t k = (size_t)m->width, n = (size_t)s->n + 1;
    size_t counts;
    if (!skv_mul_size(3 * k, n, &counts))
        return SKV_FAIL(m->ctx, SKIVE_ERR_MEMORY, "too many classes to count in each sample");
    r->classes = s->classes = s->columns = m->width;
    if (k <= MOST_IN_CONFUSION) SKV_TRY(skv_alloc_array(m->ctx, k * k, sizeof *r->confusion, &r->confusion));
    return skv_alloc_array(m->ctx, counts, sizeof *s->places, &s->places);
}

/* -log p of the true class, from what the output is. */
static double loss_of(skv_metrics *m, const float *row, int64_t step, int64_t label) {
    double most = -INFINITY, sum = 0;
    const double x = (double)row[label * step];
    if (m->head->kind == SKIVE_OUTPUT_LOG_PROBABILITIES) return -x;
    if (m->head->kind == SKIVE_OUTPUT_PROBABILITIES) {
        m->zeros += !(x > 0);
        return -log(x > 0 ? x : 1e-7);
    }
    for (int64_t c = 0; c < m->width; c++) most = (double)row[c * step] > most ? (double)row[c * step] : most;
    for (int64_t c = 0; c < m->width; c++) sum += exp((double)row[c * step] - most);
    return most + log(sum) - x;
}

static void add(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target) {
    skive_eval_report *r = m->r;
    const int64_t k = m->width, places = m->s->scores / k, step = m->classes_last ? 1 : places;
    int64_t *counts = m->s->places + (int64_t)i * 3 * k, n = 0;
    double loss = 0;
    (void)label;
    (void)target;
    for (int64_t p = 0; p < places; p++) {
        const int64_t is = m->labels[p];
        const float *at = row + (m->classes_last ? p * k : p);
        int64_t best = 0;
        if (is < 0 || is >= k) continue;
        for (int64_t c = 1; c < k; c++) best = at[c * step] > at[best * step] ? c : best;
        counts[is] += best == is;
        counts[k + best]++;
        counts[2 * k + is]++;
        if (r->confusion) r->confusion[is * k + best]++;
        loss += loss_of(m, at, step, is);
        n++;
    }
    r->error[i] = n > 0 ? loss : (double)NAN;
}

/* The loss is the mean over places, as in training: a sample's part of it is its sum in mean numbers of places. */
static skive_status finish(skv_metrics *m) {
    skive_eval_report *r = m->r;
    const int64_t k = m->width;
    double places = 0, samples = 0;
    for (int64_t i = 0; i < m->s->n; i++) {
        const int64_t *is = m->s->places + i * 3 * k + 2 * k;
        double n = 0;
        for (int64_t c = 0; c < k; c++) n += (double)is[c];
        places += n;
        samples += n > 0;
    }
    for (int64_t i = 0; places > 0 && i < m->s->n; i++) r->error[i] *= samples / places;
    return SKIVE_OK;
}

const skv_task_count skv_count_places = {start, add, finish};
