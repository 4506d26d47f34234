/* The sums of a tile of weights that are powers of two, the same for every instruction set. Before it stand MR, NR, the
 * type `vector` of NR / 2 int32, load_vector, no_sum, sum_of, broadcast (a number to all lanes), places(word, k), by
 * how many bits weight k of each column shifts (more than a number has where it is 0), signs(word, k), what plus_minus
 * takes of its sign, shifted(x, places) and plus_minus(acc, x, signs). */
#ifndef SKV_SHIFT_TILE_H
#define SKV_SHIFT_TILE_H

static inline __attribute__((always_inline)) void body(const skv_q8_tile *t, const int rows) {
    vector acc[MR][2];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = no_sum();
    const char *b = (const char *)t->b + t->tap_at[0];
    for (size_t g = 0, at = 0; g < t->groups; g++, b += 4 * NR) {
        const vector w0 = load_vector(b), w1 = load_vector(b + 2 * NR);
#pragma GCC unroll 8
        for (int k = 0; k < SKV_Q8_SHIFT_GROUP; k++, at++) {
            const vector p0 = places(w0, k), p1 = places(w1, k), s0 = signs(w0, k), s1 = signs(w1, k);
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                const vector x = broadcast(((const int16_t *)t->a[r])[at]);
                acc[r][0] = plus_minus(acc[r][0], shifted(x, p0), s0);
                acc[r][1] = plus_minus(acc[r][1], shifted(x, p1), s1);
            }
        }
    }
    const vector i0 = load_vector(t->init), i1 = load_vector(t->init + NR / 2);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        acc[r][0] = sum_of(acc[r][0], i0);
        acc[r][1] = sum_of(acc[r][1], i1);
    }
    store(t, rows, acc);
}

#include "kernels/int8/gemm_rows.h"

#endif
