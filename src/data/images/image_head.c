/* Parses the first bytes of an image: format, size, colour, transparency, and EXIF orientation. Works on a file, of
 * which it reads little, and on bytes in memory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "data/data.h"

enum { FIRST = 4096, MAX_PARTS = 1 << 20 };

typedef struct source {
    const uint8_t *bytes; /* the first bytes; all of them if there is no file */
    size_t n;
    int fd; /* -1: none */
} source;

static bool get(const source *s, uint64_t at, void *out, size_t n) {
    if (at <= s->n && n <= s->n - at) {
        memcpy(out, s->bytes + at, n);
        return true;
    }
    if (s->fd < 0 || at > INT64_MAX / 2) return false;
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(s->fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

/* The orientation of a TIFF header of `size` bytes at `at`; 1 if it has none or is not such a header. */
static int tiff_turn(const source *s, uint64_t at, uint64_t size) {
    uint8_t head[8], count[2], entry[12];
    if (size < 8 || !get(s, at, head, 8)) return 1;
    const bool big = memcmp(head, "MM\0*", 4) == 0;
    if (!big && memcmp(head, "II*\0", 4) != 0) return 1;
    const uint64_t first = big ? skv_load_be32(head + 4) : skv_load_le32(head + 4);
    if (first < 8 || first + 2 > size || !get(s, at + first, count, 2)) return 1;
    const unsigned entries = big ? skv_load_be16(count) : skv_load_le16(count);
    for (unsigned i = 0; i < entries; i++) {
        const uint64_t where = first + 2 + 12 * (uint64_t)i;
        if (where + 12 > size || !get(s, at + where, entry, 12)) return 1;
        if ((big ? skv_load_be16(entry) : skv_load_le16(entry)) != 0x112) continue;
        const unsigned type = big ? skv_load_be16(entry + 2) : skv_load_le16(entry + 2);
        const unsigned turn = type == 4   ? (big ? skv_load_be32(entry + 8) : skv_load_le32(entry + 8))
                              : type == 3 ? (big ? skv_load_be16(entry + 8) : skv_load_le16(entry + 8))
                                          : 1;
        return turn >= 1 && turn <= 8 ? (int)turn : 1;
    }
    return 1;
}

/* ---- formats ---- */

static bool jpeg_head(const source *s, skv_image_head *out) {
    uint64_t at = 2;
    for (int i = 0; i < MAX_PARTS; i++) {
        uint8_t p[10];
        if (!get(s, at, p, 2)) return false;
        if (p[0] != 0xff) { /* bytes between segments are skipped, as in the decoder */
            at++;
            continue;
        }
        const uint8_t marker = p[1];
        if (marker == 0xff) {
            at++;
            continue;
        }
        at += 2;
        if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;
        if (marker == 0xd9 || marker == 0xda || !get(s, at, p, 2)) return false;
        const unsigned length = skv_load_be16(p);
        if (length < 2) return false;
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            if (length < 8 || !get(s, at, p, 8)) return false;
            out->height = skv_load_be16(p + 3);
            out->width = skv_load_be16(p + 5);
            out->channels = p[7] == 1 ? 1 : 3;
            out->cmyk = p[7] == 4;
            return true;
        }
        if (marker == 0xe1 && length >= 16 && get(s, at + 2, p, 6) && memcmp(p, "Exif\0", 5) == 0 && out->turn == 1)
            out->turn = tiff_turn(s, at + 8, length - 8);
        at += length;
    }
    return false;
}

static bool png_head(const source *s, skv_image_head *out) {
    uint64_t at = 8;
    bool found = false;
    for (int i = 0; i < MAX_PARTS; i++) {
        uint8_t p[8], h[10];
        if (!get(s, at, p, 8)) return found; /* a truncated end is reported by the decoder */
        const uint32_t length = skv_load_be32(p);
        if (memcmp(p + 4, "IHDR", 4) == 0) {
            if (found || length < 13 || !get(s, at + 8, h, 10)) return false;
            out->width = skv_load_be32(h);
            out->height = skv_load_be32(h + 4);
            out->channels = h[9] & 2 ? 3 : 1;
            out->alpha = (h[9] & 4) != 0;
            out->deep = h[8] == 16;
            found = true;
        } else if (memcmp(p + 4, "tRNS", 4) == 0) {
            out->alpha = true;
        } else if (memcmp(p + 4, "eXIf", 4) == 0 && out->turn == 1) {
            out->turn = tiff_turn(s, at + 8, length);
        } else if (memcmp(p + 4, "IEND", 4) == 0) {
            return found;
        }
        at += 12 + (uint64_t)length;
    }
    return found;
}

/* ---- which format ---- */

static bool starts(const source *s, size_t at, const char *text, size_t n) {
    return s->n >= at + n && memcmp(s->bytes + at, text, n) == 0;
}

skv_image_format skv_image_format_of(const void *bytes, size_t n) {
    const source s = {.bytes = bytes, .n = n, .fd = -1};
    if (starts(&s, 0, "\x89PNG\r\n\x1a\n", 8)) return SKV_IMAGE_PNG;
    if (starts(&s, 0, "\xff\xd8\xff", 3)) return SKV_IMAGE_JPEG;
    if (starts(&s, 0, "BM", 2) && n >= 18) return SKV_IMAGE_BMP;
    return SKV_IMAGE_NONE;
}

/* Other formats that can be recognised, for the message. */
static const char *other_format(const source *s) {
    if (s->n == 0) return "it is empty";
    if (starts(s, 0, "RIFF", 4) && starts(s, 8, "WEBP", 4)) return "it is a WebP image";
    if (starts(s, 0, "GIF8", 4)) return "it is a GIF image";
    if (starts(s, 0, "II*\0", 4) || starts(s, 0, "MM\0*", 4)) return "it is a TIFF image";
    if (starts(s, 4, "ftypavif", 8)) return "it is an AVIF image";
    if (starts(s, 4, "ftyp", 4)) return "it is a HEIC image or a video";
    if (starts(s, 0, "\xff\x0a", 2) || starts(s, 4, "JXL ", 4)) return "it is a JPEG XL image";
    if (starts(s, 0, "version https://git-lfs", 23)) return "it is a Git LFS pointer, not the image itself";
    if (starts(s, 0, "<", 1)) return "it is a web page or an SVG drawing";
    return NULL;
}

skive_status skv_image_refuse(skive_context *ctx, const void *bytes, size_t n, const char *path) {
    const source s = {.bytes = bytes, .n = n, .fd = -1};
    const char *other = other_format(&s);
    return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: not a PNG, JPEG or BMP image%s%s", path, other ? "; " : "",
                       other ? other : "");
}

