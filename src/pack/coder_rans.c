/* Range variant of asymmetric numeral systems (Duda 2013) with static frequencies of 14 bits. States are 32 bits wide
 * and are renormalised by whole bytes; long sequences use four interleaved states, so that a decoder's steps overlap.
 * The file contains the frequencies as Exp-Golomb numbers, the final states, then the bytes in the order in which the
 * decoder reads them. */
#include "pack/coder.h"

#include <string.h>

enum { SCALE_BITS = 14, SCALE = 1 << SCALE_BITS, STATES_MAX = 4, MANY = 1 << 16 };
#define STATE_LOW (1u << 23)

static unsigned states_for(size_t n) { return n < MANY ? 1 : STATES_MAX; }

/* Frequencies that add up to SCALE and are above 0 for every symbol that occurs. */
static void normalize(const uint64_t counts[SKV_ALPHABET_MAX], size_t n, uint32_t freq[SKV_ALPHABET_MAX]) {
    int64_t left = SCALE;
    memset(freq, 0, SKV_ALPHABET_MAX * sizeof *freq);
    for (int i = 0; i < SKV_ALPHABET_MAX; i++) {
        if (!counts[i]) continue;
        const double share = (double)counts[i] * SCALE / (double)n;
        freq[i] = share < 1 ? 1 : (uint32_t)(share + 0.5);
        left -= freq[i];
    }
    /* The rounding difference is taken from or added to the symbols where it costs least. */
    while (left != 0) {
        int best = -1;
        double best_cost = 0;
        for (int i = 0; i < SKV_ALPHABET_MAX; i++) {
            if (!counts[i] || (left < 0 && freq[i] == 1)) continue;
            const double f = (double)freq[i], c = (double)counts[i];
            const double cost = left < 0 ? c / (f - 0.5) : -c / (f + 0.5);
            if (best < 0 || cost < best_cost) {
                best = i;
                best_cost = cost;
            }
        }
        freq[best] += left < 0 ? UINT32_MAX : 1u;
        left += left < 0 ? 1 : -1;
    }
}

static unsigned golomb_bits(uint32_t value, unsigned k) {
    unsigned bits = 0;
    value += 1u << k;
    while (value >> (bits + 1)) bits++;
    return 2 * bits + 1 - k;
}

static void write_golomb(skv_bytes *out, uint32_t value, unsigned k) {
    unsigned bits = 0;
    value += 1u << k;
    while (value >> (bits + 1)) bits++;
    for (unsigned i = k; i < bits; i++) skv_bytes_bits(out, 0, 1);
    skv_bytes_bits(out, 1, 1);
    skv_bytes_bits(out, value, bits);
}

static uint32_t read_golomb(skv_reader *in, unsigned k) {
    unsigned bits = k;
    while (bits <= SCALE_BITS && !skv_read_bits(in, 1)) bits++;
    if (bits > SCALE_BITS) {
        in->failed = true;
        return 0;
    }
    return (skv_read_bits(in, bits) | 1u << bits) - (1u << k);
}

static void write_frequencies(const uint32_t freq[SKV_ALPHABET_MAX], unsigned alphabet, skv_bytes *out) {
    unsigned best = 0, best_bits = UINT32_MAX;
    for (unsigned k = 0; k < SCALE_BITS; k++) {
        unsigned bits = 0;
        for (unsigned i = 0; i < alphabet; i++) bits += golomb_bits(freq[i], k);
        if (bits >= best_bits) continue;
        best = k;
        best_bits = bits;
    }
    skv_bytes_bits(out, best, 4);
    for (unsigned i = 0; i < alphabet; i++) write_golomb(out, freq[i], best);
    skv_bytes_align(out);
}

static skive_status encode(skive_context *ctx, const skv_symbol_shape *s, const uint8_t *symbols, skv_bytes *out) {
    uint64_t counts[SKV_ALPHABET_MAX];
    uint32_t freq[SKV_ALPHABET_MAX], start[SKV_ALPHABET_MAX], state[STATES_MAX];
    const unsigned n_states = states_for(s->n);
    uint8_t *room = NULL;
    size_t at = 2 * s->n + 16;
    if (s->n == 0) return SKIVE_OK;
    skv_symbol_counts(symbols, s->n, counts);
    normalize(counts, s->n, freq);
    write_frequencies(freq, s->alphabet, out);
    for (uint32_t i = 0, sum = 0; i < SKV_ALPHABET_MAX; sum += freq[i++]) start[i] = sum;
    SKV_TRY(skv_alloc(ctx, at, &room)); /* a symbol takes at most 14 bits */
    for (unsigned k = 0; k < n_states; k++) state[k] = STATE_LOW;
    for (size_t i = s->n; i-- > 0;) {
        uint32_t *x = &state[i % n_states];
        const uint32_t f = freq[symbols[i]];
        const uint64_t limit = (uint64_t)(STATE_LOW >> SCALE_BITS << 8) * f;
        for (; *x >= limit; *x >>= 8) room[--at] = (uint8_t)(*x & 255u);
        *x = (*x / f << SCALE_BITS) + *x % f + start[symbols[i]];
    }
    for (unsigned k = 0; k < n_states; k++) skv_bytes_u32(out, state[k]);
    skv_bytes_put(out, room + at, 2 * s->n + 16 - at);
    skv_free(ctx, room);
    return out->status;
}

/* A slot of the cumulative frequencies: its symbol, that symbol's frequency, and the offset in it. */
typedef struct slot {
    uint16_t freq, offset;
    uint8_t symbol;
} slot;

static bool read_slots(skv_reader *in, unsigned alphabet, slot *slots) {
    const unsigned k = skv_read_bits(in, 4);
    uint32_t sum = 0;
    for (unsigned i = 0; i < alphabet && !in->failed; i++) {
        const uint32_t f = read_golomb(in, k);
        if (f > SCALE - sum) return false;
        for (uint32_t o = 0; o < f; o++) slots[sum + o] = (slot){(uint16_t)f, (uint16_t)o, (uint8_t)i};
        sum += f;
    }
    skv_read_align(in);
    return sum == SCALE && !in->failed;
}

static skive_status decode(skive_context *ctx, const skv_symbol_shape *s, skv_reader *in, uint8_t *symbols) {
    const unsigned n_states = states_for(s->n);
    uint32_t state[STATES_MAX];
    slot *slots = NULL;
    if (s->n == 0) return SKIVE_OK;
    SKV_TRY(skv_alloc(ctx, SCALE * sizeof *slots, &slots));
    bool good = read_slots(in, s->alphabet, slots);
    for (unsigned k = 0; k < n_states; k++) state[k] = skv_read_u32(in);
    good = good && !in->failed;
    const uint8_t *at = in->at, *const end = in->end;
    for (size_t i = 0; good && i < s->n; i++) {
        uint32_t x = state[i % n_states];
        const slot *here = &slots[x & (SCALE - 1)];
        symbols[i] = here->symbol;
        x = here->freq * (x >> SCALE_BITS) + here->offset;
        for (; x < STATE_LOW && at < end; at++) x = x << 8 | *at;
        state[i % n_states] = x;
    }
    /* An encoder starts from STATE_LOW, so a decoder that read everything ends there. */
    for (unsigned k = 0; k < n_states; k++) good = good && state[k] == STATE_LOW;
    in->at = at;
    skv_free(ctx, slots);
    return good ? SKIVE_OK : SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "rANS-coded symbols do not end where they should");
}

const skv_coder skv_coder_rans = {
    .name = "rans",
    .brief = "asymmetric numeral systems with static frequencies",
    .code = 2,
    .encode = encode,
    .decode = decode,
};
