/* The loops of fake_quantize.h, included once for each instruction set; FAKE_LOOPS is their name. A sum of two numbers
 * of which one is 1.5 * 2^23 rounds the other to the nearest integer, ties to even: levels are smaller than 2^16. */
#include "kernels/fake_quantize.h"

#define ROUNDER 12582912.0f
enum { FAKE_LANES = 16 };

static inline float nearest(float t, float low, float high) {
    t = t == t ? t : 0.0f; /* a NaN has the level 0 */
    t = t < low ? low : t;
    t = t > high ? high : t;
    return (t + ROUNDER) - ROUNDER;
}

static void fake_round(const float *x, int64_t n, const float *scale, int step, float low, float high, float *y) {
    if (step == 0) {
        const float s = scale[0];
        for (int64_t i = 0; i < n; i++) y[i] = nearest(x[i] / s, low, high) * s;
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = nearest(x[i] / scale[i], low, high) * scale[i];
    }
}

/* The gradient is read whether it passes or not, so that compilers make vectors of the loop. */
static inline float pass_of(float t, float low, float high, float d) {
    const bool inside = (t >= low) & (t <= high);
    return inside ? d : 0.0f;
}

static void fake_pass(const float *x, const float *dy, int64_t n, const float *scale, int step, float low, float high,
                      float *dx) {
    if (step == 0) {
        const float s = scale[0];
        for (int64_t i = 0; i < n; i++) dx[i] = pass_of(x[i] / s, low, high, dy[i]);
    } else {
        for (int64_t i = 0; i < n; i++) dx[i] = pass_of(x[i] / scale[i], low, high, dy[i]);
    }
}

/* Of one number with the gradient d: what passes of it. */
static inline float slope_of(float t, float low, float high, float interior, float d, float *pass) {
    const bool inside = t > low && t < high;
    const float level = nearest(t, low, high);
    *pass = inside ? d : 0.0f;
    return inside ? interior * (level - t) : level;
}

static double fake_learn(const float *x, const float *dy, int64_t n, const float *scale, int step, float low,
                         float high, bool clip, float *dx, double *ds) {
    const float interior = clip ? 0.0f : 1.0f;
    if (step == 1) {
        for (int64_t i = 0; i < n; i++) {
            float pass;
            const float slope = slope_of(x[i] / scale[i], low, high, interior, dy[i], &pass);
            ds[i] += (double)(slope * dy[i]);
            if (dx) dx[i] = pass;
        }
        return 0;
    }
    double sum = 0;
    const float s = scale[0];
    int64_t i = 0;
    while (n - i >= FAKE_LANES) {
        /* Short runs of float32 sums in lanes, which are added up as doubles. */
        float lane[FAKE_LANES] = {0};
        const int64_t end = n - i < 64 * FAKE_LANES ? i + (n - i) / FAKE_LANES * FAKE_LANES : i + 64 * FAKE_LANES;
        for (; i < end; i += FAKE_LANES) {
            for (int k = 0; k < FAKE_LANES; k++) {
                float pass;
                const float d = dy[i + k], slope = slope_of(x[i + k] / s, low, high, interior, d, &pass);
                lane[k] += slope * d;
                if (dx) dx[i + k] = pass;
            }
        }
        for (int k = 0; k < FAKE_LANES; k++) sum += (double)lane[k];
    }
    for (; i < n; i++) {
        float pass;
        const float d = dy[i], slope = slope_of(x[i] / s, low, high, interior, d, &pass);
        sum += (double)(slope * d);
        if (dx) dx[i] = pass;
    }
    return sum;
}

const skv_fake_loops FAKE_LOOPS = {fake_round, fake_pass, fake_learn};
