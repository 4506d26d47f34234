/* Sounds as data: the Fourier transform against the sum that defines it, features of hand-made sines against their
 * formulas, conversion of rates, files in folders, and files that are damaged. */
#include "support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if SKIVE_WITH_SNDFILE
#include <sndfile.h>
#endif

#include <cmocka.h>

#include <skive/input.h>
#include <skive/session.h>
#include <skive/zoo.h>

#include "data/feed.h"
#include "data/audio/sound.h"

static const double PI = 3.14159265358979323846;
static char dir[SKV_TEST_PATH];

static int make_dir(void **state) {
    (void)state;
    skv_test_make_dir(dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    skv_test_remove_dir(dir);
    return 0;
}

static char *at(const char *name) {
    static char buffers[4][SKV_TEST_PATH];
    static int next;
    next = (next + 1) % 4;
    (void)skv_test_path(buffers[next], dir, name);
    return buffers[next];
}

static bool noted(skive_context *ctx, const char *part) {
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) {
        if (strstr(skive_context_note(ctx, i), part)) return true;
    }
    for (size_t i = 0; i < skive_context_note_count(ctx); i++) print_error("note: %s\n", skive_context_note(ctx, i));
    return false;
}

/* ---- the Fourier transform ---- */

static void transform(void **state) {
    skive_context *ctx = skv_test_context();
    static double x[512], re[257], im[257], work[512];
    (void)state;
    for (size_t n = 4; n <= 512; n *= 2) {
        skv_fft f;
        skv_test_ok(ctx, skv_fft_create(ctx, n, &f));
        for (size_t t = 0; t < n; t++) x[t] = skv_rng_normal(5, n, t);
        skv_fft_real(&f, x, re, im, work);
        for (size_t k = 0; k <= n / 2; k++) {
            double real = 0, imaginary = 0;
            for (size_t t = 0; t < n; t++) {
                const double angle = 2 * PI * (double)(k * t % n) / (double)n;
                real += x[t] * cos(angle);
                imaginary -= x[t] * sin(angle);
            }
            assert_true(fabs(re[k] - real) < 1e-12 * (double)n && fabs(im[k] - imaginary) < 1e-12 * (double)n);
        }
        skv_fft_free(ctx, &f);
    }
    skv_test_context_end(ctx);
}

/* ---- features ---- */

static float wave[16000];

static void sine(double hertz, double amplitude) {
    for (size_t t = 0; t < 16000; t++) wave[t] = (float)(amplitude * sin(2 * PI * hertz * (double)t / 16000));
}

static double mel_of(double f) { return 1127 * log(1 + f / 700); }

/* The features of frame `f` by their definitions, with sums for everything. */
static void by_definition(const skv_mel_setup *s, size_t frame, size_t hop, size_t fft, double high, size_t f,
                          double *logs, double *coefficients) {
    const double from = mel_of(s->low), step = (mel_of(high) - from) / (double)(s->mels + 1);
    for (int64_t b = 0; b < s->mels; b++) logs[b] = s->floor;
    for (size_t k = 1; k <= fft / 2; k++) {
        double re = 0, im = 0;
        for (size_t t = 0; t < frame; t++) {
            const double x = (double)wave[f * hop + t] * (0.5 - 0.5 * cos(2 * PI * (double)t / (double)frame));
            re += x * cos(2 * PI * (double)k * (double)t / (double)fft);
            im -= x * sin(2 * PI * (double)k * (double)t / (double)fft);
        }
        const double value = s->power == 2 ? re * re + im * im : sqrt(re * re + im * im);
        const double place = (mel_of((double)k * 16000 / (double)fft) - from) / step; /* in bands from the left end */
        for (int64_t b = 0; b < s->mels; b++) {
            const double weight = 1 - fabs(place - (double)(b + 1));
            if (weight > 0) logs[b] += weight * value;
        }
    }
    for (int64_t b = 0; b < s->mels; b++) logs[b] = log(logs[b]);
    for (int64_t c = 0; c < s->coefficients; c++) {
        coefficients[c] = 0;
        for (int64_t b = 0; b < s->mels; b++)
            coefficients[c] += logs[b] * cos(PI * (double)c * ((double)b + 0.5) / (double)s->mels);
        coefficients[c] *= sqrt((c == 0 && !s->htk ? 1.0 : 2.0) / (double)s->mels);
    }
}

