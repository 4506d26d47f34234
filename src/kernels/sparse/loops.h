/* The sparse loops, compiled once for each instruction set. The includer says what a vector is: vec, LANES, vec_load,
 * vec_store, vec_load_some, vec_store_some (the first n <= LANES), vec_all, vec_fma(a, b, c) = a b + c, vec_add,
 * vec_max and vec_min(a, b) = b where one is NaN, vec_even(a, b) = every second lane of both; BLOCK_VECTORS, how many
 * vectors of each of a block's four rows its registers hold; UNARY_LOOP; SPARSE_LOOPS names the table; what
 * loops_coded.h wants. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "kernels/sparse/sparse.h"
#include "kernels/unroll.h"

/* The last vector of a row may be a part, or lie behind its end. */
SKV_INLINE void put_some(const skv_sparse_tile *t, int64_t at, int64_t n, vec sum) {
    if (t->z) sum = vec_add(sum, n >= LANES ? vec_load(t->z + at) : vec_load_some(t->z + at, n));
    sum = vec_min(vec_all(t->hi), vec_max(vec_all(t->lo), sum));
    if (n >= LANES)
        vec_store(t->y + at, sum);
    else if (n > 0)
        vec_store_some(t->y + at, n, sum);
}

SKV_INLINE void put_row(const skv_sparse_tile *t, int vectors, int64_t row, const vec *sum) {
    const vec bias = vec_all(t->bias ? t->bias[row] : 0.0f);
    if (t->lanes >= vectors * LANES && !t->z) {
        SKV_UNROLL
        for (int v = 0; v < vectors; v++)
            vec_store(t->y + row * t->y_row + v * LANES,
                      vec_min(vec_all(t->hi), vec_max(vec_all(t->lo), vec_add(sum[v], bias))));
        return;
    }
    SKV_UNROLL
    for (int v = 0; v < vectors; v++)
        put_some(t, row * t->y_row + v * LANES, t->lanes - v * LANES, vec_add(sum[v], bias));
}

/* Few vectors alone would wait for each other's sums: then nonzeros go to `sets` sets of sums in turn. */
SKV_INLINE void csr(const skv_sparse_tile *tile, int vectors, int sets) {
    const skv_sparse_tile own = *tile, *t = &own; /* what is written cannot change it */
    for (int64_t row = 0; row < t->rows; row++) {
        const uint32_t end = t->start[row + 1];
        uint32_t j = t->start[row];
        vec sum[SKV_SPARSE_VECTORS];
        SKV_UNROLL
        for (int i = 0; i < sets * vectors; i++) sum[i] = vec_all(0.0f);
        for (; end - j >= (uint32_t)sets; j += (uint32_t)sets) {
            SKV_UNROLL
            for (int s = 0; s < sets; s++) {
                const float *x = t->x + t->offset[j + (uint32_t)s];
                const vec w = vec_all(t->value[j + (uint32_t)s]);
                SKV_UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[s * vectors + v] = vec_fma(vec_load(x + v * LANES), w, sum[s * vectors + v]);
            }
        }
        for (; sets > 1 && j < end; j++) {
            const float *x = t->x + t->offset[j];
            const vec w = vec_all(t->value[j]);
            SKV_UNROLL
            for (int v = 0; v < vectors; v++) sum[v] = vec_fma(vec_load(x + v * LANES), w, sum[v]);
        }
        SKV_UNROLL
        for (int i = vectors; i < sets * vectors; i++) sum[i % vectors] = vec_add(sum[i % vectors], sum[i]);
        put_row(t, vectors, row, sum);
    }
}

SKV_INLINE void block4(const skv_sparse_tile *tile, int vectors) {
    const skv_sparse_tile own = *tile, *t = &own;
    for (int64_t row = 0, unit = 0; row < t->rows; row += SKV_SPARSE_BLOCK, unit++) {
        const uint32_t end = t->start[unit + 1];
        vec sum[SKV_SPARSE_BLOCK * BLOCK_VECTORS];
        SKV_UNROLL
        for (int i = 0; i < SKV_SPARSE_BLOCK * vectors; i++) sum[i] = vec_all(0.0f);
        for (uint32_t j = t->start[unit]; j < end; j++) {
            const float *x = t->x + t->offset[j], *w = t->value + (size_t)j * SKV_SPARSE_BLOCK;
            SKV_UNROLL
            for (int v = 0; v < vectors; v++) {
                const vec pixels = vec_load(x + v * LANES);
                SKV_UNROLL
                for (int r = 0; r < SKV_SPARSE_BLOCK; r++)
                    sum[r * vectors + v] = vec_fma(pixels, vec_all(w[r]), sum[r * vectors + v]);
            }
        }
        SKV_UNROLL
        for (int r = 0; r < SKV_SPARSE_BLOCK; r++)
            if (row + r < t->rows) put_row(t, vectors, row + r, sum + r * vectors);
    }
}

