/* Random: k-means++ (Arthur & Vassilvitskii 2007). Each centroid is a weight drawn with a probability that grows with
 * the square of its distance from the nearest centroid so far. On sorted values those squares have a closed-form sum,
 * so a draw is two searches and not a pass over all weights. */
#include <string.h>

#include "share/share.h"

/* Values from .. to-1 are nearest to `at`. */
typedef struct cell {
    double at;
    size_t from, to;
} cell;

static double weight_until(const skv_sorted *s, const cell *c, size_t to) {
    const double n = s->count[to] - s->count[c->from], d = c->at - s->shift;
    const double w = s->square[to] - s->square[c->from] - 2 * d * (s->sum[to] - s->sum[c->from]) + n * d * d;
    return w > 0 ? w : 0;
}

/* The value in the cell at which the squares from its left reach `target`. */
static size_t reach(const skv_sorted *s, const cell *c, double target) {
    size_t low = c->from, high = c->to - 1;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (weight_until(s, c, middle + 1) > target)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static size_t draw(const skv_sorted *s, const cell *cells, size_t n, double u) {
    double total = 0, before = 0;
    size_t last = 0;
    for (size_t c = 0; c < n; c++) total += weight_until(s, &cells[c], cells[c].to);
    for (size_t c = 0; c < n; c++) {
        const double w = weight_until(s, &cells[c], cells[c].to);
        if (w > 0 && before + w > u * total) return reach(s, &cells[c], u * total - before);
        if (w > 0) last = c;
        before += w;
    }
    return cells[last].to - 1;
}

/* The cells about `cells[0..n)`.at, ascending. */
static void divide(const skv_sorted *s, cell *cells, size_t n) {
    for (size_t c = 0; c < n; c++) {
        cells[c].from = c ? cells[c - 1].to : 0;
        cells[c].to = c + 1 < n ? skv_sorted_above(s, cells[c].at / 2 + cells[c + 1].at / 2) : s->n;
    }
}

static void insert(cell *cells, size_t n, double at) {
    size_t i = n;
    for (; i > 0 && cells[i - 1].at > at; i--) cells[i] = cells[i - 1];
    cells[i].at = at;
}

static skive_status place(skive_context *ctx, const skv_sorted *s, size_t k, uint64_t seed, double *centroids) {
    cell *cells = NULL;
    const uint64_t stream = 0x6b6d65616e73; /* "kmeans" */
    SKV_TRY(skv_alloc_array(ctx, k, sizeof *cells, &cells));
    /* The first centroid: any weight, with equal probability. */
    const double rank = skv_rng_uniform(seed, stream, 0) * s->count[s->n];
    insert(cells, 0, (double)s->value[skv_sorted_at_rank(s, rank)]);
    for (size_t n = 1; n < k; n++) {
        divide(s, cells, n);
        insert(cells, n, (double)s->value[draw(s, cells, n, skv_rng_uniform(seed, stream, n))]);
    }
    for (size_t c = 0; c < k; c++) centroids[c] = cells[c].at;
    skv_free(ctx, cells);
    return SKIVE_OK;
}

const skv_share_init skv_share_init_random = {
    .name = "random",
    .brief = "k-means++: weights drawn by their squared distance to those already drawn",
    .place = place};