static void compare(skive_context *ctx, skv_mel_setup s, size_t frame, size_t hop, size_t fft, double high) {
    static float out[1 << 14];
    double logs[64], coefficients[64];
    skv_mel *m = NULL;
    void *scratch = NULL;
    skv_test_ok(ctx, skv_mel_create(ctx, "test", &s, 16000, 16000, &m));
    assert_int_equal(m->frame, frame);
    assert_int_equal(m->hop, hop);
    assert_int_equal(m->fft.n, fft);
    assert_int_equal(m->frames, 1 + (16000 - frame) / hop);
    skv_test_ok(ctx, skv_alloc(ctx, skv_mel_scratch(m), &scratch));
    skv_mel_run(m, wave, scratch, out);
    const size_t width = (size_t)(s.coefficients ? s.coefficients : s.mels);
    for (size_t f = 0; f < m->frames; f += m->frames / 3) {
        by_definition(&s, frame, hop, fft, high, f, logs, coefficients);
        for (size_t i = 0; i < width; i++) {
            const double wanted = s.coefficients ? coefficients[i] : logs[i], have = (double)out[f * width + i];
            if (!(fabs(have - wanted) <= 2e-6 * (1 + fabs(wanted))))
                fail_msg("frame %zu, %zu: %.9g, not %.9g", f, i, have, wanted);
        }
    }
    skv_free(ctx, scratch);
    skv_mel_free(ctx, m);
}

static void definitions(void **state) {
    skive_context *ctx = skv_test_context();
    const skv_mel_setup plain = {
        .window = 40, .hop = 20, .mels = 40, .low = 20, .high = 4000, .power = 1, .floor = 1e-6};
    skv_mel_setup s = plain;
    (void)state;
    for (size_t t = 0; t < 16000; t++) wave[t] = (float)(0.3 * skv_rng_normal(9, 1, t));
    compare(ctx, s, 640, 320, 1024, 4000);
    s.coefficients = 10;
    compare(ctx, s, 640, 320, 1024, 4000);
    s.htk = true;
    s.power = 2;
    s.window = 30;
    compare(ctx, s, 480, 320, 512, 4000);
    s = plain;
    s.high = 0; /* half the rate */
    s.fft = 2048;
    s.window = 25;
    s.hop = 10;
    compare(ctx, s, 400, 160, 2048, 8000);
    skv_test_context_end(ctx);
}

/* A sine of amplitude a on bin k of a Hann window has the magnitude a frame / 4 there, half of it on both sides, and 0
 * elsewhere: 1 kHz is bin 32 of a frame of 512 at 16 kHz. */
static void one_sine(void **state) {
    skive_context *ctx = skv_test_context();
    const skv_mel_setup s = {.window = 32, .hop = 32, .mels = 20, .low = 0, .high = 8000, .power = 1, .floor = 1e-6};
    float out[31 * 20];
    void *scratch = NULL;
    skv_mel *m = NULL;
    (void)state;
    sine(1000, 0.5);
    skv_test_ok(ctx, skv_mel_create(ctx, "test", &s, 16000, 16000, &m));
    assert_int_equal(m->frames, 31);
    skv_test_ok(ctx, skv_alloc(ctx, skv_mel_scratch(m), &scratch));
    skv_mel_run(m, wave, scratch, out);
    const double step = mel_of(8000) / 21;
    for (int b = 0; b < 20; b++) {
        double sum = 1e-6;
        for (int k = 31; k <= 33; k++) {
            const double weight = 1 - fabs(mel_of(k * 31.25) / step - (b + 1));
            if (weight > 0) sum += weight * (k == 32 ? 0.5 * 512 / 4 : 0.5 * 512 / 8);
        }
        const double have = (double)out[5 * 20 + b]; /* elsewhere is what rounding the sine to floats leaves */
        assert_true(sum > 1e-3 ? fabs(have - log(sum)) < 1e-4 : have < log(1e-4));
    }
    skv_free(ctx, scratch);
    skv_mel_free(ctx, m);
    skv_test_context_end(ctx);
}

