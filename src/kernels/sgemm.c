/* The product of two float32 matrices: blocks of B and A are packed in the order in which the tile reads them (Goto &
 * van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008). */
#include "base/parallel.h"
#include "kernels/sgemm.h"

#include <string.h>

#include "base/base.h"

enum {
    DEPTH = SKV_SGEMM_DEPTH,
    BAND = 1152,          /* columns of B that are packed at once */
    HEIGHT = 96,          /* rows of A that are packed at once; a multiple of each tile's rows */
    UNPACKED_BELOW = 160, /* rows of C for which B is not worth packing */
    AHEAD_PARTS = 4,      /* strips that bring the next panel near */
};
#define PARALLEL_FROM ((int64_t)1 << 21) /* multiplications, some 20 us: less is not worth waking a thread for */

static const skv_sgemm_tile *tile_of_cpu(void) {
    const skv_isa isa = skv_cpu_isa();
    return SKV_AT(isa, AVX512, &skv_sgemm_tile_avx512) SKV_AT(isa, AVX2, &skv_sgemm_tile_avx2)
        SKV_AT(isa, NEON, &skv_sgemm_tile_neon) SKV_ELSE(isa, &skv_sgemm_tile_scalar);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t up_to(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* ---- packing ---- */

typedef float vector4 __attribute__((vector_size(16), aligned(4), may_alias));

/* to[p][r] = from[r][p] for `rows` rows (a multiple of four) and k steps; a row of `to` is `step` floats. */
static void turn(const float *from, int64_t ld, int64_t rows, int64_t k, float *to, int64_t step) {
    for (int64_t r = 0; r < rows; r += 4) {
        const float *x = from + r * ld;
        int64_t p = 0;
        for (; p + 4 <= k; p += 4) {
            const vector4 a = *(const vector4 *)(x + p), b = *(const vector4 *)(x + ld + p),
                          c = *(const vector4 *)(x + 2 * ld + p), d = *(const vector4 *)(x + 3 * ld + p);
            const vector4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                          cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
            const vector4 ef = __builtin_shufflevector(a, b, 2, 6, 3, 7),
                          gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            float *y = to + p * step + r;
            *(vector4 *)y = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
            *(vector4 *)(y + step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
            *(vector4 *)(y + 2 * step) = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
            *(vector4 *)(y + 3 * step) = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
        }
        for (; p < k; p++) {
            for (int64_t i = 0; i < 4; i++) to[p * step + r + i] = x[i * ld + p];
        }
    }
}

typedef float vector2 __attribute__((vector_size(8), aligned(4), may_alias));

/* The same for two rows. */
static void turn_two(const float *from, int64_t ld, int64_t k, float *to, int64_t step) {
    const float *other = from + ld;
    for (int64_t p = 0; p < k; p++, to += step) *(vector2 *)to = (vector2){from[p], other[p]};
}

/* to[p][i] = from[p][i] for k rows of n floats, n even. */
static void copy_rows(int64_t n, int64_t k, const float *from, int64_t ld, float *to, int64_t step) {
    for (; n >= 4; n -= 4, from += 4, to += 4) {
        for (int64_t p = 0; p < k; p++) *(vector4 *)(to + p * step) = *(const vector4 *)(from + p * ld);
    }
    for (int64_t p = 0; n > 0 && p < k; p++) *(vector2 *)(to + p * step) = *(const vector2 *)(from + p * ld);
}

/* A strip or panel of `width` lines, an even number, of which `here` exist, the others being zero; [k][width]. Lines
 * lie along k, or k lies along them. */
static void pack_lines(int width, int64_t here, bool along_k, int64_t k, const float *from, int64_t ld, float *to) {
    const int64_t fours = here / 4 * 4, twos = here / 2 * 2;
    if (along_k) {
        turn(from, ld, fours, k, to, width);
        if (twos > fours) turn_two(from + fours * ld, ld, k, to + fours, width);
    } else {
        copy_rows(twos, k, from, ld, to, width);
    }
    if (twos == width) return;
    from += along_k ? twos * ld : twos;
    for (int64_t p = 0; p < k; p++, to += width) {
        if (here > twos) to[twos] = along_k ? from[p] : from[p * ld];
        for (int64_t i = here; i < width; i++) to[i] = 0.0f;
    }
}

static void pack_panel(int columns, bool trans, int64_t n, int64_t k, const float *b, int64_t ldb, float *to) {
    pack_lines(columns, n, trans, k, b, ldb, to);
}

/* Strips of `rows` rows, [strip][k][rows]. */
static void pack_a(int rows, bool trans, int64_t m, int64_t k, const float *a, int64_t lda, float *to) {
    if (trans) { /* a line of all whole strips at a time: lines are far apart */
        const int64_t whole = m / rows * rows;
        for (int64_t p = 0; p < k; p++) {
            const float *x = a + p * lda;
            float *y = to + p * rows;
            for (int64_t i = 0; i < whole; i += rows, y += rows * k) copy_rows(rows, 1, x + i, 0, y, 0);
        }
        a += whole;
        m -= whole;
        to += whole * k;
    }
    for (int64_t i = 0; i < m; i += rows, to += rows * k)
        pack_lines(rows, least(rows, m - i), !trans, k, trans ? a + i : a + i * lda, lda, to);
}

size_t skv_sgemm_packed(int64_t n, int64_t k) { return (size_t)(up_to(n, tile_of_cpu()->columns) * k); }

void skv_sgemm_pack(bool trans_b, int64_t n, int64_t k, const float *b, int64_t ldb, float *packed) {
    const int columns = tile_of_cpu()->columns;
    for (int64_t j = 0; j < n; j += columns)
        pack_panel(columns, trans_b, least(columns, n - j), k, trans_b ? b + j * ldb : b + j, ldb, packed + j * k);
}

/* ---- a block ---- */

typedef struct job {
    const skv_sgemm *g;
    const skv_sgemm_tile *t;
    float alpha;
    int threads;
    int64_t deep;  /* steps of k in a block at most */
    float *panels; /* of B, shared; then each thread's strips of A */
    float *strips;
} job;

/* Where the panel that begins at column j stands for steps from p on: its first float, and floats from step to step. */
typedef struct panel {
    const float *at;
    int64_t step, apart; /* apart: to the next panel */
} panel;

/* One strip's rows against the panels of columns [first, last). */
static void multiply_strip(const job *w, int rows, const float *strip, int64_t i, int64_t depth, bool add, panel b,
                           int64_t first, int64_t last) {
    const skv_sgemm *g = w->g;
    const int columns = w->t->columns;
    int64_t j = first;
    if (rows <= SKV_SGEMM_FEW_ROWS) {
        const int64_t wide = SKV_SGEMM_WIDE * columns;
        for (; j + wide <= last && j + wide <= g->n; j += wide, b.at += SKV_SGEMM_WIDE * b.apart)
            w->t->wide(rows, depth, strip, b.at, b.step, b.apart, w->alpha, add, g->c + i * g->ldc + j, g->ldc);
    }
    for (; j < last; j += columns, b.at += b.apart)
        w->t->run(rows, depth, strip, b.at, b.step, b.at, 0, w->alpha, add, g->c + i * g->ldc + j, g->ldc, g->n - j);
}

/* All strips of a packed block against one panel after another, so that B, which may be far away, is read once; the
 * strips bring the next panel near, each a part of it. */
static void multiply_panels(const job *w, const float *strips, int64_t i, int64_t height, int64_t depth, bool add,
                            panel b, int64_t first, int64_t last) {
    const skv_sgemm *g = w->g;
    const int rows = w->t->rows, columns = w->t->columns;
    const int64_t n_strips = (height + rows - 1) / rows, parts = least(n_strips, AHEAD_PARTS), spread = columns / parts;
    for (int64_t j = first; j < last; j += columns, b.at += b.apart) {
        for (int64_t s = 0; s < n_strips; s++) {
            const bool brings = s < parts && j + columns < last;
            const float *ahead = brings ? b.at + b.apart + s * depth * spread : b.at;
            w->t->run((int)least(rows, height - s * rows), depth, strips + s * rows * depth, b.at, b.step, ahead,
                      brings ? spread : 0, w->alpha, add, g->c + (i + s * rows) * g->ldc + j, g->ldc, g->n - j);
        }
    }
}

/* Rows [from, to) of C, columns [first, last) (panels whole), steps [p, p + depth). */
static void multiply_block(const job *w, float *strips, int64_t from, int64_t to, int64_t p, int64_t depth, panel b,
                           int64_t first, int64_t last) {
    const skv_sgemm *g = w->g;
    const int rows = w->t->rows;
    for (int64_t i = from; first < last && i < to; i += HEIGHT) {
        const int64_t height = least(HEIGHT, to - i);
        float *c = g->c + i * g->ldc + first;
        if (p == 0 && g->begin) g->begin(g->user, i, first, height, last - first, c);
        pack_a(rows, g->trans_a, height, depth, g->trans_a ? g->a + p * g->lda + i : g->a + i * g->lda + p, g->lda,
               strips);
        const bool add = p > 0 || g->add;
        if (b.step == w->t->columns && height > rows) {
            multiply_panels(w, strips, i, height, depth, add, b, first, last);
        } else {
            for (int64_t r = 0; r < height; r += rows)
                multiply_strip(w, (int)least(rows, height - r), strips + r * depth, i + r, depth, add, b, first, last);
        }
        if (p + depth == g->k && g->end) g->end(g->user, i, first, height, last - first, c);
    }
}

/* ---- the whole ---- */

/* Rows, or panels when there are few rows, are divided among the threads. */
static void share(int64_t n, int64_t step, int thread, int threads, int64_t *from, int64_t *to) {
    const int64_t units = (n + step - 1) / step;
    *from = least(units * thread / threads * step, n);
    *to = least(units * (thread + 1) / threads * step, n);
}

static void run_thread(const job *w, int thread) {
    const skv_sgemm *g = w->g;
    const int columns = w->t->columns, rows = w->t->rows;
    const bool by_rows = g->m >= (int64_t)2 * rows * w->threads, packed = g->packed != NULL;
    const bool direct = !packed && !g->trans_b && g->m < UNPACKED_BELOW;
    float *strips = w->strips + (int64_t)thread * HEIGHT * w->deep;
    for (int64_t band = 0; band < g->n; band += BAND) {
        const int64_t width = least(BAND, g->n - band), whole = width / columns * columns;
        for (int64_t p = 0; p < g->k; p += DEPTH) {
            const int64_t depth = least(DEPTH, g->k - p);
            int64_t from = 0, to = g->m, first = 0, last = width;
            if (!packed) {
                /* A panel that is not whole is packed in any case: its reader reads all of it. */
                int64_t pack_from, pack_to;
                share(width, columns, thread, w->threads, &pack_from, &pack_to);
                if (direct) pack_from = pack_from > whole ? pack_from : whole;
                for (int64_t j = pack_from; j < pack_to; j += columns)
                    pack_panel(columns, g->trans_b, least(columns, width - j), depth,
                               g->trans_b ? g->b + (band + j) * g->ldb + p : g->b + p * g->ldb + band + j, g->ldb,
                               w->panels + j * w->deep);
            }
            if (w->threads > 1) {
#pragma omp barrier
            }
            if (by_rows)
                share(g->m, rows, thread, w->threads, &from, &to);
            else
                share(width, columns, thread, w->threads, &first, &last);
            if (packed) {
                const panel b = {g->packed + (band + first) * g->k + p * columns, columns, g->k * columns};
                multiply_block(w, strips, from, to, p, depth, b, band + first, band + last);
            } else {
                const int64_t split = direct ? least(last, whole) : first;
                if (direct && first < split) {
                    const panel b = {g->b + p * g->ldb + band + first, g->ldb, columns};
                    multiply_block(w, strips, from, to, p, depth, b, band + first, band + split);
                }
                const int64_t rest = direct && first > split ? first : split;
                if (rest < last) {
                    const panel b = {w->panels + rest * w->deep, columns, columns * w->deep};
                    multiply_block(w, strips, from, to, p, depth, b, band + rest, band + last);
                }
            }
            if (w->threads > 1) {
#pragma omp barrier
            }
        }
    }
}

/* Few rows against rows of B: each element is the sum of products along two rows. */
static void run_dots(const skv_sgemm *g, const skv_sgemm_tile *t, float alpha, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t j = 0; j < g->n; j++) {
        for (int64_t i = 0; i < g->m; i++) {
            const float x = alpha * t->dot(g->a + i * g->lda, g->b + j * g->ldb, g->k);
            float *c = g->c + i * g->ldc + j;
            *c = g->add ? *c + x : x;
        }
    }
}

static void whole(const skv_sgemm *g, skv_sgemm_block *block) {
    if (block) block(g->user, 0, 0, g->m, g->n, g->c);
}

static void run_nothing(const skv_sgemm *g) {
    for (int64_t i = 0; i < g->m && !g->add; i++) memset(g->c + i * g->ldc, 0, (size_t)g->n * sizeof *g->c);
}

size_t skv_sgemm_scratch(int64_t n, int64_t k, int threads) {
    const int64_t panels = up_to(least(n, BAND), tile_of_cpu()->columns) + (int64_t)threads * HEIGHT;
    return (size_t)(panels * least(k, DEPTH)) * sizeof(float);
}

void skv_sgemm_run(const skv_sgemm *g, int threads, void *scratch) {
    const skv_sgemm_tile *t = tile_of_cpu();
    job w = {.g = g, .t = t, .alpha = g->alpha, .deep = least(g->k, DEPTH), .panels = scratch};
    if (g->m < 1 || g->n < 1) return;
    if (g->k < 1) {
        whole(g, g->begin);
        run_nothing(g);
        whole(g, g->end);
        return;
    }
    w.threads = g->m * g->n < PARALLEL_FROM / g->k + 1 ? 1 : threads;
    w.strips = w.panels + up_to(least(g->n, BAND), t->columns) * w.deep;
    if (!g->packed && g->trans_b && !g->trans_a && g->m <= SKV_SGEMM_FEW_ROWS) {
        whole(g, g->begin);
        run_dots(g, t, w.alpha, w.threads);
        whole(g, g->end);
        return;
    }
    if (w.threads == 1) {
        run_thread(&w, 0);
        return;
    }
#pragma omp parallel num_threads(w.threads)
    {
        job mine = w;
        mine.threads = skv_region_threads(); /* inside another region there is one */
        run_thread(&mine, skv_thread_number());
    }
}
