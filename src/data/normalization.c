/* Mean and standard deviation of the input: measured over a split, written as text, read back, applied. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

/* Sums of one channel. 8-bit samples are counted by value, which is exact and fast. */
typedef struct sums {
    double count, sum, squares, shift;
    uint64_t histogram[256];
} sums;

bool skv_normalization_valid(const skive_normalization *n) {
    if (n->channels < 0 || n->channels > SKIVE_MAX_CHANNELS) return false;
    for (int c = 0; c < n->channels; c++) {
        if (!isfinite(n->mean[c]) || !isfinite(n->std[c]) || !(n->std[c] > 0.0f)) return false;
    }
    return true;
}

/* ---- measuring ---- */

static void count_bytes(const uint8_t *p, size_t n, uint64_t *histogram) {
    uint32_t part[4][256] = {{0}}; /* four, so that equal neighbours do not wait for each other */
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

static void finish(const sums *s, bool bytes, float *mean, float *std) {
    double count = s->count, m, variance;
    if (bytes) {
        double sum = 0.0, squares = 0.0;
        count = 0.0;
        for (int v = 0; v < 256; v++) {
            count += (double)s->histogram[v];
            sum += (double)s->histogram[v] * v;
        }
        m = sum / count;
        for (int v = 0; v < 256; v++) squares += (double)s->histogram[v] * (v - m) * (v - m);
        variance = squares / count / (255.0 * 255.0);
        m /= 255.0;
    } else {
        double d = s->sum / count;
        m = s->shift + d;
        variance = s->squares / count - d * d;
    }
    double deviation = variance > 0.0 ? sqrt(variance) : 0.0;
    *mean = (float)m;
    /* A channel that never varies, up to rounding. */
    *std = deviation > 1e-7 * (fabs(m) + 1e-30) ? (float)deviation : 1.0f;
}

skive_status skive_dataset_statistics(skive_context *ctx, const skive_dataset *ds, skive_normalization *out) {
    if (!ctx || !ds || !out) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_dataset_statistics: an argument is NULL");
    *out = (skive_normalization){0};
    int channels = ds->rank == 3 && ds->dims[0] <= SKIVE_MAX_CHANNELS ? (int)ds->dims[0] : 1;
    size_t plane = ds->size / (size_t)channels;
    sums *s = NULL;
    float *x = NULL;
    skv_progress progress;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)channels, sizeof *s, &s));
    if (!ds->u8) SKV_GO(status, done, skv_alloc_array(ctx, ds->size, sizeof *x, &x));
    skv_progress_start(&progress, ctx, "mean and deviation", (double)ds->count);
    for (size_t i = 0; i < ds->count; i++) {
        size_t at = skv_dataset_at(ds, i);
        if (x) SKV_GO(status, done, ds->kind->read(ctx, ds, at, x));
        for (int c = 0; c < channels; c++) {
            size_t from = (size_t)c * plane;
            if (x)
                add_floats(x + from, plane, &s[c]);
            else if (ds->u8)
                count_bytes(ds->u8 + at * ds->size + from, plane, s[c].histogram);
        }
        if (i % 64 == 63 || i + 1 == ds->count) {
            SKV_GO(status, done, skv_progress_at(&progress, (double)(i + 1), "%zu samples", i + 1));
        }
    }
    out->channels = channels;
    for (int c = 0; c < channels; c++) finish(&s[c], x == NULL, &out->mean[c], &out->std[c]);
    if (!skv_normalization_valid(out)) {
        *out = (skive_normalization){0};
        status =
            SKV_FAIL(ctx, SKIVE_ERR_NUMERIC, "%s: the samples are too large to have a mean and deviation", ds->spec);
    }
done:
    skv_free(ctx, s);
    skv_free(ctx, x);
    return status;
}

/* ---- text ---- */

bool skv_parse_number(const char *text, size_t length, double *out) {
    char buffer[64], *end;
    if (length == 0 || length >= sizeof buffer || text[0] == ' ' || text[0] == '\t') return false;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the program may run with a decimal comma */
    if (!c) return false;
    *out = strtod_l(buffer, &end, c);
    freelocale(c);
    return *end == '\0' && isfinite(*out);
}

/* Nine digits bring every float back. */
static void put_number(char *buffer, size_t size, float value) {
    (void)snprintf(buffer, size, "%.9g", (double)value);
    for (char *p = buffer; *p; p++) {
        if (*p == ',') *p = '.';
    }
}

skive_status skive_normalization_format(skive_context *ctx, const skive_normalization *n, char *buffer, size_t size) {
    if (!n || !buffer || size == 0) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_normalization_format: an argument is NULL");
    }
    buffer[0] = '\0';
    if (!skv_normalization_valid(n)) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "normalisation: means must be finite and deviations positive");
    }
    size_t at = 0;
    for (int i = 0; i < 2 * n->channels; i++) {
        char number[32];
        int c = i % n->channels;
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

static bool parse_list(const char *text, size_t length, int *count, float *values) {
    *count = 0;
    for (size_t from = 0; from <= length;) {
        const char *comma = memchr(text + from, ',', length - from);
        size_t to = comma ? (size_t)(comma - text) : length;
        double value;
        if (*count == SKIVE_MAX_CHANNELS || !skv_parse_number(text + from, to - from, &value)) return false;
        values[(*count)++] = (float)value;
        from = to + 1;
    }
    return true;
}

skive_status skive_normalization_parse(skive_context *ctx, const char *text, skive_normalization *out) {
    if (!text || !out) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "skive_normalization_parse: an argument is NULL");
    skive_normalization n = {0};
    const char *semicolon = strchr(text, ';');
    int deviations = 0;
    *out = n;
    if (!*text) return SKIVE_OK;
    if (!semicolon || !parse_list(text, (size_t)(semicolon - text), &n.channels, n.mean) ||
        !parse_list(semicolon + 1, strlen(semicolon + 1), &deviations, n.std) || deviations != n.channels ||
        !skv_normalization_valid(&n)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "normalisation",
                           "normalisation '%s': expected as many means as positive deviations, up to %d of each, such "
                           "as 0.286;0.353",
                           text, SKIVE_MAX_CHANNELS);
    }
    *out = n;
    return SKIVE_OK;
}

void skive_normalization_apply(const skive_normalization *n, float *x, size_t samples, size_t channels, size_t plane) {
    if (!n || n->channels <= 0) return;
    for (size_t i = 0; i < samples * channels; i++) {
        size_t c = i % channels < (size_t)n->channels ? i % channels : 0;
        float a = 1.0f / n->std[c], b = -n->mean[c] / n->std[c];
        float *p = x + i * plane;
        for (size_t k = 0; k < plane; k++) p[k] = p[k] * a + b;
    }
}
