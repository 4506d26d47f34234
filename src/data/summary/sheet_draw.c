/* Samples and text drawn into a picture in memory. */
#include <math.h>
#include <string.h>

#include "data/summary/sheet.h"

/* The longest side of a picture is brought between these by a whole factor. */
enum { SMALL = 84, LARGE = 200, CURVE_WIDTH = 168, CURVE_HEIGHT = 84 };

skive_status skv_canvas_create(skive_context *ctx, int64_t width, int64_t height, skv_canvas *out) {
    *out = (skv_canvas){.width = width, .height = height};
    size_t bytes;
    if (!skv_mul_size((size_t)width, (size_t)height, &bytes) || !skv_mul_size(bytes, 3, &bytes) ||
        bytes > SKV_IMAGE_MAX_BYTES)
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, "samples", "a sheet of %lld x %lld pixels is too large",
                           (long long)width, (long long)height);
    SKV_TRY(skv_alloc(ctx, bytes, &out->pixels));
    memset(out->pixels, 0xff, bytes);
    return SKIVE_OK;
}

void skv_canvas_put(skv_canvas *c, int64_t x, int64_t y, const uint8_t rgb[3]) {
    if (x < 0 || y < 0 || x >= c->width || y >= c->height) return;
    memcpy(c->pixels + 3 * (y * c->width + x), rgb, 3);
}

/* ---- text ---- */

static uint32_t next_character(const char **text) {
    const unsigned char *at = (const unsigned char *)*text;
    const int length = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 1;
    for (int i = 0; i < length && **text; i++) ++*text;
    return length == 1 && at[0] < 0x80 ? at[0] : 0xfffd;
}

static void draw_glyph(skv_canvas *c, int64_t x, int64_t y, uint32_t character) {
    static const uint8_t black[3] = {0, 0, 0};
    const uint8_t *rows = skv_glyph(character);
    for (int64_t row = 0; row < SKV_GLYPH_HEIGHT; row++) {
        for (int64_t column = 0; column < SKV_GLYPH_WIDTH; column++) {
            if (rows[row] >> (SKV_GLYPH_WIDTH - 1 - column) & 1) skv_canvas_put(c, x + column, y + row, black);
        }
    }
}

void skv_canvas_text(skv_canvas *c, int64_t x, int64_t y, int64_t width, const char *text) {
    const int64_t room = width / SKV_GLYPH_STEP;
    int64_t length = 0;
    for (const char *at = text; *at;) {
        (void)next_character(&at);
        length++;
    }
    const int64_t kept = length <= room ? length : room - 2;
    for (int64_t i = 0; i < kept; i++) draw_glyph(c, x + i * SKV_GLYPH_STEP, y, next_character(&text));
    for (int64_t i = kept; i < room && length > room && i >= 0; i++) draw_glyph(c, x + i * SKV_GLYPH_STEP, y, '.');
}

/* ---- pictures ---- */

static void sides(const skv_picture *p, int64_t *width, int64_t *height) {
    *height = p->dims[1];
    *width = p->dims[2];
    if (p->content == SKV_CONTENT_FEATURES) { /* time to the right */
        *width = p->dims[1];
        *height = p->dims[2];
    }
}

void skv_picture_fit(skv_picture *p, int64_t *width, int64_t *height) {
    int64_t w, h;
    p->zoom = p->shrink = 1;
    *width = CURVE_WIDTH;
    *height = CURVE_HEIGHT;
    if (p->content == SKV_CONTENT_WAVE) return;
    sides(p, &w, &h);
    const int64_t longest = w > h ? w : h;
    if (longest < SMALL) p->zoom = (SMALL + longest - 1) / longest;
    if (longest > LARGE) p->shrink = (longest + LARGE - 1) / LARGE;
    *width = (w * p->zoom + p->shrink - 1) / p->shrink;
    *height = (h * p->zoom + p->shrink - 1) / p->shrink;
}

static uint8_t byte(float x) { return (uint8_t)(x > 0 ? x < 1 ? lrintf(x * 255) : 255 : 0); } /* NaN: 0 */

