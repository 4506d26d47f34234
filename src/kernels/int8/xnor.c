/* QConv and QGemm of signs: weights of one bit, and an input that holds 0 and 2 around the zero point 1, which is how a
 * file writes signs. The input is packed into words, one pixel after another; results are those of the integer
 * definition. */
#include "kernels/int8/xnor.h"

#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/dense.h"
#include "kernels/int8/few.h"

enum { MOST_TAPS = 256 };

typedef struct xnor_state {
    const skv_xnor_loops *loops;
    const skv_q8_loops *ends;
    skv_conv_shape s;
    skv_requant r;
    size_t taps, words, panels, item;
    int64_t pixels, positions; /* of all images, in and out */
    int32_t factor;
    size_t packed_bytes;
    uint64_t *b;              /* [panels][taps][words][SKV_XNOR_COLUMNS] */
    int32_t *start, *outside; /* [m]: the sum if no bit is set; [taps][m]: what a tap outside adds to it */
    float *multiplier;
    skv_q8_fixed fixed;
    int32_t *q31, *shift; /* [m], in fixed point */
} xnor_state;

static bool is_scalar(const skive_value *v, double x) {
    const skive_tensor *t = v ? skv_value_tensor(v) : NULL;
    return t && skive_tensor_count(t) == 1 && skive_tensor_get(t, 0) == x;
}

/* Does the value hold nothing but 0 and 2? Followed through nodes that only move or choose elements. */
static bool holds_signs(const skive_value *v) {
    for (int depth = 0; v && v->producer && depth < 8; depth++) {
        const skive_node *n = v->producer;
        if (skv_node_is(n, SKV_OP_SIGNS)) return true;
        if (skv_node_is(n, SKV_OP_WHERE))
            return (is_scalar(skv_node_in(n, 1), 2) && is_scalar(skv_node_in(n, 2), 0)) ||
                   (is_scalar(skv_node_in(n, 1), 0) && is_scalar(skv_node_in(n, 2), 2));
        if (!skv_node_reshapes(n) && !SKV_NODE_IS_ANY(n, SKV_OP_MAX_POOL, SKV_OP_TRANSPOSE)) return false;
        v = n->inputs[0];
    }
    return false;
}

static int64_t taps_of(const skv_kernel_node *n) {
    const skive_type *w = &n->in[1].type;
    int64_t taps = 1;
    for (int d = 2; d < w->rank; d++) taps = skv_mul_sat(taps, w->dims[d].size);
    return taps;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    int32_t factor;
    if (!holds_signs(n->node->inputs[0])) return skv_decline(why, "the input is not signs");
    if (!skv_q8_dense_applicable(n, why)) return false;
    if (skv_attr_int(n->node, "x_zero_point", 0) != 1) return skv_decline(why, "the input is not signs");
    if (skv_attr_int(n->node, "group", 1) != 1) return skv_decline(why, "groups");
    if (taps_of(n) > MOST_TAPS) return skv_decline(why, "a large window");
    const skive_tensor *w = n->in[1].constant;
    if (skv_q8_few_bits(w->data, (size_t)skive_tensor_count(w), &factor) != 1)
        return skv_decline(why, "weights of more than one bit");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    xnor_state *st = state;
    if (!st) return;
    skv_free(ctx, st->start);
    skv_free(ctx, st->outside);
    skv_free(ctx, st->multiplier);
    skv_free(ctx, st->q31);
    skv_free(ctx, st->shift);
    skv_free(ctx, st);
}

static void pack_weights(const xnor_state *st, const int8_t *w, const int32_t *bias) {
    const size_t c = (size_t)st->s.c, m = (size_t)st->s.m, panel = st->taps * st->words * SKV_XNOR_COLUMNS;
    for (size_t o = 0; o < m; o++) {
        uint64_t *to = st->b + o / SKV_XNOR_COLUMNS * panel + o % SKV_XNOR_COLUMNS;
        for (size_t t = 0; t < st->taps; t++) {
            int32_t sum = 0;
            for (size_t i = 0; i < c; i++) {
                const int32_t v = w[(o * c + i) * st->taps + t];
                sum += v;
                if (v < 0) to[(t * st->words + i / 64) * SKV_XNOR_COLUMNS] |= (uint64_t)1 << (i % 64);
            }
            st->outside[t * m + o] = sum; /* a tap outside is read as ones */
        }
        st->start[o] = (int32_t)((uint32_t)(bias ? bias[o] : 0) +
                                 (uint32_t)st->factor * (uint32_t)(c * st->taps)); /* wraps where the sum may not */
    }
}

