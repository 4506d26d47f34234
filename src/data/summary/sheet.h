/* Contact sheets: a picture in memory, what is drawn into it, and writing it as PNG. */
#ifndef SKV_SHEET_H
#define SKV_SHEET_H

#include "data/transform.h"

typedef struct skv_canvas {
    int64_t width, height;
    uint8_t *pixels; /* [height][width][3], freed by skv_free */
} skv_canvas;

/* White. */
skive_status skv_canvas_create(skive_context *ctx, int64_t width, int64_t height, skv_canvas *out);
void skv_canvas_put(skv_canvas *c, int64_t x, int64_t y, const uint8_t rgb[3]); /* outside: nothing */
/* One line of text, black, at most `width` pixels; a text that is too long ends in "..". */
void skv_canvas_text(skv_canvas *c, int64_t x, int64_t y, int64_t width, const char *text);
skive_status skv_canvas_write(skive_context *ctx, const skv_canvas *c, const char *path);

enum { SKV_GLYPH_WIDTH = 5, SKV_GLYPH_HEIGHT = 9, SKV_GLYPH_STEP = 6 };
const uint8_t *skv_glyph(uint32_t character); /* [SKV_GLYPH_HEIGHT] rows of five bits */

/* A sample drawn into a cell whose upper left corner is (x, y). */
typedef struct skv_picture {
    skv_content content;  /* IMAGE, FEATURES or WAVE */
    int64_t dims[3];      /* [c][h][w], [c][time][feature] or [c][1][time] */
    bool unit;            /* pixels from 0 to 1; others are spread between the least and the largest */
    int64_t zoom, shrink; /* one of them is 1 */
} skv_picture;
/* Chooses zoom and shrink, and says how large the picture is. */
void skv_picture_fit(skv_picture *p, int64_t *width, int64_t *height);
void skv_picture_draw(const skv_picture *p, const float *x, skv_canvas *c, int64_t left, int64_t top);

#endif
