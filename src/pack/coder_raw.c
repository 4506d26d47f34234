/* No entropy coding: each symbol in the smallest number of whole bits for its alphabet. */
#include "pack/coder.h"

#include <string.h>

static skive_status encode(skive_context *ctx, const skv_symbol_shape *s, const uint8_t *symbols, skv_bytes *out) {
    const unsigned bits = skv_symbol_bits(s->alphabet);
    (void)ctx;
    if (bits == 8) {
        skv_bytes_put(out, symbols, s->n);
        return out->status;
    }
    for (size_t i = 0; bits && i < s->n; i++) skv_bytes_bits(out, symbols[i], bits);
    skv_bytes_align(out);
    return out->status;
}

static skive_status decode(skive_context *ctx, const skv_symbol_shape *s, skv_reader *in, uint8_t *symbols) {
    const unsigned bits = skv_symbol_bits(s->alphabet);
    unsigned largest = 0;
    if (bits == 8) {
        const uint8_t *data = skv_read_bytes(in, s->n);
        if (data && s->n) memcpy(symbols, data, s->n);
        if (!data) memset(symbols, 0, s->n);
    } else {
        for (size_t i = 0; i < s->n; i++) symbols[i] = (uint8_t)(bits ? skv_read_bits(in, bits) : 0);
        skv_read_align(in);
    }
    for (size_t i = 0; i < s->n; i++) largest = symbols[i] > largest ? symbols[i] : largest;
    if (largest >= s->alphabet && s->n)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "symbol %u is outside an alphabet of %u", largest, s->alphabet);
    return SKIVE_OK;
}

const skv_coder skv_coder_raw = {
    .name = "raw",
    .brief = "each symbol in the smallest number of whole bits for its alphabet",
    .code = 0,
    .encode = encode,
    .decode = decode,
};
