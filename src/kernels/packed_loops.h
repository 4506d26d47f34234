/* The inner loops of products with packed weights, for one instruction set. The including file defines VECTOR, LANES,
 * LOAD, STORE, ZERO, SET and MULTIPLY_ADD as for sgemm_tile.h, and
 *   LOOPS                the record's name
 *   BYTES(p)             LANES bytes as floats
 *   HALVES(p)            LANES float16 as floats
 *   TABLE                a vector of 16 floats and LOOK_UP(table, codes): entries by the lowest 4 bits of each code;
 *                        where there is no such instruction it is left undefined. */
#include <string.h>

#include "kernels/packed.h"
#include "kernels/sgemm.h"
#include "tensor/tensor.h"

#define INLINE  static inline __attribute__((always_inline))
#define VECTORS 2 /* in a panel */

typedef int32_t words __attribute__((vector_size(LANES * 4)));
typedef uint32_t unsigned_words __attribute__((vector_size(LANES * 4)));
typedef uint16_t half_words __attribute__((vector_size(LANES * 2)));

typedef struct decoder {
    const uint8_t *codes; /* of the panel */
    VECTOR scale[VECTORS], zero[VECTORS];
#ifdef TABLE
    VECTOR table;
#endif
} decoder;

INLINE bool is_narrow(skv_packed_kind kind) { return kind == SKV_PACKED_2 || kind == SKV_PACKED_4; }
INLINE bool is_float(skv_packed_kind kind) { return kind == SKV_PACKED_F16 || kind == SKV_PACKED_BF16; }
INLINE int bits_of(skv_packed_kind kind) { return kind == SKV_PACKED_2 ? 2 : kind == SKV_PACKED_4 ? 4 : 8; }
INLINE int steps_of(skv_packed_kind kind) { return is_narrow(kind) ? 32 / bits_of(kind) : 1; }

INLINE void open_panel(const skv_packed *w, const skv_packed_kind kind, const bool own_zero, int64_t panel,
                       decoder *d) {
    d->codes = w->codes + (size_t)panel * w->panel_bytes;
    for (int v = 0; v < VECTORS; v++) d->zero[v] = SET(w->offset);
#ifdef TABLE
    float level[16];
    for (int i = 0; i < 16; i++) level[i] = (float)(kind == SKV_PACKED_2 ? i & 3 : i) - (own_zero ? 0.0f : w->offset);
    d->table = LOAD(level);
#else
    (void)kind;
    (void)own_zero;
#endif
}

/* Scales of the block that step p is in. */
INLINE void open_block(const skv_packed *w, const skv_packed_kind kind, int64_t panel, int64_t p, decoder *d) {
    if (is_float(kind)) return;
    const size_t at = (size_t)(panel * w->blocks + p / w->block) * VECTORS * LANES;
    for (int v = 0; v < VECTORS; v++) {
        d->scale[v] = LOAD(w->scale + at + v * LANES);
        if (w->zero) d->zero[v] = LOAD(w->zero + at + v * LANES);
    }
}

/* The weights of step p, column vector v; `shift` is the place of the step in its word. */
INLINE VECTOR weight(const decoder *d, const skv_packed_kind kind, const bool own_zero, int64_t p, int shift, int v) {
    if (is_narrow(kind)) {
        unsigned_words code;
        memcpy(&code, d->codes + ((size_t)(p / steps_of(kind)) * VECTORS + (size_t)v) * sizeof code, sizeof code);
#ifdef TABLE
        VECTOR level = LOOK_UP(d->table, code >> (unsigned)shift);
        if (own_zero) level -= d->zero[v];
        return level * d->scale[v];
#else
        (void)own_zero;
        const words number = (words)(code >> (unsigned)shift & ((1u << bits_of(kind)) - 1));
        return (__builtin_convertvector(number, VECTOR) - d->zero[v]) * d->scale[v];
#endif
    }
    const size_t at = ((size_t)p * VECTORS + (size_t)v) * LANES;
    if (kind == SKV_PACKED_8) return (BYTES(d->codes + at) - d->zero[v]) * d->scale[v];
    if (kind == SKV_PACKED_F16) return HALVES(d->codes + 2 * at);
    half_words high;
    memcpy(&high, d->codes + 2 * at, sizeof high);
    const unsigned_words wide = __builtin_convertvector(high, unsigned_words) << 16;
    VECTOR y;
    memcpy(&y, &wide, sizeof y);
    return y;
}

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- few rows ---- */

