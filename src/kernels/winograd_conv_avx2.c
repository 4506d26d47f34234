/* 3x3 convolution with constant weights by Winograd's F(2x2, 3x3) (Lavin & Gray, 2016): a tile of 4x4 inputs gives 2x2
 * outputs by 16 products instead of 36. The transforms hold only 1 and 1/2 and so round as little.
 *
 * A unit of tiles is transformed into v [point][tile][c], which stays in the second-level cache; then, for one panel of
 * 16 output channels after another, the 16 products and the way back. Values may stand with their channels last or in
 * blocks of eight: both are vectors of eight channels at some distance from each other. */
#include <immintrin.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/conv_windows.h"
#include "kernels/finish.h"
#include "kernels/kernel.h"
#include "kernels/unroll.h"
#include "kernels/winograd.h"

enum {
    LANES = 8,
    PANEL = 16, /* output channels of a product: two vectors */
    ROWS = SKV_WINO_SQUARE_ROWS,
    POINTS = SKV_WINO_SQUARE_POINTS,
    UNIT_FLOATS = 1 << 17, /* of v: the second-level cache of the CPUs of this level has 512 KB or more */
    PAD = 16               /* off by a line, or all points of a tile would lie in the same set of the cache */
};

typedef struct wino_state {
    skv_finish finish;
    bool has_bias, adds;
    int64_t c, m, panels; /* c: with padding */
    skv_wino_tiles t;
    int64_t x_pixel, x_line, x_block, x_image, y_pixel, y_line, y_block, y_image; /* distances in floats */
    int64_t v_step;                                                               /* from point to point */
    size_t outputs;                                                               /* floats, with padding */
    float *u;                                                                     /* [panel][point][c][16] */
    size_t v_at, v_bytes;                                                         /* scratch, of a thread */
} wino_state;

static skv_layout layout_for(skv_layout offered) {
    return offered == SKV_NHWC || (!SKIVE_ONEDNN && offered == SKV_PLAIN) ? SKV_NHWC : SKV_C8;
}

/* May the last block of channels be partly padding, which is zero before and after? */
static bool fills_up(const skv_kernel_node *n) {
    skv_finish f;
    if (layout_for(n->in[0].layout) != SKV_C8 || skv_finish_read(n, &f) != SKIVE_OK) return false;
    return f.kind == SKV_PW_NONE || f.kind == SKV_PW_RELU;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "an empty output");
    if (n->training || !n->in[1].constant) return skv_decline(why, "the weights may change");
    if (n->in[0].type.rank != 4) return skv_decline(why, "not of two spatial axes");
    if (skv_windows_shape(n, &n->in[0].type, &n->in[1].type, &s) != SKIVE_OK) return skv_decline(why, "its shape");
    if (!skv_wino_square(&s, why)) return false;
    if ((s.c % LANES != 0 || s.m % LANES != 0) && !fills_up(n))
        return skv_decline(why, "channels not in whole blocks of %d", LANES);
    return true;
}

/* ---- the transforms, along one axis: element i stands at [i * step] ---- */

SKV_INLINE void transform(__m256 *d, int step) {
    const __m256 d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    d[0] = _mm256_sub_ps(d0, d2);
    d[step] = _mm256_add_ps(d1, d2);
    d[2 * step] = _mm256_sub_ps(d2, d1);
    d[3 * step] = _mm256_sub_ps(d3, d1);
}

SKV_INLINE void transform_back(const __m256 *m, int step, __m256 *o, int o_step) {
    o[0] = _mm256_add_ps(m[0], _mm256_add_ps(m[step], m[2 * step]));
    o[o_step] = _mm256_add_ps(_mm256_sub_ps(m[step], m[2 * step]), m[3 * step]);
}

/* Of the windows of PANEL output channels at once. */
SKV_INLINE void window_line(float (*g)[PANEL], int step, float (*o)[PANEL], int o_step) {
    for (int l = 0; l < PANEL; l++) {
        const float even = 0.5f * (g[0][l] + g[2 * step][l]), odd = 0.5f * g[step][l];
        o[0][l] = g[0][l];
        o[o_step][l] = even + odd;
        o[2 * o_step][l] = even - odd;
        o[3 * o_step][l] = g[2 * step][l];
    }
}

/* Windows [3][3] of n output channels, `apart` floats from each other, to 16 points, `step` floats from each other. */
static void transform_windows(const float *w, int64_t n, int64_t apart, float *to, int64_t step) {
    float g[9][PANEL] = {{0}}, half[12][PANEL], full[POINTS][PANEL];
    for (int64_t l = 0; l < n; l++)
        for (int i = 0; i < 9; i++) g[i][l] = w[l * apart + i];
    for (int q = 0; q < 3; q++) window_line(g + q, 3, half + q, 3);
    for (int p = 0; p < 4; p++) window_line(half + 3 * p, 1, full + 4 * p, 1);
    for (int p = 0; p < POINTS; p++) memcpy(to + p * step, full[p], sizeof full[p]);
}

/* ---- a unit ---- */

