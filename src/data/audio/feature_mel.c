/* Mel spectra, as the recipes for Speech Commands have them (tf.signal; Zhang et al., "Hello Edge", 2017):
 *
 *     frame f      samples f hop .. f hop + frame - 1, times a periodic Hann window 0.5 - 0.5 cos(2 pi t / frame);
 *                  as many as fit, nothing is padded
 *     spectrum     |sum x[t] exp(-2 pi i k t / fft)| to the power 1 or 2, with zeros behind the frame
 *     mel(f)       1127 ln(1 + f / 700) (O'Shaughnessy 1987)
 *     bands        triangles whose corners are equally spaced in mel from `low` to `high`, linear in mel, of height 1;
 *                  bin 0 belongs to none
 *     logmel       ln(band + floor)
 *     coefficient  c[k] sum_m logmel[m] cos(pi k (m + 1/2) / mels), c[0] = sqrt(1/mels), else sqrt(2/mels), which is
 *                  orthonormal; with htk, c[0] = sqrt(2/mels) too, as tf.signal and HTK have it */
#include <math.h>
#include <string.h>

#include "data/audio/sound.h"

enum { MOST_FFT = 1 << 16 };
static const double PI = 3.14159265358979323846;

static double mel_of(double hertz) { return 1127 * log(1 + hertz / 700); }

static void make_bands(skv_mel *m, double rate, double low, double high) {
    const size_t mels = (size_t)m->setup.mels;
    const double from = mel_of(low), step = (mel_of(high) - from) / (double)(mels + 1);
    for (size_t b = 0; b < mels; b++) {
        const double left = from + step * (double)b, centre = left + step, right = centre + step;
        m->first[b] = m->bins;
        for (size_t k = 1; k < m->bins; k++) {
            const double x = mel_of((double)k * rate / (double)m->fft.n);
            const double up = (x - left) / (centre - left), down = (right - x) / (right - centre);
            const double weight = up < down ? up : down;
            if (!(weight > 0)) continue;
            m->bands[b * m->bins + k] = weight;
            if (m->first[b] == m->bins) m->first[b] = k;
            m->last[b] = k + 1;
        }
    }
}

static void make_cosines(skv_mel *m) {
    const double mels = (double)m->setup.mels;
    for (int64_t k = 0; k < m->setup.coefficients; k++) {
        const double scale = sqrt((k == 0 && !m->setup.htk ? 1 : 2) / mels);
        for (int64_t b = 0; b < m->setup.mels; b++)
            m->cosines[k * m->setup.mels + b] = scale * cos(PI * (double)k * ((double)b + 0.5) / mels);
    }
}

/* Sizes, checked against the sound. */
static skive_status make_sizes(skive_context *ctx, const char *owner, const skv_mel_setup *s, int64_t rate,
                               int64_t samples, skv_mel *m, size_t *fft) {
    const double frame = round(s->window * (double)rate / 1000), hop = round(s->hop * (double)rate / 1000);
    if (frame < 2 || hop < 1 || frame > MOST_FFT)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner,
                           "%s: a window of %g ms every %g ms is %.0f and %.0f samples; give 2 to %d and at least 1",
                           owner, s->window, s->hop, frame, hop, (int)MOST_FFT);
    if (frame > (double)samples)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner,
                           "%s: sounds of %lld samples are shorter than the window of %g ms, which is %.0f samples",
                           owner, (long long)samples, s->window, frame);
    m->samples = (size_t)samples;
    m->frame = (size_t)frame;
    m->hop = (size_t)hop;
    m->frames = 1 + (m->samples - m->frame) / m->hop;
    *fft = 4;
    while (*fft < m->frame) *fft *= 2;
    if (s->fft && ((s->fft & (s->fft - 1)) != 0 || (size_t)s->fft < *fft))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner,
                           "%s: fft is %lld; it must be a power of two of at least the window's %zu samples, or 0 for "
                           "%zu",
                           owner, (long long)s->fft, m->frame, *fft);
    if (s->fft) *fft = (size_t)s->fft;
    m->bins = *fft / 2 + 1;
    return SKIVE_OK;
}

static skive_status check_bands(skive_context *ctx, const char *owner, const skv_mel *m, int64_t rate, double high) {
    if (m->setup.low >= high || high > (double)rate / 2)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner,
                           "%s: bands from %g to %g Hz do not lie between 0 and half the rate of %lld Hz", owner,
                           m->setup.low, high, (long long)rate);
    if (m->setup.coefficients > m->setup.mels)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner,
                           "%s: %lld coefficients of %lld bands; there are at most as many", owner,
                           (long long)m->setup.coefficients, (long long)m->setup.mels);
    return SKIVE_OK;
}

