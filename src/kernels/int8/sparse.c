/* QConv, QConvAdd and QGemm with weights of many zeros (sparse.h), in fours or not. Input and output of a convolution
 * stand as [n][spatial...][c]. The dense kernel is the faster one for few zeros, and where a layer has few positions;
 * both are estimated from the pattern and the shape. */
#include "kernels/int8/sparse.h"

#include <string.h>

#include "base/parallel.h"
#include "kernels/int8/dense.h"
#include "kernels/winograd.h"
#include "kernels/int8/tiles.h"

enum { OTHER = 3, CHUNK = 64 }; /* input that QConvAdd adds; channels whose sums stand together */

typedef struct sparse_state {
    const skv_q8_sparse_loops *sparse;
    const skv_q8_loops *loops;
    skv_conv_shape s;
    skv_requant r;
    skv_q_add add;
    bool adds, in_place; /* the rows stand in the input */
    bool picks;          /* each channel has inputs of its own, instead of four the same */
    size_t channels;     /* of a block */
    size_t k, pieces, blocks;
    size_t item;
    int64_t positions;
    uint8_t zero;
    size_t *first;     /* [blocks + 1] steps before the block */
    uint32_t *at;      /* [steps][SKV_Q8_STEP], of picks [steps] */
    char *w;           /* [steps] */
    uint8_t *pick;     /* [steps][channels][4]; NULL: not of picks */
    int32_t *init;     /* [blocks][channels] */
    float *multiplier; /* [blocks * channels] */
    size_t panel_bytes, row_bytes, sum_bytes, thread_bytes;
} sparse_state;

static const skv_q8_sparse_loops *loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512_VNNI, &skv_q8_sparse_vnni) SKV_AT(isa, AVX2, &skv_q8_sparse_avx2)
        SKV_ELSE(isa, &skv_q8_sparse_scalar);
}

static bool is_gemm(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_Q_GEMM); }

/* ---- the choice ---- */

/* Is any weight of the block at this input not zero? Inputs are counted as the weights have them. */
static bool is_used(const int8_t *w, int64_t k, int64_t rows, int64_t i) {
    for (int64_t r = 0; r < rows; r++)
        if (w[r * k + i] != 0) return true;
    return false;
}

static int64_t rows_of_block(int64_t m, int64_t block) {
    const int64_t left = m - block * SKV_Q8_BLOCK;
    return left < SKV_Q8_BLOCK ? left : SKV_Q8_BLOCK;
}

static size_t steps_of(const int8_t *w, int64_t m, int64_t k, int64_t block) {
    size_t used = 0;
    const int64_t rows = rows_of_block(m, block);
    for (int64_t i = 0; i < k; i++) used += is_used(w + block * SKV_Q8_BLOCK * k, k, rows, i);
    return (used + SKV_Q8_STEP - 1) / SKV_Q8_STEP;
}

/* Are enough of the weights zero that it is worth counting blocks? */
static double zeros_of(const int8_t *w, int64_t n) {
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++) zeros += w[i] == 0;
    return n > 0 ? (double)zeros / (double)n : 0;
}

/* How much faster the tile registers, or Winograd's algorithm, multiply than the loops that l->dense stands for. */
static double dense_gain(const skv_kernel_node *n) {
    enum { TILES_GAIN = 4 };
    skv_conv_shape s;
    skv_why why = {{0}};
    const bool tiles = SKV_ON(AMX, skv_cpu_isa() >= SKV_ISA_AMX ||) false;
    if (skv_q8_dense_geometry(n, &s) != SKIVE_OK) return 1;
    if (tiles && skv_q8_tiles_pay(&s, &why)) return TILES_GAIN;
    return skv_wino_square(&s, &why) ? SKV_WINO_GAIN_PERCENT / 100.0 : 1;
}

