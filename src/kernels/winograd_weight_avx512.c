/* Winograd's gradient of a convolution by weight and bias. Each thread sums its units' products [point][ci][co]; the
 * sums are added in the order of the threads and transformed once. */
#include <string.h>

#include "kernels/winograd_avx512.h"

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    if (n->in[0].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (!skv_wino_shape(n, &n->in[1].type, &n->in[2].type, &s, why)) return false;
    return skv_wino_suits(n, &s, why);
}

static skive_status prepare(skv_kernel_node *n) {
    skv_conv_shape s;
    skv_why why;
    skv_wino *k = NULL;
    if (!skv_wino_shape(n, &n->in[1].type, &n->in[2].type, &s, &why)) return SKIVE_ERR_INTERNAL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *k, &k));
    n->state = k;
    skv_wino_plan(&s, false, n->threads, k);
    const int64_t made = k->co_b * SKV_WINO_LANES;
    k->u_floats = k->points * k->ci_b * SKV_WINO_LANES * made;
    /* A thread's part: transformed x and dy, its sums, its sums of dy in double. */
    k->m_at = skv_align_up((size_t)(k->v_step * k->points) * sizeof(float), 64);
    k->u_at = skv_align_up(k->m_at + (size_t)(k->m_step * k->points) * sizeof(float), 64);
    k->thread_bytes = skv_align_up(k->u_at + (size_t)k->u_floats * sizeof(float) + (size_t)made * sizeof(double), 64);
    k->thread_at = skv_align_up(n->scratch_bytes, 64);
    n->in[0].layout = n->in[1].layout = SKV_C16;
    n->out[0].layout = SKV_PLAIN;
    n->skips_input_data[2] = true;
    if (!skv_add_size(k->thread_at, k->thread_bytes * (size_t)k->threads, &n->scratch_bytes))
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "its scratch memory does not fit");
    return SKIVE_OK;
}

/* Tiles of dy, transformed into m [point][unit][co_b * 16]; their sums are added to `total` [co_b * 16]. */
SKV_INLINE void read_gradient(int t, const skv_wino *k, const float *dy, int64_t first, int64_t count, float *m,
                              double *total) {
    const int64_t channels = k->co_b * SKV_WINO_LANES, plane = k->oh * k->ow * SKV_WINO_LANES;
    for (int64_t b = 0; b < k->co_b; b++) {
        skv_wino_tile at = skv_wino_tile_at(k, first);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i < count; i++, skv_wino_tile_next(k, &at)) {
            const int64_t y0 = 2 * at.row, x0 = 2 * at.column;
            const float *from = dy + (at.n * k->co_b + b) * plane + (y0 * k->ow + x0) * SKV_WINO_LANES;
            float *to = m + i * channels + b * SKV_WINO_LANES;
            const bool below = y0 + 1 < k->oh, right = x0 + 1 < k->ow;
            const __m512 none = _mm512_setzero_ps();
            const __m512 d[4] = {_mm512_loadu_ps(from), right ? _mm512_loadu_ps(from + SKV_WINO_LANES) : none,
                                 below ? _mm512_loadu_ps(from + k->ow * SKV_WINO_LANES) : none,
                                 below && right ? _mm512_loadu_ps(from + (k->ow + 1) * SKV_WINO_LANES) : none};
            __m512 half[2 * SKV_WINO_SIDE];
            sum = skv_plus(sum, skv_plus(skv_plus(d[0], d[1]), skv_plus(d[2], d[3])));
            SKV_UNROLL
            for (int q = 0; q < 2; q++) skv_wino_gradient(t, d + q, 2, half + q, 2); /* [t][2] */
            SKV_UNROLL
            for (int p = 0; p < t; p++) {
                __m512 row[SKV_WINO_SIDE] = {_mm512_setzero_ps()};
                skv_wino_gradient(t, half + 2 * p, 1, row, 1);
                SKV_UNROLL
                for (int q = 0; q < t; q++) _mm512_storeu_ps(to + (p * t + q) * k->m_step, row[q]);
            }
        }
        float lanes[SKV_WINO_LANES];
        _mm512_storeu_ps(lanes, sum);
        for (int i = 0; i < SKV_WINO_LANES; i++) total[b * SKV_WINO_LANES + i] += (double)lanes[i];
    }
}

