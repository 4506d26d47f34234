/* QConv with one input and one output channel a group by vpdpbusd, which multiplies four bytes by four weights. Four
 * rows of the input are interleaved, so that the bytes of a channel in a column stand together: a column of the window
 * is one product, which serves every output position that the column is under, and, where lines are not skipped, two
 * output lines, the weights standing one row lower for the second. Blocks of 64 or 32 channels; values as [n][h][w][c].
 */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/int8.h"
#include "kernels/unroll.h"

enum {
    LINES = 2, /* output lines at once */
    QUADS = 4, /* groups of four rows, at most */
    LEAST_CHANNELS = 16,
    WIDE = 64,
    NARROW = 32,
    COLUMN_BYTES = 1 << 15, /* of interleaved columns: they stay in the first-level cache */
    LEAST_POSITIONS = 16,
};

typedef struct depthwise_end {
    float lo, hi;
    int32_t zero;
} depthwise_end;

/* One or two output lines of an image. */
typedef struct depthwise_band {
    const uint8_t *rows[4 * QUADS]; /* the input's, [width][channels]; NULL: padding, or no row */
    uint8_t *y[LINES];
    int lines, quads, low[LINES], high[LINES]; /* low, high: the quads in which a line has weights */
    int64_t width, stride, pad;
    size_t channels, taps, dilation; /* taps: columns of the window */
    uint8_t zero;
    depthwise_end end;
} depthwise_band;

#define WIDTH                WIDE
#define NAME(x)              x##_64
#define VECTOR               __m512i
#define FLOATS               __m512
#define MASK                 __mmask64
#define LOAD_BYTES(m, p)     _mm512_maskz_loadu_epi8(m, p)
#define STORE_BYTES(p, m, v) _mm512_mask_storeu_epi8(p, m, v)
#define OP(name)             _mm512_##name
#define SI(name)             _mm512_##name##_si512
#include "kernels/int8/depthwise_block.h"
#undef WIDTH
#undef NAME
#undef VECTOR
#undef FLOATS
#undef MASK
#undef LOAD_BYTES
#undef STORE_BYTES
#undef OP
#undef SI

#define WIDTH                NARROW
#define NAME(x)              x##_32
#define VECTOR               __m256i
#define FLOATS               __m256
#define MASK                 __mmask32
#define LOAD_BYTES(m, p)     _mm256_maskz_loadu_epi8(m, p)
#define STORE_BYTES(p, m, v) _mm256_mask_storeu_epi8(p, m, v)
#define OP(name)             _mm256_##name
#define SI(name)             _mm256_##name##_si256
#include "kernels/int8/depthwise_block.h"

typedef struct depthwise_state {
    skv_conv_shape s;
    depthwise_band band;      /* what is the same for all bands */
    int64_t lines, positions; /* output lines of a band; positions at once */
    size_t blocks, last;      /* wide blocks, and the width of another one behind them, or 0 */
    size_t wide_weights;      /* bytes of a wide block's */
    size_t thread_bytes;
    uint8_t *w;        /* [block][line][quad][tap][4][block's width] */
    int32_t *init;     /* [channels, in whole blocks]: bias - x_zero_point * sum of the weights, ordered as sums are */
    float *multiplier; /* likewise */
} depthwise_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    if (x->rank != 4) return skv_decline(why, "rank %d", x->rank);
    if (skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "the output is empty");
    const int64_t groups = skv_attr_int(n->node, "group", 1);
    if (groups != x->dims[1].size || groups != w->dims[0].size) return skv_decline(why, "not depthwise");
    if (groups < LEAST_CHANNELS) return skv_decline(why, "few channels");
    if (w->dims[2].size < 2 || w->dims[2].size > 4 * QUADS - 1)
        return skv_decline(why, "a window of %lld lines", (long long)w->dims[2].size);
    if (strcmp(skv_attr_string(n->node, "y_dtype", "u8"), "float") == 0) return skv_decline(why, "floats as output");
    return skv_q8_constant_weights(n, why);
}

/* The channel within a block that stands at `lane` (of 32 bits) of vector v. */
static size_t channel_at(int v, size_t lane) { return lane / 4 * 16 + (size_t)v * 4 + lane % 4; }

