/* Sounds: reading them through libsndfile, converting their sample rate, and the features that are computed from them.
 * The way from a file to a sample is: channels are averaged, the rate is converted, the length is fixed (silence at the
 * end, or cut), and the feature is computed. */
#ifndef SKV_SOUND_H
#define SKV_SOUND_H

#include "data/formats/folder.h"

/* ---- files ---- */

extern const skv_file_kind skv_sound_files; /* WAV, FLAC or Ogg */

enum { SKV_SOUND_MAX_RATE = 768000, SKV_SOUND_MAX_CHANNELS = 64, SKV_SOUND_MAX_SAMPLES = 1 << 26 };

typedef struct skv_sound_head {
    int64_t frames; /* 1 or more */
    int rate, channels;
} skv_sound_head;

/* Errors: DATA (not such a file, damaged, truncated, no samples, a rate of 0), UNSUPPORTED (built without libsndfile),
 * IO. */
skive_status skv_sound_head_read(skive_context *ctx, const char *path, skv_sound_head *out);
/* The first frames of a file, at most `most`, as the mean of its channels; integers become -1 to 1. *out is freed by
 * skv_free, *count is how many there are. Errors: also DATA for NaN or infinity. */
skive_status skv_sound_read(skive_context *ctx, const char *path, int64_t most, float **out, int64_t *count,
                            skv_sound_head *head);

/* ---- sample rates ----
 *
 * Band-limited interpolation (J. O. Smith, "Digital audio resampling"): output m is the sum over k of
 * x[k] h(m from/to - k), with h(t) = c sinc(c t) times a Kaiser window (beta 10) of 32 zero crossings on either side.
 * c = 0.92 min(1, to/from) keeps what would be mirrored at least 80 dB down. The taps of a phase are scaled to sum 1,
 * so that a constant stays one. */

typedef struct skv_resampler skv_resampler;
skive_status skv_resampler_create(skive_context *ctx, int from, int to, skv_resampler **out);
void skv_resampler_free(skv_resampler *r);
/* How many samples `n` become. */
int64_t skv_resampler_count(const skv_resampler *r, int64_t n);
/* How many samples at most are read for the first `n` results. */
int64_t skv_resampler_needs(const skv_resampler *r, int64_t n);
/* out[n] from in[count], which is continued by zeros. */
skive_status skv_resampler_run(skive_context *ctx, const skv_resampler *r, const float *in, int64_t count, float *out,
                               int64_t n);

/* ---- Fourier transform ---- */

typedef struct skv_fft {
    size_t n;           /* a power of two, 4 or more */
    double *cosine;     /* [n/2] of 2 pi k / n, and the sine */
    double *sine;       /* in the same block */
    uint32_t *reversed; /* [n/2] */
} skv_fft;
skive_status skv_fft_create(skive_context *ctx, size_t n, skv_fft *out);
void skv_fft_free(skive_context *ctx, skv_fft *f);
/* x[n] real becomes re[n/2+1], im[n/2+1] of sum x[t] exp(-2 pi i k t / n). `work`: n doubles. */
void skv_fft_real(const skv_fft *f, const double *x, double *re, double *im, double *work);

/* ---- features ---- */

/* The settings that the spectral features share. */
typedef struct skv_mel_setup {
    double window, hop;   /* of a frame, in milliseconds */
    int64_t fft;          /* 0: the next power of two */
    int64_t mels;         /* bands */
    double low, high;     /* Hz; high 0: half the rate */
    int power;            /* of the magnitude: 1 or 2 */
    double floor;         /* added before the logarithm */
    int64_t coefficients; /* of the cosine transform; 0: none, the logarithms themselves */
    bool htk;             /* scale coefficient 0 as the others, not orthonormal */
} skv_mel_setup;

/* Frames of a sound, their spectra in mel bands, and what follows. Everything is constant after it was made, so that
 * threads can share it. */
typedef struct skv_mel {
    size_t samples, frame, hop, frames, bins;
    skv_mel_setup setup;
    skv_fft fft;
    double *window;       /* [frame] */
    double *bands;        /* [mels][bins] */
    size_t *first, *last; /* [mels] bins of a band that are not 0: first to last - 1 */
    double *cosines;      /* [coefficients][mels], or NULL */
} skv_mel;
/* Errors: ARGUMENT (the sound is shorter than a frame, frequencies beyond half the rate, a band without a bin). */
skive_status skv_mel_create(skive_context *ctx, const char *owner, const skv_mel_setup *setup, int64_t rate,
                            int64_t samples, skv_mel **out);
void skv_mel_free(skive_context *ctx, skv_mel *m);
/* Bytes of scratch that a run needs. */
size_t skv_mel_scratch(const skv_mel *m);
/* out[frames][mels or coefficients] */
void skv_mel_run(const skv_mel *m, const float *wave, void *scratch, float *out);

/* What is computed from a sound of fixed length. */
typedef struct skv_feature {
    const char *name; /* "logmel" */
    const char *brief;
    const skv_option *options;
    size_t n_options;
    /* Sets the settings from the options; NULL: the samples themselves, [1][samples]. */
    void (*setup)(const skv_option_values *v, skv_mel_setup *out);
} skv_feature;

#define X(id) extern const skv_feature skv_feature_##id;
#include "data/features.inc"
#undef X

extern const skv_family skv_feature_family;
const skv_feature *skv_feature_at(size_t index); /* NULL past the end */

/* ---- settings of a set of sounds ----
 *
 * As text "rate=16000,seconds=1,features=mfcc,window=40,...", with the options of the feature behind its name. A model
 * carries all of them in its metadata. */

typedef struct skv_sound_settings {
    int64_t rate, samples;
    double seconds;
    const skv_feature *feature;
    skv_option_values options; /* of the feature */
} skv_sound_settings;
/* The options of the kind `audio`: of the sound itself, and those of all features. */
enum { SKV_SOUND_OPTIONS = 13 };
extern const skv_option skv_sound_options[SKV_SOUND_OPTIONS];
/* What `values` of these options give, what `stored` says where they do not (NULL: nothing), and defaults. Options of
 * another feature than the stored one begin with their defaults. Errors: ARGUMENT (an option that the feature does not
 * have), FORMAT (`stored` is not such a text). */
skive_status skv_sound_settings_make(skive_context *ctx, const skv_option_values *values, const char *stored,
                                     skv_sound_settings *out);
void skv_sound_settings_format(const skv_sound_settings *s, skv_text *out);

#endif
