/* Attention, f32, without past: head by head, the keys are transposed once; then, STRIP queries at a time, their
 * scores, the softmax and the sum of values follow while the strip lies in cache. The matrix of all scores never
 * exists. Where there are enough queries, keys and values are laid in panels as wide as a tile of the product: their
 * rows would otherwise lie a power of two apart and share few places of the first cache. */
#include "kernels/attention.h"

#include <math.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/rows.h"
#include "kernels/turn.h"
#include "ops/attention/common_attention.h"

enum { STRIP = 24, PACK_FROM = 8 }; /* queries */

typedef struct attention_state {
    skv_attention a;
    const skv_attention_loops *products;
    const skv_row_loops *rows;
    int64_t padded;  /* keys, up to a whole number of tiles */
    int64_t paneled; /* columns of the values that are laid in panels, from the first on */
    size_t each;     /* floats of scratch a thread */
    int threads;
} attention_state;

const skv_attention_loops *skv_attention_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_attention_loops_avx512) SKV_AT(isa, AVX2, &skv_attention_loops_avx2)
        SKV_AT(isa, NEON, &skv_attention_loops_neon) SKV_ELSE(isa, &skv_attention_loops_scalar);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || i == SKV_ATT_LENGTHS) continue;
        if (i > SKV_ATT_MASK) return skv_decline(why, "past keys");
        if (n->in[i].type.dtype != SKIVE_F32 && !(i == SKV_ATT_MASK && n->in[i].type.dtype == SKIVE_BOOL))
            return skv_decline(why, "not float32");
        if (skv_type_count(&n->in[i].type) < 1) return skv_decline(why, "empty");
    }
    for (size_t o = 1; o < n->n_out; o++) {
        if (!n->out[o].absent) return skv_decline(why, "outputs other than the first are used");
    }
    if (skv_attr_float(n->node, "softcap", 0) > 0) return skv_decline(why, "softcap");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    attention_state *st = NULL;
    const skive_type *in[SKV_ATT_INPUTS] = {NULL};
    const skv_isa isa = skv_cpu_isa();
    for (size_t i = 0; i < n->n_in && i < SKV_ATT_INPUTS; i++) {
        if (n->in[i].absent) continue;
        in[i] = &n->in[i].type;
        n->in[i].layout = SKV_PLAIN;
    }
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->a = skv_attention_of(n->node, in);
    st->products = skv_attention_loops_of(isa);
    st->rows = skv_row_loops_of(isa);
    st->padded = (int64_t)skv_align_up((size_t)st->a.kv_len, (size_t)st->products->columns);
    st->paneled = st->a.q_len < PACK_FROM ? 0 : st->a.v_size / st->products->columns * st->products->columns;
    const int64_t heads = st->a.batch * st->a.q_heads;
    st->threads = heads < n->threads ? (int)heads : n->threads;
    size_t bytes;
    if (!skv_mul_size((size_t)st->padded, (size_t)(st->a.size + st->paneled + STRIP), &st->each) ||
        !skv_mul_size(st->each, sizeof(float), &bytes) || !skv_mul_size(bytes, (size_t)st->threads, &n->scratch_bytes))
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too many keys");
    return SKIVE_OK;
}

static void add_mask(const skv_attention *a, const void *mask, int64_t b, int64_t h, int64_t i, float *s, int64_t first,
                     int64_t n) {
    const int64_t at = b * a->mask_step[0] + h * a->mask_step[1] + i * a->mask_step[2], step = a->mask_step[3];
    const int64_t known = a->mask_len < n ? a->mask_len : n;
    if (a->bool_mask) {
        const uint8_t *m = (const uint8_t *)mask + at;
        for (int64_t j = first; j < known; j++) s[j] = m[j * step] ? s[j] : -INFINITY;
    } else {
        const float *m = (const float *)mask + at;
        for (int64_t j = first; j < known; j++) s[j] += m[j * step];
    }
    for (int64_t j = known < first ? first : known; j < n; j++) s[j] = -INFINITY;
}

/* Scores of one query to probabilities. A query that sees no key gets zeros. */
static void finish_row(const skv_attention *a, const skv_row_loops *rows, const void *mask, int64_t b, int64_t h,
                       int64_t i, float *s) {
    const float scale = (float)a->scale;
    int64_t first, n;
    skv_attention_sees(a, b, i, &first, &n);
    for (int64_t j = first; j < n; j++) s[j] *= scale;
    if (a->has_mask) add_mask(a, mask, b, h, i, s, first, n);
    bool any = !a->has_mask && n > first;
    for (int64_t j = first; !any && j < n; j++) any = s[j] != -INFINITY;
    if (any) rows->softmax(s + first, s + first, n - first);
    for (int64_t j = 0; j < (any ? first : a->kv_len); j++) s[j] = 0;
    for (int64_t j = any ? n : a->kv_len; j < a->kv_len; j++) s[j] = 0;
}