static void read_tiles(const wino_state *st, const float *x, int64_t first, int64_t count, float *v) {
    for (int64_t i = 0; i < count; i++) {
        const skv_wino_place at = skv_wino_place_of(&st->t, first + i);
        const int64_t y0 = at.y - st->t.top, x0 = at.x - st->t.left;
        const bool inside = y0 >= 0 && x0 >= 0 && y0 + 4 <= st->t.h && x0 + 4 <= st->t.w;
        const float *from = x + at.image * st->x_image + y0 * st->x_line + x0 * st->x_pixel;
        float *to = v + i * st->c;
        for (int64_t b = 0; b < st->c; b += LANES, from += st->x_block) {
            __m256 d[POINTS];
            SKV_UNROLL
            for (int p = 0; p < 4; p++) {
                SKV_UNROLL
                for (int q = 0; q < 4; q++) {
                    const bool there = inside || (y0 + p >= 0 && y0 + p < st->t.h && x0 + q >= 0 && x0 + q < st->t.w);
                    d[p * 4 + q] =
                        there ? _mm256_loadu_ps(from + p * st->x_line + q * st->x_pixel) : _mm256_setzero_ps();
                }
            }
            SKV_UNROLL
            for (int q = 0; q < 4; q++) transform(d + q, 4);
            SKV_UNROLL
            for (int p = 0; p < 4; p++) {
                transform(d + 4 * p, 1);
                SKV_UNROLL
                for (int q = 0; q < 4; q++) _mm256_storeu_ps(to + (4 * p + q) * st->v_step + b, d[4 * p + q]);
            }
        }
    }
}

/* m[row][16] = sum over c of v[row][c] u[c][16] */
SKV_INLINE void multiply_rows(const int rows, int64_t c, const float *v, const float *u, float *m) {
    __m256 acc[ROWS][2];
    SKV_UNROLL
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (int64_t k = 0; k < c; k++, u += PANEL) {
        const __m256 u0 = _mm256_loadu_ps(u), u1 = _mm256_loadu_ps(u + LANES);
        SKV_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m256 x = _mm256_broadcast_ss(v + r * c + k);
            acc[r][0] = _mm256_fmadd_ps(x, u0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(x, u1, acc[r][1]);
        }
    }
    SKV_UNROLL
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_ps(m + r * PANEL, acc[r][0]);
        _mm256_storeu_ps(m + r * PANEL + LANES, acc[r][1]);
    }
}

static void multiply(int64_t rows, int64_t c, const float *v, const float *u, float *m) {
    for (; rows >= ROWS; rows -= ROWS, v += ROWS * c, m += ROWS * PANEL) multiply_rows(ROWS, c, v, u, m);
    switch (rows) {
    case 5: multiply_rows(5, c, v, u, m); return;
    case 4: multiply_rows(4, c, v, u, m); return;
    case 3: multiply_rows(3, c, v, u, m); return;
    case 2: multiply_rows(2, c, v, u, m); return;
    case 1: multiply_rows(1, c, v, u, m); return;
    default: return;
    }
}

/* n numbers, and zeros behind them. */
static __m256 first_of(const float *x, int64_t n) {
    if (n >= LANES) return _mm256_loadu_ps(x);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(x, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes));
}

/* The way back for one panel; m [point][tile][16]. */
static void write_tiles(const wino_state *st, const float *m, int64_t first, int64_t count, int64_t panel,
                        const float *bias, const float *z, float *y) {
    const int64_t channel = panel * PANEL, left = st->m - channel, m_step = count * PANEL;
    const bool relu = st->finish.kind == SKV_PW_RELU;
    const __m256 none = _mm256_setzero_ps();
    for (int64_t b = 0; b < 2 && b * LANES < left; b++) {
        const __m256 shift = bias ? first_of(bias + channel + b * LANES, left - b * LANES) : none;
        const int64_t block = (2 * panel + b) * st->y_block;
        for (int64_t i = 0; i < count; i++) {
            const skv_wino_place at = skv_wino_place_of(&st->t, first + i);
            const float *from = m + i * PANEL + b * LANES;
            const int64_t to = at.image * st->y_image + block + at.y * st->y_line + at.x * st->y_pixel;
            __m256 half[8], out[4];
            SKV_UNROLL
            for (int q = 0; q < 4; q++) {
                __m256 column[4];
                SKV_UNROLL
                for (int p = 0; p < 4; p++) column[p] = _mm256_loadu_ps(from + (4 * p + q) * m_step);
                transform_back(column, 1, half + q, 4);
            }
            SKV_UNROLL
            for (int p = 0; p < 2; p++) transform_back(half + 4 * p, 1, out + 2 * p, 1);
            SKV_UNROLL
            for (int p = 0; p < 4; p++) {
                if (at.y + p / 2 >= st->t.oh || at.x + p % 2 >= st->t.ow) continue;
                const int64_t pixel = to + p / 2 * st->y_line + p % 2 * st->y_pixel;
                __m256 v = _mm256_add_ps(out[p], shift);
                if (z) v = _mm256_add_ps(v, _mm256_loadu_ps(z + pixel));
                if (relu) v = _mm256_max_ps(none, v); /* NaN stays: the second operand is given */
                _mm256_storeu_ps(y + pixel, v);
            }
        }
    }
}

