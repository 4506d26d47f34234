/* Mean and standard deviation of the input: measured over a split, written as text, read back, applied. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/feed.h"
#include "tensor/tensor.h"

/* Sums of one channel. */
typedef struct sums {
    double count, sum, squares, shift;
} sums;

skive_status skv_normalization_create(skive_context *ctx, int64_t channels, skive_normalization *out) {
    *out = (skive_normalization){0};
    SKV_TRY(skv_alloc_array(ctx, 2 * (size_t)channels, sizeof *out->mean, &out->mean));
    out->channels = channels;
    out->std = out->mean + channels;
    return SKIVE_OK;
}

void skive_normalization_free(skive_context *ctx, skive_normalization *n) {
    if (!n) return;
    skv_free(ctx, n->mean);
    *n = (skive_normalization){0};
}

bool skv_normalization_valid(const skive_normalization *n) {
    if (n->channels < 0 || n->channels > SKIVE_MAX_CHANNELS) return false;
    for (int64_t c = 0; c < n->channels; c++) {
        if (!isfinite(n->mean[c]) || !isfinite(n->std[c]) || !(n->std[c] > 0.0f)) return false;
    }
    return true;
}

/* ---- measuring ---- */

/* 8-bit samples are counted by value, which is exact and fast. */
static void count_bytes(const uint8_t *p, size_t n, uint64_t *histogram) {
    uint32_t part[4][256] = {{0}}; /* four tables, so that equal neighbours do not depend on each other */
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        part[0][p[i]]++;
        part[1][p[i + 1]]++;
        part[2][p[i + 2]]++;
        part[3][p[i + 3]]++;
    }
    for (; i < n; i++) part[0][p[i]]++;
    for (size_t v = 0; v < 256; v++) histogram[v] += (uint64_t)part[0][v] + part[1][v] + part[2][v] + part[3][v];
}

static void add_floats(const float *x, size_t n, sums *s) {
    if (s->count == 0.0) s->shift = (double)x[0]; /* squares of differences to a sample: no cancellation */
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - s->shift;
        s->sum += d;
        s->squares += d * d;
    }
    s->count += (double)n;
}

static void give(double m, double variance, float *mean, float *std) {
    const double deviation = variance > 0.0 ? sqrt(variance) : 0.0;
    *mean = (float)m;
    /* A channel that is constant up to rounding. */
    *std = deviation > 1e-7 * (fabs(m) + 1e-30) ? (float)deviation : 1.0f;
}

static void finish_bytes(const uint64_t *histogram, float *mean, float *std) {
    double count = 0.0, sum = 0.0, squares = 0.0;
    for (int v = 0; v < 256; v++) {
        count += (double)histogram[v];
        sum += (double)histogram[v] * v;
    }
    const double m = sum / count;
    for (int v = 0; v < 256; v++) squares += (double)histogram[v] * (v - m) * (v - m);
    give(m / 255.0, squares / count / (255.0 * 255.0), mean, std);
}

static void finish(const sums *s, float *mean, float *std) {
    const double d = s->sum / s->count;
    give(s->shift + d, s->squares / s->count - d * d, mean, std);
}

typedef struct measured {
    size_t outer, channels, inner; /* a sample is [outer][channels][inner] */
    sums *sums;
    uint64_t (*histograms)[256]; /* of bytes in few channels */
    float *x;
} measured;

static void add_sample(const skive_dataset *ds, size_t at, measured *m) {
    for (size_t o = 0; o < m->outer; o++) {
        for (size_t c = 0; c < m->channels; c++) {
            const size_t from = (o * m->channels + c) * m->inner;
            if (m->histograms && ds->u8)
                count_bytes(ds->u8 + at * ds->size + from, m->inner, m->histograms[c]);
            else
                add_floats(m->x + from, m->inner, &m->sums[c]);
        }
    }
}

static skive_status measure(skive_context *ctx, const skive_dataset *ds, measured *m, skive_normalization *out) {
    skv_progress progress;
    SKV_TRY(skv_alloc_array(ctx, m->channels, sizeof *m->sums, &m->sums));
    SKV_TRY(skv_alloc_array(ctx, ds->size, sizeof *m->x, &m->x));
    if (ds->u8 && m->inner >= 64) SKV_TRY(skv_alloc_array(ctx, m->channels, sizeof *m->histograms, &m->histograms));
    SKV_TRY(skv_normalization_create(ctx, (int64_t)m->channels, out));
    skv_progress_start(&progress, ctx, "mean and deviation", (double)ds->count);
    for (size_t i = 0; i < ds->count; i++) {
        if (!m->histograms) SKV_TRY(skive_dataset_read(ctx, ds, i, m->x, NULL));
        add_sample(ds, skv_dataset_at(ds, i), m);
        if (i % 64 == 63 || i + 1 == ds->count) {
            SKV_TRY(skv_progress_at(&progress, (double)(i + 1), "%zu samples", i + 1));
        }
    }
    for (size_t c = 0; c < m->channels; c++) {
        if (m->histograms)
            finish_bytes(m->histograms[c], &out->mean[c], &out->std[c]);
        else
            finish(&m->sums[c], &out->mean[c], &out->std[c]);
    }
    if (skv_normalization_valid(out)) return SKIVE_OK;
    return SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "%s: the samples are too large to compute a mean and standard deviation",
                    ds->spec);
}