static void settings_that_do_not_fit(void **state) {
    skive_context *ctx = skv_test_context();
    skv_mel_setup s = {.window = 40, .hop = 20, .mels = 40, .low = 20, .high = 4000, .power = 1, .floor = 1e-6};
    skv_mel *m = NULL;
    (void)state;
    skv_test_fails(ctx, skv_mel_create(ctx, "mfcc", &s, 16000, 600, &m), SKIVE_ERR_ARGUMENT,
                   "mfcc: sounds of 600 samples are shorter than the window of 40 ms, which is 640 samples");
    skv_test_fails(ctx, skv_mel_create(ctx, "mfcc", &s, 6000, 6000, &m), SKIVE_ERR_ARGUMENT,
                   "bands from 20 to 4000 Hz do not lie between 0 and half the rate of 6000 Hz");
    s.fft = 1000;
    skv_test_fails(ctx, skv_mel_create(ctx, "mfcc", &s, 16000, 16000, &m), SKIVE_ERR_ARGUMENT, "a power of two");
    s.fft = 512;
    skv_test_fails(ctx, skv_mel_create(ctx, "mfcc", &s, 16000, 16000, &m), SKIVE_ERR_ARGUMENT, "at least the window's");
    s.fft = 0;
    s.coefficients = 41;
    skv_test_fails(ctx, skv_mel_create(ctx, "mfcc", &s, 16000, 16000, &m), SKIVE_ERR_ARGUMENT, "41 coefficients of 40");
    s.coefficients = 0;
    s.hop = 0.01;
    skv_test_fails(ctx, skv_mel_create(ctx, "mfcc", &s, 16000, 16000, &m), SKIVE_ERR_ARGUMENT, "at least 1");
    s.hop = 20;
    s.mels = 200;
    skv_test_ok(ctx, skv_mel_create(ctx, "mfcc", &s, 16000, 16000, &m));
    assert_true(noted(ctx, "of the 200 bands contain no frequency"));
    skv_mel_free(ctx, m);
    skv_test_context_end(ctx);
}

/* The options of every feature are options of the data set, in the same form. */
static void options_of_features(void **state) {
    (void)state;
    for (size_t i = 0; skv_feature_at(i); i++) {
        const skv_feature *f = skv_feature_at(i);
        for (size_t k = 0; k < f->n_options; k++) {
            const size_t place = skv_option_index(skv_sound_options, SKV_SOUND_OPTIONS, f->options[k].name);
            assert_true(place < SKV_SOUND_OPTIONS);
            assert_int_equal(skv_sound_options[place].type, f->options[k].type);
            assert_true(skv_sound_options[place].least == f->options[k].least &&
                        skv_sound_options[place].most == f->options[k].most);
        }
    }
}

/* ---- rates ---- */

/* The largest difference from a sine of the same frequency, away from the ends; `silent`: from 0. */
static double error_of(skive_context *ctx, int from, int to, double hertz, bool silent) {
    enum { SECONDS_OF = 48000 };
    static float in[SECONDS_OF], out[SECONDS_OF * 4];
    skv_resampler *r = NULL;
    double worst = 0;
    const int n = from > SECONDS_OF ? SECONDS_OF : from;
    for (int t = 0; t < n; t++) in[t] = (float)sin(2 * PI * hertz * t / from);
    skv_test_ok(ctx, skv_resampler_create(ctx, from, to, &r));
    const int64_t count = skv_resampler_count(r, n);
    assert_int_equal(count, ((int64_t)n * to + from - 1) / from);
    assert_true(skv_resampler_needs(r, 100) > 100 * (int64_t)from / to);
    skv_test_ok(ctx, skv_resampler_run(ctx, r, in, n, out, count));
    for (int64_t t = 200; t < count - 200; t++) {
        const double wanted = silent ? 0 : sin(2 * PI * hertz * (double)t / to);
        if (fabs((double)out[t] - wanted) > worst) worst = fabs((double)out[t] - wanted);
    }
    skv_resampler_free(r);
    return worst;
}

static void rates(void **state) {
    skive_context *ctx = skv_test_context();
    (void)state;
    assert_true(error_of(ctx, 44100, 16000, 1000, false) < 1e-4);
    assert_true(error_of(ctx, 44100, 16000, 5500, false) < 1e-4);
    assert_true(error_of(ctx, 48000, 16000, 440, false) < 1e-4);
    assert_true(error_of(ctx, 8000, 16000, 3000, false) < 1e-4);
    assert_true(error_of(ctx, 11025, 16000, 2000, false) < 1e-4);
    assert_true(error_of(ctx, 22050, 16000, 6000, false) < 1e-4);
    /* What would be mirrored is gone. */
    assert_true(error_of(ctx, 44100, 16000, 9000, true) < 1e-4);
    assert_true(error_of(ctx, 44100, 16000, 15000, true) < 1e-4);
    assert_true(error_of(ctx, 48000, 8000, 5000, true) < 1e-4);
    /* Phases beyond the table are computed one by one, with the same result. */
    assert_true(error_of(ctx, 47999, 16001, 1000, false) < 1e-4);
    skv_test_context_end(ctx);
}

