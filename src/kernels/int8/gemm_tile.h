/* The products of a tile, the same for every instruction set. Before it stand: MR, NR; ROWS(X), X(1) to X(MR); the type
 * `vector` of NR / 2 int32, with load_vector, broadcast4 (four bytes at an address to all of its int32) and
 * multiply_add (a step of k_group products added to each int32); store, the tile's end. */
#ifndef SKV_GEMM_TILE_H
#define SKV_GEMM_TILE_H

enum {
    STEP_BYTES = 4, /* k_group numbers */
    HELD = 4,       /* pointers to rows in registers, the others are read at each step */
};

/* halves: 1 where the tile has NR / 2 columns at most; the sums of the others are not read. */
static inline __attribute__((always_inline)) void body_of(const skv_q8_tile *t, const int rows, const int halves) {
    vector acc[MR][2];
    const vector i0 = load_vector(t->init), i1 = load_vector(t->init + NR / 2);
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        acc[r][0] = i0;
        acc[r][1] = i1;
    }
    uintptr_t next = (uintptr_t)t->next; /* runs past the end */
    /* Volatile, or the compiler holds all it can, and those that find no register it keeps in vector registers: to move
     * them out takes turns on the ports of the products. */
    const void *const volatile *a = t->a;
    const size_t bytes = t->groups * STEP_BYTES;
    for (size_t tap = 0; tap < t->taps; tap++, a += rows) {
        const char *x[HELD];
#pragma GCC unroll 14
        for (int r = 0; r < rows && r < HELD; r++) x[r] = a[r];
        const char *b = (const char *)t->b + t->tap_at[tap];
        for (size_t k = 0; k < bytes; k += STEP_BYTES, b += STEP_BYTES * NR) {
            __builtin_prefetch((const void *)next, 0, 2);
            next += 64;
            const vector b0 = load_vector(b), b1 = halves > 1 ? load_vector(b + STEP_BYTES * NR / 2) : b0;
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                const vector v = broadcast4((r < HELD ? x[r] : (const char *)a[r]) + k);
                acc[r][0] = multiply_add(acc[r][0], v, b0);
                if (halves > 1) acc[r][1] = multiply_add(acc[r][1], v, b1);
            }
        }
    }
    store(t, rows, acc);
}

static inline __attribute__((always_inline)) void body(const skv_q8_tile *t, const int rows) { body_of(t, rows, 2); }

#include "kernels/int8/gemm_rows.h"

#endif
