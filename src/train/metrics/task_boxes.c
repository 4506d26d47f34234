/* Boxes: which detections find a true box. Within a sample and a class, detections choose in falling order of their
 * scores; each takes the free true box with the highest intersection over union, if that is at least the threshold. At
 * most 100 detections a sample count, those with the highest scores (COCO). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/metrics.h"

enum { DETECTION = 6, TRUTH = 5, MOST = 100, RECALLS = 101 };

void skv_boxes_free(skive_context *ctx, skv_boxes *b) {
    if (!b) return;
    skv_free(ctx, b->detections);
    skv_free(ctx, b->truths);
    skv_free(ctx, b->first);
    skv_free(ctx, b->first_truth);
    skv_free(ctx, b);
}

static skive_status start(skv_metrics *m) {
    skv_scored *s = m->s;
    const size_t said = (size_t)(s->scores / DETECTION), is = (size_t)(m->targets->size / TRUTH), n = (size_t)s->n;
    size_t all_said, all_is;
    if (!skv_mul_size(n, said, &all_said) || !skv_mul_size(n, is, &all_is))
        return SKV_FAIL(m->ctx, SKIVE_ERR_MEMORY, "too many boxes to compare");
    SKV_TRY(skv_alloc_array(m->ctx, 1, sizeof *s->boxes, &s->boxes));
    SKV_TRY(skv_alloc_array(m->ctx, all_said + 1, sizeof *s->boxes->detections, &s->boxes->detections));
    SKV_TRY(skv_alloc_array(m->ctx, all_is + 1, sizeof *s->boxes->truths, &s->boxes->truths));
    return skv_alloc_array(m->ctx, said + is + 1, sizeof *m->room, &m->room);
}

static double overlap(const float *a, const float *b) {
    const double w = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    const double h = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    const double both = w > 0 && h > 0 ? w * h : 0;
    const double all = ((double)a[2] - (double)a[0]) * ((double)a[3] - (double)a[1]) +
                       ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]) - both;
    return all > 0 ? both / all : 0;
}

/* The detections of a sample in falling order of their scores, equal ones as they come. Returns how many count. */
static int64_t in_order(const float *row, int64_t n, uint32_t *order) {
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        if (row[i * DETECTION + 5] < 0) continue;
        int64_t at = k++;
        while (at > 0 && row[order[at - 1] * DETECTION + 4] < row[i * DETECTION + 4]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = (uint32_t)i;
    }
    return k < MOST ? k : MOST;
}

static void match(const float *row, const uint32_t *order, int64_t n, const float *target, int64_t truths,
                  int threshold, uint32_t *taken, skv_detection *out) {
    const double least = 0.5 + 0.05 * threshold - 1e-10;
    for (int64_t i = 0; i < n; i++) {
        const float *d = row + order[i] * DETECTION;
        int64_t best = -1;
        double most = least;
        for (int64_t k = 0; k < truths; k++) {
            const float *t = target + k * TRUTH;
            if (t[4] < 0 || t[4] != d[5] || (taken[k] & 1u << threshold)) continue;
            const double o = overlap(d, t);
            if (o < most) continue;
            most = o;
            best = k;
        }
        if (best < 0) continue;
        taken[best] |= 1u << threshold;
        out[i].matches |= 1u << threshold;
    }
}

static void add(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target) {
    skv_boxes *b = m->s->boxes;
    const int64_t said = m->s->scores / DETECTION, truths = m->targets->size / TRUTH;
    uint32_t *order = (uint32_t *)m->room, *taken = order + said;
    const int64_t n = in_order(row, said, order);
    skv_detection *out = b->detections + b->n_detections;
    (void)label;
    memset(taken, 0, (size_t)truths * sizeof *taken);
    for (int64_t k = 0; k < n; k++) {
        const float *d = row + order[k] * DETECTION;
        out[k] = (skv_detection){.score = (double)d[4], .sample = (uint32_t)i, .class = (int32_t)d[5]};
        if (d[5] >= (float)b->classes) b->classes = (int64_t)d[5] + 1;
    }
    for (int64_t k = 0; k < truths; k++) {
        const float class = target[k * TRUTH + 4];
        if (class < 0) continue;
        b->truths[b->n_truths++] = (skv_true_box){(uint32_t)i, (int32_t) class};
        if (class >= (float)b->classes) b->classes = (int64_t) class + 1;
    }
    for (int t = 0; t < SKV_BOX_THRESHOLDS; t++) match(row, order, n, target, truths, t, taken, out);
    b->n_detections += n;
    m->r->error[i] = NAN;
}

