/* See image_ops.h. The formulas of brightness, contrast, saturation and sharpness are those of Pillow's ImageEnhance,
 * on numbers instead of bytes. */
#include "data/augment/image_ops.h"

#include <math.h>
#include <string.h>

static size_t size_of(const int64_t dims[3]) { return (size_t)(dims[0] * dims[1] * dims[2]); }

static size_t plane_of(const int64_t dims[3]) { return (size_t)(dims[1] * dims[2]); }

static float limited(float x) { return x > 0.0f ? x < 1.0f ? x : 1.0f : 0.0f; } /* NaN: 0 */

/* from + factor (x - from), limited. */
static float blend(float from, float x, float factor) { return limited(from + factor * (x - from)); }

static float luma(const float *in, size_t plane) {
    return 0.299f * in[0] + 0.587f * in[plane] + 0.114f * in[2 * plane];
}

void skv_image_brightness(const int64_t dims[3], double factor, const float *in, float *out) {
    const float f = (float)factor;
    for (size_t i = 0; i < size_of(dims); i++) out[i] = limited(in[i] * f);
}

void skv_image_contrast(const int64_t dims[3], double factor, const float *in, float *out) {
    const size_t plane = plane_of(dims), n = dims[0] == 3 ? plane : size_of(dims);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)(dims[0] == 3 ? luma(in + i, plane) : in[i]);
    const float mean = (float)(sum / (double)n), f = (float)factor;
    for (size_t i = 0; i < size_of(dims); i++) out[i] = blend(mean, in[i], f);
}

void skv_image_saturation(const int64_t dims[3], double factor, const float *in, float *out) {
    const size_t plane = plane_of(dims);
    const float f = (float)factor;
    if (dims[0] != 3) {
        memcpy(out, in, size_of(dims) * sizeof *out);
        return;
    }
    for (size_t i = 0; i < plane; i++) {
        const float grey = luma(in + i, plane);
        for (size_t c = 0; c < 3; c++) out[c * plane + i] = blend(grey, in[c * plane + i], f);
    }
}

void skv_image_gray(const int64_t dims[3], const float *in, float *out) { skv_image_saturation(dims, 0, in, out); }

/* To hue, saturation and value, and back (Smith 1978). */
void skv_image_hue(const int64_t dims[3], double part, const float *in, float *out) {
    const size_t plane = plane_of(dims);
    if (dims[0] != 3) {
        memcpy(out, in, size_of(dims) * sizeof *out);
        return;
    }
    for (size_t i = 0; i < plane; i++) {
        const float r = in[i], g = in[plane + i], b = in[2 * plane + i];
        const float most = r > g ? (r > b ? r : b) : (g > b ? g : b), least = r < g ? (r < b ? r : b) : (g < b ? g : b);
        const float span = most - least;
        float sixth = 0; /* hue, 0 .. 6 */
        if (span > 0) {
            if (most == r)
                sixth = (g - b) / span;
            else
                sixth = most == g ? 2 + (b - r) / span : 4 + (r - g) / span;
        }
        sixth += (float)(6 * part);
        sixth -= 6 * floorf(sixth / 6);
        const int sector = sixth < 6 ? (int)sixth : 0;
        const float rest = sixth < 6 ? sixth - (float)sector : 0, up = least + span * rest, down = most - span * rest;
        const float rgb[6][3] = {{most, up, least},   {down, most, least}, {least, most, up},
                                 {least, down, most}, {up, least, most},   {most, least, down}};
        for (size_t c = 0; c < 3; c++) out[c * plane + i] = limited(rgb[sector][c]);
    }
}

void skv_image_sharpness(const int64_t dims[3], double factor, const float *in, float *out) {
    const int64_t h = dims[1], w = dims[2];
    const float f = (float)factor;
    memcpy(out, in, size_of(dims) * sizeof *out);
    for (int64_t c = 0; c < dims[0]; c++) {
        const float *plane = in + c * h * w;
        for (int64_t y = 1; y + 1 < h; y++) {
            for (int64_t x = 1; x + 1 < w; x++) {
                const float *at = plane + y * w + x;
                float sum = 4 * at[0];
                for (int64_t dy = -1; dy <= 1; dy++) sum += at[dy * w - 1] + at[dy * w] + at[dy * w + 1];
                out[(c * h + y) * w + x] = blend(sum / 13, at[0], f);
            }
        }
    }
}