static skive_status read_scaling(skv_kernel_node *n, xnor_state *st) {
    skv_q_scaling scaling;
    const size_t m = (size_t)st->s.m;
    SKV_TRY(skv_q_scaling_read(n->ctx, n->node, st->s.m, true, &scaling));
    st->r = scaling.r;
    st->fixed = skv_q8_fixed_of(&scaling);
    st->item = st->r.output == SKV_Q_F32 ? sizeof(float) : 1;
    SKV_TRY(skv_alloc_array(n->ctx, m, sizeof *st->multiplier, &st->multiplier));
    for (size_t i = 0; i < m; i++) st->multiplier[i] = (float)scaling.multiplier[i];
    if (!st->fixed.on) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(n->ctx, m, sizeof *st->q31, &st->q31));
    SKV_TRY(skv_alloc_array(n->ctx, m, sizeof *st->shift, &st->shift));
    for (size_t i = 0; i < m; i++) {
        st->q31[i] = (int32_t)scaling.q31[i];
        st->shift[i] = (int32_t)scaling.shift[i];
    }
    return SKIVE_OK;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    xnor_state *st = state;
    const skive_tensor *w = n->in[1].constant, *bias = skv_q8_bias(n);
    SKV_TRY(skv_q8_dense_shape(n, &st->s));
    (void)skv_q8_few_bits(w->data, (size_t)skive_tensor_count(w), &st->factor);
    st->loops = skv_xnor_loops_of(skv_cpu_isa());
    st->ends = skv_q8_loops_of(skv_cpu_isa());
    st->taps = (size_t)skv_volume(st->s.g.kernel);
    st->words = ((size_t)st->s.c + 63) / 64;
    st->panels = ((size_t)st->s.m + SKV_XNOR_COLUMNS - 1) / SKV_XNOR_COLUMNS;
    st->pixels = st->s.n * skv_volume(st->s.g.in);
    st->positions = st->s.n * skv_volume(st->s.g.out);
    SKV_TRY(
        skv_q_check_sums(n->ctx, n->node, 1, w->data, st->s.m, st->s.c * (int64_t)st->taps, bias ? bias->data : NULL));
    size_t words;
    /* one pixel more, of zeros, for what lies outside */
    if (!skv_mul_size((size_t)st->pixels + 1, st->words * sizeof(uint64_t), &st->packed_bytes) ||
        !skv_mul_size(st->panels * SKV_XNOR_COLUMNS, st->taps * st->words, &words))
        return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "the input or the weights are too large");
    SKV_TRY(skv_arena_array(n->weights, words, sizeof *st->b, &st->b));
    memset(st->b, 0, words * sizeof *st->b);
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)st->s.m, sizeof *st->start, &st->start));
    SKV_TRY(skv_alloc_array(n->ctx, st->taps * (size_t)st->s.m, sizeof *st->outside, &st->outside));
    SKV_TRY(read_scaling(n, st));
    pack_weights(st, w->data, bias ? bias->data : NULL);
    n->scratch_bytes = skv_align_up(st->packed_bytes, 64) +
                       (size_t)n->threads * skv_align_up(st->taps * SKV_XNOR_ROWS * sizeof(void *), 64);
    n->state_bytes = words * sizeof *st->b;
    n->packs_input[1] = n->packs_input[2] = true;
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(xnor_state), set_up, destroy); }

/* Where the taps of an output position lie; NULL: outside. */
static void point(const xnor_state *st, const uint64_t *x, int64_t position, size_t stride, const uint64_t **a) {
    const skv_geometry *g = &st->s.g;
    const int64_t plane = skv_volume(g->out);
    const skv_window at = skv_window_at(g, position % plane);
    const uint64_t *image = x + (size_t)(position / plane * skv_volume(g->in)) * st->words;
    for (int64_t kd = 0; kd < g->kernel[0]; kd++)
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const bool line = kd >= at.lo[0] && kd < at.hi[0] && kh >= at.lo[1] && kh < at.hi[1];
            const int64_t row = line ? skv_window_row(g, &at, kd, kh) : 0;
            for (int64_t kw = 0; kw < g->kernel[2]; kw++, a += stride)
                *a = line && kw >= at.lo[2] && kw < at.hi[2] ? image + (size_t)(row + kw * g->dilation[2]) * st->words
                                                             : NULL;
        }
}

