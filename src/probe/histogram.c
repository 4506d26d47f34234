/* The streaming histogram. */
#include <math.h>
#include <string.h>

#include "probe/histogram.h"
#include "probe/loops.h"

enum { BINS = SKV_HISTOGRAM_BINS, HALF = BINS / 2, PER_OCTAVE = 128, OCTAVES = HALF / PER_OCTAVE };
enum { CHUNK = 1024, TABLES = 4, LEAST = -100 };

size_t skv_histogram_bytes(int bins) {
    const size_t each = BINS * sizeof(uint64_t);
    return sizeof(skv_histogram) + (bins & SKV_BINS_EQUAL ? each : 0) + (bins & SKV_BINS_RELATIVE ? each : 0);
}

skive_status skv_histogram_create(skive_context *ctx, int bins, skv_histogram *h) {
    *h = (skv_histogram){0};
    if (bins & SKV_BINS_EQUAL) SKV_TRY(skv_alloc_array(ctx, BINS, sizeof *h->bins, &h->bins));
    return bins & SKV_BINS_RELATIVE ? skv_alloc_array(ctx, BINS, sizeof *h->relative, &h->relative) : SKIVE_OK;
}

void skv_histogram_free(skive_context *ctx, skv_histogram *h) {
    skv_free(ctx, h->bins);
    skv_free(ctx, h->relative);
    *h = (skv_histogram){0};
}

void skv_histogram_clear(skv_histogram *h) {
    uint64_t *bins = h->bins, *relative = h->relative;
    *h = (skv_histogram){.bins = bins, .relative = relative};
    if (bins) memset(bins, 0, BINS * sizeof *bins);
    if (relative) memset(relative, 0, BINS * sizeof *relative);
}

/* ---- relative bins ---- sign, exponent and the first seven bits of the fraction of a float, from HALF up and down */

static int32_t base_of(double reach) {
    int exponent;
    (void)frexp(reach, &exponent);                      /* reach = 2^(exponent - 1) */
    return (exponent - 1 - OCTAVES + 127) * PER_OCTAVE; /* of the lowest octave */
}

/* The magnitude at which bin `at` of its side begins: the float with these bits. */
static double edge(int32_t base, int64_t at) {
    union {
        uint32_t i;
        float f;
    } bits = {base + at > 0 ? (uint32_t)(base + at) << 16 : 0};
    return (double)bits.f;
}

void skv_histogram_ends(const skv_histogram *h, int64_t bin, double *low, double *high) {
    const int32_t base = base_of(h->reach);
    const int64_t at = bin >= HALF ? bin - HALF : HALF - 1 - bin;
    const double near = edge(base, at), far = edge(base, at + 1);
    *low = *high = 0;
    if (at == 0) return;
    *low = fmin(fmax(bin >= HALF ? near : -far, h->low), h->high);
    *high = fmax(fmin(bin >= HALF ? far : -near, h->high), h->low);
}

/* All octaves move down by one; the lowest is merged into the bin for zero. */
static void move_octaves(uint64_t *relative) {
    uint64_t *up = relative + HALF;
    for (int i = 1; i <= PER_OCTAVE; i++) {
        up[0] += up[i];
        up[0] += relative[HALF - 1 - i];
    }
    memmove(up + 1, up + 1 + PER_OCTAVE, (HALF - 1 - PER_OCTAVE) * sizeof *up);
    memmove(relative + PER_OCTAVE, relative, (HALF - 1 - PER_OCTAVE) * sizeof *up);
    memset(up + HALF - PER_OCTAVE, 0, PER_OCTAVE * sizeof *up);
    memset(relative, 0, PER_OCTAVE * sizeof *up);
}

/* ---- both ---- */

/* Doubles the reach: the old bins shrink to the middle half, in pairs. */
static void double_reach(skv_histogram *h) {
    h->reach *= 2;
    if (h->relative) move_octaves(h->relative);
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
        if (h->bins) h->bins[HALF] = h->count; /* only zeros were seen so far */
        if (h->relative) h->relative[HALF] = h->count;
    }
    while (h->reach < reach) double_reach(h);
}

/* A power of two above the magnitude: each bin is contained in one bin of a larger reach, so merging is exact. */
static double reach_for(double magnitude) {
    int exponent;
    if (magnitude == 0) return 0;
    (void)frexp(magnitude, &exponent);
    return ldexp(1, exponent < LEAST ? LEAST : exponent);
}

/* Bin numbers are computed for a chunk at a time, which vectorises; several count tables avoid dependencies between
 * equal neighbours (half of the output of a ReLU is zero). */
