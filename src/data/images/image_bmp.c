/* BMP: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits, rows bottom-up or top-down. Compressed kinds (RLE, JPEG,
 * PNG) are refused by name. A palette of greys only gives a grey image; an alpha channel is ignored. */
#include <inttypes.h>
#include <string.h>

#include "base/endian.h"
#include "data/data.h"

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40 };

typedef struct bmp {
    const char *path;
    int64_t width, height; /* height above 0 */
    bool from_above, grey, alpha;
    int bits;
    uint32_t mask[3]; /* red, green, blue; of 16 and 32 bits */
    uint64_t pixels;  /* where they start */
    uint32_t colours; /* in the palette */
    uint8_t palette[256][3];
} bmp;

static skive_status damaged(skive_context *ctx, const bmp *b, const char *why) {
    return skv_fail_at(ctx, SKIVE_ERR_DATA, b->path, "%s: the BMP image is damaged (%s)", b->path, why);
}

static skive_status check_compression(skive_context *ctx, const bmp *b, uint32_t compression) {
    static const char *const names[] = {NULL, "RLE8", "RLE4", NULL, "JPEG", "PNG", NULL};
    if (compression < 7 && !names[compression]) return SKIVE_OK;
    if (compression < 7)
        return skv_fail_at(
            ctx, SKIVE_ERR_DATA, b->path,
            "%s: BMP images compressed with %s are not supported; save it without compression, or as PNG", b->path,
            names[compression]);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, b->path, "%s: unknown BMP compression %" PRIu32, b->path, compression);
}

/* Contiguous ones, or 0 (a channel that is always 0). */
static bool mask_is_good(uint32_t mask) {
    if (!mask) return true;
    while (!(mask & 1)) mask >>= 1;
    return (mask & (mask + 1)) == 0;
}

static skive_status read_masks(skive_context *ctx, const uint8_t *p, size_t n, uint32_t header, uint32_t compression,
                               bmp *b) {
    static const uint32_t plain16[3] = {0x7c00, 0x03e0, 0x001f}, plain32[3] = {0xff0000, 0xff00, 0xff};
    if (compression == 0) {
        memcpy(b->mask, b->bits == 16 ? plain16 : plain32, sizeof b->mask);
        return SKIVE_OK;
    }
    if (b->bits != 16 && b->bits != 32) return damaged(ctx, b, "masks without 16 or 32 bits per pixel");
    if (n < FILE_HEADER + INFO_HEADER + 12) return damaged(ctx, b, "its header is incomplete");
    for (int c = 0; c < 3; c++) {
        b->mask[c] = skv_load_le32(p + FILE_HEADER + INFO_HEADER + 4 * c);
        if (!mask_is_good(b->mask[c])) return damaged(ctx, b, "the bits of a channel are not contiguous");
    }
    b->alpha =
        header >= 56 && n >= FILE_HEADER + INFO_HEADER + 16 && skv_load_le32(p + FILE_HEADER + INFO_HEADER + 12) != 0;
    return SKIVE_OK;
}

static skive_status read_palette(skive_context *ctx, const uint8_t *p, size_t n, uint64_t at, size_t entry, bmp *b) {
    if (b->colours == 0 || b->colours > 1u << b->bits) b->colours = 1u << b->bits;
    if (at + (uint64_t)b->colours * entry > n) return damaged(ctx, b, "its palette is incomplete");
    b->grey = true;
    for (uint32_t i = 0; i < b->colours; i++) {
        const uint8_t *c = p + at + i * entry;
        b->palette[i][0] = c[2];
        b->palette[i][1] = c[1];
        b->palette[i][2] = c[0];
        b->grey = b->grey && c[0] == c[1] && c[1] == c[2];
    }
    return SKIVE_OK;
}

