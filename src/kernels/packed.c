/* DequantizeGemm with constant weights, which stay in few bits: few rows take them apart in registers, more rows a band
 * of columns at a time. */
#include "kernels/packed.h"

#include <string.h>

#include "kernels/finish.h"
#include "kernels/kernel.h"
#include "kernels/sgemm.h"
#include "ops/quant/common_quantize.h"
#include "tensor/tensor.h"

enum { A, W, C, Z, SCALE, ZERO };
enum { BAND_FLOATS = 1 << 19 };          /* weights that are floats at a time, with many rows */
#define PARALLEL_FROM ((int64_t)1 << 20) /* multiplications: less is not worth waking a thread for */

typedef struct packed_state {
    skv_packed w;
    const skv_packed_loops *loops;
    skv_finish finish;
    int64_t m, panels, band; /* band: panels at a time */
    float beta;
    int64_t bias_row, bias_column;
    bool has_bias, has_residual;
    size_t sgemm; /* offset of its scratch */
} packed_state;

static const skv_packed_loops *loops_of_cpu(void) {
    const skv_isa isa = skv_cpu_isa();
    return SKV_AT(isa, AVX512, &skv_packed_loops_avx512) SKV_AT(isa, AVX2, &skv_packed_loops_avx2)
        SKV_AT(isa, NEON, &skv_packed_loops_neon) SKV_ELSE(isa, &skv_packed_loops_scalar);
}

/* ---- where the weights are ---- */

typedef struct source {
    const skive_tensor *w, *scale, *zero;
    int64_t out_step, k_step;          /* of W's elements */
    int64_t scale_out, scale_k, block; /* of the scale's elements, a step of k_step being a block */
} source;

static bool kind_of(skive_dtype t, skv_packed_kind *kind) {
    switch (t) {
    case SKIVE_I2:
    case SKIVE_U2: *kind = SKV_PACKED_2; return true;
    case SKIVE_I4:
    case SKIVE_U4: *kind = SKV_PACKED_4; return true;
    case SKIVE_I8:
    case SKIVE_U8: *kind = SKV_PACKED_8; return true;
    case SKIVE_F16: *kind = SKV_PACKED_F16; return true;
    case SKIVE_BF16: *kind = SKV_PACKED_BF16; return true;
    default: return false;
    }
}

static const skive_tensor *constant(const skv_kernel_node *n, size_t i) {
    return skv_kernel_has_input(n, i) ? n->in[i].constant : NULL;
}

/* Scales of the whole, of each column, or of blocks along k; false for others. */
static bool read_source(const skv_kernel_node *n, source *s) {
    const bool turned = skv_attr_int(n->node, "transB", 0) != 0;
    *s = (source){.w = constant(n, W), .scale = constant(n, SCALE), .zero = constant(n, ZERO)};
    const int64_t *dims = s->w->dims, block = skv_attr_int(n->node, "block_size", 0);
    int64_t axis = skv_attr_int(n->node, "axis", 1);
    axis += axis < 0 ? 2 : 0;
    const int64_t k_axis = turned ? 1 : 0, k = dims[k_axis];
    s->out_step = turned ? dims[1] : 1;
    s->k_step = turned ? 1 : dims[1];
    s->block = k;
    if (!s->scale || (!block && skive_tensor_count(s->scale) == 1)) return true;
    if (!block) {
        s->scale_out = 1;
        return axis != k_axis;
    }
    const int64_t blocks = (k + block - 1) / block;
    s->block = block < k ? block : k;
    s->scale_out = turned ? blocks : 1;
    s->scale_k = turned ? 1 : dims[1];
    return axis == k_axis && (block % SKV_PACKED_BLOCK == 0 || blocks == 1);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_packed_kind kind;
    source s;
    if (!skv_kernel_f32(&n->in[A]) || !skv_kernel_f32(&n->out[0])) return skv_decline(why, "not float32, or empty");
    for (size_t i = W; i <= ZERO; i++) {
        if (i == C || i == Z || !skv_kernel_has_input(n, i)) continue;
        if (!n->in[i].constant || !n->in[i].constant->data) return skv_decline(why, "the weights are not constant");
    }
    if (!kind_of(n->in[W].type.dtype, &kind)) return skv_decline(why, "weights neither integers nor 16-bit floats");
    if (n->in[W].type.dims[0].size < 1 || n->in[W].type.dims[1].size < 1) return skv_decline(why, "empty");
    if (!read_source(n, &s)) return skv_decline(why, "scales that are not of columns, or of blocks of 16 along them");
    return true;
}

