/* See npy_text.h. */
#include "tensor/npy_text.h"

#include "base/utf8.h"
#include "tensor/strings.h"

static uint32_t code_at(const unsigned char *p, bool big) {
    return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
               : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The text of an element, put at to[0], which has room for 4 bytes a character and a NUL; returns the bytes without the
 * NUL, or -1 for what is no text: a zero in the middle, or a number that is no character. */
static ptrdiff_t take_codes(const unsigned char *p, size_t width, bool big, char *to) {
    size_t n = 0;
    while (width > 0 && code_at(p + 4 * (width - 1), big) == 0) width--;
    for (size_t i = 0; i < width; i++) {
        const uint32_t code = code_at(p + 4 * i, big);
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return -1;
        n += skv_utf8_put(code, to + n);
    }
    to[n] = '\0';
    return (ptrdiff_t)n;
}

static ptrdiff_t take_bytes(const unsigned char *p, size_t width, char *to) {
    while (width > 0 && p[width - 1] == 0) width--;
    if (width) memcpy(to, p, width);
    to[width] = '\0';
    return memchr(to, '\0', width) || skv_utf8_valid(to, width) != width ? -1 : (ptrdiff_t)width;
}

skive_status skv_npy_text_read(skive_context *ctx, const char *path, const skv_npy_info *info, const void *data,
                               skive_tensor *out) {
    const skive_tensor view = skv_tensor_view(SKIVE_STRING, info->rank, info->dims, NULL);
    const size_t n = (size_t)skive_tensor_count(&view), width = info->text_width, unit = info->text_bytes ? 1 : 4;
    size_t room, at = 0;
    char *text = NULL;
    if (!skv_add_size(info->bytes, n, &room)) return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "%s: too much text", path);
    SKV_TRY(skv_alloc(ctx, room + 1, &text));
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        const unsigned char *p = (const unsigned char *)data + i * width * unit;
        const ptrdiff_t length =
            info->text_bytes ? take_bytes(p, width, text + at) : take_codes(p, width, info->big, text + at);
        if (length < 0)
            status = skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: string %zu has a zero in it, or is not %s", path, i,
                                 info->text_bytes ? "UTF-8" : "made of characters");
        else
            at += (size_t)length + 1;
    }
    if (status == SKIVE_OK) status = skv_strings_parse(ctx, info->rank, info->dims, text, at, out);
    skv_free(ctx, text);
    return status;
}

skive_status skv_npy_text_width(skive_context *ctx, const char *path, const skive_tensor *t, size_t *out) {
    const int64_t n = skive_tensor_count(t);
    *out = 1;
    for (int64_t i = 0; i < n; i++) {
        const char *s = skv_string_at(t, (size_t)i);
        const size_t length = strlen(s);
        size_t codes = 0;
        if (skv_utf8_valid(s, length) != length)
            return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: string %lld is not UTF-8", path, (long long)i);
        for (size_t at = 0; at < length; codes++) (void)skv_utf8_next(s, length, &at);
        if (codes > *out) *out = codes;
    }
    return SKIVE_OK;
}

skive_status skv_npy_text_write(skive_context *ctx, skv_writer *w, const skive_tensor *t, size_t width) {
    const int64_t n = skive_tensor_count(t);
    unsigned char *element = NULL;
    SKV_TRY(skv_alloc_array(ctx, width, 4, &element));
    skive_status status = SKIVE_OK;
    for (int64_t i = 0; i < n && status == SKIVE_OK; i++) {
        const char *s = skv_string_at(t, (size_t)i);
        const size_t length = strlen(s);
        size_t at = 0, k = 0;
        memset(element, 0, width * 4);
        while (at < length && k < width) {
            const uint32_t code = skv_utf8_next(s, length, &at);
            for (unsigned b = 0; b < 4; b++) element[4 * k + b] = (unsigned char)(code >> (8 * b) & 255u);
            k++;
        }
        status = skv_writer_write(w, element, width * 4);
    }
    skv_free(ctx, element);
    return status;
}
