/* A list of distinct texts with their numbers and how often each was met: categories, class names, vocabularies. */
#ifndef SKV_WORDS_H
#define SKV_WORDS_H

#include "base/base.h"

#define SKV_NO_WORD UINT32_MAX

typedef struct skv_word {
    const char *text; /* NUL-terminated, in the list's memory */
    size_t length;
    uint64_t count;
} skv_word;

typedef struct skv_words {
    skive_context *ctx;
    skv_arena *arena;
    skv_word *list;
    size_t n, capacity;
    uint32_t *slots; /* hash table of numbers + 1 */
    size_t n_slots;
} skv_words;

void skv_words_init(skv_words *w, skive_context *ctx);
void skv_words_free(skv_words *w);
/* Its number, or SKV_NO_WORD. */
uint32_t skv_words_find(const skv_words *w, const char *text, size_t length);
/* Adds the text if it is new, and `count` to its count. *number may be NULL. */
skive_status skv_words_add(skv_words *w, const char *text, size_t length, uint64_t count, uint32_t *number);
/* By bytes, or as numbers if all are; the numbers of the words change. */
skive_status skv_words_sort(skv_words *w);
/* The most frequent first, equal ones by bytes; keeps at most `most` that were met at least `least` times. */
skive_status skv_words_rank(skv_words *w, size_t most, uint64_t least);

#endif