/* ---- packing ---- */

static void pack_codes(const skv_packed *w, const source *s, int64_t column, int64_t at, uint8_t *panel) {
    const int bits = (int)skive_dtype_bits(s->w->dtype);
    const unsigned flip = skv_dtype_is_signed(s->w->dtype) ? 1u << (bits - 1) : 0;
    const int steps = 32 / bits;
    for (int64_t p = 0; p < w->k; p++) {
        const size_t from = (size_t)(column * s->out_step + p * s->k_step);
        if (bits == 16) {
            memcpy(panel + 2 * (p * w->columns + at), (const uint8_t *)s->w->data + 2 * from, 2);
        } else if (bits == 8) {
            panel[p * w->columns + at] = (uint8_t)(((const uint8_t *)s->w->data)[from] ^ flip);
        } else {
            const unsigned code = skv_load_narrow((unsigned)bits, s->w->data, from) ^ flip;
            uint32_t *word = (uint32_t *)(void *)panel + p / steps * w->columns + at;
            *word |= code << (unsigned)(p % steps * bits);
        }
    }
}

static float zero_of(const source *s, int64_t at) {
    const int bits = (int)skive_dtype_bits(s->w->dtype);
    const int flip = skv_dtype_is_signed(s->w->dtype) ? 1 << (bits - 1) : 0;
    return (float)((s->zero ? (int)skive_tensor_get(s->zero, at) : 0) + flip);
}

static void pack_scales(const skv_packed *w, const source *s, int64_t column, float *scale, float *zero) {
    for (int64_t b = 0; b < w->blocks; b++) {
        const int64_t at = column * s->scale_out + b * s->scale_k;
        scale[b * w->columns] = (float)skive_tensor_get(s->scale, at);
        if (zero) zero[b * w->columns] = zero_of(s, at);
    }
}

static bool one_zero(const source *s) {
    for (int64_t i = 1; s->zero && i < skive_tensor_count(s->zero); i++)
        if (zero_of(s, i) != zero_of(s, 0)) return false;
    return true;
}

static skive_status pack(skv_kernel_node *n, packed_state *st, const source *s) {
    skv_packed *w = &st->w;
    const size_t bits = (size_t)skive_dtype_bits(s->w->dtype);
    const size_t scales = s->scale ? (size_t)(st->panels * w->blocks * w->columns) : 0;
    const bool zeros = scales && !one_zero(s);
    w->panel_bytes = bits < 8 ? (size_t)((w->k + (int64_t)(32 / bits) - 1) / (int64_t)(32 / bits) * w->columns) * 4
                              : (size_t)(w->k * w->columns) * (bits / 8);
    const size_t codes = (size_t)st->panels * w->panel_bytes;
    n->state_bytes = codes + scales * sizeof(float) * (zeros ? 2 : 1);
    SKV_TRY(skv_arena_alloc(n->weights, codes, &w->codes));
    memset(w->codes, 0, codes);
    if (scales) SKV_TRY(skv_arena_alloc(n->weights, scales * sizeof(float), &w->scale));
    if (scales) memset(w->scale, 0, scales * sizeof(float));
    if (zeros) SKV_TRY(skv_arena_alloc(n->weights, scales * sizeof(float), &w->zero));
    if (zeros) memset(w->zero, 0, scales * sizeof(float));
    w->offset = scales && !zeros ? zero_of(s, 0) : 0;
#pragma omp parallel for num_threads(n->threads) schedule(static) if (n->threads > 1)
    for (int64_t panel = 0; panel < st->panels; panel++) {
        for (int64_t c = 0; c < w->columns && panel * w->columns + c < w->n; c++) {
            const int64_t column = panel * w->columns + c, first = panel * w->blocks * w->columns + c;
            pack_codes(w, s, column, c, w->codes + (size_t)panel * w->panel_bytes);
            if (scales) pack_scales(w, s, column, w->scale + first, zeros ? w->zero + first : NULL);
        }
    }
    return SKIVE_OK;
}

/* ---- the kernel ---- */

