/* character: each character (code point) of the text is a token. */
#include "data/tables/rows.h"
#include "data/tokenizer.h"

static const skv_option options[] = {
    SKV_VOCABULARY_OPTIONS(4096, "numbers at most; rarer characters are unknown"),
    SKV_LOWER_OPTION,
};

static skive_status each(const skv_vocabulary *v, const char *text, size_t n, skv_part_fn fn, void *user) {
    const bool lower = skv_option_on(&v->values, "lower");
    for (size_t at = 0; at < n;) {
        char one[4];
        uint32_t code = skv_utf8_next(text, n, &at);
        if (lower) code = skv_character_lower(code);
        SKV_TRY(fn(v, one, skv_utf8_put(code, one), user));
    }
    return SKIVE_OK;
}

static skive_status count(const skv_vocabulary *v, const char *text, size_t n, skv_words *parts) {
    return each(v, text, n, skv_vocabulary_count_part, parts);
}

static skive_status encode(const skv_vocabulary *v, const char *text, size_t n, skv_tokens *out) {
    return each(v, text, n, skv_vocabulary_look_up_part, out);
}

const skv_tokenizer skv_tokenizer_character = {
    .name = "character",
    .brief = "each character",
    SKV_OPTIONS(options),
    .count = count,
    .learn = skv_vocabulary_keep,
    .encode = encode,
};
