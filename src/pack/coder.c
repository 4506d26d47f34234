/* The list of coders, and counts of symbols. */
#include "pack/coder.h"

#include <math.h>
#include <string.h>

#define X(id) extern const skv_coder skv_coder_##id;
#include "pack/coders.inc"
#undef X

static const skv_coder *const coders[] = {
#define X(id) &skv_coder_##id,
#include "pack/coders.inc"
#undef X
};

size_t skv_coder_count(void) { return sizeof coders / sizeof coders[0]; }
const skv_coder *skv_coder_at(size_t i) { return i < skv_coder_count() ? coders[i] : NULL; }

const skv_coder *skv_coder_find(const char *name) {
    for (size_t i = 0; name && i < skv_coder_count(); i++) {
        if (strcmp(coders[i]->name, name) == 0) return coders[i];
    }
    return NULL;
}

const skv_coder *skv_coder_by_code(unsigned code) {
    for (size_t i = 0; i < skv_coder_count(); i++) {
        if (coders[i]->code == code) return coders[i];
    }
    return NULL;
}

void skv_symbol_counts(const uint8_t *symbols, size_t n, uint64_t counts[SKV_ALPHABET_MAX]) {
    memset(counts, 0, SKV_ALPHABET_MAX * sizeof *counts);
    for (size_t i = 0; i < n; i++) counts[symbols[i]]++;
}

double skv_symbol_entropy(const uint64_t counts[SKV_ALPHABET_MAX], size_t n) {
    double bits = 0;
    for (int i = 0; i < SKV_ALPHABET_MAX; i++) {
        if (counts[i]) bits -= (double)counts[i] * log2((double)counts[i] / (double)n);
    }
    return bits;
}
