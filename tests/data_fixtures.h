/* Fixtures for the tests of src/data: small data sets and images written by the tests themselves. */
#ifndef SKV_TEST_DATA_FIXTURES_H
#define SKV_TEST_DATA_FIXTURES_H

#include "support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include <cmocka.h>

#include "data/data.h"

static char dir[SKV_TEST_PATH];

static inline int make_dir(void **state) {
    (void)state;
    skv_test_make_dir(dir);
    return 0;
}

static inline int remove_dir(void **state) {
    (void)state;
    skv_test_remove_dir(dir);
    return 0;
}

static inline char *at(const char *name) { /* four may be in use at once */
    static char buffers[4][SKV_TEST_PATH];
    static int next;
    next = (next + 1) % 4;
    (void)skv_test_path(buffers[next], dir, name);
    return buffers[next];
}

static inline void put32(unsigned char *p, unsigned v) {
    p[0] = (unsigned char)(v >> 24);
    p[1] = (unsigned char)(v >> 16);
    p[2] = (unsigned char)(v >> 8);
    p[3] = (unsigned char)v;
}

enum { H = 5, W = 4, PIXELS = H * W };

static inline unsigned char pixel(size_t i, size_t k) { return (unsigned char)((i * 37 + k * 11 + (i * k) % 7) & 255); }

/* An IDX file of n images (pixel(i, k)) in memory. */
static inline size_t idx_images(unsigned char *out, unsigned n) {
    put32(out, 0x803);
    put32(out + 4, n);
    put32(out + 8, H);
    put32(out + 12, W);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < PIXELS; k++) out[16 + i * PIXELS + k] = pixel(i, k);
    }
    return 16 + (size_t)n * PIXELS;
}

static inline size_t idx_labels(unsigned char *out, unsigned n) {
    put32(out, 0x801);
    put32(out + 4, n);
    for (size_t i = 0; i < n; i++) out[8 + i] = (unsigned char)(i % 10);
    return 8 + n;
}

enum { MANY = 240 };
static unsigned char image_file[16 + MANY * PIXELS], label_file[8 + MANY];

static inline void write_gz(const char *path, const void *bytes, size_t n) {
    gzFile f = gzopen(path, "wb9");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)n), (int)n);
    assert_int_equal(gzclose(f), Z_OK);
}

static inline size_t read_file(const char *path, unsigned char *out, size_t limit) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, limit, f);
    assert_true(n < limit);
    (void)fclose(f);
    return n;
}

/* images.idx and labels.idx with n samples; the specification that names them. */
static inline const char *write_idx(unsigned n) {
    static char spec[2 * SKV_TEST_PATH + 8];
    skv_test_write_file(at("images.idx"), image_file, idx_images(image_file, n));
    skv_test_write_file(at("labels.idx"), label_file, idx_labels(label_file, n));
    (void)snprintf(spec, sizeof spec, "idx:%s,%s", at("images.idx"), at("labels.idx"));
    return spec;
}

static inline skive_dataset *open_split(skive_context *ctx, const char *spec, skive_split split) {
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *ds = NULL;
    o.split = split;
    skv_test_ok(ctx, skive_dataset_open(ctx, spec, &o, &ds));
    return ds;
}

static inline void open_fails(skive_context *ctx, const char *spec, skive_status expected, const char *part) {
    skive_dataset *ds = NULL;
    skive_dataset_options o = skive_dataset_options_default();
    o.split = SKIVE_SPLIT_TEST;
    skive_status status = skive_dataset_open(ctx, spec, &o, &ds);
    assert_null(ds);
    skv_test_fails(ctx, status, expected, part);
}

static inline void write_png(const char *path, unsigned w, unsigned h, int format, const void *pixels) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = w, .height = h, .format = (png_uint_32)format};
    assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

/* PNG through the full interface, for the kinds the simple one does not write. */
static inline void write_png_raw(const char *path, unsigned w, unsigned h, int depth, int colour, bool interlaced,
                                 const unsigned char *rows, size_t stride) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, f);
    png_set_IHDR(png, info, w, h, depth, colour, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    if (colour == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[4] = {{10, 20, 30}, {40, 50, 60}, {70, 80, 90}, {100, 110, 120}};
        png_set_PLTE(png, info, palette, 4);
    }
    png_write_info(png, info);
    png_bytep lines[64];
    assert_true(h <= 64);
    for (unsigned y = 0; y < h; y++) lines[y] = (png_bytep)(uintptr_t)(rows + y * stride);
    png_write_image(png, lines);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    (void)fclose(f);
}

static inline void write_jpeg(const char *path, unsigned w, unsigned h, int channels, bool progressive,
                              const unsigned char *pixels) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, f);
    c.image_width = w;
    c.image_height = h;
    c.input_components = channels;
    c.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 95, TRUE);
    if (progressive) jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < h) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)c.next_scanline * w * (size_t)channels);
        (void)jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    (void)fclose(f);
}

/* A smooth picture, so that JPEG keeps it. */
static inline void smooth(unsigned char *out, unsigned w, unsigned h, unsigned channels, unsigned start) {
    for (unsigned y = 0; y < h; y++) {
        for (unsigned x = 0; x < w; x++) {
            for (unsigned c = 0; c < channels; c++) {
                out[(y * w + x) * channels + c] = (unsigned char)(start + 3 * x + 2 * y + 20 * c);
            }
        }
    }
}

/* root/{class}/{0..}.png|jpg: `each` grey pictures of 8x6 a class, with distinct brightness. */
static inline void write_folder(const char *root, int classes, int each) {
    static const char *const names[] = {"ant", "bee", "cat", "dog"};
    unsigned char pixels[8 * 6];
    char path[2 * SKV_TEST_PATH];
    (void)mkdir(root, 0777);
    for (int c = 0; c < classes; c++) {
        (void)snprintf(path, sizeof path, "%s/%s", root, names[c]);
        (void)mkdir(path, 0777);
        for (int i = 0; i < each; i++) {
            smooth(pixels, 8, 6, 1, (unsigned)(40 * c + 5 * i));
            (void)snprintf(path, sizeof path, "%s/%s/%02d.%s", root, names[c], i, i % 2 ? "jpg" : "PNG");
            if (i % 2)
                write_jpeg(path, 8, 6, 1, false, pixels);
            else
                write_png(path, 8, 6, PNG_FORMAT_GRAY, pixels);
        }
    }
}

#endif
