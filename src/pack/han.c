/* The size of a weight in the format of Deep Compression (Han, Mao & Dally 2016), for comparison: for each nonzero
 * weight its index into the codebook and its distance to the previous one, 8 bits for a convolution and 5 for a matrix,
 * where longer distances are bridged by zero weights; at fixed width, or both streams with Huffman codes. The code
 * tables are not counted, as in that paper. */
#include <string.h>

#include "pack/pack.h"
#include "tensor/tensor.h"

enum { CONV_DISTANCE = 8, MATRIX_DISTANCE = 5, FLOAT_BITS = 32 };

/* Bits of a Huffman coding for these counts: each merge of the two rarest adds a bit to all their symbols. */
static double huffman_bits(uint64_t *counts, int n) {
    double bits = 0;
    int kinds = 0;
    for (int i = 0; i < n; i++) {
        if (counts[i]) counts[kinds++] = counts[i];
    }
    if (kinds == 1) return (double)counts[0];
    for (; kinds > 1; kinds--) {
        /* move the rarest to the end, then the next rarest before it */
        for (int end = kinds - 1; end >= kinds - 2; end--) {
            int least = 0;
            for (int i = 1; i <= end; i++) least = counts[i] < counts[least] ? i : least;
            const uint64_t t = counts[least];
            counts[least] = counts[end];
            counts[end] = t;
        }
        counts[kinds - 2] += counts[kinds - 1];
        bits += (double)counts[kinds - 2];
    }
    return bits;
}

/* Indices and distances of the stored weights, including zeros that bridge a distance. */
static void count(const skv_coded *c, int distance_bits, uint64_t *indices, uint64_t *distances, uint64_t *stored) {
    const int64_t n = skv_coded_count(c);
    const unsigned longest = 1u << distance_bits;
    unsigned gap = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool there = c->symbols[i] != c->zero;
        if (++gap < longest && !there) continue;
        indices[there ? c->symbols[i] : (unsigned)c->zero]++;
        distances[gap - 1]++;
        (*stored)++;
        gap = 0;
    }
}

skive_status skv_han_bytes(skive_context *ctx, const skive_tensor *t, double *fixed, double *huffman) {
    const double dense = (double)skive_tensor_count(t) * FLOAT_BITS / 8;
    const int distance_bits = t->rank > 2 ? CONV_DISTANCE : MATRIX_DISTANCE;
    uint64_t indices[SKV_ALPHABET_MAX] = {0}, distances[1 << CONV_DISTANCE] = {0}, stored = 0;
    skv_coded c = {0};
    bool fits = false;
    *fixed = *huffman = dense;
    if (t->rank < 2 || t->dtype != SKIVE_F32) return SKIVE_OK;
    SKV_TRY(skv_form_codebook.describe(ctx, t, &c, &fits));
    if (fits && c.zero >= 0) {
        count(&c, distance_bits, indices, distances, &stored);
        const double codebook = (double)c.n_table * FLOAT_BITS;
        const double index_bits = (double)skv_symbol_bits(c.alphabet);
        *fixed = ((double)stored * (index_bits + distance_bits) + codebook) / 8;
        *huffman =
            (huffman_bits(indices, SKV_ALPHABET_MAX) + huffman_bits(distances, 1 << distance_bits) + codebook) / 8;
    }
    skv_coded_free(ctx, &c);
    return SKIVE_OK;
}
