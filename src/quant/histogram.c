/* The streaming histogram. */
#include <math.h>
#include <string.h>

#include "quant/quant.h"
#include "quant/scan.h"

enum { BINS = SKV_HISTOGRAM_BINS, CHUNK = 1024, TABLES = 4, LEAST = -100 };

skive_status skv_histogram_create(skive_context *ctx, bool with_bins, skv_histogram *h) {
    *h = (skv_histogram){0};
    return with_bins ? skv_alloc_array(ctx, BINS, sizeof *h->bins, &h->bins) : SKIVE_OK;
}

void skv_histogram_free(skive_context *ctx, skv_histogram *h) {
    skv_free(ctx, h->bins);
    *h = (skv_histogram){0};
}

double skv_histogram_center(const skv_histogram *h, int64_t bin) {
    return ((double)bin + 0.5) * (2 * h->reach / BINS) - h->reach;
}

/* Doubles the reach: the old bins shrink to the middle half, in pairs. */
static void double_reach(skv_histogram *h) {
    h->reach *= 2;
    if (!h->bins) return;
    uint64_t merged[BINS / 2];
    for (int i = 0; i < BINS / 2; i++) merged[i] = h->bins[2 * i] + h->bins[2 * i + 1];
    memset(h->bins, 0, BINS * sizeof *h->bins);
    memcpy(h->bins + BINS / 4, merged, sizeof merged);
}

static void reach_out(skv_histogram *h, double reach) {
    if (reach == 0) return;
    if (h->reach == 0) {
        h->reach = reach;
        if (h->bins && h->count) h->bins[BINS / 2] = h->count; /* what was seen so far is zeros */
    }
    while (h->reach < reach) double_reach(h);
}

/* A power of two above the magnitude: bins of different reach lie whole in each other, and merging is exact. */
static double reach_for(double magnitude) {
    int exponent;
    if (magnitude == 0) return 0;
    (void)frexp(magnitude, &exponent);
    return ldexp(1, exponent < LEAST ? LEAST : exponent);
}

/* Bin numbers are worked out for a chunk at a time, which vectorises; several count tables keep equal neighbours (half of
 * what comes out of a ReLU is zero) from waiting for each other. */
static void count(skv_histogram *h, const skv_scan *scan, const float *x, size_t n) {
    const float scale = (float)(BINS / (2 * h->reach));
    uint32_t tables[TABLES][BINS];
    int32_t at[CHUNK];
    memset(tables, 0, sizeof tables);
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t m = n - first < CHUNK ? n - first : CHUNK;
        scan->bins(x + first, m, scale, BINS / 2, at);
        size_t i = 0;
        for (; i + TABLES <= m; i += TABLES) {
            for (size_t t = 0; t < TABLES; t++) tables[t][at[i + t]]++;
        }
        for (; i < m; i++) tables[0][at[i]]++;
    }
    for (int b = 0; b < BINS; b++) {
        for (int t = 0; t < TABLES; t++) h->bins[b] += tables[t][b];
    }
}

void skv_histogram_forget_zeros(skv_histogram *h, size_t zeros) {
    h->count -= zeros;
    if (h->bins && h->reach > 0) h->bins[BINS / 2] -= zeros;
}

bool skv_histogram_add(skv_histogram *h, const float *x, size_t n, size_t padding) {
    const skv_scan *scan = skv_scan_of(skv_cpu_isa());
    float low, high;
    if (n == 0) return true;
    if (!scan->range(x, n, &low, &high)) return false;
    h->low = h->any ? fmin(h->low, (double)low) : (double)low;
    h->high = h->any ? fmax(h->high, (double)high) : (double)high;
    h->any = true;
    reach_out(h, reach_for(fmax(fabs((double)low), fabs((double)high))));
    for (size_t first = 0; h->bins && h->reach > 0 && first < n; first += UINT32_MAX / 2) {
        const size_t left = n - first;
        count(h, scan, x + first, left < UINT32_MAX / 2 ? left : UINT32_MAX / 2);
    }
    h->count += n;
    skv_histogram_forget_zeros(h, padding);
    return true;
}

void skv_histogram_merge(skv_histogram *h, const skv_histogram *other) {
    if (!other->any) return;
    h->low = h->any ? fmin(h->low, other->low) : other->low;
    h->high = h->any ? fmax(h->high, other->high) : other->high;
    h->any = true;
    reach_out(h, other->reach);
    if (h->bins && h->reach > 0) {
        int64_t ratio = (int64_t)(other->reach > 0 ? h->reach / other->reach : 0);
        for (int64_t b = 0; b < BINS; b++) {
            /* A bin of a histogram of smaller reach lies whole in one of ours. */
            const int64_t to = ratio ? BINS / 2 + (b - BINS / 2 - (b < BINS / 2 ? ratio - 1 : 0)) / ratio : BINS / 2;
            h->bins[to] += ratio ? other->bins[b] : 0;
        }
        if (!ratio) h->bins[BINS / 2] += other->count;
    }
    h->count += other->count;
}

double skv_histogram_error(const skv_histogram *h, double low, double high, int levels) {
    const double step = (high - low) / (levels - 1);
    double sum = 0;
    if (!(step > 0) || h->count == 0) return 0;
    for (int64_t b = 0; b < BINS; b++) {
        if (h->bins[b] == 0) continue;
        const double x = skv_histogram_center(h, b);
        const double inside = x < low ? low : x > high ? high : x;
        const double error = low + step * rint((inside - low) / step) - x;
        sum += error * error * (double)h->bins[b];
    }
    return sum / (double)h->count;
}

double skv_histogram_power(const skv_histogram *h) {
    double sum = 0;
    for (int64_t b = 0; h->bins && b < BINS; b++) {
        const double x = skv_histogram_center(h, b);
        sum += x * x * (double)h->bins[b];
    }
    return h->count ? sum / (double)h->count : 0;
}