/* u[row][16 blocks] += sum over tiles of v[tile][row] m[tile][16 blocks], for `rows` read channels. */
SKV_INLINE void multiply(int rows, int blocks, int64_t count, const float *v, int64_t v_row, const float *m,
                         int64_t m_row, float *u) {
    __m512 acc[20];
    SKV_UNROLL
    for (int i = 0; i < rows; i++) {
        SKV_UNROLL
        for (int b = 0; b < blocks; b++) acc[i * blocks + b] = _mm512_loadu_ps(u + i * m_row + b * SKV_WINO_LANES);
    }
    for (int64_t j = 0; j < count; j++) {
        __m512 g[2];
        SKV_UNROLL
        for (int b = 0; b < blocks; b++) g[b] = _mm512_loadu_ps(m + j * m_row + b * SKV_WINO_LANES);
        SKV_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m512 x = _mm512_set1_ps(v[j * v_row + i]);
            SKV_UNROLL
            for (int b = 0; b < blocks; b++) acc[i * blocks + b] = _mm512_fmadd_ps(x, g[b], acc[i * blocks + b]);
        }
    }
    SKV_UNROLL
    for (int i = 0; i < rows; i++) {
        SKV_UNROLL
        for (int b = 0; b < blocks; b++) _mm512_storeu_ps(u + i * m_row + b * SKV_WINO_LANES, acc[i * blocks + b]);
    }
}

/* Made channels in the last block when they are so few that lanes of read channels are the better ones; 0: they are
 * not. */
static int few_last(const skv_wino *k) {
    const int64_t last = k->co - (k->co_b - 1) * SKV_WINO_LANES;
    return k->co_b > 1 && last <= 2 ? (int)last : 0;
}

/* The last block of sums turned round: u[made][16 read] += sum over tiles of m[tile][made] v[tile][16 read]. */
SKV_INLINE void multiply_few(int made, int blocks, int64_t count, const float *v, int64_t v_row, const float *m,
                             int64_t m_row, float *u) {
    __m512 acc[4];
    const int64_t next = SKV_WINO_LANES * m_row;
    SKV_UNROLL
    for (int i = 0; i < made * blocks; i++) acc[i] = _mm512_loadu_ps(u + i / blocks * m_row + i % blocks * next);
    for (int64_t j = 0; j < count; j++) {
        SKV_UNROLL
        for (int i = 0; i < made * blocks; i++) {
            const __m512 x = _mm512_loadu_ps(v + j * v_row + i % blocks * SKV_WINO_LANES);
            acc[i] = _mm512_fmadd_ps(x, _mm512_set1_ps(m[j * m_row + i / blocks]), acc[i]);
        }
    }
    SKV_UNROLL
    for (int i = 0; i < made * blocks; i++) _mm512_storeu_ps(u + i / blocks * m_row + i % blocks * next, acc[i]);
}

static void multiply_last(const skv_wino *k, int made, int64_t count, const float *v, const float *m, float *u) {
    const int64_t v_row = k->ci_b * SKV_WINO_LANES, m_row = k->co_b * SKV_WINO_LANES;
    int64_t b = 0;
    for (; b + 2 <= k->ci_b; b += 2) {
        const int64_t c = b * SKV_WINO_LANES;
        if (made == 1)
            multiply_few(1, 2, count, v + c, v_row, m, m_row, u + c * m_row);
        else
            multiply_few(2, 2, count, v + c, v_row, m, m_row, u + c * m_row);
    }
    if (b < k->ci_b) {
        const int64_t c = b * SKV_WINO_LANES;
        if (made == 1)
            multiply_few(1, 1, count, v + c, v_row, m, m_row, u + c * m_row);
        else
            multiply_few(2, 1, count, v + c, v_row, m, m_row, u + c * m_row);
    }
}