INLINE void put(const float *sum, int64_t n, bool add, float *c) {
    for (int64_t i = 0; i < n; i++) c[i] = add ? c[i] + sum[i] : sum[i];
}

/* Step p, the t-th of its word: sum[r][j] += a[r][p] w[p] for each panel j. */
INLINE void add_step(const decoder *d, const skv_packed_kind kind, const bool own_zero, const int rows,
                     const int panels, const float *a, int64_t lda, int64_t p, const int t,
                     VECTOR sum[SKV_PACKED_FEW_ROWS][2][VECTORS]) {
#pragma GCC unroll 2
    for (int j = 0; j < panels; j++) {
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            const VECTOR y = weight(&d[j], kind, own_zero, p, t * bits_of(kind), v);
#pragma GCC unroll 3
            for (int r = 0; r < rows; r++) sum[r][j][v] = MULTIPLY_ADD(SET(a[r * lda + p]), y, sum[r][j][v]);
        }
    }
}

/* `rows` rows by `panels` panels from `panel` on. */
INLINE void few_of(const skv_packed *w, const skv_packed_kind kind, const bool own_zero, const int rows,
                   const int panels, const float *a, int64_t lda, int64_t panel, bool add, float *c, int64_t ldc) {
    const int steps = steps_of(kind);
    decoder d[2];
    for (int j = 0; j < panels; j++) open_panel(w, kind, own_zero, panel + j, &d[j]);
    for (int64_t from = 0; from < w->k; from += SKV_SGEMM_DEPTH) {
        const int64_t to = least(w->k, from + SKV_SGEMM_DEPTH);
        VECTOR sum[SKV_PACKED_FEW_ROWS][2][VECTORS];
#pragma GCC unroll 3
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
            for (int j = 0; j < panels; j++) sum[r][j][0] = sum[r][j][1] = ZERO();
        }
        for (int64_t p = from; p < to;) {
            const int64_t end = is_float(kind) ? to : least(to, (p / w->block + 1) * w->block);
#pragma GCC unroll 2
            for (int j = 0; j < panels; j++) open_block(w, kind, panel + j, p, &d[j]);
            for (; p + steps <= end; p += steps) {
#pragma GCC unroll 16
                for (int t = 0; t < steps; t++) add_step(d, kind, own_zero, rows, panels, a, lda, p + t, t, sum);
            }
            for (int t = 0; p < end; t++, p++) add_step(d, kind, own_zero, rows, panels, a, lda, p, t, sum);
        }
        for (int r = 0; r < rows; r++) {
            float part[2 * VECTORS * LANES];
            for (int j = 0; j < panels; j++) {
                for (int v = 0; v < VECTORS; v++) STORE(part + (j * VECTORS + v) * LANES, sum[r][j][v]);
            }
            const int64_t first = panel * VECTORS * LANES;
            put(part, least((int64_t)panels * VECTORS * LANES, w->n - first), from > 0 || add, c + r * ldc + first);
        }
    }
}

INLINE void all_rows(const skv_packed *w, const skv_packed_kind kind, const bool own_zero, const int rows,
                     const float *a, int64_t lda, int64_t from, int64_t to, bool add, float *c, int64_t ldc) {
    for (; from + 2 <= to; from += 2) few_of(w, kind, own_zero, rows, 2, a, lda, from, add, c, ldc);
    if (from < to) few_of(w, kind, own_zero, rows, 1, a, lda, from, add, c, ldc);
}

