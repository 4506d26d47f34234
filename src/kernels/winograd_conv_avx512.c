/* Winograd's convolution in training, forward and by input: transform of the window, then unit by unit of tiles the
 * transform of what is read, one matrix product a point, and the transform back. */
#include <string.h>

#include "kernels/winograd_avx512.h"
#include "ops/common_activation.h"

static bool by_input(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_CONV_GRAD_INPUT); }
/* X, W or dY, W, X. */
static const skive_type *x_type(const skv_kernel_node *n) { return &n->in[by_input(n) ? 2 : 0].type; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    if (n->n_in > 3 && !by_input(n) && !n->in[3].absent) return skv_decline(why, "a residual");
    if (n->node->domain[0] && !by_input(n)) {
        const char *activation = skv_attr_string(n->node, "activation", "");
        if (activation[0] && strcmp(activation, "Relu") != 0) return skv_decline(why, "its activation");
    }
    if (!skv_wino_shape(n, x_type(n), &n->in[1].type, &s, why)) return false;
    return skv_wino_suits(n, &s, why);
}

static skive_status scratch(skv_kernel_node *n, size_t bytes, size_t *at) {
    size_t end;
    *at = skv_align_up(n->scratch_bytes, 64);
    if (!skv_add_size(*at, bytes, &end)) return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "its scratch memory does not fit");
    n->scratch_bytes = end;
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    skv_conv_shape s;
    skv_why why;
    skv_wino *k = NULL;
    if (!skv_wino_shape(n, x_type(n), &n->in[1].type, &s, &why)) return SKIVE_ERR_INTERNAL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *k, &k));
    n->state = k;
    skv_wino_plan(&s, by_input(n), n->threads, k);
    k->relu = n->node->domain[0] && !by_input(n) && *skv_attr_string(n->node, "activation", "");
    k->u_floats = k->points * k->co_b * k->ci * SKV_WINO_LANES;
    k->m_at = skv_align_up((size_t)(k->v_step * k->points) * sizeof(float), 64);
    k->thread_bytes = skv_align_up(k->m_at + (size_t)(k->m_step * k->points) * sizeof(float), 64);
    n->in[0].layout = n->out[0].layout = SKV_C16;
    if (by_input(n)) n->skips_input_data[2] = true;
    SKV_TRY(scratch(n, (size_t)k->u_floats * sizeof(float), &k->u_at));
    return scratch(n, k->thread_bytes * (size_t)k->threads, &k->thread_at);
}

static __mmask16 first_lanes(int64_t n) { return (__mmask16)(n >= SKV_WINO_LANES ? 0xffffu : (1u << n) - 1u); }

enum { FEW = 4 };

/* Has the last block so few made channels that sums over lanes of read channels are the shorter way? */
static bool few_last(const skv_wino *k) {
    enum { FOLDING = 16 }; /* what adding up the lanes costs, in multiplications */
    return k->co_b > 1 && k->co - (k->co_b - 1) * SKV_WINO_LANES <= FEW && FEW * k->ci_b + FOLDING < k->ci;
}

/* Such a block lies [FEW][ci_b * 16] in the place of [ci][16], zero behind the last read channel. */
SKV_INLINE void store_few(const skv_wino *k, int64_t in, __m512 weights, float *u) {
    float one[SKV_WINO_LANES];
    const int64_t row = k->ci_b * SKV_WINO_LANES;
    _mm512_storeu_ps(one, weights);
    for (int c = 0; c < FEW; c++) {
        u[c * row + in] = one[c];
        for (int64_t i = k->ci; in == k->ci - 1 && i < row; i++) u[c * row + i] = 0;
    }
}

