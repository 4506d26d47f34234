/* 3x3 integer convolution by Winograd's F(2x2, 3x3), exactly: with the window's transform doubled along both axes all
 * transforms hold integers only. Transformed inputs are at most 4 * 255 and transformed weights 9 * 128, which fit the
 * 16-bit numbers that vpmaddwd multiplies at this level anyway; of these it takes 16 a tile of 2x2 outputs instead of
 * 36. The sums are four times the convolution's: they may wrap in int32 on the way, and are right at the end because
 * the true sum is below 2^29 with so many channels. See winograd_conv_avx2.c for the order of the work. */
#include <immintrin.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/dense.h"
#include "kernels/unroll.h"
#include "kernels/winograd.h"

enum {
    MR = 4, /* outputs of a tile */
    NR = 16,
    LANES = 16, /* channels transformed together */
    ROWS = SKV_WINO_SQUARE_ROWS,
    POINTS = SKV_WINO_SQUARE_POINTS,
    UNIT_NUMBERS = 1 << 18, /* of v */
    PAD = 32,
    MOST_CHANNELS = 1024 /* 9 * 255 * 128 * 1024 < 2^29 */
};

#include "kernels/int8/gemm_store256.h"

typedef struct wino_state {
    skv_q8_out out;
    int64_t c, m, panels;
    skv_wino_tiles t;
    int64_t v_step;
    size_t item;
    int32_t x_zero;
    int16_t *u;        /* [panel][point][c / 2][16][2] */
    int32_t *init;     /* [panel][16]: the bias */
    float *multiplier; /* the same */
    size_t v_at, v_bytes;
} wino_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    if (n->in[0].type.rank != 4) return skv_decline(why, "rank %d", n->in[0].type.rank);
    if (skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "the output is empty");
    if (!skv_q8_constant_weights(n, why)) return false;
    if (skv_q8_conv_shape(n, &s) != SKIVE_OK) return skv_decline(why, "its shape");
    if (!skv_wino_square(&s, why)) return false;
    if (s.c % LANES != 0) return skv_decline(why, "channels not in whole blocks of %d", LANES);
    if (s.c > MOST_CHANNELS) return skv_decline(why, "so many channels that sums may not fit");
    return true;
}

/* ---- the transforms, along one axis: element i stands at [i * step] ---- */

SKV_INLINE void transform(__m256i *d, int step) {
    const __m256i d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    d[0] = _mm256_sub_epi16(d0, d2);
    d[step] = _mm256_add_epi16(d1, d2);
    d[2 * step] = _mm256_sub_epi16(d2, d1);
    d[3 * step] = _mm256_sub_epi16(d3, d1);
}

SKV_INLINE void transform_back(const __m256i *m, int step, __m256i *o, int o_step) {
    o[0] = _mm256_add_epi32(m[0], _mm256_add_epi32(m[step], m[2 * step]));
    o[o_step] = _mm256_add_epi32(_mm256_sub_epi32(m[step], m[2 * step]), m[3 * step]);
}

/* Of the windows of NR output channels at once. */
SKV_INLINE void window_line(int16_t (*g)[NR], int step, int16_t (*o)[NR], int o_step) {
    for (int l = 0; l < NR; l++) {
        const int even = g[0][l] + g[2 * step][l], odd = g[step][l];
        o[0][l] = (int16_t)(2 * g[0][l]);
        o[o_step][l] = (int16_t)(even + odd);
        o[2 * o_step][l] = (int16_t)(even - odd);
        o[3 * o_step][l] = (int16_t)(2 * g[2 * step][l]);
    }
}

/* Windows [3][3] of two input channels and n output channels, the latter `apart` numbers from each other, to 16 points,
 * `step` numbers from each other. */
static void transform_windows(const int8_t *w, int64_t n, int64_t apart, int16_t *to, int64_t step) {
    int16_t both[POINTS][NR][2];
    for (int k = 0; k < 2; k++, w += 9) {
        int16_t g[9][NR] = {{0}}, half[12][NR], full[POINTS][NR];
        for (int64_t l = 0; l < n; l++)
            for (int i = 0; i < 9; i++) g[i][l] = w[l * apart + i];
        for (int q = 0; q < 3; q++) window_line(g + q, 3, half + q, 3);
        for (int p = 0; p < 4; p++) window_line(half + 3 * p, 1, full + 4 * p, 1);
        for (int p = 0; p < POINTS; p++)
            for (int l = 0; l < NR; l++) both[p][l][k] = full[p][l];
    }
    for (int p = 0; p < POINTS; p++) memcpy(to + p * step, both[p], sizeof both[p]);
}

/* ---- a unit ---- */

