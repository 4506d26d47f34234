/* What the transforms of tokens share: where the text is between its padding. */
#ifndef SKV_TOKENS_H
#define SKV_TOKENS_H

#include "data/transform.h"

/* Tokens from .. to - 1; empty if all is padding. */
typedef struct skv_span {
    int64_t from, to;
} skv_span;

static inline skv_span skv_text_span(const float *x, int64_t n, float pad) {
    skv_span s = {0, n};
    while (s.to > 0 && x[s.to - 1] == pad) s.to--;
    while (s.from < s.to && x[s.from] == pad) s.from++;
    return s;
}

#endif