#define ROWS_OF(name, kind, own_zero)                                                                                \
    static void name(const skv_packed *w, int rows, const float *a, int64_t lda, int64_t from, int64_t to, bool add, \
                     float *c, int64_t ldc) {                                                                        \
        if (rows == 1)                                                                                               \
            all_rows(w, kind, own_zero, 1, a, lda, from, to, add, c, ldc);                                           \
        else if (rows == 2)                                                                                          \
            all_rows(w, kind, own_zero, 2, a, lda, from, to, add, c, ldc);                                           \
        else                                                                                                         \
            all_rows(w, kind, own_zero, 3, a, lda, from, to, add, c, ldc);                                           \
    }
ROWS_OF(rows_2, SKV_PACKED_2, true)
ROWS_OF(rows_4, SKV_PACKED_4, false)
ROWS_OF(rows_4_zero, SKV_PACKED_4, true)
ROWS_OF(rows_8, SKV_PACKED_8, true)
ROWS_OF(rows_f16, SKV_PACKED_F16, false)
ROWS_OF(rows_bf16, SKV_PACKED_BF16, false)

static void rows(const skv_packed *w, int rows, const float *a, int64_t lda, int64_t from, int64_t to, bool add,
                 float *c, int64_t ldc) {
    switch (w->kind) {
    case SKV_PACKED_2: rows_2(w, rows, a, lda, from, to, add, c, ldc); return;
    case SKV_PACKED_4: (w->zero ? rows_4_zero : rows_4)(w, rows, a, lda, from, to, add, c, ldc); return;
    case SKV_PACKED_8: rows_8(w, rows, a, lda, from, to, add, c, ldc); return;
    case SKV_PACKED_F16: rows_f16(w, rows, a, lda, from, to, add, c, ldc); return;
    case SKV_PACKED_BF16: rows_bf16(w, rows, a, lda, from, to, add, c, ldc); return;
    }
}

/* ---- whole panels ---- */

INLINE void decode_step(const decoder *d, const skv_packed_kind kind, const bool own_zero, int64_t p, const int t,
                        float *to) {
    for (int v = 0; v < VECTORS; v++)
        STORE(to + (p * VECTORS + v) * LANES, weight(d, kind, own_zero, p, t * bits_of(kind), v));
}

INLINE void decode_of(const skv_packed *w, const skv_packed_kind kind, const bool own_zero, int64_t panel, float *to) {
    const int steps = steps_of(kind);
    decoder d;
    open_panel(w, kind, own_zero, panel, &d);
    for (int64_t p = 0; p < w->k;) {
        const int64_t end = is_float(kind) ? w->k : least(w->k, (p / w->block + 1) * w->block);
        open_block(w, kind, panel, p, &d);
        for (; p + steps <= end; p += steps) {
#pragma GCC unroll 16
            for (int t = 0; t < steps; t++) decode_step(&d, kind, own_zero, p + t, t, to);
        }
        for (int t = 0; p < end; t++, p++) decode_step(&d, kind, own_zero, p, t, to);
    }
}

static void decode(const skv_packed *w, int64_t panel, float *to) {
    switch (w->kind) {
    case SKV_PACKED_2: decode_of(w, SKV_PACKED_2, true, panel, to); return;
    case SKV_PACKED_4:
        if (w->zero)
            decode_of(w, SKV_PACKED_4, true, panel, to);
        else
            decode_of(w, SKV_PACKED_4, false, panel, to);
        return;
    case SKV_PACKED_8: decode_of(w, SKV_PACKED_8, true, panel, to); return;
    case SKV_PACKED_F16: decode_of(w, SKV_PACKED_F16, false, panel, to); return;
    case SKV_PACKED_BF16: decode_of(w, SKV_PACKED_BF16, false, panel, to); return;
    }
}

const skv_packed_loops LOOPS = {.columns = VECTORS * LANES, .rows = rows, .decode = decode};
