/* Preparing a dense integer convolution: weights into panels, the zero point into the bias, block sizes. */
#include "kernels/int8/dense.h"

enum { BLOCK_TILES = 16, POINTER_LIMIT = 64 << 10, GATHER_LIMIT = 256 << 10 };

void skv_q8_dense_destroy(skive_context *ctx, void *state) {
    skv_q8_dense *d = state;
    if (!d) return;
    skv_free(ctx, d->b);
    skv_free(ctx, d->init);
    skv_free(ctx, d->multiplier);
    skv_free(ctx, d->padding);
    skv_free(ctx, d);
}

/* One output channel's weights [per_in][taps] into its column: steps of k are taps outside, channels inside. */
static void pack_bytes(const int8_t *w, int64_t per_in, int64_t taps, size_t nr, int8_t *column) {
    const size_t group = nr * 4;
    if (taps == 1) {
        int64_t i = 0;
        for (; i + 4 <= per_in; i += 4, column += group) memcpy(column, w + i, 4);
        for (int j = 0; i < per_in; i++, j++) column[j] = w[i];
        return;
    }
    size_t k = 0;
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < per_in; i++, k++) column[k / 4 * group + k % 4] = w[i * taps + t];
}

static void pack_wide(const int8_t *w, int64_t per_in, int64_t taps, size_t nr, int16_t *column) {
    const size_t group = nr * 2;
    size_t k = 0;
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < per_in; i++, k++) column[k / 2 * group + k % 2] = w[i * taps + t];
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
            pack_wide(from, d->per_in, taps, nr, (int16_t *)(void *)b + p * 2);
        } else {
            pack_bytes(from, d->per_in, taps, nr, (int8_t *)b + p * 4);
            for (int64_t i = 0; i < row; i++) sum += from[i];
        }
        /* Wraps where the true sums would not: see int8.h. */
        d->init[index * nr + p] = (int32_t)((uint32_t)(bias ? bias[m] : 0) - (uint32_t)d->x_zero * (uint32_t)sum);
        d->multiplier[index * nr + p] = (float)multiplier[m];
    }
}

static skive_status size_up(skv_kernel_node *n, skv_q8_dense *d) {
    const skv_q8_gemm *gemm = d->gemm;
    const int64_t taps = skv_volume(d->s.g.kernel);
    const size_t number = gemm->wide ? 2 : 1;
    d->per_in = d->s.c / d->s.groups;
    d->per_out = d->s.m / d->s.groups;
    d->k = (size_t)(d->per_in * taps);
    d->rows = d->s.n * skv_volume(d->s.g.out);
    d->gathers = gemm->wide || (size_t)d->per_in % gemm->k_group != 0;
    d->taps = d->gathers ? 1 : (size_t)taps;
    d->groups = ((d->gathers ? d->k : (size_t)d->per_in) + gemm->k_group - 1) / gemm->k_group;
    const size_t row_bytes = d->groups * gemm->k_group * number;
    d->panels = ((size_t)d->per_out + gemm->nr - 1) / gemm->nr;
    if (!skv_mul_size(row_bytes * d->taps, gemm->nr, &d->panel_bytes))
        return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "%s: the weights are too large", n->node->op_type);
    const size_t tile_pointers = d->taps * gemm->mr * sizeof(void *), tile_gathered = gemm->mr * row_bytes;
    size_t tiles = POINTER_LIMIT / tile_pointers;
    if (d->gathers && GATHER_LIMIT / tile_gathered < tiles) tiles = GATHER_LIMIT / tile_gathered;
    d->block_tiles = tiles < 1 ? 1 : tiles > BLOCK_TILES ? BLOCK_TILES : tiles;
    d->pointer_bytes = skv_align_up(d->block_tiles * tile_pointers, 64);
    d->gathered_bytes = d->gathers ? skv_align_up(d->block_tiles * tile_gathered, 64) : 0;
    n->scratch_bytes = (d->pointer_bytes + d->gathered_bytes) * (size_t)n->threads;
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
    SKV_GO(status, fail,
           skv_q_check_sums(n->ctx, n->node, d->x_zero, w, s->m, (int64_t)d->k, bias ? bias->data : NULL));
    d->out = skv_q8_out_of(&r);
    d->item = d->out.real ? sizeof(float) : 1;
    const size_t panels = (size_t)s->groups * d->panels;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, panels, d->panel_bytes, &d->b));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, panels, gemm->nr * sizeof *d->init, &d->init));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, panels, gemm->nr * sizeof *d->multiplier, &d->multiplier));
    SKV_GO(status, fail, skv_alloc(n->ctx, d->groups * gemm->k_group, &d->padding));
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