/* From dark blue over green to yellow, brighter with every step. */
static void coloured(float x, uint8_t rgb[3]) {
    static const float steps[5][3] = {{0.10f, 0.03f, 0.30f},
                                      {0.25f, 0.22f, 0.55f},
                                      {0.13f, 0.50f, 0.55f},
                                      {0.40f, 0.76f, 0.35f},
                                      {0.99f, 0.91f, 0.20f}};
    const float at = x > 0 ? x < 1 ? x * 4 : 4 : 0;
    const int i = at < 4 ? (int)at : 3;
    for (int c = 0; c < 3; c++) rgb[c] = byte(steps[i][c] + (at - (float)i) * (steps[i + 1][c] - steps[i][c]));
}

/* The mean of shrink x shrink values. */
static float value_at(const skv_picture *p, const float *plane, int64_t y, int64_t x) {
    float sum = 0;
    int64_t n = 0;
    for (int64_t v = y * p->shrink / p->zoom; n == 0 || v < (y + 1) * p->shrink / p->zoom; v++) {
        for (int64_t u = x * p->shrink / p->zoom, k = 0; k == 0 || u < (x + 1) * p->shrink / p->zoom; u++, k++) {
            if (v >= p->dims[1] || u >= p->dims[2]) continue;
            sum += plane[v * p->dims[2] + u];
            n++;
        }
        if (n == 0) break;
    }
    return n ? sum / (float)n : 0;
}

static void range_of(const skv_picture *p, const float *x, float *least, float *factor) {
    const size_t n = (size_t)(p->dims[0] * p->dims[1] * p->dims[2]);
    float low = x[0], high = x[0];
    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *least = p->unit ? 0 : low;
    *factor = p->unit ? 1 : high > low ? 1 / (high - low) : 0;
}

/* 0 at the bottom, 1 at the top; NaN at the bottom. */
static int64_t row_of(float x) { return CURVE_HEIGHT - 1 - (int64_t)byte(x) * (CURVE_HEIGHT - 1) / 255; }

static void draw_curve(const skv_picture *p, const float *x, skv_canvas *c, int64_t left, int64_t top) {
    static const uint8_t colours[3][3] = {{30, 60, 160}, {180, 60, 30}, {40, 130, 60}};
    const int64_t n = p->dims[2];
    float least, factor;
    range_of(p, x, &least, &factor);
    for (int64_t k = 0; k < p->dims[0]; k++) {
        for (int64_t column = 0; column < CURVE_WIDTH; column++) {
            const int64_t first = column * n / CURVE_WIDTH,
                          last = (column + 1) * n / CURVE_WIDTH; /* and the next one */
            float low = x[k * n + first], high = low;
            for (int64_t t = first; t <= last && t < n; t++) {
                low = x[k * n + t] < low ? x[k * n + t] : low;
                high = x[k * n + t] > high ? x[k * n + t] : high;
            }
            const int64_t from = row_of((high - least) * factor), to = row_of((low - least) * factor);
            for (int64_t y = from; y <= to; y++) skv_canvas_put(c, left + column, top + y, colours[k % 3]);
        }
    }
}

void skv_picture_draw(const skv_picture *p, const float *x, skv_canvas *c, int64_t left, int64_t top) {
    const int64_t plane = p->dims[1] * p->dims[2];
    const bool features = p->content == SKV_CONTENT_FEATURES;
    float least, factor;
    int64_t w, h;
    if (p->content == SKV_CONTENT_WAVE) {
        draw_curve(p, x, c, left, top);
        return;
    }
    range_of(p, x, &least, &factor);
    sides(p, &w, &h);
    for (int64_t row = 0; row * p->shrink < h * p->zoom; row++) {
        for (int64_t column = 0; column * p->shrink < w * p->zoom; column++) {
            const int64_t y = features ? column : row,
                          v = features ? (h * p->zoom + p->shrink - 1) / p->shrink - 1 - row : column;
            uint8_t rgb[3];
            if (features)
                coloured((value_at(p, x, y, v) - least) * factor, rgb);
            else
                for (int k = 0; k < 3; k++)
                    rgb[k] = byte((value_at(p, x + (p->dims[0] == 3 ? k : 0) * plane, y, v) - least) * factor);
            skv_canvas_put(c, left + column, top + row, rgb);
        }
    }
}
