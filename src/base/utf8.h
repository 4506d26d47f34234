/* UTF-8 and characters. */
#ifndef SKV_BASE_UTF8_H
#define SKV_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length of the longest prefix that is UTF-8; NUL counts as valid. */
size_t skv_utf8_valid(const char *text, size_t n);
/* The code point at text[*at], and moves on; one byte that is not UTF-8 gives U+FFFD. */
uint32_t skv_utf8_next(const char *text, size_t n, size_t *at);
/* Writes a code point as UTF-8; returns how many bytes. */
size_t skv_utf8_put(uint32_t code, char out[4]);

typedef enum skv_character { SKV_CHARACTER_SPACE, SKV_CHARACTER_WORD, SKV_CHARACTER_ALONE } skv_character;
/* A space; part of a word; or a word by itself (punctuation, ideographs). */
skv_character skv_character_of(uint32_t code);
/* Latin, Greek and Cyrillic, letter by letter. */
uint32_t skv_character_lower(uint32_t code);
uint32_t skv_character_upper(uint32_t code);

#endif
