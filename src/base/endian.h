/* Numbers in files: little-endian or big-endian bytes at any address, whatever the processor's own order. In memory
 * numbers are in the processor's order; what files contain goes through this header, and nothing else asks for the
 * order. On a little-endian processor what is here for little-endian bytes compiles to plain loads, stores and copies.
 * */
#ifndef SKV_BASE_ENDIAN_H
#define SKV_BASE_ENDIAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ && __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__
#error "skive needs a processor whose numbers are little-endian or big-endian"
#endif
#define SKV_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

static inline uint16_t skv_load_le16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return SKV_BIG_ENDIAN ? __builtin_bswap16(v) : v;
}
static inline uint32_t skv_load_le32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return SKV_BIG_ENDIAN ? __builtin_bswap32(v) : v;
}
static inline uint64_t skv_load_le64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return SKV_BIG_ENDIAN ? __builtin_bswap64(v) : v;
}
static inline uint16_t skv_load_be16(const void *p) { return __builtin_bswap16(skv_load_le16(p)); }
static inline uint32_t skv_load_be32(const void *p) { return __builtin_bswap32(skv_load_le32(p)); }

static inline void skv_store_le16(void *p, uint16_t v) {
    if (SKV_BIG_ENDIAN) v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}
static inline void skv_store_le32(void *p, uint32_t v) {
    if (SKV_BIG_ENDIAN) v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}
static inline void skv_store_le64(void *p, uint64_t v) {
    if (SKV_BIG_ENDIAN) v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

/* Turns round the bytes of each of the elements of `width` bytes (1, 2, 4 or 8) that `size` bytes hold. */
static inline void skv_swap_elements(void *data, size_t size, size_t width) {
    unsigned char *p = data;
    for (size_t at = 0; width > 1 && at + width <= size; at += width) {
        for (size_t a = at, b = at + width - 1; a < b; a++, b--) {
            const unsigned char c = p[a];
            p[a] = p[b];
            p[b] = c;
        }
    }
}

/* Elements in the processor's order become little-endian ones, or the reverse: nothing on little-endian processors. */
static inline void skv_little_endian(void *data, size_t size, size_t width) {
    if (SKV_BIG_ENDIAN) skv_swap_elements(data, size, width);
}

/* Where the byte of significance `k` (0: the lowest) of an element of `width` bytes lies in memory. */
static inline size_t skv_byte_at(size_t width, size_t k) { return SKV_BIG_ENDIAN ? width - 1 - k : k; }

#endif
