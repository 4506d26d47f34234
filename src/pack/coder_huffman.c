/* Canonical Huffman codes (Huffman 1952) of at most 12 bits, the lengths found by package-merge (Larmore & Hirschberg
 * 1990). The file contains only the lengths, four bits each, with a run of absent symbols as a zero and its length. */
#include "pack/coder.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 12, RUN = 16 };

typedef struct item {
    uint64_t weight;
    int left, right; /* of a package; a leaf has left -1 and its symbol in right */
} item;

typedef struct packages {
    item items[2 * SKV_ALPHABET_MAX * LONGEST];
    int n;
} packages;

static int by_weight(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
    return x->right - y->right;
}

static void count_leaves(const packages *p, int i, uint8_t lengths[SKV_ALPHABET_MAX]) {
    if (p->items[i].left < 0) {
        lengths[p->items[i].right]++;
        return;
    }
    count_leaves(p, p->items[i].left, lengths);
    count_leaves(p, p->items[i].right, lengths);
}

/* One round: pairs of packages of the previous list, merged by weight with the leaves. Returns the new list's
 * length. */
static int merge_round(packages *p, const item *leaf, int n_leaf, const int *before, int n_before, int *list) {
    int n = 0, leaf_at = 0, pair = 0;
    const int n_pair = n_before / 2;
    while (leaf_at < n_leaf || pair < n_pair) {
        const uint64_t pair_weight =
            pair < n_pair ? p->items[before[2 * pair]].weight + p->items[before[2 * pair + 1]].weight : UINT64_MAX;
        if (leaf_at < n_leaf && leaf[leaf_at].weight <= pair_weight) {
            p->items[p->n] = leaf[leaf_at++];
        } else {
            p->items[p->n] = (item){pair_weight, before[2 * pair], before[2 * pair + 1]};
            pair++;
        }
        list[n++] = p->n++;
    }
    return n;
}

static void find_lengths(packages *p, const uint64_t counts[SKV_ALPHABET_MAX], uint8_t lengths[SKV_ALPHABET_MAX]) {
    item leaf[SKV_ALPHABET_MAX];
    int lists[2][2 * SKV_ALPHABET_MAX], n_leaf = 0, n_before = 0;
    memset(lengths, 0, SKV_ALPHABET_MAX);
    for (int i = 0; i < SKV_ALPHABET_MAX; i++) {
        if (counts[i]) leaf[n_leaf++] = (item){counts[i], -1, i};
    }
    if (n_leaf == 1) lengths[leaf[0].right] = 1;
    if (n_leaf < 2) return;
    qsort(leaf, (size_t)n_leaf, sizeof *leaf, by_weight);
    p->n = 0;
    for (int round = 0; round < LONGEST; round++)
        n_before = merge_round(p, leaf, n_leaf, lists[round & 1], n_before, lists[(round + 1) & 1]);
    for (int i = 0; i < 2 * n_leaf - 2; i++) count_leaves(p, lists[LONGEST & 1][i], lengths);
}

/* Codes in order of length, then of symbol, with their bits reversed, because the stream is read from its lowest bit.
 * False if the lengths are not a prefix code. */
static bool find_codes(const uint8_t lengths[SKV_ALPHABET_MAX], uint16_t codes[SKV_ALPHABET_MAX]) {
    uint32_t code = 0, room = 1u << LONGEST;
    for (unsigned length = 1; length <= LONGEST; length++) {
        code <<= 1;
        for (int i = 0; i < SKV_ALPHABET_MAX; i++) {
            if (lengths[i] != length) continue;
            const uint32_t taken = 1u << (LONGEST - length);
            if (taken > room) return false;
            room -= taken;
            uint32_t turned = 0;
            for (unsigned b = 0; b < length; b++) turned |= (code >> b & 1u) << (length - 1 - b);
            codes[i] = (uint16_t)turned;
            code++;
        }
    }
    return true;
}

static void write_lengths(const uint8_t lengths[SKV_ALPHABET_MAX], unsigned alphabet, skv_bytes *out) {
    for (unsigned i = 0; i < alphabet; i++) {
        skv_bytes_bits(out, lengths[i], 4);
        if (lengths[i]) continue;
        unsigned run = 1;
        while (run < RUN && i + run < alphabet && !lengths[i + run]) run++;
        skv_bytes_bits(out, run - 1, 4);
        i += run - 1;
    }
}

static void read_lengths(uint8_t lengths[SKV_ALPHABET_MAX], unsigned alphabet, skv_reader *in) {
    memset(lengths, 0, SKV_ALPHABET_MAX);
    for (unsigned i = 0; i < alphabet; i++) {
        lengths[i] = (uint8_t)skv_read_bits(in, 4);
        if (!lengths[i]) i += skv_read_bits(in, 4);
    }
}

static skive_status encode(skive_context *ctx, const skv_symbol_shape *s, const uint8_t *symbols, skv_bytes *out) {
    uint64_t counts[SKV_ALPHABET_MAX];
    uint8_t lengths[SKV_ALPHABET_MAX];
    uint16_t codes[SKV_ALPHABET_MAX] = {0};
    packages *p = NULL;
    SKV_TRY(skv_alloc(ctx, sizeof *p, &p));
    skv_symbol_counts(symbols, s->n, counts);
    find_lengths(p, counts, lengths);
    skv_free(ctx, p);
    (void)find_codes(lengths, codes);
    write_lengths(lengths, s->alphabet, out);
    for (size_t i = 0; i < s->n; i++) skv_bytes_bits(out, codes[symbols[i]], lengths[symbols[i]]);
    skv_bytes_align(out);
    return out->status;
}

static skive_status decode(skive_context *ctx, const skv_symbol_shape *s, skv_reader *in, uint8_t *symbols) {
    uint8_t lengths[SKV_ALPHABET_MAX], symbol_of[1 << LONGEST];
    uint16_t codes[SKV_ALPHABET_MAX] = {0};
    read_lengths(lengths, s->alphabet, in);
    uint64_t bits = in->bits;
    unsigned n_bits = in->n_bits;
    for (unsigned i = 0; i < s->alphabet; i++) {
        if (lengths[i] > LONGEST) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a Huffman code of %u bits", lengths[i]);
    }
    if (!find_codes(lengths, codes)) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "the Huffman code lengths are invalid");
    /* Unused codes map to symbol 0 with length 0, which ends the decoding. */
    memset(symbol_of, 0, sizeof symbol_of);
    uint8_t length_of[1 << LONGEST] = {0};
    for (unsigned i = 0; i < s->alphabet; i++) {
        if (!lengths[i]) continue;
        for (unsigned k = codes[i]; k < 1u << LONGEST; k += 1u << lengths[i]) {
            symbol_of[k] = (uint8_t)i;
            length_of[k] = lengths[i];
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        while (n_bits < LONGEST && in->at < in->end) {
            bits |= (uint64_t)*in->at++ << n_bits;
            n_bits += 8;
        }
        const unsigned at = (unsigned)(bits & ((1u << LONGEST) - 1u)), length = length_of[at];
        if (length == 0 || length > n_bits)
            return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "Huffman-coded symbols end early or contain an unknown code");
        symbols[i] = symbol_of[at];
        bits >>= length;
        n_bits -= length;
    }
    in->at -= n_bits / 8; /* bytes read ahead */
    skv_read_align(in);
    return SKIVE_OK;
}

const skv_coder skv_coder_huffman = {
    .name = "huffman",
    .brief = "canonical Huffman codes",
    .code = 1,
    .encode = encode,
    .decode = decode,
};