/* v [point][tile][c] */
static void read_tiles(const wino_state *st, const uint8_t *x, int64_t first, int64_t count, int16_t *v) {
    const __m256i zero = _mm256_set1_epi16((short)st->x_zero);
    const int64_t line = st->t.w * st->c;
    for (int64_t i = 0; i < count; i++) {
        const skv_wino_place at = skv_wino_place_of(&st->t, first + i);
        const int64_t y0 = at.y - st->t.top, x0 = at.x - st->t.left;
        const bool inside = y0 >= 0 && x0 >= 0 && y0 + 4 <= st->t.h && x0 + 4 <= st->t.w;
        const int64_t from = (at.image * st->t.h + y0) * line + x0 * st->c;
        int16_t *to = v + i * st->c;
        for (int64_t b = 0; b < st->c; b += LANES) {
            __m256i d[POINTS];
            SKV_UNROLL
            for (int p = 0; p < 4; p++) {
                SKV_UNROLL
                for (int q = 0; q < 4; q++) {
                    const bool there = inside || (y0 + p >= 0 && y0 + p < st->t.h && x0 + q >= 0 && x0 + q < st->t.w);
                    const uint8_t *bytes = x + from + p * line + q * st->c + b;
                    d[p * 4 + q] =
                        there ? _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)bytes)), zero)
                              : _mm256_setzero_si256();
                }
            }
            SKV_UNROLL
            for (int q = 0; q < 4; q++) transform(d + q, 4);
            SKV_UNROLL
            for (int p = 0; p < 4; p++) {
                transform(d + 4 * p, 1);
                SKV_UNROLL
                for (int q = 0; q < 4; q++)
                    _mm256_storeu_si256((void *)(to + (4 * p + q) * st->v_step + b), d[4 * p + q]);
            }
        }
    }
}

/* m[row][16] = sum over pairs of channels of v[row][c] u[c / 2][16][2] */
SKV_INLINE void multiply_rows(const int rows, int64_t c, const int16_t *v, const int16_t *u, int32_t *m) {
    __m256i acc[ROWS][2];
    SKV_UNROLL
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (int64_t k = 0; k < c; k += 2, u += 2 * NR) {
        const __m256i u0 = _mm256_loadu_si256((const void *)u), u1 = _mm256_loadu_si256((const void *)(u + NR));
        SKV_UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, v + r * c + k, sizeof pair);
            const __m256i x = _mm256_set1_epi32(pair);
            acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, u0));
            acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, u1));
        }
    }
    SKV_UNROLL
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((void *)(m + r * NR), acc[r][0]);
        _mm256_storeu_si256((void *)(m + r * NR + 8), acc[r][1]);
    }
}

static void multiply(int64_t rows, int64_t c, const int16_t *v, const int16_t *u, int32_t *m) {
    for (; rows >= ROWS; rows -= ROWS, v += ROWS * c, m += ROWS * NR) multiply_rows(ROWS, c, v, u, m);
    switch (rows) {
    case 5: multiply_rows(5, c, v, u, m); return;
    case 4: multiply_rows(4, c, v, u, m); return;
    case 3: multiply_rows(3, c, v, u, m); return;
    case 2: multiply_rows(2, c, v, u, m); return;
    case 1: multiply_rows(1, c, v, u, m); return;
    default: return;
    }
}

/* The way back for one panel; m [point][tile][16]. */
static void write_tiles(const wino_state *st, const int32_t *m, int64_t first, int64_t count, const skv_q8_tile *t,
                        size_t *y_at) {
    const int64_t m_step = count * NR;
    const __m256i bias[2] = {_mm256_loadu_si256((const void *)t->init),
                             _mm256_loadu_si256((const void *)(t->init + 8))};
    for (int64_t i = 0; i < count; i++) {
        const skv_wino_place at = skv_wino_place_of(&st->t, first + i);
        const int64_t y0 = (at.image * st->t.oh + at.y) * st->t.ow + at.x;
        __m256i acc[MR][2];
        SKV_UNROLL
        for (int b = 0; b < 2; b++) {
            __m256i half[8], out[MR];
            SKV_UNROLL
            for (int q = 0; q < 4; q++) {
                __m256i column[4];
                SKV_UNROLL
                for (int p = 0; p < 4; p++)
                    column[p] = _mm256_loadu_si256((const void *)(m + (4 * p + q) * m_step + i * NR + 8 * b));
                transform_back(column, 1, half + q, 4);
            }
            SKV_UNROLL
            for (int p = 0; p < 2; p++) transform_back(half + 4 * p, 1, out + 2 * p, 1);
            SKV_UNROLL
            for (int p = 0; p < MR; p++) acc[p][b] = _mm256_add_epi32(_mm256_srai_epi32(out[p], 2), bias[b]);
        }
        const bool below = at.y + 1 < st->t.oh, right = at.x + 1 < st->t.ow;
        y_at[0] = (size_t)(y0 * st->m) * st->item;
        if (below && right) {
            for (int p = 1; p < MR; p++) y_at[p] = (size_t)((y0 + p / 2 * st->t.ow + p % 2) * st->m) * st->item;
            store(t, MR, acc);
        } else if (below || right) { /* the second output of a column stands third */
            y_at[1] = (size_t)((y0 + (below ? st->t.ow : 1)) * st->m) * st->item;
            if (below) memcpy(acc[1], acc[2], sizeof acc[1]);
            store(t, 2, acc);
        } else {
            store(t, 1, acc);
        }
    }
}