/* The window of one read channel and 16 made ones, transformed into u [point][co_b][ci][16]. */
SKV_INLINE void transform_window(int r, const skv_wino *k, const float *w, int64_t block, int64_t in, float *u) {
    const int t = r + 1;
    const int64_t first = block * SKV_WINO_LANES, left = k->co - first;
    const __mmask16 lanes = first_lanes(left);
    const __m512i steps = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                             _mm512_set1_epi32((int)k->w_out));
    const float *from = w + first * k->w_out + in * k->w_in;
    const bool few = few_last(k);
    __m512 g[25], half[SKV_WINO_POINTS], full[SKV_WINO_POINTS];
    SKV_UNROLL
    for (int i = 0; i < r * r; i++) {
        const int tap = k->turned ? r * r - 1 - i : i;
        g[i] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, steps, from + tap, 4);
    }
    SKV_UNROLL
    for (int q = 0; q < r; q++) skv_wino_window(r, g + q, r, half + q, r); /* [t][r] */
    SKV_UNROLL
    for (int p = 0; p < t; p++) skv_wino_window(r, half + p * r, 1, full + p * t, 1);
    SKV_UNROLL
    for (int p = 0; p < t * t; p++) {
        float *to = u + (p * k->co_b + block) * k->ci * SKV_WINO_LANES;
        if (few && block == k->co_b - 1)
            store_few(k, in, full[p], to);
        else
            _mm512_storeu_ps(to + in * SKV_WINO_LANES, full[p]);
    }
}

/* m[tile][16 or 32] = sum over ci of v[tile][ci] u[ci][16], for ROWS tiles and `blocks` blocks of made channels. */
SKV_INLINE void multiply(int rows, int blocks, int64_t ci, const float *v, int64_t v_row, const float *u,
                         int64_t u_block, float *m, int64_t m_row) {
    __m512 acc[SKV_WINO_ROWS];
    SKV_UNROLL
    for (int i = 0; i < rows * blocks; i++) acc[i] = _mm512_setzero_ps();
    for (int64_t c = 0; c < ci; c++) {
        __m512 w[2];
        SKV_UNROLL
        for (int b = 0; b < blocks; b++) w[b] = _mm512_loadu_ps(u + b * u_block + c * SKV_WINO_LANES);
        SKV_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m512 x = _mm512_set1_ps(v[i * v_row + c]);
            SKV_UNROLL
            for (int b = 0; b < blocks; b++) acc[i * blocks + b] = _mm512_fmadd_ps(x, w[b], acc[i * blocks + b]);
        }
    }
    SKV_UNROLL
    for (int i = 0; i < rows; i++) {
        SKV_UNROLL
        for (int b = 0; b < blocks; b++) _mm512_storeu_ps(m + i * m_row + b * SKV_WINO_LANES, acc[i * blocks + b]);
    }
}

/* m[tile][FEW of 16] = sums over lanes of v[tile][ci_b * 16] u[FEW][ci_b * 16]; the other lanes are zero. */
static void multiply_few(const skv_wino *k, int64_t count, const float *v, const float *u, float *m) {
    const int64_t v_row = k->ci_b * SKV_WINO_LANES, m_row = k->co_b * SKV_WINO_LANES;
    for (int64_t i = 0; i < count; i++) {
        __m512 acc[FEW];
        SKV_UNROLL
        for (int c = 0; c < FEW; c++) acc[c] = _mm512_setzero_ps();
        for (int64_t b = 0; b < v_row; b += SKV_WINO_LANES) {
            const __m512 x = _mm512_loadu_ps(v + i * v_row + b);
            SKV_UNROLL
            for (int c = 0; c < FEW; c++) acc[c] = _mm512_fmadd_ps(x, _mm512_loadu_ps(u + c * v_row + b), acc[c]);
        }
        /* Pairs, then quads of lanes: four lots of the four sums, then one. */
        const __m512 low = skv_plus(_mm512_unpacklo_ps(acc[0], acc[1]), _mm512_unpackhi_ps(acc[0], acc[1]));
        const __m512 high = skv_plus(_mm512_unpacklo_ps(acc[2], acc[3]), _mm512_unpackhi_ps(acc[2], acc[3]));
        const __m512 four = skv_plus(_mm512_shuffle_ps(low, high, 0x44), _mm512_shuffle_ps(low, high, 0xee));
        const __m512 two = skv_plus(four, _mm512_shuffle_f32x4(four, four, 0x4e));
        const __m512 all = skv_plus(two, _mm512_shuffle_f32x4(two, two, 0xb1));
        _mm512_storeu_ps(m + i * m_row, _mm512_maskz_mov_ps(0xf, all));
    }
}