static void csr_tile(const skv_sparse_tile *t) {
    switch (t->vectors) {
    case 1: csr(t, 1, 4); return;
    case 2: csr(t, 2, 2); return;
    case 3: csr(t, 3, 2); return;
    case 4: csr(t, 4, 2); return;
    case 5: csr(t, 5, 1); return;
    case 6: csr(t, 6, 1); return;
    case 7: csr(t, 7, 1); return;
    default: csr(t, 8, 1); return;
    }
}

static void block4_tile(const skv_sparse_tile *t) {
    switch (t->vectors) {
    case 1: block4(t, 1); return;
#if BLOCK_VECTORS > 2
    case 2: block4(t, 2); return;
    case 3: block4(t, 3); return;
#endif
    default: block4(t, BLOCK_VECTORS); return;
    }
}

static inline void zero(float *to, int64_t n) {
    for (; n >= LANES; n -= LANES, to += LANES) vec_store(to, vec_all(0.0f));
    if (n > 0) vec_store_some(to, n, vec_all(0.0f));
}

/* Every `step`th of x, n of them. */
static inline void gather(const float *x, int64_t step, int64_t n, float *to) {
    int64_t i = 0;
    if (step == 1) {
        for (; n - i >= LANES; i += LANES) vec_store(to + i, vec_load(x + i));
        if (i < n) vec_store_some(to + i, n - i, vec_load_some(x + i, n - i));
        return;
    }
    /* a whole pair of vectors holds a number behind the last one wanted, which may not be there */
    for (; step == 2 && n - i > LANES; i += LANES)
        vec_store(to + i, vec_even(vec_load(x + 2 * i), vec_load(x + 2 * i + LANES)));
    if (step == 2) {
        const int64_t left = 2 * (n - i) - 1, low = left < LANES ? left : LANES;
        const vec a = vec_load_some(x + 2 * i, low), b = vec_load_some(x + 2 * i + low, left - low);
        vec_store_some(to + i, n - i, vec_even(a, b));
        return;
    }
    for (; i < n; i++) to[i] = x[i * step];
}