static void run_unit(const wino_state *st, const skv_kernel_call *call, int64_t unit, float *v) {
    const int64_t first = st->t.tiles * unit / st->t.units, count = st->t.tiles * (unit + 1) / st->t.units - first;
    const float *bias = st->has_bias ? call->in[2] : NULL, *z = st->adds ? call->in[3] : NULL;
    float *m = v + POINTS * st->v_step;
    read_tiles(st, call->in[0], first, count, v);
    for (int64_t panel = 0; panel < st->panels; panel++) {
        const float *u = st->u + panel * POINTS * st->c * PANEL;
        for (int p = 0; p < POINTS; p++)
            multiply(count, st->c, v + p * st->v_step, u + p * st->c * PANEL, m + p * count * PANEL);
        write_tiles(st, m, first, count, panel, bias, z, call->out[0]);
    }
}

static skive_status run(const skv_kernel_call *call) {
    const wino_state *st = call->n->state;
    const int threads = st->t.threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t unit = 0; unit < st->t.units; unit++) {
        char *own = (char *)call->scratch + st->v_at + (size_t)skv_thread_number() * st->v_bytes;
        run_unit(st, call, unit, (float *)(void *)own);
    }
    if (st->finish.kind == SKV_PW_NONE || st->finish.kind == SKV_PW_RELU) return SKIVE_OK;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        const size_t from = st->outputs * (size_t)part / (size_t)threads;
        const size_t to = st->outputs * ((size_t)part + 1) / (size_t)threads;
        skv_finish_run(&st->finish, (float *)call->out[0] + from, (int64_t)(to - from));
    }
    return SKIVE_OK;
}

/* ---- preparing ---- */

static skive_status pack(skv_kernel_node *n, wino_state *st, int64_t channels) {
    const float *w = n->in[1].constant->data; /* [m][c][3][3] */
    const size_t floats = (size_t)(st->panels * PANEL * POINTS) * (size_t)st->c;
    n->state_bytes = floats * sizeof(float);
    SKV_TRY(skv_arena_alloc(n->weights, n->state_bytes, &st->u)); /* zeros for channels that are padding */
    n->packs_input[1] = true;
    const int64_t panels = st->panels, c = st->c;
    const int threads = n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && panels > 1)
    for (int64_t i = 0; i < panels; i++) {
        const int64_t first = i * PANEL, here = st->m - first < PANEL ? st->m - first : PANEL;
        float *to = st->u + i * POINTS * c * PANEL;
        for (int64_t k = 0; k < channels; k++)
            transform_windows(w + (first * channels + k) * 9, here, channels * 9, to + k * PANEL, c * PANEL);
    }
    return SKIVE_OK;
}

static void set_distances(int64_t channels, int64_t h, int64_t w, bool last, int64_t *pixel, int64_t *line,
                          int64_t *block, int64_t *image) {
    *pixel = last ? channels : LANES;
    *line = w * *pixel;
    *block = last ? LANES : h * *line;
    *image = (channels + LANES - 1) / LANES * LANES * h * w;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    wino_state *st = state;
    skv_conv_shape s;
    SKV_TRY(skv_windows_shape(n, &n->in[0].type, &n->in[1].type, &s));
    SKV_TRY(skv_finish_read(n, &st->finish));
    st->has_bias = skv_kernel_has_input(n, 2);
    st->adds = skv_kernel_has_input(n, 3);
    st->c = (s.c + LANES - 1) / LANES * LANES;
    st->m = s.m;
    st->panels = (s.m + PANEL - 1) / PANEL;
    skv_wino_tiles_of(&s, st->c, UNIT_FLOATS, 1 << 14, n->threads, &st->t);
    const skv_layout layout = layout_for(n->in[0].layout);
    n->in[0].layout = n->out[0].layout = layout;
    if (st->adds) {
        n->in[3].layout = layout;
        n->in_place = 1u << 3; /* an element is read before it is written, by the same thread */
    }
    set_distances(st->c, st->t.h, st->t.w, layout == SKV_NHWC, &st->x_pixel, &st->x_line, &st->x_block, &st->x_image);
    set_distances(st->m, st->t.oh, st->t.ow, layout == SKV_NHWC, &st->y_pixel, &st->y_line, &st->y_block, &st->y_image);
    st->outputs = (size_t)(s.n * st->y_image);
    SKV_TRY(pack(n, st, s.c));
    st->v_step = st->t.most * st->c + PAD;
    st->v_bytes = skv_align_up((size_t)POINTS * (size_t)(st->v_step + st->t.most * PANEL) * sizeof(float), 64);
    return skv_scratch_add(n, (size_t)st->t.threads * st->v_bytes, &st->v_at);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(wino_state), set_up, destroy); }

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV, SKV_OP_CONV, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_winograd_f32_avx2 = {
    .name = "conv_winograd_f32_avx2",
    .brief = "3x3 convolution, residual and activation in one, F(2x2)",
    .ops = ops,
    .isa = SKV_ISA_AVX2,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