/* ---- files ---- */

#if SKIVE_WITH_SNDFILE

static void put16(unsigned char *p, unsigned v) {
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static void put32(unsigned char *p, unsigned v) {
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

enum { WAV_MOST = 44 + 4 * 50000 };

/* A WAV file in memory: 16-bit integers, or floats if bits is 32. sample(t) of every channel. */
static size_t wav(unsigned char *out, unsigned rate, unsigned channels, unsigned bits, unsigned frames,
                  float (*sample)(unsigned t, unsigned c)) {
    const unsigned width = bits / 8, bytes = frames * channels * width;
    memcpy(out, "RIFF....WAVEfmt ", 16);
    put32(out + 4, 36 + bytes);
    put32(out + 16, 16);
    put16(out + 20, bits == 32 ? 3 : 1);
    put16(out + 22, channels);
    put32(out + 24, rate);
    put32(out + 28, rate * channels * width);
    put16(out + 32, channels * width);
    put16(out + 34, bits);
    memcpy(out + 36, "data", 4);
    put32(out + 40, bytes);
    for (unsigned t = 0; t < frames; t++) {
        for (unsigned c = 0; c < channels; c++) {
            unsigned char *p = out + 44 + (size_t)(t * channels + c) * width;
            const float x = sample(t, c);
            unsigned word;
            memcpy(&word, &x, 4);
            if (bits == 32)
                put32(p, word);
            else
                put16(p, (unsigned)(int)lrintf(x * 32768) & 0xffff);
        }
    }
    return 44 + (size_t)bytes;
}

static unsigned char file[WAV_MOST];

static float ramp(unsigned t, unsigned c) { return (float)((int)((t * 7 + c * 3) % 200) - 100) / 256; }
static float constant(unsigned t, unsigned c) {
    (void)t;
    return c ? 0.25f : 0.5f;
}
static float with_nan(unsigned t, unsigned c) {
    (void)c;
    return t == 70 ? NAN : 0.25f;
}

static void write_wav(const char *name, unsigned rate, unsigned channels, unsigned bits, unsigned frames,
                      float (*sample)(unsigned, unsigned)) {
    skv_test_write_file(at(name), file, wav(file, rate, channels, bits, frames, sample));
}

static void folder(const char *name) { assert_int_equal(mkdir(at(name), 0777), 0); }

static skive_dataset *open_with(skive_context *ctx, const char *rest, skive_dataset_options o) {
    char spec[2 * SKV_TEST_PATH];
    skive_dataset *set = NULL;
    (void)snprintf(spec, sizeof spec, "audio:%s/%s", dir, rest);
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &set));
    return set;
}

static void fails_with(skive_context *ctx, const char *rest, skive_dataset_options o, skive_status status,
                       const char *part) {
    char spec[2 * SKV_TEST_PATH];
    skive_dataset *set = NULL;
    (void)snprintf(spec, sizeof spec, "audio:%s/%s", dir, rest);
    skv_test_fails(ctx, skive_dataset_open(ctx, spec, &o, &set), status, part);
    assert_null(set);
}

static skive_dataset_options all(void) {
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    return o;
}

static void write_other(const char *name, int format, int frames) {
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = format};
    SNDFILE *f = sf_open(at(name), SFM_WRITE, &info);
    assert_non_null(f);
    float *x = malloc((size_t)frames * sizeof *x);
    assert_non_null(x);
    for (int t = 0; t < frames; t++) x[t] = 0.5f * sinf(0.05f * (float)t);
    assert_int_equal(sf_writef_float(f, x, frames), frames);
    free(x);
    (void)sf_close(f);
}