static int64_t up_to(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Ten or twenty rows at once where they leave fewer of the padding's than eight or sixteen; both fit the registers. */
static void multiply_point(const skv_wino *k, int64_t count, const float *v, const float *m, float *u) {
    const int64_t v_row = k->ci_b * SKV_WINO_LANES, m_row = k->co_b * SKV_WINO_LANES;
    const int last = few_last(k);
    const int64_t whole = last ? k->co_b - 1 : k->co_b;
    const bool by_ten = up_to(k->ci, 10) < up_to(k->ci, 8), by_twenty = up_to(k->ci, 20) < up_to(k->ci, 16);
    int64_t b = 0;
    for (; b + 2 <= whole; b += 2) {
        const float *g = m + b * SKV_WINO_LANES;
        float *to = u + b * SKV_WINO_LANES;
        for (int64_t c = 0; by_ten && c < k->ci; c += 10)
            multiply(10, 2, count, v + c, v_row, g, m_row, to + c * m_row);
        for (int64_t c = 0; !by_ten && c < k->ci; c += 8) multiply(8, 2, count, v + c, v_row, g, m_row, to + c * m_row);
    }
    if (b < whole) {
        const float *g = m + b * SKV_WINO_LANES;
        float *to = u + b * SKV_WINO_LANES;
        for (int64_t c = 0; by_twenty && c < k->ci; c += 20)
            multiply(20, 1, count, v + c, v_row, g, m_row, to + c * m_row);
        for (int64_t c = 0; !by_twenty && c < k->ci; c += 16)
            multiply(16, 1, count, v + c, v_row, g, m_row, to + c * m_row);
    }
    if (last) multiply_last(k, last, count, v, m + whole * SKV_WINO_LANES, u + whole * SKV_WINO_LANES);
}

/* A point's sums of 16 made channels, of which the last block may lie turned round. */
SKV_INLINE __m512 sums_of(const skv_wino *k, const float *u, int64_t block, int64_t in) {
    const int64_t made = k->co_b * SKV_WINO_LANES, inside = in % SKV_WINO_LANES;
    const int few = block == k->co_b - 1 ? few_last(k) : 0;
    const float *at = u + block * SKV_WINO_LANES;
    if (!few) return _mm512_loadu_ps(at + in * made);
    float one[SKV_WINO_LANES] = {0};
    for (int c = 0; c < few; c++) one[c] = at[(in - inside + c) * made + inside];
    return _mm512_loadu_ps(one);
}

/* The gradient of the windows from one read channel to 16 made ones. */
SKV_INLINE void finish_window(int r, const skv_wino *k, const char *parts, int64_t block, int64_t in, float *dw) {
    const int t = r + 1;
    const int64_t made = k->co_b * SKV_WINO_LANES, left = k->co - block * SKV_WINO_LANES;
    const int64_t lanes = left < SKV_WINO_LANES ? left : SKV_WINO_LANES;
    const int64_t point = k->ci_b * SKV_WINO_LANES * made;
    __m512 sum[SKV_WINO_POINTS], half[SKV_WINO_POINTS], full[25];
    for (int p = 0; p < t * t; p++) sum[p] = _mm512_setzero_ps();
    for (int part = 0; part < k->threads; part++) {
        const float *u = (const float *)(const void *)(parts + (size_t)part * k->thread_bytes + k->u_at);
        for (int p = 0; p < t * t; p++) sum[p] = skv_plus(sum[p], sums_of(k, u + p * point, block, in));
    }
    SKV_UNROLL
    for (int q = 0; q < t; q++) skv_wino_weight(t, sum + q, t, half + q, t); /* [r][t] */
    SKV_UNROLL
    for (int p = 0; p < r; p++) skv_wino_weight(t, half + p * t, 1, full + p * r, 1);
    for (int i = 0; i < r * r; i++) {
        float one[SKV_WINO_LANES];
        _mm512_storeu_ps(one, full[i]);
        for (int64_t c = 0; c < lanes; c++) dw[(block * SKV_WINO_LANES + c) * k->w_out + in * k->w_in + i] = one[c];
    }
}

static double *bias_sums(const skv_wino *k, char *part) {
    return (double *)(void *)(part + k->u_at + (size_t)k->u_floats * sizeof(float));
}

SKV_INLINE void work(int r, const skv_wino *k, const skv_kernel_call *c) {
    const int t = r + 1, threads = k->threads;
    const int64_t units = (k->tiles + k->unit - 1) / k->unit, windows = k->co_b * k->ci;
    const int64_t made = k->co_b * SKV_WINO_LANES, point = k->ci_b * SKV_WINO_LANES * made;
    const float *dy = c->in[0], *x = c->in[1];
    float *dw = c->out[0];
    char *parts = (char *)c->scratch + k->thread_at;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
        for (int part = 0; part < threads; part++) {
            char *own = parts + (size_t)part * k->thread_bytes;
            float *v = (float *)(void *)own, *m = (float *)(void *)(own + k->m_at),
                  *u = (float *)(void *)(own + k->u_at);
            memset(u, 0, (size_t)k->u_floats * sizeof(float) + (size_t)made * sizeof(double));
            for (int64_t j = units * part / threads; j < units * (part + 1) / threads; j++) {
                const int64_t first = j * k->unit, left = k->tiles - first, count = left < k->unit ? left : k->unit;
                skv_wino_read_unit(t, k, x, first, count, v);
                read_gradient(t, k, dy, first, count, m, bias_sums(k, own));
                for (int64_t p = 0; p < t * t; p++) {
                    multiply_point(k, count, v + p * k->v_step, m + p * k->m_step, u + p * point);
                }
            }
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < windows; i++) finish_window(r, k, parts, i / k->ci, i % k->ci, dw);
    }
}

static void work3(const skv_wino *k, const skv_kernel_call *c) { work(3, k, c); }
static void work5(const skv_wino *k, const skv_kernel_call *c) { work(5, k, c); }

static skive_status run(const skv_kernel_call *c) {
    const skv_wino *k = c->n->state;
    float *db = c->n->n_out > 1 ? c->out[1] : NULL;
    char *parts = (char *)c->scratch + k->thread_at;
    if (k->r == 3)
        work3(k, c);
    else
        work5(k, c);
    for (int64_t i = 0; db && i < k->co; i++) {
        double sum = 0;
        for (int part = 0; part < k->threads; part++) sum += bias_sums(k, parts + (size_t)part * k->thread_bytes)[i];
        db[i] = (float)sum;
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_CONV_GRAD_WEIGHT, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_winograd_weight_f32_avx512 = {
    .name = "conv_winograd_weight_f32_avx512",
    .brief = "gradient of 3x3 and 5x5 convolution by weight and bias, F(r x r, 2x2)",
    .ops = ops,
    .isa = SKV_ISA_AVX512,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