static skive_status read_head(skive_context *ctx, const source *s, const char *path, skv_image_head *out) {
    *out = (skv_image_head){.format = skv_image_format_of(s->bytes, s->n), .turn = 1};
    bool good = false;
    switch (out->format) {
    case SKV_IMAGE_NONE: return skv_image_refuse(ctx, s->bytes, s->n, path);
    case SKV_IMAGE_BMP:
        SKV_TRY(skv_bmp_head(ctx, s->bytes, s->n, path, out));
        good = true;
        break;
    case SKV_IMAGE_PNG: good = png_head(s, out); break;
    case SKV_IMAGE_JPEG: good = jpeg_head(s, out); break;
    }
    if (!good) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: the %s image is damaged (its header is incomplete)", path,
                           out->format == SKV_IMAGE_PNG ? "PNG" : "JPEG");
    }
    SKV_TRY(skv_image_check(ctx, path, out->width, out->height, out->channels));
    if (out->turn > 4) {
        const uint64_t width = out->width;
        out->width = out->height;
        out->height = width;
    }
    return SKIVE_OK;
}

skive_status skv_image_head_of(skive_context *ctx, const void *bytes, size_t n, const char *path, skv_image_head *out) {
    const source s = {.bytes = bytes, .n = n, .fd = -1};
    return read_head(ctx, &s, path, out);
}

skive_status skv_image_head_read(skive_context *ctx, const char *path, skv_image_head *out) {
    uint8_t first[FIRST];
    struct stat st;
    source s = {.bytes = first, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (s.fd < 0) return skv_fail_errno(ctx, path, "open", errno);
    skive_status status = SKIVE_OK;
    ssize_t got = 0;
    if (fstat(s.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: not a regular file", path);
    } else {
        do got = pread(s.fd, first, sizeof first, 0);
        while (got < 0 && errno == EINTR);
        if (got < 0) status = skv_fail_errno(ctx, path, "read", errno);
    }
    s.n = got > 0 ? (size_t)got : 0;
    if (status == SKIVE_OK) status = read_head(ctx, &s, path, out);
    (void)close(s.fd);
    return status;
}

int skv_image_turn_of(const void *bytes, size_t n) {
    const source s = {.bytes = bytes, .n = n, .fd = -1};
    skv_image_head head = {.turn = 1};
    switch (skv_image_format_of(bytes, n)) {
    case SKV_IMAGE_PNG: (void)png_head(&s, &head); break;
    case SKV_IMAGE_JPEG: (void)jpeg_head(&s, &head); break;
    default: break;
    }
    return head.turn;
}