static void files_of_a_folder(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_info info;
    static float x[2000];
    int64_t label;
    (void)state;
    folder("set");
    folder("set/no");
    folder("set/yes");
    write_wav("set/no/a.wav", 1000, 1, 16, 1000, ramp);      /* as it is */
    write_wav("set/no/b.WAV", 1000, 2, 32, 500, constant);   /* two channels, short */
    write_wav("set/yes/c.wav", 1000, 1, 16, 1500, ramp);     /* long */
    write_wav("set/yes/d.wav", 4000, 1, 32, 4000, constant); /* another rate */
    skive_dataset *set = open_with(ctx, "set,rate=1000,features=raw", all());
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 4);
    assert_int_equal(info.rank, 2);
    assert_int_equal(info.dims[0], 1);
    assert_int_equal(info.dims[1], 1000);
    assert_int_equal(info.dtype, SKIVE_F32);
    assert_int_equal(info.classes, 2);
    assert_string_equal(info.class_names[1], "yes");
    assert_string_equal(info.preprocessing, "rate=1000,seconds=1,features=raw");
    assert_true(
        noted(ctx, "of 4 sounds, which become samples of 1 s, 1 (the first is yes/d.wav of 4000 Hz) is "
                   "converted to 1000 Hz, 1 (the first is no/b.WAV) has several channels, which are averaged, 1 (the "
                   "first is no/b.WAV) is shorter and is followed by silence, 1 (the first is yes/c.wav) is "
                   "longer and is cut at the end"));
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 0, x, &label));
    assert_int_equal(label, 0);
    for (unsigned t = 0; t < 1000; t++) assert_true(x[t] == ramp(t, 0));
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 1, x, &label));
    for (unsigned t = 0; t < 1000; t++) assert_true(x[t] == (t < 500 ? 0.375f : 0));
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 2, x, &label));
    assert_int_equal(label, 1);
    for (unsigned t = 0; t < 1000; t++) assert_true(x[t] == ramp(t, 0));
    skv_test_ok(ctx, skive_dataset_read(ctx, set, 3, x, NULL));
    for (unsigned t = 50; t < 950; t++) assert_true(fabsf(x[t] - 0.5f) < 1e-6f);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