static skive_status read_header(skive_context *ctx, const uint8_t *p, size_t n, const char *path, bmp *b) {
    *b = (bmp){.path = path};
    uint32_t compression = 0;
    if (n < FILE_HEADER + CORE_HEADER) return damaged(ctx, b, "its header is incomplete");
    const uint32_t header = skv_load_le32(p + FILE_HEADER);
    b->pixels = skv_load_le32(p + 10);
    if (header == CORE_HEADER) {
        b->width = skv_load_le16(p + 18);
        b->height = skv_load_le16(p + 20);
        b->bits = (int)skv_load_le16(p + 24);
    } else if (header >= INFO_HEADER && n >= FILE_HEADER + INFO_HEADER) {
        b->width = (int32_t)skv_load_le32(p + 18);
        b->height = (int32_t)skv_load_le32(p + 22);
        b->bits = (int)skv_load_le16(p + 28);
        compression = skv_load_le32(p + 30);
        b->colours = skv_load_le32(p + 46);
    } else {
        return damaged(ctx, b, "its header has an unknown size");
    }
    b->from_above = b->height < 0;
    if (b->from_above) b->height = -b->height;
    if (b->width <= 0) return damaged(ctx, b, "its width is 0");
    SKV_TRY(check_compression(ctx, b, compression));
    SKV_TRY(skv_image_check(ctx, path, (uint64_t)b->width, (uint64_t)b->height, 3));
    switch (b->bits) {
    case 1:
    case 4:
    case 8:
        if (compression) return damaged(ctx, b, "masks with a palette");
        return read_palette(ctx, p, n, FILE_HEADER + (uint64_t)header, header == CORE_HEADER ? 3 : 4, b);
    case 16:
    case 32: return read_masks(ctx, p, n, header, compression, b);
    case 24: return compression ? damaged(ctx, b, "masks with 24 bits per pixel") : SKIVE_OK;
    default:
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: BMP images of %d bits per pixel are not supported", path,
                           b->bits);
    }
}

skive_status skv_bmp_head(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image_head *out) {
    bmp b;
    SKV_TRY(read_header(ctx, bytes, n, path, &b));
    out->width = (uint64_t)b.width;
    out->height = (uint64_t)b.height;
    out->channels = b.grey ? 1 : 3;
    out->alpha = b.alpha;
    return SKIVE_OK;
}

static uint8_t channel(uint32_t pixel, uint32_t mask) {
    if (!mask) return 0;
    while (!(mask & 1)) {
        mask >>= 1;
        pixel >>= 1;
    }
    return (uint8_t)(((uint64_t)(pixel & mask) * 255 + mask / 2) / mask);
}

/* One row; false if a pixel is outside the palette. */
static bool read_row(const bmp *b, const uint8_t *row, uint8_t *out) {
    const size_t per_byte = b->bits <= 8 ? 8 / (size_t)b->bits : 1, channels = b->grey ? 1 : 3;
    for (size_t x = 0; x < (size_t)b->width; x++) {
        uint8_t *to = out + x * channels;
        if (b->bits <= 8) {
            const unsigned shift = (unsigned)((per_byte - 1 - x % per_byte) * (size_t)b->bits);
            const unsigned index = (unsigned)row[x / per_byte] >> shift & ((1u << b->bits) - 1);
            if (index >= b->colours) return false;
            memcpy(to, b->palette[index], channels);
        } else if (b->bits == 24) {
            to[0] = row[3 * x + 2];
            to[1] = row[3 * x + 1];
            to[2] = row[3 * x];
        } else {
            const uint32_t pixel = b->bits == 16 ? skv_load_le16(row + 2 * x) : skv_load_le32(row + 4 * x);
            for (int c = 0; c < 3; c++) to[c] = channel(pixel, b->mask[c]);
        }
    }
    return true;
}

skive_status skv_bmp_decode(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image *out) {
    bmp b;
    *out = (skv_image){0};
    SKV_TRY(read_header(ctx, bytes, n, path, &b));
    const uint64_t stride = ((uint64_t)b.width * (uint64_t)b.bits + 31) / 32 * 4; /* both are bounded */
    if (b.pixels > n || stride * (uint64_t)b.height > n - b.pixels) return damaged(ctx, &b, "the file is truncated");
    out->width = (int)b.width;
    out->height = (int)b.height;
    out->channels = b.grey ? 1 : 3;
    const size_t line = (size_t)b.width * (size_t)out->channels;
    SKV_TRY(skv_alloc(ctx, line * (size_t)b.height, &out->pixels));
    for (size_t y = 0; y < (size_t)b.height; y++) {
        const size_t from = b.from_above ? y : (size_t)b.height - 1 - y;
        if (read_row(&b, (const uint8_t *)bytes + b.pixels + from * stride, out->pixels + y * line)) continue;
        skv_free(ctx, out->pixels);
        *out = (skv_image){0};
        return damaged(ctx, &b, "a pixel is outside its palette");
    }
    return SKIVE_OK;
}