static void multiply_point(const skv_wino *k, int64_t count, const float *v, const float *u, float *m) {
    const int64_t v_row = k->ci_b * SKV_WINO_LANES, m_row = k->co_b * SKV_WINO_LANES, u_block = k->ci * SKV_WINO_LANES;
    const bool few = few_last(k);
    const int64_t whole = few ? k->co_b - 1 : k->co_b;
    int64_t b = 0;
    for (; b + 2 <= whole; b += 2) {
        for (int64_t i = 0; i < count; i += SKV_WINO_ROWS / 2) {
            multiply(SKV_WINO_ROWS / 2, 2, k->ci, v + i * v_row, v_row, u + b * u_block, u_block,
                     m + i * m_row + b * SKV_WINO_LANES, m_row);
        }
    }
    for (int64_t i = 0; b < whole && i < count; i += SKV_WINO_ROWS) {
        multiply(SKV_WINO_ROWS, 1, k->ci, v + i * v_row, v_row, u + b * u_block, u_block,
                 m + i * m_row + b * SKV_WINO_LANES, m_row);
    }
    if (few) multiply_few(k, count, v, u + whole * u_block, m + whole * SKV_WINO_LANES);
}

SKV_INLINE void write_unit(int t, const skv_wino *k, const float *m, const float *bias, int64_t first, int64_t count,
                           float *y) {
    const int64_t channels = k->co_b * SKV_WINO_LANES, plane = k->oh * k->ow * SKV_WINO_LANES;
    skv_wino_tile at = skv_wino_tile_at(k, first);
    for (int64_t i = 0; i < count; i++, skv_wino_tile_next(k, &at)) {
        const int64_t y0 = 2 * at.row, x0 = 2 * at.column;
        for (int64_t b = 0; b < k->co_b; b++) {
            const float *from = m + i * channels + b * SKV_WINO_LANES;
            float *to = y + (at.n * k->co_b + b) * plane + (y0 * k->ow + x0) * SKV_WINO_LANES;
            __m512 half[2 * SKV_WINO_SIDE], out[4];
            SKV_UNROLL
            for (int q = 0; q < t; q++) {
                __m512 column[SKV_WINO_SIDE] = {_mm512_setzero_ps()};
                SKV_UNROLL
                for (int p = 0; p < t; p++) column[p] = _mm512_loadu_ps(from + (p * t + q) * k->m_step);
                skv_wino_made(t, column, 1, half + q, t);
            }
            const int64_t left = k->co - b * SKV_WINO_LANES;
            const __mmask16 lanes = first_lanes(left);
            const __m512 shift = bias ? _mm512_maskz_loadu_ps(lanes, bias + b * SKV_WINO_LANES) : _mm512_setzero_ps();
            SKV_UNROLL
            for (int p = 0; p < 2; p++) skv_wino_made(t, half + p * t, 1, out + 2 * p, 1);
            SKV_UNROLL
            for (int p = 0; p < 4; p++) {
                __m512 v = skv_plus(out[p], shift);
                if (k->relu) v = _mm512_max_ps(_mm512_setzero_ps(), v); /* NaN stays: the second operand is given */
                if (y0 + p / 2 < k->oh && x0 + p % 2 < k->ow)
                    _mm512_storeu_ps(to + (p / 2 * k->ow + p % 2) * SKV_WINO_LANES, v);
            }
        }
    }
}