static void pack_block(depthwise_state *d, size_t first, size_t width, const int8_t *w, const int32_t *bias,
                       const double *multiplier, uint8_t *to) {
    const skv_geometry *g = &d->s.g;
    const int64_t high = g->kernel[1], across = g->kernel[2];
    for (int64_t line = 0; line < d->lines; line++) {
        for (int q = 0; q < d->band.quads; q++) {
            for (int64_t k = 0; k < across; k++) {
                for (int v = 0; v < 4; v++) {
                    for (size_t lane = 0; lane < width / 4; lane++) {
                        const size_t c = first + channel_at(v, lane);
                        for (int slot = 0; slot < 4; slot++) {
                            const int64_t row = 4 * q + slot - line;
                            const bool is = c < d->band.channels && row >= 0 && row < high;
                            *to++ = is ? (uint8_t)w[((int64_t)c * high + row) * across + k] : 0;
                        }
                    }
                }
            }
        }
    }
    for (int v = 0; v < 4; v++) {
        for (size_t lane = 0; lane < width / 4; lane++) {
            const size_t c = first + channel_at(v, lane), at = first + (size_t)v * (width / 4) + lane;
            int32_t sum = 0;
            if (c >= d->band.channels) continue;
            for (int64_t t = 0; t < high * across; t++) sum += w[(int64_t)c * high * across + t];
            /* Wraps where the true sum would not: see int8.h. */
            d->init[at] = (int32_t)((uint32_t)(bias ? bias[c] : 0) - (uint32_t)d->band.zero * (uint32_t)sum);
            d->multiplier[at] = (float)multiplier[c];
        }
    }
}

static void choose_sizes(depthwise_state *d) {
    const skv_geometry *g = &d->s.g;
    depthwise_band *b = &d->band;
    d->lines = g->stride[1] == 1 && g->dilation[1] == 1 && g->out[1] > 1 ? LINES : 1;
    b->quads = (int)((g->kernel[1] + d->lines - 1 + 3) / 4);
    b->width = g->in[2];
    b->stride = g->stride[2];
    b->pad = g->pad_lo[2];
    b->channels = (size_t)d->s.c;
    b->taps = (size_t)g->kernel[2];
    b->dilation = (size_t)g->dilation[2];
    for (int l = 0; l < d->lines; l++) {
        b->low[l] = l / 4;
        b->high[l] = (int)((g->kernel[1] + l + 3) / 4);
    }
    d->blocks = b->channels / WIDE;
    d->last = b->channels % WIDE > NARROW ? WIDE : b->channels % WIDE > 0 ? NARROW : 0;
    const int64_t column = (int64_t)b->quads * 4 * WIDE, reach = (int64_t)((b->taps - 1) * b->dilation);
    d->positions = (COLUMN_BYTES / column - reach) / b->stride;
    if (d->positions < LEAST_POSITIONS) d->positions = LEAST_POSITIONS;
    if (d->positions > g->out[2]) d->positions = g->out[2];
    d->thread_bytes = (size_t)(((d->positions - 1) * b->stride + reach + 1) * column);
    d->wide_weights = (size_t)d->lines * (size_t)b->quads * b->taps * 4 * WIDE;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    depthwise_state *d = state;
    int32_t zero;
    skv_q_scaling scaling;
    size_t scratch;
    const skive_tensor *bias_given = skv_q8_bias(n);
    const int8_t *w = n->in[1].constant->data;
    const int32_t *bias = bias_given ? bias_given->data : NULL;
    SKV_TRY(skv_q8_conv_shape(n, &d->s));
    SKV_TRY(skv_q_zero_point(n->ctx, n->node, "x_zero_point", &zero));
    SKV_TRY(skv_q_scaling_read(n->ctx, n->node, d->s.m, true, &scaling));
    SKV_TRY(skv_q_check_sums(n->ctx, n->node, zero, w, d->s.m, skv_volume(d->s.g.kernel), bias));
    const skv_requant *r = &scaling.r;
    d->band.zero = (uint8_t)zero;
    d->band.end = (depthwise_end){(float)(r->clamp_lo - r->y_zero_point), (float)(r->clamp_hi - r->y_zero_point),
                                  r->y_zero_point};
    choose_sizes(d);
    const size_t channels = d->blocks * WIDE + d->last,
                 bytes = d->blocks * d->wide_weights + d->wide_weights / WIDE * d->last;
    n->state_bytes = bytes + channels * (sizeof *d->init + sizeof *d->multiplier);
    SKV_TRY(skv_arena_alloc(n->weights, bytes, &d->w));
    SKV_TRY(skv_arena_alloc(n->weights, channels * sizeof *d->init, &d->init));
    SKV_TRY(skv_arena_alloc(n->weights, channels * sizeof *d->multiplier, &d->multiplier));
    memset(d->init, 0, channels * sizeof *d->init);
    memset(d->multiplier, 0, channels * sizeof *d->multiplier);
    for (size_t i = 0; i < d->blocks; i++)
        pack_block(d, i * WIDE, WIDE, w, bias, scaling.multiplier, d->w + i * d->wide_weights);
    if (d->last)
        pack_block(d, d->blocks * WIDE, d->last, w, bias, scaling.multiplier, d->w + d->blocks * d->wide_weights);
    n->packs_input[1] = n->packs_input[2] = true;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    return skv_scratch_add(n, d->thread_bytes * (size_t)n->threads, &scratch);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) {
    return skv_kernel_prepare(n, sizeof(depthwise_state), set_up, destroy);
}