/* The keys as columns, [padded / wide][size][wide]. */
static void turn_keys(const attention_state *st, const float *k, int64_t step, int64_t wide, float *to) {
    const skv_attention *a = &st->a;
    for (int64_t first = 0; first < st->padded; first += wide, to += a->size * wide) {
        const int64_t left = a->kv_len - first, here = left < wide ? left : wide;
        skv_turn(sizeof(float), k + first * step, step, to, wide, here, a->size);
        for (int64_t d = 0; d < a->size; d++)
            for (int64_t j = here; j < wide; j++) to[d * wide + j] = 0;
    }
}

/* [paneled / wide][kv_len][wide] */
static void copy_values(const attention_state *st, const float *v, int64_t step, int64_t wide, float *to) {
    for (int64_t first = 0; first < st->paneled; first += wide)
        for (int64_t j = 0; j < st->a.kv_len; j++, to += wide)
            memcpy(to, v + j * step + first, (size_t)wide * sizeof *to);
}

static void one_head(const skv_kernel_call *c, const attention_state *st, const skv_attention *a, int64_t head,
                     float *scratch) {
    const int64_t b = head / a->q_heads, h = head % a->q_heads, shared = h / (a->q_heads / a->kv_heads);
    const int64_t q_row = (a->packed ? a->q_heads : 1) * a->size, y_row = (a->packed ? a->q_heads : 1) * a->v_size;
    const int64_t k_row = (a->packed ? a->kv_heads : 1) * a->size, v_row = (a->packed ? a->kv_heads : 1) * a->v_size;
    const float *q = (const float *)c->in[0] + skv_attention_at(a->packed, b, h, 0, a->q_heads, a->q_len, a->size);
    const float *k =
        (const float *)c->in[1] + skv_attention_at(a->packed, b, shared, 0, a->kv_heads, a->kv_len, a->size);
    const float *v =
        (const float *)c->in[2] + skv_attention_at(a->packed, b, shared, 0, a->kv_heads, a->kv_len, a->v_size);
    float *y = (float *)c->out[0] + skv_attention_at(a->packed, b, h, 0, a->q_heads, a->q_len, a->v_size);
    const void *mask = a->has_mask ? c->in[SKV_ATT_MASK] : NULL;
    const int64_t n = st->padded, tile = st->products->columns, wide = a->q_len < PACK_FROM ? n : tile;
    float *keys = scratch, *values = keys + a->size * n, *s = values + st->paneled * n; /* s: [STRIP][padded] */
    turn_keys(st, k, k_row, wide, keys);
    copy_values(st, v, v_row, tile, values);
    for (int64_t i = 0; i < a->q_len; i += STRIP) {
        const int64_t m = a->q_len - i < STRIP ? a->q_len - i : STRIP;
        const float *from = q + i * q_row;
        float *to = y + i * y_row;
        for (int64_t j = 0; j < n; j += wide)
            st->products->product(m, wide, a->size, from, q_row, keys + j * a->size, wide, s + j, n);
        for (int64_t r = 0; r < m; r++) finish_row(a, st->rows, mask, b, h, i + r, s + r * n);
        for (int64_t j = 0; j < st->paneled; j += tile)
            st->products->product(m, tile, a->kv_len, s, n, values + j * a->kv_len, tile, to + j, y_row);
        if (st->paneled < a->v_size)
            st->products->product(m, a->v_size - st->paneled, a->kv_len, s, n, v + st->paneled, v_row, to + st->paneled,
                                  y_row);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const attention_state *st = c->n->state;
    const int64_t heads = st->a.batch * st->a.q_heads;
    const int threads = st->threads;
    skv_attention a = st->a;
    if (c->n->n_in > SKV_ATT_LENGTHS && !c->n->in[SKV_ATT_LENGTHS].absent)
        SKV_TRY(skv_attention_lengths(c->ctx, c->n->node, c->in[SKV_ATT_LENGTHS], &a));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        for (int64_t h = heads * t / threads; h < heads * (t + 1) / threads; h++)
            one_head(c, st, &a, h, (float *)c->scratch + (size_t)t * st->each);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_ATTENTION, SKV_OP_NONE};

const skv_kernel skv_kernel_attention_f32 = {
    .name = "attention_f32",
    .brief = "attention in strips of queries, scores kept in cache",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
