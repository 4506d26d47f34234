/* Preparing a dense integer convolution: weights into panels, the zero point into the bias, block sizes. */
#include "kernels/int8/dense.h"

enum { POINTER_LIMIT = 64 << 10, GATHER_LIMIT = 256 << 10, TILE_CYCLES = 100, BAND_LIMIT = 1 << 20 };

void skv_q8_dense_destroy(skive_context *ctx, void *state) {
    skv_q8_dense *d = state;
    if (!d) return;
    skv_free(ctx, d->b);
    skv_free(ctx, d->init);
    skv_free(ctx, d->multiplier);
    skv_free(ctx, d->padding);
    skv_free(ctx, d->constants);
    skv_free(ctx, d->offset);
    skv_free(ctx, d->tile_at);
    skv_free(ctx, d);
}

/* One output channel's weights [per_in][window] into its column: window outside, channels inside, each tap's run filled up
 * with zeros to whole groups. */
static void pack_bytes(const skv_q8_dense *d, const int8_t *w, int8_t *column) {
    const size_t group = d->gemm->nr * 4, run = d->k / d->taps, padded = d->groups * 4;
    const int64_t window = skv_volume(d->s.g.kernel);
    size_t first = 0, at = 0;
    if (window == 1) {
        for (; at + 4 <= d->k; at += 4, column += group) memcpy(column, w + at, 4);
        for (size_t j = 0; at < d->k; at++, j++) column[j] = w[at];
        return;
    }
    for (int64_t t = 0; t < window; t++) {
        for (int64_t i = 0; i < d->per_in; i++) {
            column[(first + at) / 4 * group + (first + at) % 4] = w[i * window + t];
            if (++at < run) continue;
            at = 0;
            first += padded;
        }
    }
}

static void pack_wide(const skv_q8_dense *d, const int8_t *w, int16_t *column) {
    const size_t group = d->gemm->nr * 2;
    const int64_t window = skv_volume(d->s.g.kernel);
    size_t k = 0;
    for (int64_t t = 0; t < window; t++)
        for (int64_t i = 0; i < d->per_in; i++, k++) column[k / 2 * group + k % 2] = w[i * window + t];
}

static void pack_panel(const skv_q8_dense *d, const int8_t *w, const int32_t *bias, const double *multiplier,
                       int64_t group, size_t panel) {
    const size_t nr = d->gemm->nr, index = (size_t)group * d->panels + panel;
    const int64_t taps = skv_volume(d->s.g.kernel), row = d->per_in * taps;
    char *b = d->b + index * d->panel_bytes;
    for (size_t p = 0; p < nr; p++) {
        const int64_t column = (int64_t)(panel * nr + skv_q8_column(p, nr));
        if (column >= d->per_out) continue; /* stays zero */
        const int64_t m = group * d->per_out + column;
        const int8_t *from = w + m * row;
        int32_t sum = 0;
        if (d->gemm->wide) {
            pack_wide(d, from, (int16_t *)(void *)b + p * 2);
        } else {
            pack_bytes(d, from, (int8_t *)b + p * 4);
            for (int64_t i = 0; i < row; i++) sum += from[i];
        }
        /* Wraps where the true sums would not: see int8.h. */
        d->init[index * nr + p] = (int32_t)((uint32_t)(bias ? bias[m] : 0) - (uint32_t)d->x_zero * (uint32_t)sum);
        d->multiplier[index * nr + p] = (float)multiplier[m];
    }
}

/* The input's copy for SKV_Q8_LINES: its geometry, in which no window leaves it and one tap is a line. */
static skive_status size_copy(skv_kernel_node *n, skv_q8_dense *d) {
    size_t bytes = (size_t)d->s.n;
    bool fits = true;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        d->at.in[a] += d->at.pad_lo[a] + d->at.pad_hi[a];
        d->at.pad_lo[a] = d->at.pad_hi[a] = 0;
        fits = fits && skv_mul_size(bytes, (size_t)d->at.in[a], &bytes);
    }
    d->at.kernel[SKV_SPATIAL - 1] = 1;
    fits = fits && skv_mul_size(bytes, (size_t)d->s.c, &bytes) && bytes < SIZE_MAX / 2;
    if (!fits) return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "QConv: the input is too large");
    d->copy_bytes = skv_align_up(bytes + d->gemm->k_group, 64); /* the last run reads on to a whole group */
    return SKIVE_OK;
}

