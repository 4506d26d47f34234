/* Text as samples: a tokenizer with its vocabulary, and how many tokens a sample has. */
#ifndef SKV_TEXT_H
#define SKV_TEXT_H

#include "data/text/texts.h"
#include "data/tokenizer.h"

enum { SKV_TEXT_TOKENS, SKV_TEXT_MASK, SKV_TEXT_LENGTHS, SKV_TEXT_INPUTS };

/* The recipe. */
typedef struct skv_text_recipe {
    skive_context *ctx;
    skv_vocabulary vocabulary;
    int64_t length;                /* tokens of a sample; 0: not decided */
    bool pad_start, keep_last;     /* where padding goes, and which tokens of a longer text stay */
    char *inputs[SKV_TEXT_INPUTS]; /* names of the tokens, the mask and the lengths; NULL: has none */
    char *column;                  /* of a table, or NULL */
    skv_label label;
} skv_text_recipe;

void skv_text_recipe_init(skv_text_recipe *r, skive_context *ctx);
void skv_text_recipe_free(skv_text_recipe *r);
/* From the options of the kind, without a vocabulary yet. */
skive_status skv_text_recipe_start(skv_text_recipe *r, const skv_option_values *values);
/* Options that contradict the recipe are refused; the column and the label may be called otherwise. */
skive_status skv_text_recipe_agrees(skv_text_recipe *r, const char *spec, const skv_option_values *values);
skive_status skv_text_recipe_write(const skv_text_recipe *r, char **out);
skive_status skv_text_recipe_parse(skive_context *ctx, const char *text, skv_text_recipe *out);
/* The vocabulary, and the length if it is not decided, from the texts that are not held out (NULL: all). */
skive_status skv_text_learn(skv_text_recipe *r, const char *spec, const skv_texts *texts, const uint8_t *held,
                            const struct skive_graph *model);
/* The tokens of a text as a sample: x[length]; mask[length] and *count may be NULL. `tokens` is for its use. */
skive_status skv_text_encode(const skv_text_recipe *r, const char *text, size_t n, skv_tokens *tokens, int32_t *x,
                             int32_t *mask, int32_t *count);

#endif
