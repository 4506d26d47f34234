/* The products of a tile with weights of few bits, the same for every instruction set. Before it stand what gemm_tile.h
 * asks for, and LANE, the bits of a lane; codes(word, step, bits), the codes of a step in the lanes; settle(acc, bits,
 * factor), from sums of what `codes` gives to sums of weights; sum_of(a, b), of int32. */
#ifndef SKV_FEW_TILE_H
#define SKV_FEW_TILE_H

enum { STEP_BYTES = 4 /* inputs of a step */, FEW = 3 /* rows so few that two sums each keep the units busy */ };

static inline __attribute__((always_inline)) void body(const skv_q8_tile *t, const int rows, const int bits) {
    const int steps = LANE / bits, chains = rows <= FEW ? 2 : 1;
    vector acc[2][MR][2];
#pragma GCC unroll 2
    for (int i = 0; i < chains; i++)
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) acc[i][r][0] = acc[i][r][1] = no_sum();
    uintptr_t next = (uintptr_t)t->next;  /* runs past the end */
    const void *const volatile *a = t->a; /* see gemm_tile.h */
    for (size_t tap = 0; tap < t->taps; tap++, a += rows) {
        const char *x[MR];
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) x[r] = a[r];
        const char *b = (const char *)t->b + t->tap_at[tap];
        for (size_t g = 0, k = 0; g < t->groups; g++, b += 4 * NR) {
            __builtin_prefetch((const void *)next, 0, 2);
            __builtin_prefetch((const void *)(next + 64), 0, 2);
            next += 4 * NR;
#pragma GCC unroll 16
            for (int s = 0; s < steps; s++, k += STEP_BYTES) {
                const vector b0 = codes(load_vector(b), s, bits), b1 = codes(load_vector(b + 2 * NR), s, bits);
#pragma GCC unroll 14
                for (int r = 0; r < rows; r++) {
                    const vector v = broadcast4(x[r] + k);
                    vector *to = acc[chains > 1 ? s % 2 : 0][r];
                    to[0] = multiply_add(to[0], v, b0);
                    to[1] = multiply_add(to[1], v, b1);
                }
            }
        }
    }
    const vector i0 = load_vector(t->init), i1 = load_vector(t->init + NR / 2);
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        if (chains > 1) {
            acc[0][r][0] = sum_of(acc[0][r][0], acc[1][r][0]);
            acc[0][r][1] = sum_of(acc[0][r][1], acc[1][r][1]);
        }
        acc[0][r][0] = sum_of(settle(acc[0][r][0], bits, t->factor), i0);
        acc[0][r][1] = sum_of(settle(acc[0][r][1], bits, t->factor), i1);
    }
    store(t, rows, acc[0]);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ONE_BODY /* clang's sanitizers take minutes for all of them */
#endif
#endif

#ifdef ONE_BODY
#define TILE(bits) \
    static void tile##bits(const skv_q8_tile *t) { body(t, (int)t->rows, bits); }
#else
#define TILE_OF(n)                                                                           \
    static __attribute__((noinline)) void tile4_##n(const skv_q8_tile *t) { body(t, n, 4); } \
    static __attribute__((noinline)) void tile2_##n(const skv_q8_tile *t) { body(t, n, 2); } \
    static __attribute__((noinline)) void tile1_##n(const skv_q8_tile *t) { body(t, n, 1); }
#define ENTRY4_OF(n) tile4_##n,
#define ENTRY2_OF(n) tile2_##n,
#define ENTRY1_OF(n) tile1_##n,

ROWS(TILE_OF)

#define TILE(bits)                                                                      \
    static void tile##bits(const skv_q8_tile *t) {                                      \
        static void (*const by_rows[])(const skv_q8_tile *) = {ROWS(ENTRY##bits##_OF)}; \
        by_rows[t->rows - 1](t);                                                        \
    }
#endif
TILE(4)
TILE(2)
TILE(1)

#endif