static int64_t within(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

typedef float four __attribute__((vector_size(16)));

SKV_INLINE four four_load(const float *p) {
    four v;
    memcpy(&v, p, sizeof v);
    return v;
}

SKV_INLINE void put_one(const skv_sparse_tile *t, int64_t row, float sum) {
    t->y[row] = sum + (t->bias ? t->bias[row] : 0.0f) + (t->z ? t->z[row] : 0.0f);
}

enum { CHAINS = 4 }; /* sums that do not wait for each other */

/* Two loads a nonzero are the limit, so that four sums by themselves are as good as vectors. */
static void csr_vector(const skv_sparse_tile *t) {
    for (int64_t row = 0; row < t->rows; row++) {
        const uint32_t end = t->start[row + 1];
        uint32_t j = t->start[row];
        float sum[CHAINS] = {0};
        for (; end - j >= CHAINS; j += CHAINS) {
            SKV_UNROLL
            for (uint32_t s = 0; s < CHAINS; s++) sum[s] += t->value[j + s] * t->x[t->offset[j + s]];
        }
        for (; j < end; j++) sum[0] += t->value[j] * t->x[t->offset[j]];
        put_one(t, row, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
}

static void block4_vector(const skv_sparse_tile *t) {
    for (int64_t row = 0, unit = 0; row < t->rows; row += SKV_SPARSE_BLOCK, unit++) {
        const uint32_t end = t->start[unit + 1];
        uint32_t j = t->start[unit];
        four sum[CHAINS] = {{0}};
        for (; end - j >= CHAINS; j += CHAINS) {
            SKV_UNROLL
            for (uint32_t s = 0; s < CHAINS; s++)
                sum[s] += four_load(t->value + (size_t)(j + s) * SKV_SPARSE_BLOCK) * t->x[t->offset[j + s]];
        }
        for (; j < end; j++) sum[0] += four_load(t->value + (size_t)j * SKV_SPARSE_BLOCK) * t->x[t->offset[j]];
        const four all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        for (int r = 0; r < SKV_SPARSE_BLOCK && row + r < t->rows; r++) put_one(t, row + r, all[r]);
    }
}

#include "kernels/sparse/loops_coded.h"

SKV_INLINE void turn4(const float *from, int64_t from_step, float *to, int64_t to_step) {
    const four a = four_load(from), b = four_load(from + from_step), c = four_load(from + 2 * from_step),
               d = four_load(from + 3 * from_step);
    const four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const four AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const four out[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                         __builtin_shufflevector(AB, CD, 0, 1, 4, 5), __builtin_shufflevector(AB, CD, 2, 3, 6, 7)};
    SKV_UNROLL
    for (int i = 0; i < 4; i++) memcpy(to + i * to_step, &out[i], sizeof out[i]);
}

static void turn(const float *from, int64_t from_step, int64_t n, int64_t columns, float *to, int64_t to_step) {
    enum { SIDE = 4, STRIP = 16 }; /* a strip's columns are a line of the cache */
    for (int64_t first = 0; first < columns; first += STRIP) {
        const int64_t last = columns - first < STRIP ? columns : first + STRIP;
        int64_t i = 0;
        for (; n - i >= SIDE; i += SIDE) {
            int64_t c = first;
            for (; last - c >= SIDE; c += SIDE)
                turn4(from + i * from_step + c, from_step, to + c * to_step + i, to_step);
            for (; c < last; c++)
                for (int64_t k = i; k < i + SIDE; k++) to[c * to_step + k] = from[k * from_step + c];
        }
        for (; i < n; i++)
            for (int64_t c = first; c < last; c++) to[c * to_step + i] = from[i * from_step + c];
    }
}

/* Positions of a panel line by line: [done, done + n), of which [done + from, done + until) lie in the input, at
 * element `at` of the channel's plane. */
typedef struct walk {
    int64_t line, column, done, n, from, until, at;
} walk;

static inline walk walk_start(const skv_sparse_phase *p) {
    return (walk){.line = p->line * p->down + p->top, .column = p->column};
}

static inline bool walk_on(const skv_sparse_phase *p, walk *w) {
    if (w->n > 0) {
        w->line += p->down;
        w->column = 0;
    }
    w->done += w->n;
    if (w->done >= p->span) return false;
    w->n = p->pitch - w->column < p->span - w->done ? p->pitch - w->column : p->span - w->done;
    const bool inside = w->line >= 0 && w->line < p->x_lines;
    w->from = inside ? within(p->first - w->column, 0, w->n) : w->n;
    w->until = inside ? within(p->end - w->column, w->from, w->n) : w->n;
    w->at = w->line * p->x_line + (w->column + w->from) * p->right + p->left;
    return true;
}

static void fill(const skv_sparse_phase *p, const float *x, int64_t x_channel, int64_t channels, float *to,
                 int64_t to_channel) {
    for (int64_t c = 0; c < channels; c++, x += x_channel, to += to_channel) {
        for (walk w = walk_start(p); walk_on(p, &w);) {
            zero(to + w.done, w.from);
            if (w.until > w.from) gather(x + w.at, p->right, w.until - w.from, to + w.done + w.from);
            zero(to + w.done + w.until, w.n - w.until);
        }
    }
}

static void fill_block(const skv_sparse_phase *p, const float *x, int64_t block, int64_t channels, float *to,
                       int64_t to_channel) {
    for (walk w = walk_start(p); walk_on(p, &w);) {
        for (int64_t c = 0; c < channels; c++) {
            zero(to + c * to_channel + w.done, w.from);
            zero(to + c * to_channel + w.done + w.until, w.n - w.until);
        }
        if (w.until > w.from)
            turn(x + w.at * block, p->right * block, w.until - w.from, channels, to + w.done + w.from, to_channel);
    }
}

const skv_sparse_loops SPARSE_LOOPS = {
    .lanes = LANES,
    .most_vectors = {SKV_SPARSE_VECTORS, BLOCK_VECTORS, BLOCK_VECTORS},
    .tile = {csr_tile, block4_tile, coded_tile},
    .vector = {csr_vector, block4_vector, coded_vector},
    .fill = fill,
    .fill_block = fill_block,
    .turn = turn,
    .unary = UNARY_LOOP,
};
