/* XXH64 (Yann Collet): a fast 64-bit hash, not resistant to attacks. The value does not depend on byte order. */
#include "base/base.h"
#include "base/endian.h"

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u,
                      P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

static uint64_t rotate(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

static uint64_t mix(uint64_t lane, uint64_t input) { return rotate(lane + input * P2, 31) * P1; }

static uint64_t merge(uint64_t hash, uint64_t lane) { return (hash ^ mix(0, lane)) * P1 + P4; }

uint64_t skv_hash64(const void *bytes, size_t n, uint64_t seed) {
    const unsigned char *p = bytes;
    size_t left = n;
    uint64_t hash;
    if (n >= 32) {
        uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
        for (; left >= 32; p += 32, left -= 32) {
            a = mix(a, skv_load_le64(p));
            b = mix(b, skv_load_le64(p + 8));
            c = mix(c, skv_load_le64(p + 16));
            d = mix(d, skv_load_le64(p + 24));
        }
        hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
        hash = merge(merge(merge(merge(hash, a), b), c), d);
    } else {
        hash = seed + P5;
    }
    hash += n;
    for (; left >= 8; p += 8, left -= 8) hash = rotate(hash ^ mix(0, skv_load_le64(p)), 27) * P1 + P4;
    if (left >= 4) {
        hash = rotate(hash ^ skv_load_le32(p) * P1, 23) * P2 + P3;
        p += 4;
        left -= 4;
    }
    for (; left; p++, left--) hash = rotate(hash ^ *p * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}
