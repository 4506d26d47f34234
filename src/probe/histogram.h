/* The streaming histogram. */
#ifndef SKV_PROBE_HISTOGRAM_H
#define SKV_PROBE_HISTOGRAM_H

#include "base/base.h"

/* Counts of values in two divisions of [-reach, reach]: equal bins, and relative ones, 128 per octave, which resolve
 * values near zero as well as distant ones, so that one distant value does not hide the others. Both grow with the
 * data: reach doubles, and neighbouring bins merge or octaves move down, so one pass and fixed memory are enough for
 * any number of samples. */
enum { SKV_HISTOGRAM_BINS = 8192 };
enum { SKV_BINS_NONE = 0, SKV_BINS_EQUAL = 1, SKV_BINS_RELATIVE = 2, SKV_BINS_BOTH = 3 };
typedef struct skv_histogram {
    double low, high;          /* smallest and largest observed value */
    int64_t low_run, high_run; /* the first runs in which they occurred */
    double reach;              /* 0: only zeros were observed */
    uint64_t *bins;            /* [SKV_HISTOGRAM_BINS] equal ones, or NULL */
    /* [SKV_HISTOGRAM_BINS] relative ones from the negative end to the positive, or NULL. The one in the middle is
     * for zero and magnitudes below reach / 2^32. */
    uint64_t *relative;
    uint64_t count;
    int64_t run;               /* run of the values added next */
    float last_low, last_high; /* run of the values added last */
    bool any;
} skv_histogram;
/* Bytes of one with these bins. */
size_t skv_histogram_bytes(int bins);
skive_status skv_histogram_create(skive_context *ctx, int bins, skv_histogram *h);
void skv_histogram_clear(skv_histogram *h);
void skv_histogram_free(skive_context *ctx, skv_histogram *h);
/* Adds x[n], of which `padding` zeros are not data. False, and nothing is added, if there is NaN or infinity in it. */
bool skv_histogram_add(skv_histogram *h, const float *x, size_t n, size_t padding);
/* The same on several threads, parts[threads] being histograms with the same bins. Counts are whole numbers: the result
 * is that of one thread. */
bool skv_histogram_add_parts(skv_histogram *h, skv_histogram *parts, int threads, const float *x, size_t n,
                             size_t padding);
/* Adds the counts of `other`. */
void skv_histogram_merge(skv_histogram *h, const skv_histogram *other);
/* The ends of a relative bin, limited to the observed values. */
void skv_histogram_ends(const skv_histogram *h, int64_t bin, double *low, double *high);

#endif
