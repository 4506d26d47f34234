/* Entropy coders: a sequence of small symbols to bytes and back. One file per coder, ending in one record, and a line
 * in coders.inc. All arithmetic is on integers, so that every machine reads and writes the same bytes. */
#ifndef SKV_PACK_CODER_H
#define SKV_PACK_CODER_H

#include "pack/bytes.h"

enum { SKV_ALPHABET_MAX = 256 };

/* What encoder and decoder know about a sequence of symbols before its first byte. */
typedef struct skv_symbol_shape {
    size_t n;          /* symbols */
    size_t columns;    /* length of a row of the weight, at least 1; the last row may be shorter */
    unsigned alphabet; /* number of symbols, 1 to 256 */
    int zero;          /* the symbol of weight 0 when symbols are in the order of their values; -1: none */
} skv_symbol_shape;

typedef struct skv_coder {
    const char *name, *brief;
    uint8_t code; /* its number in files; must never change */
    skive_status (*encode)(skive_context *ctx, const skv_symbol_shape *s, const uint8_t *symbols, skv_bytes *out);
    /* Fills symbols[n], each below the alphabet. Bytes that no encoder writes give an error or arbitrary symbols, but
     * never more than n; the reader fails if they end early. */
    skive_status (*decode)(skive_context *ctx, const skv_symbol_shape *s, skv_reader *in, uint8_t *symbols);
} skv_coder;

size_t skv_coder_count(void);
const skv_coder *skv_coder_at(size_t i);
const char *skv_coder_name(size_t i);
const skv_coder *skv_coder_find(const char *name);
const skv_coder *skv_coder_by_code(unsigned code);

/* Bits per symbol of the alphabet if all are equally likely. */
static inline unsigned skv_symbol_bits(unsigned alphabet) {
    unsigned bits = 0;
    while ((1u << bits) < alphabet) bits++;
    return bits;
}
/* The number of occurrences of each symbol. */
void skv_symbol_counts(const uint8_t *symbols, size_t n, uint64_t counts[SKV_ALPHABET_MAX]);
/* The empirical entropy of all n symbols, in bits. */
double skv_symbol_entropy(const uint64_t counts[SKV_ALPHABET_MAX], size_t n);

#endif
