/* The list of coders, and counts of symbols. */
#include "pack/coder.h"

#include <math.h>
#include <string.h>

#define SKV_KIND    coder
#define SKV_ARRAY   coders
#define SKV_RECORDS "pack/coders.inc"
#include "base/records.h"

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
