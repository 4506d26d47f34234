/* swap-tokens: pairs of tokens at random places change places (random swap of Wei & Zou: EDA, 2019). Padding stays
 * where it is. */
#include <math.h>
#include <string.h>

#include "data/text/tokens.h"

static bool swap(const skv_augment *a, const float *in, float *out) {
    const float pad = (float)skv_option_integer(a->options, "pad");
    const int64_t n = a->dims[2];
    const skv_span text = skv_text_span(in, n, pad);
    const int64_t length = text.to - text.from;
    const int64_t pairs = (int64_t)ceil(skv_option_real(a->options, "part") * (double)length);
    if (length < 2 || pairs == 0) return false;
    memcpy(out, in, (size_t)n * sizeof *out);
    for (int64_t k = 0; k < pairs; k++) {
        const int64_t i = skv_draw_below(a->draw, length);
        int64_t j = skv_draw_below(a->draw, length - 1);
        if (j >= i) j++;
        const float kept = out[text.from + i];
        out[text.from + i] = out[text.from + j];
        out[text.from + j] = kept;
    }
    return true;
}

static const skv_option options[] = {
    {.name = "part", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.1, .brief = "swaps, as a part of the tokens"},
    {.name = "pad", .type = SKV_OPTION_INTEGER, .most = 16777215, .brief = "number of the token that pads"},
};

const skv_transform skv_transform_swap_tokens = {
    .name = "swap-tokens",
    .syntax = "swap-tokens[:PART][,pad=PAD]",
    .brief = "let tokens change places",
    SKV_OPTIONS(options),
    .on = SKV_ON_TOKENS,
    .apply = swap,
};
