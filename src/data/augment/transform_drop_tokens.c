/* drop-tokens: each token is left out with a given probability, and as much padding is added where padding is: at the
 * start if there is some, or else at the end (random deletion of Wei & Zou: EDA, 2019). At least one token stays. */
#include "data/text/tokens.h"

static bool drop(const skv_augment *a, const float *in, float *out) {
    const double probability = skv_option_real(a->options, "probability");
    const float pad = (float)skv_option_integer(a->options, "pad");
    const skv_span text = skv_text_span(in, a->dims[2], pad);
    const bool at_start = text.from > 0 && text.to == a->dims[2];
    int64_t kept = 0;
    for (int64_t i = text.from; i < text.to; i++) {
        if (skv_draw_uniform(a->draw) >= probability) out[kept++] = in[i];
    }
    if (kept == text.to - text.from) return false;
    if (kept == 0) out[kept++] = in[text.from + skv_draw_below(a->draw, text.to - text.from)];
    const int64_t first = at_start ? a->dims[2] - kept : text.from;
    for (int64_t i = kept - 1; i >= 0; i--) out[first + i] = out[i];
    for (int64_t i = 0; i < a->dims[2]; i++) {
        if (i < first || i >= first + kept) out[i] = pad;
    }
    return true;
}

static const skv_option options[] = {
    {.name = "probability", .type = SKV_OPTION_REAL, .most = 0.95, .fallback = 0.1, .brief = "of leaving out a token"},
    {.name = "pad", .type = SKV_OPTION_INTEGER, .most = 16777215, .brief = "number of the token that pads"},
};

const skv_transform skv_transform_drop_tokens = {
    .name = "drop-tokens",
    .syntax = "drop-tokens[:PROBABILITY][,pad=PAD]",
    .brief = "leave out tokens at random",
    SKV_OPTIONS(options),
    .on = SKV_ON_TOKENS,
    .shortens = true,
    .apply = drop,
};