static skv_q8_pattern pattern_of(const skv_kernel_node *n) {
    const skive_type *t = &n->in[1].type;
    return (skv_q8_pattern){.w = n->in[1].constant->data,
                            .m = t->dims[0].size,
                            .k = skv_type_count(t) / t->dims[0].size,
                            .c = t->dims[1].size};
}

/* What the steps of both ways take at 64 positions. */
static double fours_take(const skv_q8_sparse_loops *l, const skv_q8_pattern *p, double *steps) {
    *steps = 0;
    for (int64_t b = 0; b < (p->m + SKV_Q8_BLOCK - 1) / SKV_Q8_BLOCK; b++)
        *steps += (double)steps_of(p->w, p->m, p->k, b);
    return *steps * l->step;
}

static double picks_take(const skv_q8_sparse_loops *l, const skv_q8_pattern *p) {
    double steps = 0;
    for (int64_t b = 0; b < (p->m + l->lanes - 1) / l->lanes; b++) steps += (double)skv_q8_pick_steps(l, p, b);
    return steps * l->picked;
}

static bool pays(const skv_kernel_node *n, int64_t positions, int64_t m, int64_t k, skv_why *why) {
    const skv_q8_sparse_loops *l = loops_of(skv_cpu_isa());
    const skv_q8_pattern p = pattern_of(n);
    const double zeros = zeros_of(p.w, m * k);
    if (zeros < 0.4) return skv_decline(why, "%s", "");
    double steps;
    const double fours = fours_take(l, &p, &steps), picks = picks_take(l, &p), least = picks < fours ? picks : fours;
    const int64_t panels = (positions + SKV_Q8_LINE - 1) / SKV_Q8_LINE,
                  pieces = (k + SKV_Q8_TURNED - 1) / SKV_Q8_TURNED;
    const double sparse = (double)panels * (least + (double)pieces * l->piece + (double)m * l->out);
    const double dense = (double)positions / SKV_Q8_LINE * (double)m *
                         ((double)k / SKV_Q8_LINE * l->dense / dense_gain(n) + 0.5 * l->out);
    if (sparse < dense) return true;
    return skv_decline(
        why, "%.0f %% zeros, %.0f %% in fours down the outputs, at %lld positions: the dense one is faster",
        100 * zeros, 100 - 100 * steps * SKV_Q8_STEP * SKV_Q8_BLOCK / (double)(m * k), (long long)positions);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type, *y = &n->out[0].type;
    if (skv_type_count(y) == 0) return skv_decline(why, "the output is empty");
    if (!is_gemm(n) && (x->rank < 3 || x->rank > 5)) return skv_decline(why, "rank %d", x->rank);
    if (!is_gemm(n) && skv_attr_int(n->node, "group", 1) != 1) return skv_decline(why, "groups");
    if (!skv_q8_constant_weights(n, why)) return false;
    if (!n->in[1].constant->data || n->in[1].constant->dtype != SKIVE_I8) return skv_decline(why, "not int8 weights");
    if (skv_node_is(n->node, SKV_OP_Q_CONV_ADD) && y->dtype == SKIVE_F32) return skv_decline(why, "a float result");
    const int64_t m = n->in[1].type.dims[0].size, k = skv_type_count(&n->in[1].type) / m;
    if (k >= INT32_MAX / SKV_Q8_LINE) return skv_decline(why, "rows are too long");
    return pays(n, skv_type_count(y) / m, m, k, why);
}

/* ---- packing ---- */

static void destroy(skive_context *ctx, void *state) {
    sparse_state *d = state;
    if (!d) return;
    skv_free(ctx, d->first);
    skv_free(ctx, d->at);
    skv_free(ctx, d->w);
    skv_free(ctx, d->pick);
    skv_free(ctx, d->init);
    skv_free(ctx, d->multiplier);
    skv_free(ctx, d);
}

static size_t step_bytes(const sparse_state *d) {
    return d->picks ? 4 * d->channels : SKV_Q8_BLOCK * SKV_Q8_STEP * (d->sparse->wide ? 2 : 1);
}
static size_t step_lines(const sparse_state *d) { return d->picks ? 1 : SKV_Q8_STEP; }

