/* Decoding an image in memory: limits on its size, conversion to grey or RGB, and EXIF orientation. */
#include <inttypes.h>
#include <string.h>

#include "data/data.h"

skive_status skv_image_check(skive_context *ctx, const char *path, uint64_t width, uint64_t height, int channels) {
    if (width == 0 || height == 0) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: the image has no pixels", path);
    }
    if (width > SKV_IMAGE_MAX_SIDE || height > SKV_IMAGE_MAX_SIDE ||
        width * height * (uint64_t)channels > SKV_IMAGE_MAX_BYTES) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: the image claims %" PRIu64 "x%" PRIu64 " pixels; the limits are %d per side and %d MiB",
                           path, width, height, (int)SKV_IMAGE_MAX_SIDE, SKV_IMAGE_MAX_BYTES >> 20);
    }
    return SKIVE_OK;
}

/* Converts between grey and RGB; grey is the luma of ITU-R BT.601, as in JPEG. */
static skive_status convert(skive_context *ctx, int channels, skv_image *image) {
    size_t plane = (size_t)image->width * (size_t)image->height;
    const uint8_t *in = image->pixels;
    uint8_t *out = NULL;
    SKV_TRY(skv_alloc(ctx, plane * (size_t)channels, &out));
    for (size_t i = 0; i < plane; i++) {
        if (channels == 3) {
            memset(out + 3 * i, in[i], 3);
        } else {
            unsigned r = in[3 * i], g = in[3 * i + 1], b = in[3 * i + 2];
            out[i] = (uint8_t)((19595u * r + 38470u * g + 7471u * b + 32768u) >> 16);
        }
    }
    skv_free(ctx, image->pixels);
    image->pixels = out;
    image->channels = channels;
    return SKIVE_OK;
}

/* EXIF orientation: column and row of the stored pixel that is displayed at x, y. */
static skive_status turn_image(skive_context *ctx, int turn, skv_image *image) {
    const size_t w = (size_t)image->width, h = (size_t)image->height, channels = (size_t)image->channels;
    const size_t out_w = turn > 4 ? h : w, out_h = turn > 4 ? w : h;
    uint8_t *out = NULL;
    if (turn <= 1) return SKIVE_OK;
    SKV_TRY(skv_alloc(ctx, w * h * channels, &out));
    for (size_t y = 0; y < out_h; y++) {
        for (size_t x = 0; x < out_w; x++) {
            size_t column = turn > 4 ? y : x, row = turn > 4 ? x : y;
            if (turn == 2 || turn == 3 || turn == 7 || turn == 8) column = w - 1 - column;
            if (turn == 3 || turn == 4 || turn == 6 || turn == 7) row = h - 1 - row;
            memcpy(out + (y * out_w + x) * channels, image->pixels + (row * w + column) * channels, channels);
        }
    }
    skv_free(ctx, image->pixels);
    *image = (skv_image){.width = (int)out_w, .height = (int)out_h, .channels = image->channels, .pixels = out};
    return SKIVE_OK;
}

skive_status skv_image_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, int channels,
                              skv_image *out) {
    *out = (skv_image){0};
    skive_status status = SKIVE_OK;
    switch (skv_image_format_of(bytes, n)) {
    case SKV_IMAGE_PNG: status = skv_png_decode(ctx, bytes, n, path, out); break;
    case SKV_IMAGE_JPEG: status = skv_jpeg_decode(ctx, bytes, n, path, channels == 1, out); break;
    case SKV_IMAGE_BMP: status = skv_bmp_decode(ctx, bytes, n, path, out); break;
    case SKV_IMAGE_NONE: return skv_image_refuse(ctx, bytes, n, path);
    }
    if (status == SKIVE_OK && channels && channels != out->channels) status = convert(ctx, channels, out);
    if (status == SKIVE_OK) status = turn_image(ctx, skv_image_turn_of(bytes, n), out);
    if (status != SKIVE_OK) {
        skv_free(ctx, out->pixels);
        *out = (skv_image){0};
    }
    return status;
}
