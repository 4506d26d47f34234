/* The optimal clustering in one dimension, by dynamic programming over the sorted values (Wang & Song, Ckmeans.1d.dp,
 * 2011; Gronlund et al. 2017). With c clusters over the first j values, the start of the last cluster never decreases
 * as j or c grows; so a row is filled by divide and conquer in O(n log n), each half within the bounds given by the
 * middle. */
#include <string.h>

#include "share/share.h"

typedef struct table {
    const skv_sorted *s;
    const double *before;     /* [n + 1] minimum cost of the first j values with one cluster fewer */
    double *cost;             /* [n + 1] this row */
    const uint32_t *at_least; /* [n + 1] start of the last cluster with one cluster fewer; NULL: 0 */
    uint32_t *start;          /* [n + 1] start of the last cluster now */
    size_t clusters;
} table;

/* Fills j = from .. to, with last clusters that start in low .. high. */
static void fill(const table *t, size_t from, size_t to, size_t low, size_t high) {
    const size_t j = from + (to - from) / 2;
    size_t first = low > t->clusters - 1 ? low : t->clusters - 1, best;
    const size_t last = high < j - 1 ? high : j - 1;
    if (t->at_least && t->at_least[j] > first) first = t->at_least[j];
    if (first > last) first = last;
    best = first;
    double least = t->before[first] + skv_run_cost(t->s, first, j);
    for (size_t i = first + 1; i <= last; i++) {
        const double cost = t->before[i] + skv_run_cost(t->s, i, j);
        if (cost < least) {
            least = cost;
            best = i;
        }
    }
    t->cost[j] = least;
    t->start[j] = (uint32_t)best;
    if (j > from) fill(t, from, j - 1, low, best);
    if (j < to) fill(t, j + 1, to, best, high);
}

skive_status skv_exact_clusters(skive_context *ctx, const skv_sorted *s, size_t k, size_t *start) {
    double *cost[2] = {NULL, NULL};
    uint32_t *starts = NULL; /* [k - 1][n + 1], from two clusters on */
    size_t cells = 0;
    const size_t width = s->n + 1;
    skive_status status;
    if (s->n > UINT32_MAX || !skv_mul_size(k - 1, width, &cells))
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "the exact clustering of %zu values into %zu is too large", s->n, k);
    SKV_GO(status, done, skv_alloc_array(ctx, width, sizeof *cost[0], &cost[0]));
    SKV_GO(status, done, skv_alloc_array(ctx, width, sizeof *cost[1], &cost[1]));
    SKV_GO(status, done, skv_alloc_array(ctx, cells, sizeof *starts, &starts));
    for (size_t j = 1; j < width; j++) cost[0][j] = skv_run_cost(s, 0, j);
    for (size_t c = 2; c <= k; c++) {
        const table t = {.s = s,
                         .before = cost[c % 2],
                         .cost = cost[(c + 1) % 2],
                         .at_least = c > 2 ? starts + (c - 3) * width : NULL,
                         .start = starts + (c - 2) * width,
                         .clusters = c};
        fill(&t, c, s->n, 0, s->n - 1);
        SKV_GO(status, done, skv_check_interrupt(ctx));
    }
    start[k] = s->n;
    for (size_t c = k; c > 1; c--) start[c - 1] = starts[(c - 2) * width + start[c]];
    start[0] = 0;
done:
    skv_free(ctx, cost[0]);
    skv_free(ctx, cost[1]);
    skv_free(ctx, starts);
    return status;
}