static void put_weight(const sparse_state *d, size_t step, size_t line, size_t row, int8_t v) {
    char *w = d->w + step * step_bytes(d);
    if (d->sparse->wide)
        ((int16_t *)(void *)w)[(line / 2 * SKV_Q8_BLOCK + row) * 2 + line % 2] = v;
    else
        ((int8_t *)w)[row * SKV_Q8_STEP + line] = v;
}

/* The weights have the window inside, the panel has the channels inside. */
static void pack_block(const sparse_state *d, const int8_t *w, size_t block) {
    const int64_t window = skv_volume(d->s.g.kernel), k = (int64_t)d->k;
    const int64_t rows = rows_of_block(d->s.m, (int64_t)block);
    const int8_t *from = w + (int64_t)block * SKV_Q8_BLOCK * k;
    size_t n = 0;
    for (int64_t t = 0; t < window; t++)
        for (int64_t c = 0; c < d->s.c; c++) {
            const int64_t i = c * window + t;
            if (!is_used(from, k, rows, i)) continue;
            const size_t step = d->first[block] + n / SKV_Q8_STEP, line = n % SKV_Q8_STEP;
            d->at[step * SKV_Q8_STEP + line] = (uint32_t)((t * d->s.c + c) * SKV_Q8_LINE);
            for (int64_t r = 0; r < rows; r++) put_weight(d, step, line, (size_t)r, from[r * k + i]);
            n++;
        }
}

static skive_status pack(skv_kernel_node *n, sparse_state *d) {
    const skive_tensor *bias = skv_q8_bias(n);
    const int8_t *w = n->in[1].constant->data;
    const double *multiplier;
    const int32_t *from = bias ? bias->data : NULL;
    SKV_TRY(skv_q_multipliers(n->ctx, n->node, d->s.m, &multiplier));
    SKV_TRY(skv_alloc_array(n->ctx, d->blocks + 1, sizeof *d->first, &d->first));
    const skv_q8_pattern pattern = pattern_of(n);
    for (size_t b = 0; b < d->blocks; b++)
        d->first[b + 1] = d->first[b] + (d->picks ? skv_q8_pick_steps(d->sparse, &pattern, (int64_t)b)
                                                  : steps_of(w, d->s.m, (int64_t)d->k, (int64_t)b));
    const size_t steps = d->first[d->blocks];
    SKV_TRY(skv_alloc_array(n->ctx, steps + 1, step_lines(d) * sizeof *d->at, &d->at));
    SKV_TRY(skv_alloc_array(n->ctx, steps + 1, step_bytes(d), &d->w));
    if (d->picks) SKV_TRY(skv_alloc_array(n->ctx, steps + 1, step_bytes(d), &d->pick));
    SKV_TRY(skv_alloc_array(n->ctx, d->blocks, d->channels * sizeof *d->init, &d->init));
    SKV_TRY(skv_alloc_array(n->ctx, d->blocks, d->channels * sizeof *d->multiplier, &d->multiplier));
    for (size_t b = 0; b < d->blocks; b++) {
        const size_t at = d->first[b] * step_bytes(d);
        if (d->picks)
            skv_q8_pick_pack(d->sparse, &pattern, (int64_t)b, d->at + d->first[b], d->pick + at, d->w + at);
        else
            pack_block(d, w, b);
    }
    for (int64_t m = 0; m < d->s.m; m++) {
        int32_t sum = 0;
        for (size_t i = 0; i < d->k; i++) sum += w[(size_t)m * d->k + i];
        /* Wraps where the true sum would not: see int8.h. */
        d->init[m] = (int32_t)((uint32_t)(from ? from[m] : 0) - (uint32_t)d->zero * (uint32_t)sum);
        d->multiplier[m] = (float)multiplier[m];
    }
    n->state_bytes = steps * ((d->picks ? 2 : 1) * step_bytes(d) + step_lines(d) * sizeof *d->at) + (size_t)d->s.m * 8;
    return SKIVE_OK;
}

