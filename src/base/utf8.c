/* UTF-8: checking, decoding and encoding. */
#include "base/utf8.h"

/* Bytes of the character that begins here; 0: none does. Overlong forms, surrogates and numbers above U+10FFFF are
 * none. */
static size_t character(const unsigned char *p, size_t n) {
    if (p[0] < 0x80) return 1;
    const size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < length) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

size_t skv_utf8_valid(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;
    while (at < n) {
        const size_t step = character(p + at, n - at);
        if (!step) break;
        at += step;
    }
    return at;
}

uint32_t skv_utf8_next(const char *text, size_t n, size_t *at) {
    const unsigned char *p = (const unsigned char *)text + *at;
    const size_t length = character(p, n - *at);
    uint32_t code = p[0];
    if (length == 0) {
        *at += 1;
        return 0xfffd;
    }
    if (length > 1) code &= 0x7fu >> length;
    for (size_t i = 1; i < length; i++) code = code << 6 | (p[i] & 0x3fu);
    *at += length;
    return code;
}

size_t skv_utf8_put(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80u | (code & 0x3fu));
        code >>= 6;
    }
    out[0] = (char)((n == 2 ? 0xc0u : n == 3 ? 0xe0u : 0xf0u) | code);
    return n;
}