skive_status skv_dataset_statistics_of(skive_context *ctx, const skive_dataset *ds, int axis,
                                       skive_normalization *out) {
    measured m = {.outer = 1, .channels = 1, .inner = ds->size};
    *out = (skive_normalization){0};
    if (axis >= 0 && axis < ds->rank && ds->dims[axis] <= SKIVE_MAX_CHANNELS) {
        m.inner = 1;
        for (int d = 0; d < ds->rank; d++) {
            if (d < axis) m.outer *= (size_t)ds->dims[d];
            if (d > axis) m.inner *= (size_t)ds->dims[d];
        }
        m.channels = (size_t)ds->dims[axis];
    }
    const skive_status status = measure(ctx, ds, &m, out);
    skv_free(ctx, m.sums);
    skv_free(ctx, m.histograms);
    skv_free(ctx, m.x);
    if (status != SKIVE_OK) skive_normalization_free(ctx, out);
    return status;
}

skive_status skive_dataset_statistics(skive_context *ctx, const skive_dataset *ds, skive_normalization *out) {
    SKV_NEED(ctx, "ctx, dataset, out", ctx, ds, out);
    const skive_dataset *first = skv_dataset_input(ds, 0);
    return skv_dataset_statistics_of(ctx, first, first->rank == 2 ? -1 : 0, out);
}

/* ---- text ---- */

/* Nine digits bring every float back. */
static void put_number(char *buffer, size_t size, float value) {
    (void)snprintf(buffer, size, "%.9g", (double)value);
    for (char *p = buffer; *p; p++) {
        if (*p == ',') *p = '.';
    }
}

void skv_put_numbers(skv_text *t, int64_t count, const float *values) {
    for (int64_t i = 0; i < count; i++) {
        char number[32];
        put_number(number, sizeof number, values[i]);
        skv_text_add(t, "%s%s", i ? "," : "", number);
    }
}

skive_status skive_normalization_format(skive_context *ctx, const skive_normalization *n, char *buffer, size_t size) {
    SKV_NEED(ctx, "ctx, normalization, buffer", ctx, n, buffer);
    if (size == 0) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "size", "normalisation: the buffer has no room");
    buffer[0] = '\0';
    if (!skv_normalization_valid(n)) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "normalisation: means must be finite and deviations positive");
    }
    size_t at = 0;
    for (int64_t i = 0; i < 2 * n->channels; i++) {
        char number[32];
        int64_t c = i % n->channels;
        put_number(number, sizeof number, i < n->channels ? n->mean[c] : n->std[c]);
        size_t length = strlen(number);
        if (at + length + 2 > size) {
            buffer[0] = '\0';
            return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "normalisation: a buffer of %zu bytes is too small", size);
        }
        if (i) buffer[at++] = i == n->channels ? ';' : ',';
        memcpy(buffer + at, number, length + 1);
        at += length;
    }
    return SKIVE_OK;
}

skive_status skv_parse_numbers(skive_context *ctx, const char *text, size_t length, int64_t most, int64_t *count,
                               float **values, bool *good) {
    int64_t n = 1;
    for (size_t i = 0; i < length; i++) n += text[i] == ',';
    *count = 0;
    *values = NULL;
    *good = n <= most;
    if (!*good) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)n, sizeof **values, values));
    for (size_t from = 0; *good && from <= length;) {
        const char *comma = memchr(text + from, ',', length - from);
        size_t to = comma ? (size_t)(comma - text) : length;
        double value = 0;
        *good = skv_parse_number(text + from, to - from, &value);
        (*values)[(*count)++] = (float)value;
        from = to + 1;
    }
    return SKIVE_OK;
}

skive_status skive_normalization_parse(skive_context *ctx, const char *text, skive_normalization *out) {
    SKV_NEED(ctx, "ctx, text, out", ctx, text, out);
    const char *semicolon = strchr(text, ';');
    int64_t means = 0, deviations = 0;
    float *mean = NULL, *std = NULL;
    bool good = semicolon != NULL;
    skive_status status = SKIVE_OK;
    *out = (skive_normalization){0};
    if (!*text) return SKIVE_OK;
    if (good)
        SKV_GO(status, done,
               skv_parse_numbers(ctx, text, (size_t)(semicolon - text), SKIVE_MAX_CHANNELS, &means, &mean, &good));
    if (good)
        SKV_GO(
            status, done,
            skv_parse_numbers(ctx, semicolon + 1, strlen(semicolon + 1), SKIVE_MAX_CHANNELS, &deviations, &std, &good));
    if (good && means == deviations) {
        SKV_GO(status, done, skv_normalization_create(ctx, means, out));
        memcpy(out->mean, mean, (size_t)means * sizeof *mean);
        memcpy(out->std, std, (size_t)means * sizeof *std);
        if (skv_normalization_valid(out)) goto done;
        skive_normalization_free(ctx, out);
    }
    status = skv_fail_at(
        ctx, SKIVE_ERR_ARGUMENT, "normalisation",
        "normalisation '%.*s%s': expected as many means as positive standard deviations, such as 0.286;0.353",
        skv_utf8_prefix(text, 60), text, strlen(text) > 60 ? "..." : "");
done:
    skv_free(ctx, mean);
    skv_free(ctx, std);
    return status;
}

void skive_normalization_apply(const skive_normalization *n, float *x, size_t samples, size_t channels, size_t plane) {
    if (!n || !x || n->channels <= 0 || (n->channels != 1 && (size_t)n->channels != channels)) return;
    for (size_t i = 0; i < samples * channels; i++) {
        size_t c = n->channels == 1 ? 0 : i % channels;
        float a = 1.0f / n->std[c], b = -n->mean[c] / n->std[c];
        float *p = x + i * plane;
        for (size_t k = 0; k < plane; k++) p[k] = p[k] * a + b;
    }
}