/* Output lines [oh, oh + lines) of an image. */
static depthwise_band band_at(const depthwise_state *d, const uint8_t *x, uint8_t *y, int64_t oh) {
    const skv_geometry *g = &d->s.g;
    depthwise_band b = d->band;
    const int64_t rows = g->kernel[1] + d->lines - 1;
    b.lines = (int)(g->out[1] - oh < d->lines ? g->out[1] - oh : d->lines);
    for (int64_t r = 0; r < 4 * b.quads; r++) {
        const int64_t ih = oh * g->stride[1] - g->pad_lo[1] + r * g->dilation[1];
        b.rows[r] = r < rows && ih >= 0 && ih < g->in[1] ? x + (size_t)ih * (size_t)g->in[2] * b.channels : NULL;
    }
    for (int l = 0; l < b.lines; l++) b.y[l] = y + (size_t)(oh + l) * (size_t)g->out[2] * b.channels;
    return b;
}

static skive_status run(const skv_kernel_call *c) {
    const depthwise_state *d = c->n->state;
    const skv_geometry *g = &d->s.g;
    const int64_t bands = (g->out[1] + d->lines - 1) / d->lines, n = d->s.n * bands;
    const size_t channels = d->band.channels;
    const int threads = c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < n; i++) {
        uint8_t *columns = (uint8_t *)c->scratch + (size_t)skv_thread_number() * d->thread_bytes;
        const size_t image = (size_t)(i / bands);
        const depthwise_band b =
            band_at(d, (const uint8_t *)c->in[0] + image * (size_t)skv_volume(g->in) * channels,
                    (uint8_t *)c->out[0] + image * (size_t)skv_volume(g->out) * channels, i % bands * d->lines);
        for (int64_t first = 0; first < g->out[2]; first += d->positions) {
            const int64_t count = g->out[2] - first < d->positions ? g->out[2] - first : d->positions;
            size_t block = 0;
            for (; block < d->blocks + (d->last == WIDE); block++)
                block_64(&b, first, count, block * WIDE, d->w + block * d->wide_weights, d->init + block * WIDE,
                         d->multiplier + block * WIDE, columns);
            if (d->last == NARROW)
                block_32(&b, first, count, block * WIDE, d->w + block * d->wide_weights, d->init + block * WIDE,
                         d->multiplier + block * WIDE, columns);
        }
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_depthwise_vnni = {
    .name = "qconv_depthwise_u8s8_vnni",
    .brief = "depthwise integer convolution by vpdpbusd, four rows of the input at a time",
    .ops = ops,
    .isa = SKV_ISA_AVX512_VNNI,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
#endif