/* ---- preparing ---- */

static bool is_pointwise(const skv_geometry *g) {
    for (int a = 0; a < SKV_SPATIAL; a++)
        if (g->kernel[a] != 1 || g->in[a] != g->out[a] || g->pad_lo[a] || g->stride[a] != 1) return false;
    return true;
}

static skive_status shape_of(skv_kernel_node *n, sparse_state *d) {
    if (!is_gemm(n)) {
        n->in[0].layout = n->out[0].layout = SKV_NHWC;
        if (skv_node_is(n->node, SKV_OP_Q_CONV_ADD)) {
            n->in[OTHER].layout = SKV_NHWC;
            n->in_place = 1u << OTHER;
        }
        return skv_q8_conv_shape(n, &d->s);
    }
    d->s = (skv_conv_shape){.n = n->in[0].type.dims[0].size,
                            .c = n->in[0].type.dims[1].size,
                            .m = n->in[1].type.dims[0].size,
                            .groups = 1,
                            .g = {.spatial = 1}};
    for (int a = 0; a < SKV_SPATIAL; a++)
        d->s.g.in[a] = d->s.g.out[a] = d->s.g.kernel[a] = d->s.g.stride[a] = d->s.g.dilation[a] = 1;
    return SKIVE_OK;
}

static skive_status size_up(skv_kernel_node *n, sparse_state *d) {
    d->k = (size_t)(d->s.c * skv_volume(d->s.g.kernel));
    d->pieces = (d->k + SKV_Q8_TURNED - 1) / SKV_Q8_TURNED;
    const skv_q8_pattern pattern = pattern_of(n);
    double steps;
    d->picks = picks_take(d->sparse, &pattern) < fours_take(d->sparse, &pattern, &steps);
    d->channels = d->picks ? (size_t)d->sparse->lanes : SKV_Q8_BLOCK;
    d->blocks = ((size_t)d->s.m + d->channels - 1) / d->channels;
    d->positions = d->s.n * skv_volume(d->s.g.out);
    d->in_place = is_pointwise(&d->s.g) && d->k % SKV_Q8_TURNED == 0;
    d->item = d->r.output == SKV_Q_F32 ? sizeof(float) : 1;
    d->row_bytes = d->pieces * SKV_Q8_TURNED;
    d->panel_bytes = d->row_bytes * SKV_Q8_LINE * (d->picks && d->sparse->wide ? 2 : 1); /* rows, of picks */
    d->sum_bytes = (size_t)SKV_Q8_LINE * CHUNK * sizeof(int32_t);
    d->thread_bytes = d->panel_bytes + d->sum_bytes + (d->in_place ? 0 : d->row_bytes * SKV_Q8_LINE);
    if (!skv_mul_size(d->thread_bytes, (size_t)n->threads, &n->scratch_bytes))
        return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "%s: the window is too large", n->node->op_type);
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    sparse_state *d = NULL;
    int32_t zero;
    const skive_tensor *bias = skv_q8_bias(n);
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->sparse = loops_of(skv_cpu_isa());
    d->loops = skv_q8_loops_of(skv_cpu_isa());
    SKV_GO(status, fail, shape_of(n, d));
    SKV_GO(status, fail, skv_requant_read(n->ctx, n->node, &d->r));
    SKV_GO(status, fail, skv_q_zero_point(n->ctx, n->node, "x_zero_point", &zero));
    d->zero = (uint8_t)zero;
    d->adds = skv_node_is(n->node, SKV_OP_Q_CONV_ADD);
    if (d->adds) SKV_GO(status, fail, skv_q_conv_add_read(n->ctx, n->node, &d->add));
    SKV_GO(status, fail, size_up(n, d));
    SKV_GO(status, fail,
           skv_q_check_sums(n->ctx, n->node, zero, n->in[1].constant->data, d->s.m, (int64_t)d->k,
                            bias ? bias->data : NULL));
    SKV_GO(status, fail, pack(n, d));
    n->state = d;
    n->packs_input[1] = n->packs_input[2] = true;
    return SKIVE_OK;
