/* Decoding an image held in memory: which format it is, the limits on its size, and grey or RGB. */
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
                           "%s: the image claims %" PRIu64 "x%" PRIu64 " pixels; the limits are %d a side and %d MiB",
                           path, width, height, (int)SKV_IMAGE_MAX_SIDE, SKV_IMAGE_MAX_BYTES >> 20);
    }
    return SKIVE_OK;
}

/* Grey and RGB into each other; grey is the luma of ITU-R BT.601, as in JPEG. */
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

skive_status skv_image_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, int channels,
                              skv_image *out) {
    static const unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned char jpeg[3] = {0xff, 0xd8, 0xff};
    *out = (skv_image){0};
    skive_status status;
    if (n >= sizeof png && memcmp(bytes, png, sizeof png) == 0) {
        status = skv_png_decode(ctx, bytes, n, path, out);
    } else if (n >= sizeof jpeg && memcmp(bytes, jpeg, sizeof jpeg) == 0) {
        status = skv_jpeg_decode(ctx, bytes, n, path, channels == 1, out);
    } else {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: is neither a PNG nor a JPEG image", path);
    }
    if (status == SKIVE_OK && channels && channels != out->channels) status = convert(ctx, channels, out);
    if (status != SKIVE_OK) {
        skv_free(ctx, out->pixels);
        *out = (skv_image){0};
    }
    return status;
}
