/* The tile for each number of rows, from body(t, rows) and ROWS(X), which is X(1) to X(MR). */
#ifndef SKV_GEMM_ROWS_H
#define SKV_GEMM_ROWS_H

#define TILE_OF(n) \
    static __attribute__((noinline)) void tile_##n(const skv_q8_tile *t) { body(t, n); }
#define ENTRY_OF(n) tile_##n,

ROWS(TILE_OF)

static void tile(const skv_q8_tile *t) {
    static void (*const by_rows[])(const skv_q8_tile *) = {ROWS(ENTRY_OF)};
    by_rows[t->rows - 1](t);
}

#endif
