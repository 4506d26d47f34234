/* Kinds of characters, as far as tokenizers need them. */
#include "data/tokenizer.h"

typedef struct range {
    uint32_t first, last;
} range;

/* Characters with the property White_Space of Unicode. */
static const range spaces[] = {{0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                               {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                               {0x205f, 0x205f}, {0x3000, 0x3000}};

/* Punctuation and symbols outside ASCII, and writing without spaces between words: ideographs and kana. */
static const range alone[] = {
    {0x80, 0xa9},     {0xab, 0xb1},     {0xb4, 0xb4},       {0xb6, 0xb8},      {0xbb, 0xbf},     {0xd7, 0xd7},
    {0xf7, 0xf7},     {0x2010, 0x2027}, {0x2030, 0x205e},   {0x20a0, 0x20cf},  {0x2190, 0x2bff}, {0x3001, 0x30ff},
    {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff},   {0xfe30, 0xfe6f},  {0xff00, 0xff0f}, {0xff1a, 0xff20},
    {0xff3b, 0xff40}, {0xff5b, 0xff65}, {0x1f000, 0x1faff}, {0x20000, 0x3ffff}};

static bool within(const range *list, size_t n, uint32_t code) {
    for (size_t i = 0; i < n; i++) {
        if (code >= list[i].first && code <= list[i].last) return true;
    }
    return false;
}

skv_character skv_character_of(uint32_t code) {
    if ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z') || code == '_')
        return SKV_CHARACTER_WORD;
    if (within(spaces, SKV_LENGTH(spaces), code)) return SKV_CHARACTER_SPACE;
    if (code < 0x80) return SKV_CHARACTER_ALONE;
    return within(alone, SKV_LENGTH(alone), code) ? SKV_CHARACTER_ALONE : SKV_CHARACTER_WORD;
}

uint32_t skv_character_lower(uint32_t code) {
    if (code >= 'A' && code <= 'Z') return code + 32;
    if (code >= 0xc0 && code <= 0xde && code != 0xd7) return code + 32;
    if (code == 0x178) return 0xff;
    if (code == 0x130) return 'i';
    if ((code >= 0x100 && code <= 0x137) || (code >= 0x14a && code <= 0x177)) return code | 1;
    if ((code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17e)) return code + (code & 1);
    if (code >= 0x391 && code <= 0x3ab && code != 0x3a2) return code + 32;
    if (code >= 0x410 && code <= 0x42f) return code + 32;
    if (code >= 0x400 && code <= 0x40f) return code + 80;
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
