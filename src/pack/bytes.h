/* Writing and reading bytes: a growing buffer, a bounded reader, and single bits in both. Numbers are little-endian or
 * varints (7 bits per byte, the lowest first). */
#ifndef SKV_PACK_BYTES_H
#define SKV_PACK_BYTES_H

#include "base/base.h"

/* Grows as it is written; a failure is kept in `status`, and later calls do nothing. */
typedef struct skv_bytes {
    skive_context *ctx;
    uint8_t *data;
    size_t n, capacity;
    skive_status status;
    uint32_t bits; /* not yet written */
    unsigned n_bits;
} skv_bytes;

static inline skv_bytes skv_bytes_to(skive_context *ctx) { return (skv_bytes){.ctx = ctx}; }
void skv_bytes_free(skv_bytes *b);
void skv_bytes_put(skv_bytes *b, const void *data, size_t n);
/* Elements of `width` bytes (1, 2, 4 or 8), n bytes in all, little-endian in the file. */
void skv_bytes_elements(skv_bytes *b, const void *elements, size_t n, size_t width);
void skv_bytes_u8(skv_bytes *b, unsigned value);
void skv_bytes_u32(skv_bytes *b, uint32_t value);
void skv_bytes_varint(skv_bytes *b, uint64_t value);
void skv_bytes_signed(skv_bytes *b, int64_t value); /* zigzag */
void skv_bytes_text(skv_bytes *b, const char *text, size_t n);
/* The lowest n <= 16 bits of value, low bits first; skv_bytes_align writes the rest of the last byte. */
void skv_bytes_bits(skv_bytes *b, uint32_t value, unsigned n);
void skv_bytes_align(skv_bytes *b);

/* Reads the rest of a range. Past its end every read returns 0 and `failed` is set. */
typedef struct skv_reader {
    const uint8_t *at, *end;
    bool failed;
    uint32_t bits;
    unsigned n_bits;
} skv_reader;

static inline skv_reader skv_read_from(const void *data, size_t n) {
    return (skv_reader){.at = data, .end = n ? (const uint8_t *)data + n : data}; /* data may be NULL when n is 0 */
}
static inline size_t skv_read_left(const skv_reader *r) { return (size_t)(r->end - r->at); }
const uint8_t *skv_read_bytes(skv_reader *r, size_t n); /* NULL if fewer are left */
unsigned skv_read_u8(skv_reader *r);
uint32_t skv_read_u32(skv_reader *r);
uint64_t skv_read_varint(skv_reader *r);
int64_t skv_read_signed(skv_reader *r);
uint32_t skv_read_bits(skv_reader *r, unsigned n);
void skv_read_align(skv_reader *r);                /* skips the rest of the current byte */
skv_reader skv_read_part(skv_reader *r, size_t n); /* the next n bytes as a separate reader */

#endif
