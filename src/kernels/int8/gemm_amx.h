/* Tiles of up to 32 positions by 32 channels in tile registers: 16 rows of 64 bytes each, of which one instruction
 * multiplies 16 rows of 64 bytes by 16 columns. Included by gemm_amx.c and, with a model of the instructions in plain
 * C, by tests/test_tiles.c. Before it stand CONFIGURE(shapes), ZERO(tile), LOAD(tile, from, apart),
 * STORE(tile, to, apart) and MULTIPLY(sums, x, w), and finish(t, sums), which makes results of sums [rows][NR].
 *
 * A step of the panel, 64 numbers of 32 columns, stands as 16 rows of four numbers of each column. What a row of x has
 * behind its k numbers does not matter, as the weights there are 0. */
#ifndef SKV_GEMM_AMX_H
#define SKV_GEMM_AMX_H

enum { MR = 32, NR = 32, TILE_ROWS = 16, STEP = 64, TOGETHER_NUMBERS = 4, PANEL_ROW = TOGETHER_NUMBERS * NR };
enum { SUM_ROW = NR * 4, LINE = 64 };

/* What LDTILECFG reads. */
typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;
_Static_assert(sizeof(tile_shapes) == 64, "as the processor has it");

/* More than 16 rows go in two parts, nearly equal ones. */
static size_t upper_rows(size_t rows) { return rows > TILE_ROWS ? (rows + 1) / 2 : rows; }

/* Sums 0 to 3, x 4 and 5, weights 6 and 7. */
static void configure(size_t rows) {
    const uint8_t upper = (uint8_t)upper_rows(rows), lower = (uint8_t)(rows > TILE_ROWS ? rows - upper : rows);
    const tile_shapes shapes = {.palette = 1,
                                .row_bytes = {STEP, STEP, STEP, STEP, STEP, STEP, STEP, STEP},
                                .rows = {upper, upper, lower, lower, upper, lower, TILE_ROWS, TILE_ROWS}};
    CONFIGURE(&shapes);
}

static inline void fetch(const char **next, size_t bytes) {
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(*next + i, 0, 2);
    *next += bytes;
}

/* Lines of what is read soon for each step. */
static inline size_t share_of(const skv_q8_tile *t) {
    const size_t steps = t->taps * t->groups;
    return (t->next_bytes / steps + LINE - 1) / LINE * LINE;
}

/* Two parts of the rows, each by 32 columns. */
static void multiply_two(const skv_q8_tile *t, int32_t *sums) {
    const size_t upper = upper_rows(t->rows), apart = t->apart, share = share_of(t);
    const char *next = t->next;
    LOAD(0, t->init, 0);
    LOAD(1, t->init + NR / 2, 0);
    LOAD(2, t->init, 0);
    LOAD(3, t->init + NR / 2, 0);
    for (size_t tap = 0; tap < t->taps; tap++) {
        const char *x = t->a[tap], *w = (const char *)t->b + t->tap_at[tap];
        for (size_t k = 0; k < t->groups; k++, x += STEP, w += STEP * NR) {
            fetch(&next, share);
            LOAD(6, w, PANEL_ROW);
            LOAD(4, x, apart);
            MULTIPLY(0, 4, 6);
            LOAD(5, x + upper * apart, apart);
            MULTIPLY(2, 5, 6);
            LOAD(7, w + PANEL_ROW / 2, PANEL_ROW);
            MULTIPLY(1, 4, 7);
            MULTIPLY(3, 5, 7);
        }
    }
    STORE(0, sums, SUM_ROW);
    STORE(1, sums + NR / 2, SUM_ROW);
    STORE(2, sums + upper * NR, SUM_ROW);
    STORE(3, sums + upper * NR + NR / 2, SUM_ROW);
}

/* Up to 16 rows: every second step has sums of its own, as a product waits for the one before it on the same sums. */
static void multiply_one(const skv_q8_tile *t, int32_t *sums) {
    const size_t apart = t->apart, share = share_of(t);
    const char *next = t->next;
    int32_t odd[TILE_ROWS * NR];
    bool second = false;
    LOAD(0, t->init, 0);
    LOAD(1, t->init + NR / 2, 0);
    ZERO(2);
    ZERO(3);
    for (size_t tap = 0; tap < t->taps; tap++) {
        const char *x = t->a[tap], *w = (const char *)t->b + t->tap_at[tap];
        for (size_t k = 0; k < t->groups; k++, x += STEP, w += STEP * NR, second = !second) {
            fetch(&next, share);
            LOAD(6, w, PANEL_ROW);
            LOAD(7, w + PANEL_ROW / 2, PANEL_ROW);
            if (second) {
                LOAD(5, x, apart);
                MULTIPLY(2, 5, 6);
                MULTIPLY(3, 5, 7);
            } else {
                LOAD(4, x, apart);
                MULTIPLY(0, 4, 6);
                MULTIPLY(1, 4, 7);
            }
        }
    }
    STORE(0, sums, SUM_ROW);
    STORE(1, sums + NR / 2, SUM_ROW);
    if (t->taps * t->groups < 2) return;
    STORE(2, odd, SUM_ROW);
    STORE(3, odd + NR / 2, SUM_ROW);
    /* wraps, see int8.h */
    for (size_t i = 0; i < t->rows * NR; i++) sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)odd[i]);
}

static void tile(const skv_q8_tile *t) {
    _Alignas(64) int32_t sums[MR * NR];
    if (t->rows > TILE_ROWS)
        multiply_two(t, sums);
    else
        multiply_one(t, sums);
    finish(t, sums);
}

#endif
