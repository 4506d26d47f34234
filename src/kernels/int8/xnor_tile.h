/* The tile of sign products for vectors of 64-bit words. Before it stand: the type `vector` of LANES words,
 * load_vector, broadcast, no_bits, add_bits (adds the bits set in each word of a ^ b), put (the words, as int32). */
#ifndef SKV_XNOR_TILE_H
#define SKV_XNOR_TILE_H

/* BLOCK columns of the tile's, so that their sums are in registers. */
static inline __attribute__((always_inline)) SKV_XNOR_TARGET void columns(const skv_xnor_tile *t, const int rows,
                                                                          size_t first) {
    vector acc[SKV_XNOR_ROWS][BLOCK / LANES];
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; r++)
        _Pragma("GCC unroll 8") for (int j = 0; j < BLOCK / LANES; j++) acc[r][j] = no_bits();
    const uint64_t *b = t->b + first;
    const uint64_t *const *a = t->a;
    for (size_t tap = 0; tap < t->taps; tap++, a += rows)
        for (size_t w = 0; w < t->words; w++, b += SKV_XNOR_COLUMNS) {
            vector v[BLOCK / LANES];
            _Pragma("GCC unroll 8") for (int j = 0; j < BLOCK / LANES; j++) v[j] = load_vector(b + LANES * j);
            _Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) {
                const vector x = broadcast(a[r][w]);
                _Pragma("GCC unroll 8") for (int j = 0; j < BLOCK / LANES; j++) acc[r][j] =
                    add_bits(acc[r][j], x, v[j]);
            }
        }
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; r++)
        _Pragma("GCC unroll 8") for (int j = 0; j < BLOCK / LANES; j++)
            put(t->count[r] + first + LANES * (size_t)j, acc[r][j]);
}

#define ROWS_OF(n)                                                                             \
    static __attribute__((noinline)) SKV_XNOR_TARGET void rows_##n(const skv_xnor_tile *t) {   \
        for (size_t first = 0; first < SKV_XNOR_COLUMNS; first += BLOCK) columns(t, n, first); \
    }
ROWS_OF(1)
ROWS_OF(2)
ROWS_OF(3)
ROWS_OF(4)
ROWS_OF(5)
ROWS_OF(6)

static void tile(const skv_xnor_tile *t) {
    static void (*const by_rows[])(const skv_xnor_tile *) = {rows_1, rows_2, rows_3, rows_4, rows_5, rows_6};
    by_rows[t->rows - 1](t);
}

#endif