static skive_status choose_reading(skv_kernel_node *n, skv_q8_dense *d) {
    const skv_geometry *g = &d->s.g;
    d->at = *g;
    d->reading = SKV_Q8_IN_PLACE;
    if (!d->gemm->wide && (size_t)d->per_in % d->gemm->k_group == 0) return SKIVE_OK;
    d->reading = SKV_Q8_GATHERED;
    if (d->gemm->wide || d->s.groups > 1 || g->dilation[SKV_SPATIAL - 1] != 1 || skv_node_is(n->node, "QGemm"))
        return SKIVE_OK;
    d->reading = SKV_Q8_LINES;
    return size_copy(n, d);
}

static skive_status size_up(skv_kernel_node *n, skv_q8_dense *d) {
    const skv_q8_gemm *gemm = d->gemm;
    const size_t number = gemm->wide ? 2 : 1;
    d->per_in = d->s.c / d->s.groups;
    d->per_out = d->s.m / d->s.groups;
    d->k = (size_t)(d->per_in * skv_volume(d->s.g.kernel));
    d->rows = d->s.n * skv_volume(d->s.g.out);
    SKV_TRY(choose_reading(n, d));
    d->taps = d->reading == SKV_Q8_GATHERED ? 1 : (size_t)skv_volume(d->at.kernel);
    d->groups = (d->k / d->taps + gemm->k_group - 1) / gemm->k_group;
    const size_t row_bytes = d->groups * gemm->k_group * number;
    d->panels = ((size_t)d->per_out + gemm->nr - 1) / gemm->nr;
    if (!skv_mul_size(row_bytes * d->taps, gemm->nr, &d->panel_bytes))
        return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "%s: the weights are too large", n->node->op_type);
    const bool gathers = d->reading == SKV_Q8_GATHERED;
    const size_t tile_pointers = d->taps * gemm->mr * sizeof(void *), tile_gathered = gemm->mr * row_bytes;
    size_t tiles = POINTER_LIMIT / tile_pointers;
    if (gathers && GATHER_LIMIT / tile_gathered < tiles) tiles = GATHER_LIMIT / tile_gathered;
    d->block_tiles = tiles < 1 ? 1 : tiles > SKV_Q8_BLOCK_TILES ? SKV_Q8_BLOCK_TILES : tiles;
    d->pointer_bytes = skv_align_up(d->block_tiles * tile_pointers, 64);
    d->gathered_bytes = gathers ? skv_align_up(d->block_tiles * tile_gathered, 64) : 0;
    n->scratch_bytes = d->copy_bytes + (d->pointer_bytes + d->gathered_bytes) * (size_t)n->threads;
    return SKIVE_OK;
}

static skive_status make_offsets(skive_context *ctx, skv_q8_dense *d) {
    const skv_geometry *g = &d->at;
    if (d->reading == SKV_Q8_GATHERED) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, d->taps, sizeof *d->offset, &d->offset));
    int64_t *to = d->offset;
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const int64_t line = (kd * g->dilation[0] * g->in[1] + kh * g->dilation[1]) * g->in[2];
            for (int64_t kw = 0; kw < g->kernel[2]; kw++) *to++ = (line + kw * g->dilation[2]) * d->s.c;
        }
    }
    return SKIVE_OK;
}

/* Taps of the window of output line h that lie inside. */
static int64_t taps_inside(const skv_q8_dense *d, int64_t h) {
    int64_t lo, hi;
    skv_window_range(&d->s.g, 1, h, &lo, &hi);
    return hi > lo ? (hi - lo) * d->s.g.kernel[2] : 1;
}

/* Where padding adds nothing, tiles that keep to lines which lack the same taps need not multiply by those. NULL as `at`:
 * only counts. Returns what the tiles of an image take, in cycles or so. */
static double cut_into_bands(const skv_q8_dense *d, int32_t *at, int64_t *count) {
    const skv_geometry *g = &d->s.g;
    const int64_t lines = g->out[1], width = g->out[2], mr = (int64_t)d->gemm->mr;
    double cost = 0;
    *count = 0;
    for (int64_t h = 0, next; h < lines; h = next) {
        const int64_t taps = taps_inside(d, h);
        for (next = h + 1; next < lines && taps_inside(d, next) == taps && taps == (int64_t)d->taps;) next++;
        const int64_t rows = (next - h) * width, tiles = (rows + mr - 1) / mr;
        cost += (double)(rows * 2 * taps) * (double)d->groups + (double)tiles * TILE_CYCLES;
        for (int64_t t = 0; at && t < tiles; t++) at[*count + t] = (int32_t)(h * width + skv_part(rows, tiles, t));
        *count += tiles;
    }
    if (at) at[*count] = (int32_t)(lines * width);
    return cost;
}

