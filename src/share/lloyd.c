/* Lloyd's algorithm in one dimension. Clusters are runs of the sorted values; their ends are found by search and their
 * means by prefix sums, so an iteration takes O(k log n). */
#include <stdlib.h>
#include <string.h>

#include "share/share.h"

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double skv_clusters_cost(const skv_sorted *s, const size_t *start, size_t k) {
    double cost = 0;
    for (size_t c = 0; c < k; c++) cost += skv_run_cost(s, start[c], start[c + 1]);
    return cost;
}

/* The position at which cluster `c`, of two values or more, is split: at its mean. */
static size_t middle_of(const skv_sorted *s, const size_t *start, size_t c) {
    const size_t cut = skv_sorted_above(s, skv_run_mean(s, start[c], start[c + 1]));
    if (cut <= start[c]) return start[c] + 1;
    return cut >= start[c + 1] ? start[c + 1] - 1 : cut;
}

/* The cluster with the largest squared error among those that can be split; k if none can. */
static size_t dearest(const skv_sorted *s, const size_t *start, size_t k) {
    size_t best = k;
    double most = -1;
    for (size_t c = 0; c < k; c++) {
        const double cost = start[c + 1] - start[c] > 1 ? skv_run_cost(s, start[c], start[c + 1]) : -1;
        if (cost > most) {
            most = cost;
            best = c;
        }
    }
    return best;
}

/* Empty clusters are removed, and for each the one with the largest error is split. There are at least k values. */
static void fill_empty(const skv_sorted *s, size_t *start, size_t k) {
    size_t kept = 0;
    for (size_t c = 0; c < k; c++) {
        if (start[c + 1] > start[c]) start[kept++] = start[c];
    }
    start[kept] = s->n;
    for (; kept < k; kept++) {
        const size_t c = dearest(s, start, kept), cut = middle_of(s, start, c);
        memmove(&start[c + 2], &start[c + 1], (kept - c) * sizeof *start);
        start[c + 1] = cut;
    }
}

/* A value half-way between two centroids belongs to the lower one. */
static void assign(const skv_sorted *s, const double *centroids, size_t k, size_t *start) {
    start[0] = 0;
    for (size_t c = 1; c < k; c++) {
        start[c] = skv_sorted_above(s, centroids[c - 1] / 2 + centroids[c] / 2);
        if (start[c] < start[c - 1]) start[c] = start[c - 1];
    }
    start[k] = s->n;
    fill_empty(s, start, k);
}

/* Rounding must not move a mean out of its run: the mean of a cluster of one value is that value. */
static float centroid_of(const skv_sorted *s, size_t from, size_t to) {
    const float mean = (float)skv_run_mean(s, from, to);
    if (mean < s->value[from]) return s->value[from];
    return mean > s->value[to - 1] ? s->value[to - 1] : mean;
}

void skv_lloyd(const skv_sorted *s, size_t k, double *centroids, int max_iterations, skv_clusters *out) {
    size_t next[SKV_SHARE_MAX_ENTRIES + 1];
    qsort(centroids, k, sizeof *centroids, by_value);
    out->k = k;
    assign(s, centroids, k, out->start);
    for (out->iterations = 1; out->iterations < max_iterations; out->iterations++) {
        for (size_t c = 0; c < k; c++) centroids[c] = skv_run_mean(s, out->start[c], out->start[c + 1]);
        assign(s, centroids, k, next);
        if (memcmp(next, out->start, (k + 1) * sizeof *next) == 0) break;
        memcpy(out->start, next, (k + 1) * sizeof *next);
    }
    for (size_t c = 0; c < k; c++) out->centroid[c] = centroid_of(s, out->start[c], out->start[c + 1]);
}
