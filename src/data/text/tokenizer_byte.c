/* byte: each byte of the text is a token. Nothing is learnt, and no token is unknown. */
#include "data/tokenizer.h"

static skive_status restore(skv_vocabulary *v) {
    v->size = SKV_TOKEN_FIRST + 256;
    return SKIVE_OK;
}

static skive_status encode(const skv_vocabulary *v, const char *text, size_t n, skv_tokens *out) {
    (void)v;
    for (size_t i = 0; i < n; i++) SKV_TRY(skv_tokens_add(out, SKV_TOKEN_FIRST + (uint32_t)(unsigned char)text[i]));
    return SKIVE_OK;
}

const skv_tokenizer skv_tokenizer_byte = {
    .name = "byte",
    .brief = "each byte; 258 numbers, nothing is learnt",
    .encode = encode,
    .restore = restore,
};