SKV_INLINE void transform_windows(int r, const skv_wino *k, const float *w, float *u) {
    const int64_t windows = k->co_b * k->ci;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < windows; i++) transform_window(r, k, w, i / k->ci, i % k->ci, u);
}

SKV_INLINE void multiply_points(const skv_wino *k, int64_t count, const float *v, const float *u, float *m) {
    for (int64_t p = 0; p < k->points; p++) {
        multiply_point(k, count, v + p * k->v_step, u + p * k->co_b * k->ci * SKV_WINO_LANES, m + p * k->m_step);
    }
}

SKV_INLINE void work(int r, const skv_wino *k, const skv_kernel_call *c, const float *bias) {
    const int t = r + 1, threads = k->threads;
    const int64_t units = (k->tiles + k->unit - 1) / k->unit;
    const float *x = c->in[0], *w = c->in[1];
    float *y = c->out[0];
    char *space = c->scratch;
    float *u = (float *)(void *)(space + k->u_at);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        transform_windows(r, k, w, u);
#pragma omp for schedule(static)
        for (int part = 0; part < threads; part++) {
            char *own = space + k->thread_at + (size_t)part * k->thread_bytes;
            float *v = (float *)(void *)own, *m = (float *)(void *)(own + k->m_at);
            for (int64_t j = units * part / threads; j < units * (part + 1) / threads; j++) {
                const int64_t first = j * k->unit, left = k->tiles - first, count = left < k->unit ? left : k->unit;
                skv_wino_read_unit(t, k, x, first, count, v);
                multiply_points(k, count, v, u, m);
                write_unit(t, k, m, bias, first, count, y);
            }
        }
    }
}

/* ---- the transposed algorithm, 5x5 ---- */

static void spread_read(const skv_wino *k, const float *dy, int64_t first, int64_t count, float *v) {
    enum { T = 6 };
    const int64_t channels = k->ci_b * SKV_WINO_LANES, plane = k->oh * k->ow * SKV_WINO_LANES;
    const __m512 none = _mm512_setzero_ps();
    skv_wino_tile at = skv_wino_tile_at(k, first);
    for (int64_t i = 0; i < count; i++, skv_wino_tile_next(k, &at)) {
        const int64_t y0 = 2 * at.row, x0 = 2 * at.column;
        const bool below = y0 + 1 < k->oh, right = x0 + 1 < k->ow;
        for (int64_t b = 0; b < k->ci_b; b++) {
            const float *from = dy + (at.n * k->ci_b + b) * plane + (y0 * k->ow + x0) * SKV_WINO_LANES;
            float *to = v + i * channels + b * SKV_WINO_LANES;
            const __m512 d[4] = {_mm512_loadu_ps(from), right ? _mm512_loadu_ps(from + SKV_WINO_LANES) : none,
                                 below ? _mm512_loadu_ps(from + k->ow * SKV_WINO_LANES) : none,
                                 below && right ? _mm512_loadu_ps(from + (k->ow + 1) * SKV_WINO_LANES) : none};
            __m512 half[2 * T], row[T];
            SKV_UNROLL
            for (int q = 0; q < 2; q++) skv_wino_spread_read(d + q, 2, half + q, 2); /* [t][2] */
            SKV_UNROLL
            for (int p = 0; p < T; p++) {
                skv_wino_spread_read(half + 2 * p, 1, row, 1);
                SKV_UNROLL
                for (int q = 0; q < T; q++) _mm512_storeu_ps(to + (p * T + q) * k->v_step, row[q]);
            }
        }
    }
    const int64_t full = (count + SKV_WINO_ROWS - 1) / SKV_WINO_ROWS * SKV_WINO_ROWS;
    for (int p = 0; full > count && p < T * T; p++) {
        memset(v + p * k->v_step + count * channels, 0, (size_t)((full - count) * channels) * sizeof *v);
    }
}

