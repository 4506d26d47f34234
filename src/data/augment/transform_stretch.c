/* stretch: a series becomes shorter or longer in time. Waves keep their pitch: pieces of them are laid over each other
 * at other distances, each piece taken where it continues the one before best (WSOLA: Verhelst & Roelands 1993). Planes
 * of features are read between their frames, linearly. What is too long is cut, what is too short is followed by zeros.
 */
#include <math.h>
#include <string.h>

#include "data/series.h"

/* ---- features ---- */

static void read_frames(const skv_series *s, double factor, const float *in, float *out) {
    for (int64_t r = 0; r < s->rows; r++) {
        for (int64_t t = 0; t < s->time; t++) {
            const double at = (double)t * factor;
            float *to = out + (r * s->time + t) * s->together;
            if (at > (double)(s->time - 1)) {
                memset(to, 0, (size_t)s->together * sizeof *to);
                continue;
            }
            const int64_t first = (int64_t)at, next = first + 1 < s->time ? first + 1 : first;
            const float part = (float)(at - (double)first);
            const float *x = in + (r * s->time + first) * s->together, *y = in + (r * s->time + next) * s->together;
            for (int64_t k = 0; k < s->together; k++) to[k] = x[k] + (y[k] - x[k]) * part;
        }
    }
}

/* ---- waves ---- */

static float sample(const float *row, int64_t n, int64_t t) { return t >= 0 && t < n ? row[t] : 0.0f; }

/* How much the row at `at` looks like the row at `next`. */
static double likeness(const float *row, int64_t n, int64_t at, int64_t next, int64_t length) {
    double product = 0, squares = 1e-12;
    for (int64_t k = 0; k < length; k++) {
        const double x = (double)sample(row, n, at + k), y = (double)sample(row, n, next + k);
        product += x * y;
        squares += x * x;
    }
    return product / sqrt(squares);
}

/* Where, near `wanted`, the row looks most like what follows at `next`. */
static int64_t best_place(const float *row, int64_t n, int64_t wanted, int64_t next, int64_t length, int64_t reach) {
    int64_t best = wanted;
    double most = likeness(row, n, wanted, next, length);
    for (int64_t at = wanted - reach; at <= wanted + reach; at++) {
        const double found = likeness(row, n, at, next, length);
        if (found > most) {
            most = found;
            best = at;
        }
    }
    return best;
}

/* Pieces of two hops, under windows whose sum is 1. The first channel decides for all where they are taken. */
static void lay_pieces(const skv_series *s, double factor, int64_t hop, const float *in, float *out) {
    const int64_t n = s->time;
    int64_t at = -hop; /* where the piece at time t - hop of the result was taken */
    memset(out, 0, (size_t)(s->rows * n) * sizeof *out);
    for (int64_t t = -hop; t < n; t += hop) {
        const int64_t wanted = (int64_t)rint((double)t * factor);
        if (t > -hop) at = best_place(in, n, wanted, at + hop, 2 * hop, hop / 2);
        for (int64_t k = 0; k < 2 * hop; k++) {
            const float window = (float)(0.5 - 0.5 * cos(3.14159265358979323846 * ((double)k + 0.5) / (double)hop));
            if (t + k < 0 || t + k >= n) continue;
            for (int64_t r = 0; r < s->rows; r++) out[r * n + t + k] += window * sample(in + r * n, n, at + k);
        }
    }
}

static bool stretch(const skv_augment *a, const float *in, float *out) {
    const skv_series s = skv_series_of(a);
    const double most = skv_option_real(a->options, "change"), factor = 1 + skv_draw_between(a->draw, -most, most);
    const int64_t window = skv_option_integer(a->options, "window");
    if (a->content == SKV_CONTENT_FEATURES)
        read_frames(&s, factor, in, out);
    else
        lay_pieces(&s, factor, window / 2 < s.time ? window / 2 : s.time, in, out);
    return true;
}

static const skv_option options[] = {
    {.name = "change",
     .type = SKV_OPTION_REAL,
     .most = 0.9,
     .fallback = 0.1,
     .brief = "factor of 1 - C to 1 + C on the speed"},
    {.name = "window",
     .type = SKV_OPTION_INTEGER,
     .least = 8,
     .most = 8192,
     .fallback = 480,
     .brief = "samples of a piece of a wave: some periods of its lowest tone"},
};

const skv_transform skv_transform_stretch = {
    .name = "stretch",
    .syntax = "stretch[:CHANGE][,window=WINDOW]",
    .brief = "make a series shorter or longer, keeping the pitch of waves",
    SKV_OPTIONS(options),
    .on = SKV_ON_WAVE | SKV_ON_FEATURES,
    .apply = stretch,
};