fail:
    destroy(n->ctx, d);
    return status;
}

/* ---- running ---- */

/* The window of one position: taps outside, channels inside, padding as the zero point. */
static void gather(const sparse_state *d, const uint8_t *x, int64_t position, uint8_t *row) {
    const skv_geometry *g = &d->s.g;
    const int64_t w = position % g->out[2], h = position / g->out[2] % g->out[1],
                  z = position / g->out[2] / g->out[1] % g->out[0];
    const size_t c = (size_t)d->s.c;
    x += position / skv_volume(g->out) * skv_volume(g->in) * d->s.c;
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        const int64_t id = z * g->stride[0] - g->pad_lo[0] + kd * g->dilation[0];
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const int64_t ih = h * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1];
            const bool inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            const int64_t first = w * g->stride[2] - g->pad_lo[2];
            if (inside && g->dilation[2] == 1 && first >= 0 && first + g->kernel[2] <= g->in[2]) {
                const size_t all = c * (size_t)g->kernel[2];
                memcpy(row, x + (size_t)((id * g->in[1] + ih) * g->in[2] + first) * c, all);
                row += all;
                continue;
            }
            for (int64_t kw = 0; kw < g->kernel[2]; kw++, row += c) {
                const int64_t iw = first + kw * g->dilation[2];
                if (inside && iw >= 0 && iw < g->in[2])
                    memcpy(row, x + (size_t)((id * g->in[1] + ih) * g->in[2] + iw) * c, c);
                else
                    memset(row, d->zero, c);
            }
        }
    }
}

static void fill_panel(const sparse_state *d, const uint8_t *x, int64_t from, size_t count, char *scratch) {
    const uint8_t *rows[SKV_Q8_LINE];
    uint8_t *gathered = (uint8_t *)scratch + d->panel_bytes + d->sum_bytes;
    for (size_t r = 0; r < SKV_Q8_LINE; r++) {
        if (r >= count) {
            rows[r] = rows[0]; /* whose results nobody reads */
        } else if (d->in_place) {
            rows[r] = x + (size_t)(from + (int64_t)r) * d->k;
        } else {
            gather(d, x, from + (int64_t)r, gathered + r * d->row_bytes);
            rows[r] = gathered + r * d->row_bytes;
        }
    }
    d->sparse->turn(rows, d->pieces, (uint8_t *)scratch);
}

/* Rows for picks: where they stand, a copy, or widened. */
static const char *find_rows(const sparse_state *d, const uint8_t *x, int64_t from, size_t count, char *scratch,
                             size_t *apart) {
    const bool wide = d->sparse->wide;
    uint8_t *gathered = (uint8_t *)scratch + (wide ? d->panel_bytes + d->sum_bytes : 0);
    const uint8_t *rows = d->in_place ? x + (size_t)from * d->k : gathered;
    const size_t bytes = d->in_place ? d->k : d->row_bytes;
    for (size_t r = 0; r < count && !d->in_place; r++) gather(d, x, from + (int64_t)r, gathered + r * bytes);
    *apart = wide ? 2 * bytes : bytes;
    if (!wide) return (const char *)rows;
    int16_t *to = (int16_t *)(void *)scratch;
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < d->k; i++) to[r * bytes + i] = rows[r * bytes + i];
    return scratch;
}