static void spread_add(const skv_wino *k, const float *m, int64_t first, int64_t count, float *dx) {
    enum { T = 6 };
    const int64_t channels = k->co_b * SKV_WINO_LANES, plane = k->h * k->w * SKV_WINO_LANES;
    skv_wino_tile at = skv_wino_tile_at(k, first);
    for (int64_t i = 0; i < count; i++, skv_wino_tile_next(k, &at)) {
        const int64_t y0 = 2 * at.row - k->top, x0 = 2 * at.column - k->left;
        const bool inside = y0 >= 0 && x0 >= 0 && y0 + T <= k->h && x0 + T <= k->w;
        for (int64_t b = 0; b < k->co_b; b++) {
            const float *from = m + i * channels + b * SKV_WINO_LANES;
            float *to = dx + (at.n * k->co_b + b) * plane + (y0 * k->w + x0) * SKV_WINO_LANES;
            __m512 s[T * T];
            SKV_UNROLL
            for (int p = 0; p < T * T; p++) s[p] = _mm512_loadu_ps(from + p * k->m_step);
            SKV_UNROLL
            for (int q = 0; q < T; q++) skv_wino_spread_made(s + q, T, s + q);
            SKV_UNROLL
            for (int p = 0; p < T; p++) {
                skv_wino_spread_made(s + p * T, 1, s + p * T);
                SKV_UNROLL
                for (int q = 0; q < T; q++) {
                    float *place = to + (p * k->w + q) * SKV_WINO_LANES;
                    if (inside || (y0 + p >= 0 && y0 + p < k->h && x0 + q >= 0 && x0 + q < k->w))
                        _mm512_storeu_ps(place, skv_plus(_mm512_loadu_ps(place), s[p * T + q]));
                }
            }
        }
    }
}

/* Tiles overlap within a sample, so each thread has samples of its own. */
static void work_spread(const skv_wino *k, const skv_kernel_call *c) {
    const int threads = k->threads;
    const int64_t each = k->rows * k->columns, sample = k->co_b * SKV_WINO_LANES * k->h * k->w;
    const float *dy = c->in[0], *w = c->in[1];
    float *dx = c->out[0];
    char *space = c->scratch;
    float *u = (float *)(void *)(space + k->u_at);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        transform_windows(5, k, w, u);
#pragma omp for schedule(static)
        for (int part = 0; part < threads; part++) {
            char *own = space + k->thread_at + (size_t)part * k->thread_bytes;
            float *v = (float *)(void *)own, *m = (float *)(void *)(own + k->m_at);
            const int64_t begin = k->n * part / threads, end = k->n * (part + 1) / threads;
            if (end > begin) memset(dx + begin * sample, 0, (size_t)((end - begin) * sample) * sizeof *dx);
            for (int64_t first = begin * each; first < end * each; first += k->unit) {
                const int64_t left = end * each - first, count = left < k->unit ? left : k->unit;
                spread_read(k, dy, first, count, v);
                multiply_points(k, count, v, u, m);
                spread_add(k, m, first, count, dx);
            }
        }
    }
}

static void work3(const skv_wino *k, const skv_kernel_call *c, const float *bias) { work(3, k, c, bias); }
static void work5(const skv_wino *k, const skv_kernel_call *c, const float *bias) { work(5, k, c, bias); }

static skive_status run(const skv_kernel_call *c) {
    const skv_wino *k = c->n->state;
    const float *bias = !by_input(c->n) && c->n->n_in > 2 ? c->in[2] : NULL;
    if (k->spread)
        work_spread(k, c);
    else if (k->r == 3)
        work3(k, c, bias);
    else
        work5(k, c, bias);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_CONV, SKV_OP_FUSED_CONV, SKV_OP_CONV_GRAD_INPUT, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_winograd_f32_avx512 = {
    .name = "conv_winograd_f32_avx512",
    .brief = "3x3 and 5x5 convolution in training and its gradient by input, F(2x2)",
    .ops = ops,
    .isa = SKV_ISA_AVX512,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