static void read_bias(const skv_kernel_node *n, packed_state *st) {
    st->beta = (float)skv_attr_float(n->node, "beta", 1);
    st->has_bias = skv_kernel_has_input(n, C) && st->beta != 0;
    if (!st->has_bias) return;
    const skive_type *c = &n->in[C].type;
    const int64_t columns = c->rank > 0 ? c->dims[c->rank - 1].size : 1,
                  rows = c->rank > 1 ? c->dims[c->rank - 2].size : 1;
    st->bias_column = columns > 1 ? 1 : 0;
    st->bias_row = rows > 1 ? columns : 0;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    packed_state *st = state;
    skv_packed *w = &st->w;
    source s;
    (void)read_source(n, &s);
    (void)kind_of(s.w->dtype, &w->kind);
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->loops = loops_of_cpu();
    w->columns = st->loops->columns;
    w->n = s.out_step == 1 ? s.w->dims[1] : s.w->dims[0];
    w->k = s.out_step == 1 ? s.w->dims[0] : s.w->dims[1];
    w->block = s.block;
    w->blocks = (w->k + w->block - 1) / w->block;
    st->panels = (w->n + w->columns - 1) / w->columns;
    st->m = skv_type_count(&n->in[A].type) / w->k;
    st->has_residual = skv_kernel_has_input(n, Z);
    read_bias(n, st);
    SKV_TRY(skv_finish_read(n, &st->finish));
    SKV_TRY(pack(n, st, &s));
    n->packs_input[W] = true;
    for (size_t i = SCALE; i <= ZERO; i++) n->packs_input[i] = skv_kernel_has_input(n, i);
    if (st->m <= SKV_PACKED_FEW_ROWS) return SKIVE_OK;
    st->band = BAND_FLOATS / (w->k * w->columns);
    st->band = st->band < n->threads ? n->threads : st->band;
    st->band = st->band > st->panels ? st->panels : st->band;
    size_t floats;
    const int64_t columns = st->band * w->columns;
    SKV_TRY(skv_scratch_add(n, (size_t)(columns * w->k) * sizeof(float), &floats));
    return skv_scratch_add(n, skv_sgemm_scratch(columns, w->k, n->threads), &st->sgemm);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(packed_state), set_up, destroy); }

static void write_bias(const packed_state *st, const float *c, float *y) {
    for (int64_t i = 0; i < st->m; i++) {
        const float *row = c + i * st->bias_row;
        for (int64_t j = 0; j < st->w.n; j++) y[i * st->w.n + j] = st->beta * row[j * st->bias_column];
    }
}

/* Two panels at a time, which is how many the loops have sums of in registers. */
static void few_rows(const packed_state *st, const float *a, float *y, int threads) {
    const int64_t pairs = (st->panels + 1) / 2;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pairs; i++) {
        const int64_t last = 2 * i + 2 < st->panels ? 2 * i + 2 : st->panels;
        st->loops->rows(&st->w, (int)st->m, a, st->w.k, 2 * i, last, st->has_bias, y, st->w.n);
    }
}

static void many_rows(const packed_state *st, const float *a, float *y, int threads, char *scratch) {
    const skv_packed *w = &st->w;
    float *floats = (float *)(void *)scratch;
    for (int64_t from = 0; from < st->panels; from += st->band) {
        const int64_t panels = st->panels - from < st->band ? st->panels - from : st->band;
        const int64_t first = from * w->columns, columns = panels * w->columns;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < panels; i++) st->loops->decode(w, from + i, floats + i * w->columns * w->k);
        const skv_sgemm product = {.m = st->m,
                                   .n = w->n - first < columns ? w->n - first : columns,
                                   .k = w->k,
                                   .a = a,
                                   .lda = w->k,
                                   .c = y + first,
                                   .ldc = w->n,
                                   .alpha = 1,
                                   .add = st->has_bias,
                                   .packed = floats};
        skv_sgemm_run(&product, threads, scratch + st->sgemm);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const packed_state *st = c->n->state;
    float *y = c->out[0];
    const int64_t count = st->m * st->w.n;
    const int threads = count < PARALLEL_FROM / st->w.k + 1 ? 1 : c->n->threads;
    if (st->has_bias) write_bias(st, c->in[C], y);
    if (st->m <= SKV_PACKED_FEW_ROWS)
        few_rows(st, c->in[A], y, threads);
    else
        many_rows(st, c->in[A], y, threads, c->scratch);
    const float *z = st->has_residual ? c->in[Z] : NULL;
    for (int64_t i = 0; z && i < count; i++) y[i] += z[i];
    skv_finish_run(&st->finish, y, count);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_DEQUANTIZE_GEMM, SKV_OP_NONE};

const skv_kernel skv_kernel_gemm_f32_packed = {
    .name = "gemm_f32_packed",
    .brief = "matrix product with weights that stay in few bits",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