/* Channels `channel` on of `count` positions, from the sums of CHUNK channels. */
static void put_results(const sparse_state *d, const int32_t *sum, int64_t from, size_t count, size_t channel, size_t n,
                        const uint8_t *other, char *y) {
    uint8_t own[CHUNK];
    for (size_t p = 0; p < count; p++) {
        const size_t at = (size_t)(from + (int64_t)p) * (size_t)d->s.m + channel;
        const int32_t *row = sum + p * CHUNK;
        if (!d->adds) {
            d->loops->requant(row, d->multiplier + channel, 1, y + at * d->item, n, &d->r);
            continue;
        }
        d->loops->requant(row, d->multiplier + channel, 1, own, n, &d->r);
        d->loops->add(own, other + at, (uint8_t *)y + at, n, &d->add);
    }
}

typedef struct position_range {
    int64_t from;
    size_t count;
    const char *rows; /* of picks */
    size_t apart;
} position_range;

static void pick_sums(const sparse_state *d, const position_range *at, size_t block, int32_t *sum) {
    const size_t first = d->first[block];
    const skv_q8_pick_block b = {.rows = at->rows,
                                 .row_bytes = at->apart,
                                 .count = at->count,
                                 .at = d->at + first,
                                 .pick = d->pick + first * step_bytes(d),
                                 .w = d->w + first * step_bytes(d),
                                 .steps = d->first[block + 1] - first,
                                 .init = d->init + block * d->channels,
                                 .sum = sum,
                                 .stride = CHUNK};
    d->sparse->pick(&b);
}

static void run_blocks(const sparse_state *d, size_t block, size_t end, const position_range *at, const uint8_t *other,
                       char *y, char *scratch) {
    const size_t per = CHUNK / d->channels;
    int32_t *sum = (int32_t *)(void *)(scratch + d->panel_bytes);
    while (block < end) {
        const size_t first = block, stop = end - block > per ? block + per : end;
        for (; block < stop; block++) {
            if (d->picks) {
                pick_sums(d, at, block, sum + (block - first) * d->channels);
                continue;
            }
            const skv_q8_sparse_block b = {.panel = (const uint8_t *)scratch,
                                           .at = d->at + d->first[block] * SKV_Q8_STEP,
                                           .w = d->w + d->first[block] * step_bytes(d),
                                           .steps = d->first[block + 1] - d->first[block],
                                           .init = d->init + block * SKV_Q8_BLOCK,
                                           .sum = sum + (block - first) * SKV_Q8_BLOCK,
                                           .stride = CHUNK};
            d->sparse->block(&b);
        }
        const size_t channel = first * d->channels, last = stop * d->channels, m = (size_t)d->s.m;
        put_results(d, sum, at->from, at->count, channel, (last < m ? last : m) - channel, other, y);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const sparse_state *d = c->n->state;
    const int threads = c->n->threads;
    const int64_t panels = (d->positions + SKV_Q8_LINE - 1) / SKV_Q8_LINE;
    /* With few panels the channels are shared out among the threads too. */
    int64_t chunks = panels >= 2 * threads ? 1 : threads;
    if (chunks > (int64_t)d->blocks) chunks = (int64_t)d->blocks;
    const uint8_t *other = d->adds ? c->in[OTHER] : NULL;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < panels * chunks; i++) {
        char *scratch = (char *)c->scratch + (size_t)skv_thread_number() * d->thread_bytes;
        const int64_t from = i / chunks * SKV_Q8_LINE, left = d->positions - from, chunk = i % chunks;
        position_range at = {.from = from, .count = left < SKV_Q8_LINE ? (size_t)left : SKV_Q8_LINE};
        if (d->picks)
            at.rows = find_rows(d, c->in[0], from, at.count, scratch, &at.apart);
        else
            fill_panel(d, c->in[0], from, at.count, scratch);
        run_blocks(d, d->blocks * (size_t)chunk / (size_t)chunks, d->blocks * (size_t)(chunk + 1) / (size_t)chunks, &at,
                   other, c->out[0], scratch);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_Q_CONV, SKV_OP_Q_CONV_ADD, SKV_OP_Q_GEMM, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_sparse = {
    .name = "qgemm_u8s8_sparse",
    .brief = "integer convolution and product with mostly zero weights, in fours or each channel by itself",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