/* Narrow bands at low frequencies may lie between two bins: they are the constant ln(floor). */
static void tell_empty(skive_context *ctx, const char *owner, const skv_mel *m) {
    size_t empty = 0;
    for (int64_t b = 0; b < m->setup.mels; b++) empty += m->first[b] == m->bins;
    if (empty)
        skv_note(
            ctx,
            "%s: %zu of the %lld bands contain no frequency of the transform of %zu samples and are constant; give "
            "a larger fft or fewer bands",
            owner, empty, (long long)m->setup.mels, m->fft.n);
}

skive_status skv_mel_create(skive_context *ctx, const char *owner, const skv_mel_setup *setup, int64_t rate,
                            int64_t samples, skv_mel **out) {
    skv_mel *m = NULL;
    size_t fft = 0;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *m, &m));
    m->setup = *setup;
    const double high = setup->high > 0 ? setup->high : (double)rate / 2;
    SKV_GO(status, fail, make_sizes(ctx, owner, setup, rate, samples, m, &fft));
    SKV_GO(status, fail, check_bands(ctx, owner, m, rate, high));
    const size_t mels = (size_t)setup->mels;
    SKV_GO(status, fail, skv_fft_create(ctx, fft, &m->fft));
    SKV_GO(status, fail, skv_alloc_array(ctx, m->frame, sizeof *m->window, &m->window));
    SKV_GO(status, fail, skv_alloc_array(ctx, mels * m->bins, sizeof *m->bands, &m->bands));
    SKV_GO(status, fail, skv_alloc_array(ctx, mels, sizeof *m->first, &m->first));
    SKV_GO(status, fail, skv_alloc_array(ctx, mels, sizeof *m->last, &m->last));
    for (size_t t = 0; t < m->frame; t++) m->window[t] = 0.5 - 0.5 * cos(2 * PI * (double)t / (double)m->frame);
    make_bands(m, (double)rate, setup->low, high);
    tell_empty(ctx, owner, m);
    if (setup->coefficients) {
        SKV_GO(status, fail, skv_alloc_array(ctx, (size_t)setup->coefficients * mels, sizeof *m->cosines, &m->cosines));
        make_cosines(m);
    }
    *out = m;
    return SKIVE_OK;
fail:
    skv_mel_free(ctx, m);
    return status;
}

void skv_mel_free(skive_context *ctx, skv_mel *m) {
    if (!m) return;
    skv_fft_free(ctx, &m->fft);
    skv_free(ctx, m->window);
    skv_free(ctx, m->bands);
    skv_free(ctx, m->first);
    skv_free(ctx, m->last);
    skv_free(ctx, m->cosines);
    skv_free(ctx, m);
}

size_t skv_mel_scratch(const skv_mel *m) {
    return (2 * m->fft.n + 2 * m->bins + (size_t)m->setup.mels) * sizeof(double);
}

static void spectrum(const skv_mel *m, const float *wave, double *x, double *work, double *re, double *im) {
    for (size_t t = 0; t < m->frame; t++) x[t] = (double)wave[t] * m->window[t];
    memset(x + m->frame, 0, (m->fft.n - m->frame) * sizeof *x);
    skv_fft_real(&m->fft, x, re, im, work);
    for (size_t k = 0; k < m->bins; k++) {
        const double power = re[k] * re[k] + im[k] * im[k];
        re[k] = m->setup.power == 2 ? power : sqrt(power);
    }
}

void skv_mel_run(const skv_mel *m, const float *wave, void *scratch, float *out) {
    const size_t mels = (size_t)m->setup.mels, coefficients = (size_t)m->setup.coefficients;
    double *x = scratch, *work = x + m->fft.n, *re = work + m->fft.n, *im = re + m->bins, *logs = im + m->bins;
    for (size_t f = 0; f < m->frames; f++) {
        spectrum(m, wave + f * m->hop, x, work, re, im);
        for (size_t b = 0; b < mels; b++) {
            const double *weights = m->bands + b * m->bins;
            double sum = 0;
            for (size_t k = m->first[b]; k < m->last[b]; k++) sum += weights[k] * re[k];
            logs[b] = log(sum + m->setup.floor);
        }
        for (size_t b = 0; !coefficients && b < mels; b++) *out++ = (float)logs[b];
        for (size_t c = 0; c < coefficients; c++) {
            double sum = 0;
            for (size_t b = 0; b < mels; b++) sum += m->cosines[c * mels + b] * logs[b];
            *out++ = (float)sum;
        }
    }
}
