/* The growing buffer and the bounded reader of packed files. */
#include "pack/bytes.h"

#include <string.h>

#include "base/endian.h"

void skv_bytes_free(skv_bytes *b) {
    skv_free(b->ctx, b->data);
    *b = (skv_bytes){.ctx = b->ctx};
}

void skv_bytes_put(skv_bytes *b, const void *data, size_t n) {
    size_t wanted;
    if (b->status != SKIVE_OK || n == 0) return;
    if (!skv_add_size(b->n, n, &wanted)) {
        b->status = SKV_FAIL(b->ctx, SKIVE_ERR_LIMIT, "the packed data is larger than the address space");
        return;
    }
    if (wanted > b->capacity) {
        const size_t capacity = wanted < 256 ? 256 : wanted + wanted / 2;
        b->status = skv_grow(b->ctx, &b->data, b->n, capacity, 1);
        if (b->status != SKIVE_OK) return;
        b->capacity = capacity;
    }
    memcpy(b->data + b->n, data, n);
    b->n = wanted;
}

void skv_bytes_elements(skv_bytes *b, const void *elements, size_t n, size_t width) {
    skv_bytes_put(b, elements, n);
    if (b->status == SKIVE_OK && n) skv_little_endian(b->data + b->n - n, n, width);
}

void skv_bytes_u8(skv_bytes *b, unsigned value) {
    const uint8_t byte = (uint8_t)value;
    skv_bytes_put(b, &byte, 1);
}

void skv_bytes_u32(skv_bytes *b, uint32_t value) {
    for (int i = 0; i < 4; i++) skv_bytes_u8(b, value >> (8 * i) & 255u);
}

void skv_bytes_varint(skv_bytes *b, uint64_t value) {
    for (; value >= 128; value >>= 7) skv_bytes_u8(b, (unsigned)(value & 127u) | 128u);
    skv_bytes_u8(b, (unsigned)value);
}

void skv_bytes_signed(skv_bytes *b, int64_t value) {
    const uint64_t bits = (uint64_t)value;
    skv_bytes_varint(b, value < 0 ? ~(bits << 1) : bits << 1);
}

void skv_bytes_text(skv_bytes *b, const char *text, size_t n) {
    skv_bytes_varint(b, n);
    skv_bytes_put(b, text, n);
}

void skv_bytes_bits(skv_bytes *b, uint32_t value, unsigned n) {
    b->bits |= (value & ((1u << n) - 1u)) << b->n_bits;
    b->n_bits += n;
    for (; b->n_bits >= 8; b->n_bits -= 8) {
        skv_bytes_u8(b, b->bits & 255u);
        b->bits >>= 8;
    }
}

void skv_bytes_align(skv_bytes *b) {
    if (b->n_bits) skv_bytes_u8(b, b->bits & 255u);
    b->bits = 0;
    b->n_bits = 0;
}

const uint8_t *skv_read_bytes(skv_reader *r, size_t n) {
    if (n > skv_read_left(r)) {
        r->failed = true;
        r->at = r->end;
        return NULL;
    }
    const uint8_t *here = r->at;
    if (n) r->at += n;
    return here;
}

unsigned skv_read_u8(skv_reader *r) {
    if (r->at == r->end) {
        r->failed = true;
        return 0;
    }
    return *r->at++;
}

uint32_t skv_read_u32(skv_reader *r) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= (uint32_t)skv_read_u8(r) << (8 * i);
    return value;
}

uint64_t skv_read_varint(skv_reader *r) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const unsigned byte = skv_read_u8(r);
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 127u) << shift;
        if (byte < 128) return value;
    }
    r->failed = true;
    return 0;
}

int64_t skv_read_signed(skv_reader *r) {
    const uint64_t bits = skv_read_varint(r);
    return (int64_t)(bits & 1u ? ~(bits >> 1) : bits >> 1);
}

uint32_t skv_read_bits(skv_reader *r, unsigned n) {
    for (; r->n_bits < n; r->n_bits += 8) r->bits |= (uint32_t)skv_read_u8(r) << r->n_bits;
    const uint32_t value = r->bits & ((1u << n) - 1u);
    r->bits >>= n;
    r->n_bits -= n;
    return value;
}

void skv_read_align(skv_reader *r) {
    r->bits = 0;
    r->n_bits = 0;
}

skv_reader skv_read_part(skv_reader *r, size_t n) {
    const uint8_t *data = skv_read_bytes(r, n);
    skv_reader part = skv_read_from(data ? data : r->end, data ? n : 0);
    part.failed = data == NULL;
    return part;
}
