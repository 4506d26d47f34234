/* Kinds of characters, as far as tokenizers and string operators need them. */
#include "base/option.h"
#include "base/utf8.h"

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
    if (code == 0x386) return 0x3ac;
    if (code >= 0x388 && code <= 0x38a) return code + 37;
    if (code == 0x38c) return 0x3cc;
    if (code == 0x38e || code == 0x38f) return code + 63;
    if (code >= 0x391 && code <= 0x3ab && code != 0x3a2) return code + 32;
    if (code >= 0x410 && code <= 0x42f) return code + 32;
    if (code >= 0x400 && code <= 0x40f) return code + 80;
    return code;
}

uint32_t skv_character_upper(uint32_t code) {
    if (code >= 'a' && code <= 'z') return code - 32;
    if (code >= 0xe0 && code <= 0xfe && code != 0xf7) return code - 32;
    if (code == 0xff) return 0x178;
    if (code == 0x131) return 'I';
    if ((code >= 0x100 && code <= 0x12f) || (code >= 0x132 && code <= 0x137) || (code >= 0x14a && code <= 0x177))
        return code & ~1u;
    if ((code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17e)) return code - 1 + (code & 1);
    if (code == 0x3ac) return 0x386;
    if (code >= 0x3ad && code <= 0x3af) return code - 37;
    if (code == 0x3cc) return 0x38c;
    if (code == 0x3cd || code == 0x3ce) return code - 63;
    if (code == 0x3c2) return 0x3a3;
    if (code >= 0x3b1 && code <= 0x3cb) return code - 32;
    if (code >= 0x430 && code <= 0x44f) return code - 32;
    if (code >= 0x450 && code <= 0x45f) return code - 80;
    return code;
}