static void count(const skv_histogram *h, bool relative, const skv_probe_loops *loops, const float *x, size_t n) {
    const float scale = (float)(BINS / (2 * h->reach));
    const int32_t base = base_of(h->reach);
    uint64_t *bins = relative ? h->relative : h->bins;
    uint32_t tables[TABLES][BINS];
    int32_t at[CHUNK];
    memset(tables, 0, sizeof tables);
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t m = n - first < CHUNK ? n - first : CHUNK;
        if (relative)
            loops->octaves(x + first, m, base, HALF, at);
        else
            loops->bins(x + first, m, scale, HALF, at);
        size_t i = 0;
        for (; i + TABLES <= m; i += TABLES) {
            for (size_t t = 0; t < TABLES; t++) tables[t][at[i + t]]++;
        }
        for (; i < m; i++) tables[0][at[i]]++;
    }
    for (int b = 0; b < BINS; b++) {
        for (int t = 0; t < TABLES; t++) bins[b] += tables[t][b];
    }
}

static void forget_zeros(skv_histogram *h, size_t zeros) {
    h->count -= zeros;
    if (h->bins && h->reach > 0) h->bins[HALF] -= zeros;
    if (h->relative && h->reach > 0) h->relative[HALF] -= zeros;
}

static void see(skv_histogram *h, double low, int64_t low_run, double high, int64_t high_run) {
    if (!h->any || low < h->low || (low == h->low && low_run < h->low_run)) {
        h->low = low;
        h->low_run = low_run;
    }
    if (!h->any || high > h->high || (high == h->high && high_run < h->high_run)) {
        h->high = high;
        h->high_run = high_run;
    }
    h->any = true;
}

bool skv_histogram_add(skv_histogram *h, const float *x, size_t n, size_t padding) {
    const skv_probe_loops *loops = skv_probe_loops_of(skv_cpu_isa());
    float low, high;
    if (n == 0) return true;
    if (!loops->range(x, n, &low, &high)) return false;
    see(h, (double)low, h->run, (double)high, h->run);
    h->last_low = low;
    h->last_high = high;
    reach_out(h, reach_for(fmax(fabs((double)low), fabs((double)high))));
    for (size_t first = 0; h->reach > 0 && first < n; first += UINT32_MAX / 2) {
        const size_t left = n - first, m = left < UINT32_MAX / 2 ? left : UINT32_MAX / 2;
        if (h->bins) count(h, false, loops, x + first, m);
        if (h->relative) count(h, true, loops, x + first, m);
    }
    h->count += n;
    forget_zeros(h, padding);
    return true;
}

/* A bin of a histogram of smaller reach is contained in one of ours. */
static void merge_equal(skv_histogram *h, const skv_histogram *other) {
    const int64_t ratio = (int64_t)fmin(h->reach / other->reach, 2.0 * BINS);
    for (int64_t b = 0; b < BINS; b++)
        h->bins[HALF + (b - HALF - (b < HALF ? ratio - 1 : 0)) / ratio] += other->bins[b];
}

static void merge_relative(skv_histogram *h, const skv_histogram *other) {
    const int64_t down = base_of(h->reach) - base_of(other->reach);
    for (int64_t at = 0; at < HALF; at++) {
        const int64_t to = at > down ? at - down : 0;
        h->relative[HALF + to] += other->relative[HALF + at];
        h->relative[to > 0 ? HALF - 1 - to : HALF] += other->relative[HALF - 1 - at];
    }
}

void skv_histogram_merge(skv_histogram *h, const skv_histogram *other) {
    if (!other->any) return;
    see(h, other->low, other->low_run, other->high, other->high_run);
    reach_out(h, other->reach);
    if (h->reach > 0 && other->reach > 0) {
        if (h->bins) merge_equal(h, other);
        if (h->relative) merge_relative(h, other);
    } else if (h->reach > 0) {
        if (h->bins) h->bins[HALF] += other->count;
        if (h->relative) h->relative[HALF] += other->count;
    }
    h->count += other->count;
}

bool skv_histogram_add_parts(skv_histogram *h, skv_histogram *parts, int threads, const float *x, size_t n,
                             size_t padding) {
    bool fine = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : fine)
    for (int k = 0; k < threads; k++) {
        const size_t first = n * (size_t)k / (size_t)threads, last = n * (size_t)(k + 1) / (size_t)threads;
        skv_histogram *part = &parts[k];
        skv_histogram_clear(part);
        part->run = h->run;
        fine = skv_histogram_add(part, x + first, last - first, 0) && fine;
    }
    if (!fine) return false;
    for (int k = 0; k < threads; k++) {
        const skv_histogram *part = &parts[k];
        if (k == 0 || part->last_low < h->last_low) h->last_low = part->last_low;
        if (k == 0 || part->last_high > h->last_high) h->last_high = part->last_high;
        skv_histogram_merge(h, part);
    }
    forget_zeros(h, padding);
    return true;
}
