/* A Fourier transform of real numbers in double precision: pairs of samples are taken as complex numbers, transformed
 * at half the length (radix 2, decimation in time), and separated again (Sorensen et al., "Real-valued fast Fourier
 * transform algorithms", 1987). */
#include <math.h>

#include "data/audio/sound.h"

skive_status skv_fft_create(skive_context *ctx, size_t n, skv_fft *out) {
    const size_t half = n / 2;
    *out = (skv_fft){.n = n};
    SKV_TRY(skv_alloc_array(ctx, n, sizeof *out->cosine, &out->cosine));
    out->sine = out->cosine + half;
    const skive_status status = skv_alloc_array(ctx, half, sizeof *out->reversed, &out->reversed);
    if (status != SKIVE_OK) {
        skv_fft_free(ctx, out);
        return status;
    }
    for (size_t k = 0; k < half; k++) {
        const double angle = 2 * 3.14159265358979323846 * (double)k / (double)n;
        out->cosine[k] = cos(angle);
        out->sine[k] = sin(angle);
    }
    for (size_t k = 0, r = 0; k < half; k++) {
        size_t bit = half / 2;
        out->reversed[k] = (uint32_t)r;
        for (; bit && (r & bit); bit /= 2) r ^= bit;
        r |= bit;
    }
    return SKIVE_OK;
}

void skv_fft_free(skive_context *ctx, skv_fft *f) {
    skv_free(ctx, f->cosine);
    skv_free(ctx, f->reversed);
    *f = (skv_fft){0};
}

static void complex_in_place(const skv_fft *f, double *re, double *im) {
    const size_t half = f->n / 2;
    for (size_t length = 1; length < half; length *= 2) {
        const size_t step = half / length; /* of the table, which has n/2 entries for the whole circle's half */
        for (size_t at = 0; at < half; at += 2 * length) {
            for (size_t k = 0; k < length; k++) {
                const double c = f->cosine[k * step], s = -f->sine[k * step];
                const size_t a = at + k, b = a + length;
                const double x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
                re[b] = re[a] - x;
                im[b] = im[a] - y;
                re[a] += x;
                im[a] += y;
            }
        }
    }
}

void skv_fft_real(const skv_fft *f, const double *x, double *re, double *im, double *work) {
    const size_t half = f->n / 2;
    double *a = work, *b = work + half;
    for (size_t k = 0; k < half; k++) {
        a[f->reversed[k]] = x[2 * k];
        b[f->reversed[k]] = x[2 * k + 1];
    }
    complex_in_place(f, a, b);
    re[0] = a[0] + b[0];
    im[0] = 0;
    re[half] = a[0] - b[0];
    im[half] = 0;
    for (size_t k = 1; k < half; k++) {
        const size_t m = half - k;
        const double er = (a[k] + a[m]) / 2, ei = (b[k] - b[m]) / 2; /* transform of the even samples */
        const double or = (b[k] + b[m]) / 2, oi = (a[m] - a[k]) / 2; /* and of the odd ones */
        const double c = f->cosine[k], s = -f->sine[k];
        re[k] = er + or *c - oi * s;
        im[k] = ei + or *s + oi * c;
    }
}
