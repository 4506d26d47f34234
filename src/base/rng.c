/* Random numbers: Philox4x32-10.
 *
 * J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011. A number is
 * a pure function of (seed, stream, index), so work split over any number of threads draws the same numbers. */
#include <math.h>

#include "base/base.h"

__extension__ typedef unsigned __int128 u128;

void skv_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t out[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void draw(uint64_t seed, uint64_t stream, uint64_t index, uint64_t out[2]) {
    uint32_t r[4];
    skv_philox(seed, index, stream, r);
    out[0] = (uint64_t)r[1] << 32 | r[0];
    out[1] = (uint64_t)r[3] << 32 | r[2];
}

double skv_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t r[2];
    draw(seed, stream, index, r);
    return (double)(r[0] >> 11) * 0x1p-53;
}

/* Box and Muller's transform of two uniform numbers, the first in (0, 1]. */
double skv_rng_normal(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t r[2];
    draw(seed, stream, index, r);
    double u = (double)((r[0] >> 11) + 1) * 0x1p-53, v = (double)(r[1] >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

/* All 128 bits as a fraction, times n: the bias is below n / 2^128. */
uint64_t skv_rng_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n) {
    uint64_t r[2];
    draw(seed, stream, index, r);
    u128 low = (u128)r[1] * n;
    return (uint64_t)(((u128)r[0] * n + (uint64_t)(low >> 64)) >> 64);
}

void skv_rng_shuffle(uint64_t seed, uint64_t stream, uint32_t *items, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)skv_rng_below(seed, stream, i, i);
        uint32_t swap = items[i - 1];
        items[i - 1] = items[j];
        items[j] = swap;
    }
}