/* ---- blur ---- */

enum { MOST_RADIUS = 64 };

/* 0 .. n-1, mirrored about the first and the last. */
static int64_t mirrored(int64_t at, int64_t n) {
    if (n == 1) return 0;
    const int64_t period = 2 * (n - 1);
    at = at % period;
    if (at < 0) at += period;
    return at < n ? at : period - at;
}

static void blur_line(const float *in, int64_t n, int64_t step, const float *weights, int64_t radius, float *out) {
    for (int64_t i = 0; i < n; i++) {
        float sum = weights[0] * in[i * step];
        const bool inside = i >= radius && i + radius < n;
        for (int64_t k = 1; k <= radius; k++) {
            const float before = in[(inside ? i - k : mirrored(i - k, n)) * step];
            const float after = in[(inside ? i + k : mirrored(i + k, n)) * step];
            sum += weights[k] * (before + after);
        }
        out[i * step] = sum;
    }
}

void skv_image_blur(const int64_t dims[3], double sigma, float *scratch, const float *in, float *out) {
    const int64_t h = dims[1], w = dims[2];
    float weights[MOST_RADIUS + 1];
    double sum = 0;
    int64_t radius = (int64_t)ceil(3 * sigma);
    if (radius > MOST_RADIUS) radius = MOST_RADIUS;
    for (int64_t k = 0; k <= radius; k++) sum += (k ? 2 : 1) * exp(-0.5 * (double)(k * k) / (sigma * sigma));
    for (int64_t k = 0; k <= radius; k++) weights[k] = (float)(exp(-0.5 * (double)(k * k) / (sigma * sigma)) / sum);
    for (int64_t i = 0; i < dims[0] * h; i++) blur_line(in + i * w, w, 1, weights, radius, scratch + i * w);
    for (int64_t c = 0; c < dims[0]; c++) {
        for (int64_t x = 0; x < w; x++) blur_line(scratch + c * h * w + x, h, w, weights, radius, out + c * h * w + x);
    }
}

/* ---- levels ---- */

static int level(float x) { return (int)lrintf(limited(x) * 255); }

void skv_image_posterize(const int64_t dims[3], int bits, const float *in, float *out) {
    const int mask = 0xff & ~(0xff >> bits);
    for (size_t i = 0; i < size_of(dims); i++) out[i] = (float)(level(in[i]) & mask) * (1.0f / 255.0f);
}

void skv_image_solarize(const int64_t dims[3], double threshold, const float *in, float *out) {
    for (size_t i = 0; i < size_of(dims); i++) out[i] = (double)in[i] >= threshold ? 1 - in[i] : in[i];
}

void skv_image_autocontrast(const int64_t dims[3], const float *in, float *out) {
    const size_t plane = plane_of(dims);
    for (size_t c = 0; c < (size_t)dims[0]; c++) {
        const float *from = in + c * plane;
        float least = from[0], most = from[0];
        for (size_t i = 1; i < plane; i++) {
            least = from[i] < least ? from[i] : least;
            most = from[i] > most ? from[i] : most;
        }
        const float factor = most > least ? 1 / (most - least) : 1, shift = most > least ? least : 0;
        for (size_t i = 0; i < plane; i++) out[c * plane + i] = limited((from[i] - shift) * factor);
    }
}

static void equalize_plane(const float *in, size_t n, float *out) {
    size_t histogram[256] = {0}, last = 0, sum = 0;
    float table[256];
    for (size_t i = 0; i < n; i++) histogram[level(in[i])]++;
    for (size_t v = 0; v < 256; v++) {
        if (histogram[v]) last = histogram[v];
    }
    const size_t step = (n - last) / 255;
    if (step == 0) {
        memcpy(out, in, n * sizeof *out);
        return;
    }
    sum = step / 2;
    for (size_t v = 0; v < 256; v++) {
        const size_t to = sum / step;
        table[v] = (float)(to > 255 ? 255 : to) * (1.0f / 255.0f);
        sum += histogram[v];
    }
    for (size_t i = 0; i < n; i++) out[i] = table[level(in[i])];
}

void skv_image_equalize(const int64_t dims[3], const float *in, float *out) {
    const size_t plane = plane_of(dims);
    for (size_t c = 0; c < (size_t)dims[0]; c++) equalize_plane(in + c * plane, plane, out + c * plane);
}