/* From the counts of a row to its results. */
static void finish(const xnor_state *st, const int32_t *count, size_t first, size_t columns, const bool *is_outside,
                   char *y) {
    int32_t sum[SKV_XNOR_COLUMNS];
    for (size_t c = 0; c < columns; c++)
        sum[c] = (int32_t)((uint32_t)st->start[first + c] - 2 * (uint32_t)st->factor * (uint32_t)count[c]);
    for (size_t t = 0; is_outside && t < st->taps; t++) {
        const int32_t *less = st->outside + t * (size_t)st->s.m + first;
        for (size_t c = 0; is_outside[t] && c < columns; c++) sum[c] = (int32_t)((uint32_t)sum[c] - (uint32_t)less[c]);
    }
    if (st->fixed.on)
        st->ends->fixed(sum, st->q31 + first, st->shift + first, 1, (uint8_t *)y, columns, &st->fixed);
    else
        st->ends->requant(sum, st->multiplier + first, 1, y, columns, &st->r);
}

static void run_tile(const xnor_state *st, const uint64_t *x, const uint64_t *nothing, int64_t from, size_t rows,
                     const uint64_t **a, char *y) {
    bool is_outside[SKV_XNOR_ROWS][MOST_TAPS], any[SKV_XNOR_ROWS] = {0};
    int32_t count[SKV_XNOR_ROWS][SKV_XNOR_COLUMNS];
    for (size_t r = 0; r < rows; r++) {
        point(st, x, from + (int64_t)r, rows, a + r);
        for (size_t t = 0; t < st->taps; t++) {
            is_outside[r][t] = !a[t * rows + r];
            any[r] = any[r] || is_outside[r][t];
            if (is_outside[r][t]) a[t * rows + r] = nothing;
        }
    }
    skv_xnor_tile tile = {.rows = rows, .taps = st->taps, .words = st->words, .a = a, .count = count};
    for (size_t panel = 0; panel < st->panels; panel++) {
        const size_t first = panel * SKV_XNOR_COLUMNS, left = (size_t)st->s.m - first;
        tile.b = st->b + panel * st->taps * st->words * SKV_XNOR_COLUMNS;
        st->loops->tile(&tile);
        for (size_t r = 0; r < rows; r++)
            finish(st, count[r], first, left < SKV_XNOR_COLUMNS ? left : SKV_XNOR_COLUMNS,
                   any[r] ? is_outside[r] : NULL,
                   y + ((size_t)(from + (int64_t)r) * (size_t)st->s.m + first) * st->item);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const xnor_state *st = c->n->state;
    const int threads = c->n->threads;
    uint64_t *x = c->scratch;
    char *pointers = (char *)c->scratch + skv_align_up(st->packed_bytes, 64);
    const size_t per_thread = skv_align_up(st->taps * SKV_XNOR_ROWS * sizeof(void *), 64);
    const int64_t tiles = (st->positions + SKV_XNOR_ROWS - 1) / SKV_XNOR_ROWS;
    uint64_t *nothing = x + (size_t)st->pixels * st->words;
    memset(nothing, 0, st->words * sizeof *nothing);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->pixels; i++)
        st->loops->pack((const uint8_t *)c->in[0] + i * st->s.c, (size_t)st->s.c, x + (size_t)i * st->words);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t from = skv_part(st->positions, tiles, i);
        run_tile(st, x, nothing, from, (size_t)(skv_part(st->positions, tiles, i + 1) - from),
                 (const uint64_t **)(void *)(pointers + (size_t)skv_thread_number() * per_thread), c->out[0]);
    }
    return SKIVE_OK;
}

const skv_xnor_loops *skv_xnor_loops_of(skv_isa isa) {
#if defined(__x86_64__)
    if (isa >= SKV_ISA_AVX512_VNNI && __builtin_cpu_supports("avx512vpopcntdq")) return &skv_xnor_loops_vnni;
#endif
    return SKV_AT(isa, AVX512, &skv_xnor_loops_avx512) SKV_AT(isa, AVX2, &skv_xnor_loops_avx2)
        SKV_ELSE(isa, &skv_xnor_loops_scalar);
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_Q_GEMM, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_xnor = {
    .name = "qgemm_xnor",
    .brief = "convolution and product of signs by xor and counts of bits",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
