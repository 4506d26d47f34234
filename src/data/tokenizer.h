/* Tokenizers: how text becomes numbers. A tokenizer is a record; what it has learnt from the training texts is its
 * vocabulary. Number 0 is the padding and 1 a token that the vocabulary does not have. */
#ifndef SKV_TOKENIZER_H
#define SKV_TOKENIZER_H

#include "base/option.h"
#include "base/utf8.h"
#include "data/recipe.h"
#include "data/text/words.h"

enum { SKV_TOKEN_PADDING = 0, SKV_TOKEN_UNKNOWN = 1, SKV_TOKEN_FIRST = 2, SKV_MOST_TOKENS = 1 << 20 };

struct skv_vocabulary;

/* The numbers of one text. */
typedef struct skv_tokens {
    skive_context *ctx;
    int32_t *list;
    size_t n, capacity;
    size_t unknown;
    char first_unknown[48]; /* of all texts since it was cleared */
} skv_tokens;

typedef struct skv_tokenizer {
    const char *name; /* "word" */
    const char *brief;
    const skv_option *options;
    size_t n_options;
    /* Counts the parts of a training text. NULL: there is nothing to learn. */
    skive_status (*count)(const struct skv_vocabulary *v, const char *text, size_t n, skv_words *parts);
    /* Makes the vocabulary of all parts that were counted. */
    skive_status (*learn)(struct skv_vocabulary *v, skv_words *parts);
    /* Appends the numbers of a text. */
    skive_status (*encode)(const struct skv_vocabulary *v, const char *text, size_t n, skv_tokens *out);
    /* After the vocabulary was read from a recipe, or NULL. */
    skive_status (*restore)(struct skv_vocabulary *v);
} skv_tokenizer;

#define X(id) extern const skv_tokenizer skv_tokenizer_##id;
#include "data/tokenizers.inc"
#undef X

extern const skv_family skv_tokenizer_family;

/* A pair of neighbours that becomes one token. */
typedef struct skv_merge {
    uint32_t left, right;
} skv_merge;

typedef struct skv_vocabulary {
    skive_context *ctx;
    const skv_tokenizer *tokenizer;
    skv_option_values values;
    skv_words tokens;  /* texts by number - SKV_TOKEN_FIRST, of tokenizers that have them */
    skv_merge *merges; /* of byte pairs: the n-th makes the token SKV_TOKEN_FIRST + 256 + n */
    size_t n_merges, merge_capacity;
    uint32_t *slots; /* hash table of the merges, numbers + 1 */
    size_t n_slots;
    size_t size; /* all numbers are below */
} skv_vocabulary;

/* `text`: "word:size=1000". Errors: ARGUMENT. */
skive_status skv_vocabulary_create(skive_context *ctx, const char *text, skv_vocabulary *out);
void skv_vocabulary_free(skv_vocabulary *v);
/* "word:size=1000": what differs from the defaults. Freed by skv_free. */
skive_status skv_vocabulary_name(const skv_vocabulary *v, char **out);
/* Lines of the recipe. */
void skv_vocabulary_write(const skv_vocabulary *v, skv_text *t);
skive_status skv_vocabulary_read_line(skv_recipe *r, skv_vocabulary *v, bool *taken);
/* After the last line. */
skive_status skv_vocabulary_complete(skv_vocabulary *v);

/* ---- for the tokenizers ---- */

skive_status skv_tokens_add(skv_tokens *t, uint32_t number);
skive_status skv_tokens_add_unknown(skv_tokens *t, const char *text, size_t n);
void skv_tokens_free(skv_tokens *t);
skive_status skv_vocabulary_add_merge(skv_vocabulary *v, uint32_t left, uint32_t right);
/* The merge of two neighbours; SKV_NO_WORD: none. */
uint32_t skv_vocabulary_merge_of(const skv_vocabulary *v, uint32_t left, uint32_t right);
/* Learning and numbers of tokenizers whose tokens are the most frequent parts: their options are `size` and `least`. */
skive_status skv_vocabulary_keep(skv_vocabulary *v, skv_words *parts);
skive_status skv_vocabulary_look_up(const skv_vocabulary *v, const char *text, size_t n, skv_tokens *out);
/* What is done with each part of a text: it is counted (`user` are the skv_words), or looked up (the skv_tokens). */
typedef skive_status (*skv_part_fn)(const skv_vocabulary *v, const char *text, size_t n, void *user);
skive_status skv_vocabulary_count_part(const skv_vocabulary *v, const char *text, size_t n, void *user);
skive_status skv_vocabulary_look_up_part(const skv_vocabulary *v, const char *text, size_t n, void *user);

#define SKV_VOCABULARY_OPTIONS(size_, brief_)                                                \
    {.name = "size",                                                                         \
     .type = SKV_OPTION_INTEGER,                                                             \
     .least = 3,                                                                             \
     .most = SKV_MOST_TOKENS,                                                                \
     .fallback = (size_),                                                                    \
     .brief = brief_},                                                                       \
    {                                                                                        \
        .name = "least", .type = SKV_OPTION_INTEGER, .least = 1, .most = 1e9, .fallback = 1, \
        .brief = "how often it must occur in the training texts"                             \
    }
#define SKV_LOWER_OPTION \
    { .name = "lower", .type = SKV_OPTION_SWITCH, .brief = "capitals as small letters (Latin, Greek, Cyrillic)" }

#endif