static void compressed_files(void **state) {
    skive_context *ctx = skv_test_context();
    static float x[16000];
    static unsigned char bytes[1 << 18];
    (void)state;
    folder("other");
    folder("other/a");
    write_other("other/a/1.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000);
    write_other("other/a/2.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000);
    skive_dataset *set = open_with(ctx, "other,features=raw", all());
    for (size_t i = 0; i < 2; i++) {
        skv_test_ok(ctx, skive_dataset_read(ctx, set, i, x, NULL));
        for (int t = 1000; t < 15000; t++)
            assert_true(fabsf(x[t] - 0.5f * sinf(0.05f * (float)t)) < (i ? 0.05f : 1e-4f));
    }
    skive_dataset_free(set);
    for (int i = 0; i < 2; i++) { /* half of each */
        char *path = at(i ? "other/a/2.ogg" : "other/a/1.flac");
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        const size_t n = fread(bytes, 1, sizeof bytes, f);
        (void)fclose(f);
        skv_test_write_file(path, bytes, n / 2);
        skive_dataset_options o = all();
        char spec[2 * SKV_TEST_PATH];
        (void)snprintf(spec, sizeof spec, "audio:%s,features=raw", at("other"));
        set = NULL;
        skive_status status = skive_dataset_open(ctx, spec, &o, &set);
        if (status == SKIVE_OK) status = skive_dataset_read(ctx, set, (size_t)i, x, NULL);
        skv_test_fails(ctx, status, SKIVE_ERR_DATA, "truncated");
        skv_test_fails(ctx, status, SKIVE_ERR_DATA, path);
        skive_dataset_free(set);
    }
    skv_test_context_end(ctx);
}

/* Damaged files are refused by name, and passed over where that is asked for. */
static void damaged_files(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = all();
    skive_dataset_info info;
    static float x[16000];
    int64_t label;
    (void)state;
    folder("bad");
    folder("bad/a");
    folder("bad/b");
    write_wav("bad/a/0.wav", 16000, 1, 16, 16000, ramp);
    write_wav("bad/b/0.wav", 16000, 1, 16, 16000, ramp);
    const struct {
        size_t cut;
        unsigned rate, frames;
        float (*sample)(unsigned, unsigned);
        const char *message;
    } cases[] = {
        {1000, 16000, 16000, ramp, "the WAV file is truncated: it says 32000 bytes of samples and has 956"},
        {40, 16000, 16000, ramp, "the WAV file is truncated: it has no samples"},
        {11, 16000, 16000, ramp, "not a WAV, FLAC or Ogg file"},
        {0, 16000, 16000, ramp, "the file is empty"},
        {44, 16000, 0, ramp, "the sound has no samples"},
        {SIZE_MAX, 0, 100, ramp, "the WAV file says a rate of 0 Hz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t n = wav(file, cases[i].rate, 1, 16, cases[i].frames, cases[i].sample);
        skv_test_write_file(at("bad/a/1.wav"), file, cases[i].cut < n ? cases[i].cut : n);
        o.skip_bad = false;
        fails_with(ctx, "bad", o, SKIVE_ERR_DATA, cases[i].message);
        fails_with(ctx, "bad", o, SKIVE_ERR_DATA, "bad/a/1.wav");
        fails_with(ctx, "bad", o, SKIVE_ERR_DATA, "--skip-bad");
        o.skip_bad = true;
        skive_dataset *set = open_with(ctx, "bad", o);
        skive_dataset_get_info(set, &info);
        assert_int_equal(info.count, 2);
        skv_test_ok(ctx, skive_dataset_read(ctx, set, 1, x, &label));
        assert_int_equal(label, 1);
        assert_true(noted(ctx, "1 of 3 sounds cannot be read and is left out (--skip-bad); the first: "));
        skive_dataset_free(set);
    }
    /* NaN is found when the sound is read, or when all are checked. */
    write_wav("bad/a/1.wav", 16000, 1, 32, 100, with_nan);
    o.skip_bad = false;
    skive_dataset *set = open_with(ctx, "bad", o);
    skv_test_fails(ctx, skive_dataset_read(ctx, set, 1, x, NULL), SKIVE_ERR_DATA,
                   "bad/a/1.wav: sample 70 is NaN or infinity; --skip-bad");
    skive_dataset_free(set);
    o.skip_bad = true;
    set = open_with(ctx, "bad", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.count, 2);
    skive_dataset_free(set);
    skv_test_write_file(at("bad/a/1.wav"), "ID3\3 and more of it", 19);
    o.skip_bad = false;
    fails_with(ctx, "bad", o, SKIVE_ERR_DATA, "not a WAV, FLAC or Ogg file; it looks like MP3");
    skv_test_context_end(ctx);
}

static void wrong_settings(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = all();
    (void)state;
    folder("s");
    folder("s/a");
    write_wav("s/a/0.wav", 16000, 1, 16, 16000, ramp);
    fails_with(ctx, "s,features=mfc", o, SKIVE_ERR_ARGUMENT, "mfcc");
    fails_with(ctx, "s,features=raw,mels=30", o, SKIVE_ERR_ARGUMENT,
               "feature 'raw' takes no options, and 'mels' is given");
    fails_with(ctx, "s,features=logmel,coefficients=3", o, SKIVE_ERR_ARGUMENT, "has no option 'coefficients'");
    fails_with(ctx, "s,secnds=3", o, SKIVE_ERR_ARGUMENT, "did you mean 'seconds'?");
    fails_with(ctx, "s,seconds=-1", o, SKIVE_ERR_ARGUMENT, "seconds is -1");
    fails_with(ctx, "s,rate=0", o, SKIVE_ERR_ARGUMENT, "rate is 0");
    fails_with(ctx, "s,seconds=0.00001", o, SKIVE_ERR_ARGUMENT, "are 0 samples");
    fails_with(ctx, "none", o, SKIVE_ERR_DATA, "no such folder");
    o.resize_h = o.resize_w = 8;
    fails_with(ctx, "s", o, SKIVE_ERR_ARGUMENT, "only 8-bit images can be resized");
    skv_test_context_end(ctx);
}

/* The model carries the settings, and a set that is opened for it takes them from there. */
static void settings_in_the_model(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = all();
    skive_dataset_info info;
    skive_graph *g = NULL;
    static const char wanted[] = "rate=8000,seconds=0.5,features=mfcc,window=30,hop=20,mels=40,fmin=20,fmax=4000,"
                                 "fft=0,power=1,floor=1e-06,coefficients=12,htk=no";
    (void)state;
    folder("m");
    folder("m/a");
    folder("m/b");
    write_wav("m/a/0.wav", 16000, 1, 16, 16000, ramp);
    write_wav("m/b/0.wav", 16000, 1, 16, 16000, constant);
    skive_dataset *set = open_with(ctx, "m,rate=8000,seconds=0.5,features=mfcc,window=30,coefficients=12", o);
    skive_dataset_get_info(set, &info);
    assert_int_equal(info.rank, 3);
    assert_int_equal(info.dims[1], 24); /* 1 + (4000 - 240) / 160 */
    assert_int_equal(info.dims[2], 12);
    assert_string_equal(info.preprocessing, wanted);
    skive_zoo_options z = skive_zoo_options_default();
    for (int d = 0; d < 3; d++) z.dims[d] = info.dims[d];
    z.classes = 2;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:4", &z, &g));
    skv_test_ok(ctx, skive_model_set_input(ctx, g, set, NULL));
    assert_string_equal(skive_graph_meta(g, "skive.input.sound"), wanted);
    skive_dataset_free(set);
    o.model = g;
    o.classes_by_order = true;
    set = open_with(ctx, "m", o);
    skive_dataset_get_info(set, &info);
    assert_string_equal(info.preprocessing, wanted);
    skive_dataset_free(set);
    set = open_with(ctx, "m,window=25", o); /* what is given counts, and is told */
    skive_dataset_get_info(set, &info);
    assert_non_null(strstr(info.preprocessing, "features=mfcc,window=25,hop=20,mels=40"));
    assert_non_null(strstr(info.preprocessing, "coefficients=12"));
    (void)skive_model_set_input(ctx, g, set, NULL);
    assert_true(noted(ctx, "but the model's metadata say rate=8000"));
    skive_dataset_free(set);
    skv_test_ok(ctx, skive_graph_set_meta(g, "skive.input.sound", "rate=fast"));
    fails_with(ctx, "m", o, SKIVE_ERR_FORMAT, "skive.input.sound: rate is fast");
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

/* The features in the graph give what the data set gives, with the normalisation. */
static void features_in_the_graph(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset_options o = all();
    skive_dataset_info info;
    skive_zoo_options z = skive_zoo_options_default();
    skive_input_options in = skive_input_options_default();
    skive_graph *before = NULL, *after = NULL;
    skive_tensor outputs[2] = {{0}};
    (void)state;
    folder("g");
    folder("g/a");
    folder("g/b");
    write_wav("g/a/0.wav", 16000, 1, 16, 16000, ramp);
    write_wav("g/b/0.wav", 16000, 1, 16, 12000, constant);
    skive_dataset *set = open_with(ctx, "g,features=mfcc,window=30", o);
    skive_dataset_get_info(set, &info);
    for (int d = 0; d < 3; d++) z.dims[d] = info.dims[d];
    z.classes = 2;
    skv_test_ok(ctx, skive_zoo_build(ctx, "mlp:4", &z, &before));
    skv_test_fails(ctx, skive_model_features_in_graph(ctx, before), SKIVE_ERR_ARGUMENT, "not trained on sounds");
    in.mean = "data";
    skv_test_ok(ctx, skive_model_set_input(ctx, before, set, &in));
    skv_test_ok(ctx, skive_graph_copy(ctx, before, &after));
    skv_test_ok(ctx, skive_model_features_in_graph(ctx, after));
    assert_string_equal(skive_graph_meta(after, "skive.input.sound"), "rate=16000,seconds=1,features=raw");
    skive_dataset_free(set);
    for (int k = 0; k < 2; k++) { /* both models on the set as each of them takes it */
        skive_session *session = NULL;
        skive_loader_options lo = skive_loader_options_default();
        skive_loader *loader = NULL;
        skive_batch batch;
        skv_feeds feed;
        o.model = k ? after : before;
        o.classes_by_order = true;
        set = open_with(ctx, "g", o);
        skive_dataset_get_info(set, &info);
        lo.shuffle = false;
        lo.batch = 2;
        skv_test_ok(ctx, skv_feeds_make(ctx, o.model, &info, &feed));
        skv_test_ok(ctx, skv_feeds_loader(ctx, &feed, set, &lo, &loader));
        skv_test_ok(ctx, skive_loader_start_epoch(loader, 0));
        skv_test_ok(ctx, skive_loader_next(loader, &batch));
        skv_test_ok(ctx, skive_session_create(ctx, o.model, NULL, &session));
        skv_test_ok(ctx, skive_session_run(session, &batch.x, 1, &outputs[k], 1));
        skive_session_free(session);
        skive_loader_free(loader);
        skv_feeds_free(&feed);
        skive_dataset_free(set);
    }
    assert_int_equal(skive_tensor_count(&outputs[0]), 4);
    for (int64_t i = 0; i < 4; i++) {
        const double a = skive_tensor_get(&outputs[0], i), b = skive_tensor_get(&outputs[1], i);
        assert_true(fabs(a - b) < 1e-4 * (1 + fabs(a)));
    }
    skv_test_fails(ctx, skive_model_features_in_graph(ctx, after), SKIVE_ERR_ARGUMENT,
                   "takes the samples of sounds already");
    for (int k = 0; k < 2; k++) skive_tensor_free(ctx, &outputs[k]);
    skive_graph_free(before);
    skive_graph_free(after);
    skv_test_context_end(ctx);
}

/* Any allocation may fail, while a set is opened and read and while a model gets its features. */
static skive_status open_and_read(skive_context *ctx, void *user) {
    char spec[2 * SKV_TEST_PATH];
    static float x[16000];
    skive_dataset_options o = all();
    skive_dataset *set = NULL;
    (void)snprintf(spec, sizeof spec, "audio:%s/f,features=mfcc", dir);
    o.model = user;
    o.skip_bad = true;
    o.classes_by_order = true;
    skive_status status = skive_dataset_open(ctx, spec, &o, &set);
    if (status == SKIVE_OK) status = skive_dataset_read(ctx, set, 1, x, NULL);
    skive_dataset_free(set);
    return status;
}

static skive_status build_features(skive_context *ctx, void *user) {
    const skive_type t = {.dtype = SKIVE_F32, .rank = 4, .dims = {{-1, "N"}, {1, NULL}, {49, NULL}, {10, NULL}}};
    skive_graph *g = NULL;
    skive_value *x = NULL;
    skive_node *n = NULL;
    skive_status status = skive_graph_create(ctx, "g", &g);
    (void)user;
    if (status == SKIVE_OK) status = skive_graph_add_input(g, "x", &t, &x);
    if (status == SKIVE_OK) status = skive_graph_add_node(g, "Relu", NULL, &x, 1, 1, &n);
    if (status == SKIVE_OK) status = skive_graph_add_output(g, skive_node_output(n, 0));
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) status = skive_graph_set_meta(g, "skive.input.sound", "features=mfcc");
    if (status == SKIVE_OK) status = skive_graph_set_meta(g, "skive.input.mean", "1");
    if (status == SKIVE_OK) status = skive_graph_set_meta(g, "skive.input.std", "2");
    if (status == SKIVE_OK) {
        status = skive_model_features_in_graph(ctx, g);
        /* A failure leaves the model as it was. */
        if (status != SKIVE_OK) assert_string_equal(skive_graph_meta(g, "skive.input.sound"), "features=mfcc");
        assert_int_equal(skive_graph_input_count(g), 1);
    }
    skive_graph_free(g);
    return status;
}

static void allocations_that_fail(void **state) {
    (void)state;
    folder("f");
    folder("f/a");
    write_wav("f/a/0.wav", 16000, 1, 16, 16000, ramp);
    write_wav("f/a/1.wav", 8000, 2, 16, 8000, ramp);
    write_wav("f/a/2.wav", 16000, 1, 32, 100, with_nan);
    assert_true(skv_test_walk_allocations(open_and_read, NULL, 1) > 20);
    assert_true(skv_test_walk_allocations(build_features, NULL, 3) > 20);
}

/* Batches have the same bits whatever the threads. */
static void same_bits(void **state) {
    skive_context *ctx = skv_test_context();
    skive_dataset *set;
    skive_loader *loaders[2] = {NULL};
    (void)state;
    folder("t");
    folder("t/a");
    for (int i = 0; i < 7; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t/a/%d.wav", i);
        write_wav(name, i % 2 ? 11025 : 16000, 1, 16, 9000 + (unsigned)i * 100, ramp);
    }
    set = open_with(ctx, "t,features=mfcc", all());
    skive_loader_options o = skive_loader_options_default();
    o.batch = 2;
    o.seed = 3;
    for (int i = 0; i < 2; i++) {
        o.threads = i ? 3 : 0;
        skv_test_ok(ctx, skive_loader_create(ctx, set, &o, &loaders[i]));
        skv_test_ok(ctx, skive_loader_start_epoch(loaders[i], 1));
    }
    for (;;) {
        skive_batch a, b;
        skv_test_ok(ctx, skive_loader_next(loaders[0], &a));
        skv_test_ok(ctx, skive_loader_next(loaders[1], &b));
        if (a.end) break;
        assert_memory_equal(a.x.data, b.x.data, skive_tensor_bytes(&a.x));
    }
    skive_loader_free(loaders[0]);
    skive_loader_free(loaders[1]);
    skive_dataset_free(set);
    skv_test_context_end(ctx);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transform),
        cmocka_unit_test(definitions),
        cmocka_unit_test(one_sine),
        cmocka_unit_test(settings_that_do_not_fit),
        cmocka_unit_test(options_of_features),
        cmocka_unit_test(rates),
#if SKIVE_WITH_SNDFILE
        cmocka_unit_test_setup_teardown(files_of_a_folder, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(compressed_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(damaged_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(wrong_settings, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(settings_in_the_model, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(features_in_the_graph, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(allocations_that_fail, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(same_bits, make_dir, remove_dir),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
