/* The quantization error of a grid for the values in a histogram. */
#include <math.h>

#include "quant/quant.h"

/* rint for magnitudes up to 2^51: adding and subtracting 1.5 * 2^52 rounds. */
static inline double nearest(double t) {
    const double magic = 6755399441055744.0;
    return (t + magic) - magic;
}

/* The integral from 0 to t of the squared distance to the nearest whole number. */
static double rounding(double t) {
    const double n = nearest(t), r = t - n;
    return n / 12 + r * r * r / 3;
}

/* The integral of the squared error over [a, b], in steps, where the grid ends at 0 and 255. */
static double lost_between(double a, double b) {
    const double in_a = a < 0 ? 0 : a > 255 ? 255 : a, in_b = b < 0 ? 0 : b > 255 ? 255 : b;
    double sum = rounding(in_b) - rounding(in_a);
    if (a < 0) {
        const double end = fmin(b, 0);
        sum += (end * end * end - a * a * a) / 3;
    }
    if (b > 255) {
        const double end = fmax(a, 255) - 255;
        sum += ((b - 255) * (b - 255) * (b - 255) - end * end * end) / 3;
    }
    return sum;
}

static double lost_at(double t) {
    const double d = t - fmin(fmax(rint(t), 0), 255);
    return d * d;
}

size_t skv_histogram_spans(const skv_histogram *h, skv_span *spans) {
    size_t n = 0;
    for (int64_t i = 0; h->relative && h->reach > 0 && i < SKV_HISTOGRAM_BINS; i++) {
        if (h->relative[i] == 0) continue;
        skv_span *s = &spans[n++];
        skv_histogram_ends(h, i, &s->low, &s->high);
        s->count = (double)h->relative[i];
    }
    return n;
}

double skv_spans_error(const skv_span *spans, size_t n, skv_affine grid) {
    const double step = (double)grid.scale, inverse = 1 / step;
    double sum = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        const double a = spans[i].low * inverse + grid.zero_point, b = spans[i].high * inverse + grid.zero_point;
        const double lost = b - a > 1e-6 * (1 + fabs(a)) ? lost_between(a, b) / (b - a) : lost_at((a + b) / 2);
        sum += lost * spans[i].count;
        count += spans[i].count;
    }
    return count > 0 ? sum * step * step / count : 0;
}

double skv_histogram_error(const skv_histogram *h, skv_affine grid) {
    skv_span spans[SKV_HISTOGRAM_BINS];
    return skv_spans_error(spans, skv_histogram_spans(h, spans), grid);
}

double skv_histogram_power(const skv_histogram *h) {
    double sum = 0;
    if (!h->relative || !(h->reach > 0) || h->count == 0) return 0;
    for (int64_t i = 0; i < SKV_HISTOGRAM_BINS; i++) {
        double a, b;
        if (h->relative[i] == 0) continue;
        skv_histogram_ends(h, i, &a, &b);
        sum += (a * a + a * b + b * b) / 3 * (double)h->relative[i];
    }
    return sum / (double)h->count;
}

double skv_histogram_sqnr(const skv_histogram *h, skv_affine grid) {
    const double error = skv_histogram_error(h, grid), power = skv_histogram_power(h);
    return error > 1e-15 * power ? 10 * log10(power / error) : INFINITY;
}
