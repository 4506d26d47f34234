/* word: runs of letters and digits, with an apostrophe between them, are words; each other character but spaces is a
 * token by itself, and so is each ideograph. */
#include <string.h>

#include "data/tables/rows.h"
#include "data/tokenizer.h"

enum { LONGEST = 256 }; /* bytes; a longer run is cut */

static const skv_option options[] = {
    SKV_VOCABULARY_OPTIONS(20000, "numbers at most; rarer words are unknown"),
    SKV_LOWER_OPTION,
};

static bool in_word(const char *text, size_t n, size_t at) {
    return at < n && skv_character_of(skv_utf8_next(text, n, &at)) == SKV_CHARACTER_WORD;
}

static skive_status each(const skv_vocabulary *v, const char *text, size_t n, skv_part_fn fn, void *user) {
    const bool lower = skv_option_on(&v->values, "lower");
    char word[LONGEST + 4];
    size_t length = 0;
    for (size_t at = 0; at < n;) {
        uint32_t code = skv_utf8_next(text, n, &at);
        skv_character kind = skv_character_of(code);
        if (code == '\'' && length && in_word(text, n, at)) kind = SKV_CHARACTER_WORD;
        if (length && (kind != SKV_CHARACTER_WORD || length >= LONGEST)) {
            SKV_TRY(fn(v, word, length, user));
            length = 0;
        }
        if (kind == SKV_CHARACTER_SPACE) continue;
        length += skv_utf8_put(lower ? skv_character_lower(code) : code, word + length);
        if (kind == SKV_CHARACTER_WORD) continue;
        SKV_TRY(fn(v, word, length, user));
        length = 0;
    }
    return length ? fn(v, word, length, user) : SKIVE_OK;
}

static skive_status count(const skv_vocabulary *v, const char *text, size_t n, skv_words *parts) {
    return each(v, text, n, skv_vocabulary_count_part, parts);
}

static skive_status encode(const skv_vocabulary *v, const char *text, size_t n, skv_tokens *out) {
    return each(v, text, n, skv_vocabulary_look_up_part, out);
}

const skv_tokenizer skv_tokenizer_word = {
    .name = "word",
    .brief = "words and punctuation marks, the most frequent of the training texts",
    SKV_OPTIONS(options),
    .count = count,
    .learn = skv_vocabulary_keep,
    .encode = encode,
};