static void run_unit(const wino_state *st, const skv_kernel_call *call, int64_t unit, int16_t *v) {
    const int64_t first = st->t.tiles * unit / st->t.units, count = st->t.tiles * (unit + 1) / st->t.units - first;
    int32_t *m = (int32_t *)(void *)(v + POINTS * st->v_step);
    size_t y_at[MR];
    skv_q8_tile t = {.out = &st->out, .y_at = y_at};
    read_tiles(st, call->in[0], first, count, v);
    for (int64_t panel = 0; panel < st->panels; panel++) {
        const int16_t *u = st->u + panel * POINTS * st->c * NR;
        const int64_t channel = panel * NR;
        for (int p = 0; p < POINTS; p++)
            multiply(count, st->c, v + p * st->v_step, u + p * st->c * NR, m + p * count * NR);
        t.columns = (size_t)(st->m - channel < NR ? st->m - channel : NR);
        t.init = st->init + channel;
        t.multiplier = st->multiplier + channel;
        t.y = (char *)call->out[0] + (size_t)channel * st->item;
        t.other = st->out.adds ? (const uint8_t *)call->in[SKV_Q8_OTHER] + channel : NULL;
        write_tiles(st, m, first, count, &t, y_at);
    }
}

static skive_status run(const skv_kernel_call *call) {
    const wino_state *st = call->n->state;
    const int threads = st->t.threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t unit = 0; unit < st->t.units; unit++) {
        char *own = (char *)call->scratch + st->v_at + (size_t)skv_thread_number() * st->v_bytes;
        run_unit(st, call, unit, (int16_t *)(void *)own);
    }
    return SKIVE_OK;
}

/* ---- preparing ---- */

static skive_status pack(skv_kernel_node *n, wino_state *st) {
    const int8_t *w = n->in[1].constant->data; /* [m][c][3][3] */
    n->state_bytes = (size_t)(st->panels * NR * POINTS) * (size_t)st->c * sizeof *st->u;
    SKV_TRY(skv_arena_alloc(n->weights, n->state_bytes, &st->u)); /* zeros: channels that fill the last panel up */
    n->packs_input[1] = true;
    const int64_t panels = st->panels, c = st->c;
    const int threads = n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && panels > 1)
    for (int64_t i = 0; i < panels; i++) {
        const int64_t first = i * NR, here = st->m - first < NR ? st->m - first : NR;
        int16_t *to = st->u + i * POINTS * c * NR;
        for (int64_t k = 0; k < c; k += 2) transform_windows(w + (first * c + k) * 9, here, c * 9, to + k * NR, c * NR);
    }
    return SKIVE_OK;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    wino_state *st = state;
    skv_conv_shape s;
    skv_q_scaling scaling;
    const skive_tensor *bias = skv_q8_bias(n);
    const int8_t *w = n->in[1].constant->data;
    SKV_TRY(skv_q8_dense_shape(n, &s));
    SKV_TRY(skv_q_zero_point(n->ctx, n->node, "x_zero_point", &st->x_zero));
    SKV_TRY(skv_q_scaling_read(n->ctx, n->node, s.m, true, &scaling));
    SKV_TRY(skv_q_check_sums(n->ctx, n->node, st->x_zero, w, s.m, s.c * 9, bias ? bias->data : NULL));
    SKV_TRY(skv_q8_read_output(n, s.m, &scaling.r, scaling.multiplier, &st->out));
    st->item = st->out.real ? sizeof(float) : 1;
    st->c = s.c;
    st->m = s.m;
    st->panels = (s.m + NR - 1) / NR;
    skv_wino_tiles_of(&s, st->c, UNIT_NUMBERS, 1 << 15, n->threads, &st->t);
    SKV_TRY(skv_arena_array(n->weights, (size_t)(st->panels * NR), sizeof *st->init, &st->init));
    SKV_TRY(skv_arena_array(n->weights, (size_t)(st->panels * NR), sizeof *st->multiplier, &st->multiplier));
    for (int64_t m = 0; m < s.m; m++) {
        st->init[m] = bias ? ((const int32_t *)bias->data)[m] : 0;
        st->multiplier[m] = (float)scaling.multiplier[m];
    }
    SKV_TRY(pack(n, st));
    st->v_step = st->t.most * st->c + PAD;
    st->v_bytes = skv_align_up(
        (size_t)POINTS * ((size_t)st->v_step * sizeof(int16_t) + (size_t)(st->t.most * NR) * sizeof(int32_t)), 64);
    return skv_scratch_add(n, (size_t)st->t.threads * st->v_bytes, &st->v_at);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(wino_state), set_up, destroy); }

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_Q_CONV_ADD, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_winograd_avx2 = {
    .name = "qconv_winograd_u8s8_avx2",
    .brief = "3x3 integer convolution, F(2x2) in 16 bits",
    .ops = ops,
    .isa = SKV_ISA_AVX2,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