static skive_status choose_tiles(skive_context *ctx, skv_q8_dense *d) {
    const skv_geometry *g = &d->s.g;
    const int64_t mr = (int64_t)d->gemm->mr;
    d->tiles = (d->rows + mr - 1) / mr;
    /* lines alone: a window of one line, or of several planes, has none that are all outside together */
    if (d->reading != SKV_Q8_IN_PLACE || d->x_zero != 0 || g->kernel[1] == 1 || g->kernel[0] != 1 || g->out[0] != 1 ||
        g->out[1] * g->out[2] > BAND_LIMIT)
        return SKIVE_OK;
    int64_t count;
    const double even = (double)(d->rows * 2) * (double)(d->taps * d->groups) + (double)d->tiles * TILE_CYCLES;
    if (cut_into_bands(d, NULL, &count) * (double)d->s.n >= even) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(ctx, (size_t)count + 1, sizeof *d->tile_at, &d->tile_at));
    cut_into_bands(d, d->tile_at, &d->image_tiles);
    d->tiles = d->s.n * d->image_tiles;
    return SKIVE_OK;
}

static skive_status read_output(skv_kernel_node *n, skv_q8_dense *d, const skv_requant *r, const double *multiplier) {
    float largest = 0;
    skv_q_add q;
    for (int64_t m = 0; m < d->s.m; m++) largest = (float)multiplier[m] > largest ? (float)multiplier[m] : largest;
    d->out = skv_q8_out_of(r, largest);
    if (!skv_node_is(n->node, "QConvAdd")) return SKIVE_OK;
    SKV_TRY(skv_q_conv_add_read(n->ctx, n->node, &q));
    d->out = skv_q8_out_of(&q.y, largest);
    d->out.adds = true;
    d->out.sum = (skv_q8_sum){.least = r->clamp_lo - r->y_zero_point,
                              .most = r->clamp_hi - r->y_zero_point,
                              .mine = q.a_multiplier,
                              .theirs = q.b_multiplier,
                              .zero = q.b_zero_point};
    return SKIVE_OK;
}

skive_status skv_q8_dense_prepare(skv_kernel_node *n, const skv_q8_gemm *gemm, const skv_conv_shape *s) {
    skv_requant r;
    skv_q8_dense *d = NULL;
    const double *multiplier;
    const skive_tensor *bias = skv_q8_bias(n);
    const int8_t *w = n->in[1].constant->data;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->gemm = gemm;
    d->s = *s;
    SKV_GO(status, fail, skv_requant_read(n->ctx, n->node, &r));
    SKV_GO(status, fail, skv_q_zero_point(n->ctx, n->node, "x_zero_point", &d->x_zero));
    SKV_GO(status, fail, skv_q_multipliers(n->ctx, n->node, s->m, &multiplier));
    SKV_GO(status, fail, size_up(n, d));
    SKV_GO(status, fail, make_offsets(n->ctx, d));
    SKV_GO(status, fail, choose_tiles(n->ctx, d));
    SKV_GO(status, fail,
           skv_q_check_sums(n->ctx, n->node, d->x_zero, w, s->m, (int64_t)d->k, bias ? bias->data : NULL));
    SKV_GO(status, fail, read_output(n, d, &r, multiplier));
    d->item = d->out.real ? sizeof(float) : 1;
    const size_t panels = (size_t)s->groups * d->panels;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, panels, d->panel_bytes, &d->b));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, panels, gemm->nr * sizeof *d->init, &d->init));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, panels, gemm->nr * sizeof *d->multiplier, &d->multiplier));
    SKV_GO(status, fail, skv_alloc(n->ctx, d->groups * gemm->k_group, &d->padding));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d->constants, &d->constants));
    if (gemm->constants) gemm->constants(&d->out, d->constants);
    memset(d->padding, d->x_zero, d->groups * gemm->k_group);
#pragma omp parallel for num_threads(n->threads) schedule(static) if (n->threads > 1 && panels > 1)
    for (size_t i = 0; i < panels; i++)
        pack_panel(d, w, bias ? bias->data : NULL, multiplier, (int64_t)(i / d->panels), i % d->panels);
    n->state = d;
    n->state_bytes = panels * (d->panel_bytes + gemm->nr * 8);
    n->packs_input[1] = n->packs_input[2] = true;
    return SKIVE_OK;
fail:
    skv_q8_dense_destroy(n->ctx, d);
    return status;
}
