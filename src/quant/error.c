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

/* The integral of the squared error over [a, b], in steps, where the grid ends at 0 and `most`. */
static double lost_between(double a, double b, double most) {
    const double in_a = a < 0 ? 0 : a > most ? most : a, in_b = b < 0 ? 0 : b > most ? most : b;
    double sum = rounding(in_b) - rounding(in_a);
    if (a < 0) {
        const double end = fmin(b, 0);
        sum += (end * end * end - a * a * a) / 3;
    }
    if (b > most) {
        const double end = fmax(a, most) - most;
        sum += ((b - most) * (b - most) * (b - most) - end * end * end) / 3;
    }
    return sum;
}

static double lost_at(double t, double most) {
    const double d = t - fmin(fmax(rint(t), 0), most);
    return d * d;
}

/* The mean squared error over a span for a grid whose levels are not evenly spaced: of so many numbers of it. */
static double lost_in(const skv_span *s, const skv_quantizer *q, const skv_grid_params *p) {
    enum { POINTS = 16 };
    float x[POINTS];
    for (int i = 0; i < POINTS; i++) x[i] = (float)(s->low + (s->high - s->low) * (i + 0.5) / POINTS);
    return skv_grid_error(q, p, x, POINTS) / POINTS;
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

double skv_spans_error(const skv_span *spans, size_t n, const skv_quantizer *q, const skv_grid_params *p) {
    const bool uniform = q->grid->uniform;
    const double step = uniform ? (double)p->scale : 1, inverse = 1 / step, most = (double)q->high - q->low;
    double sum = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        const double zero = p->zero_point - q->low, a = spans[i].low * inverse + zero,
                     b = spans[i].high * inverse + zero;
        const double lost = !uniform                       ? lost_in(&spans[i], q, p)
                            : b - a > 1e-6 * (1 + fabs(a)) ? lost_between(a, b, most) / (b - a)
                                                           : lost_at((a + b) / 2, most);
        sum += lost * spans[i].count;
        count += spans[i].count;
    }
    return count > 0 ? sum * step * step / count : 0;
}

double skv_histogram_error(const skv_histogram *h, const skv_quantizer *q, const skv_grid_params *p) {
    skv_span spans[SKV_HISTOGRAM_BINS];
    return skv_spans_error(spans, skv_histogram_spans(h, spans), q, p);
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

double skv_histogram_sqnr(const skv_histogram *h, const skv_quantizer *q, const skv_grid_params *p) {
    const double error = skv_histogram_error(h, q, p), power = skv_histogram_power(h);
    return error > 1e-15 * power ? 10 * log10(power / error) : INFINITY;
}