static int by_class_and_score(const void *a, const void *b) {
    const skv_detection *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int by_class(const void *a, const void *b) {
    const skv_true_box *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static skive_status finish(skv_metrics *m) {
    skv_boxes *b = m->s->boxes;
    skv_free(m->ctx, m->room);
    m->room = NULL;
    if (b->classes > 1 << 20)
        return skv_fail_at(m->ctx, SKIVE_ERR_DATA, m->targets->info.spec,
                           "a box of class %lld; the last that can be "
                           "counted is %d",
                           (long long)b->classes - 1, (1 << 20) - 1);
    qsort(b->detections, (size_t)b->n_detections, sizeof *b->detections, by_class_and_score);
    qsort(b->truths, (size_t)b->n_truths, sizeof *b->truths, by_class);
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)b->classes + 2, sizeof *b->first, &b->first));
    SKV_TRY(skv_alloc_array(m->ctx, (size_t)b->classes + 2, sizeof *b->first_truth, &b->first_truth));
    for (int64_t i = 0; i < b->n_detections; i++) b->first[b->detections[i].class + 1]++;
    for (int64_t i = 0; i < b->n_truths; i++) b->first_truth[b->truths[i].class + 1]++;
    for (int64_t c = 0; c < b->classes; c++) {
        b->first[c + 1] += b->first[c];
        b->first_truth[c + 1] += b->first_truth[c];
    }
    return SKIVE_OK;
}

/* Precision at the recalls 0, 0.01 ... 1: the highest at that recall or a higher one. Walked from the last detection
 * back, so that the highest so far is what counts. */
static double average_precision(const skv_boxes *b, int64_t class, const uint32_t *weight, int threshold,
                                double truths) {
    const skv_detection *d = b->detections;
    double right = 0, said = 0, highest = 0, sum = 0;
    int next = RECALLS - 1; /* the recall that is looked for */
    for (int64_t i = b->first[class]; i < b->first[class + 1]; i++) {
        const double w = skv_weight_of(weight, d[i].sample);
        said += w;
        right += d[i].matches & 1u << threshold ? w : 0;
    }
    for (int64_t i = b->first[class + 1]; i-- > b->first[class];) {
        const double w = skv_weight_of(weight, d[i].sample);
        const bool hit = d[i].matches & 1u << threshold;
        if (w == 0) continue;
        const double precision = right / said, before = hit ? right - w : right;
        /* Recalls that only a later detection reaches have precision 0, or what was found there. */
        while (next >= 0 && next / 100.0 > right / truths + 1e-12) next--;
        highest = precision > highest ? precision : highest;
        for (; next >= 0 && next / 100.0 > before / truths + 1e-12; next--) sum += highest;
        right = before;
        said -= w;
    }
    for (; next >= 0 && b->first[class] < b->first[class + 1]; next--) sum += highest;
    return sum / RECALLS;
}

double skv_boxes_map(const skv_scored *s, const uint32_t *weight, int first, int n) {
    const skv_boxes *b = s->boxes;
    double sum = 0, classes = 0;
    for (int64_t c = 0; c < b->classes; c++) {
        double truths = 0;
        for (int64_t i = b->first_truth[c]; i < b->first_truth[c + 1]; i++)
            truths += skv_weight_of(weight, b->truths[i].sample);
        if (truths == 0) continue;
        for (int t = first; t < first + n; t++) sum += average_precision(b, c, weight, t, truths) / n;
        classes++;
    }
    return classes > 0 ? sum / classes : (double)NAN;
}

const skv_task_count skv_count_boxes = {start, add, finish};
