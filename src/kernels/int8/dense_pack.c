/* Preparing a dense integer convolution: weights into panels, the zero point into the bias, block sizes. */
#include "kernels/int8/dense.h"
#include "kernels/int8/few.h"
#include "kernels/int8/shift.h"

enum {
    POINTER_LIMIT = 64 << 10,
    GATHER_LIMIT = 256 << 10,
    EVEN_LIMIT = 512 << 10,
    TILE_CYCLES = 100,
    STEP_CYCLES = 8,
    SKV_Q8_WORD = 4
};
enum { SHORT_LINE = 12 }; /* gathering takes less than tiles of so few rows */

void skv_q8_dense_destroy(skive_context *ctx, void *state) {
    skv_q8_dense *d = state;
    if (!d) return;
    skv_free(ctx, d->init);
    skv_free(ctx, d->multiplier);
    skv_free(ctx, d->q31);
    skv_free(ctx, d->shift);
    skv_free(ctx, d->padding);
    for (int i = 0; i < d->n_boxes; i++) {
        skv_free(ctx, d->box[i].offset);
        skv_free(ctx, d->box[i].tap_at);
    }
    skv_free(ctx, d);
}

/* One output channel's weights [per_in][window] into its column: window outside, channels inside, each tap's run
 * filled up with zeros to whole groups. */
static void pack_bytes(const skv_q8_dense *d, const int8_t *w, int8_t *column) {
    const size_t step = skv_q8_column_run(d->gemm, d->groups), group = d->gemm->nr * step, run = d->k / d->taps;
    const size_t padded = d->groups * d->gemm->k_group;
    const int64_t window = skv_volume(d->s.g.kernel);
    size_t first = 0, at = 0;
    if (window == 1) {
        for (; at + step <= d->k; at += step, column += group) memcpy(column, w + at, step);
        for (size_t j = 0; at < d->k; at++, j++) column[j] = w[at];
        return;
    }
    for (int64_t t = 0; t < window; t++) {
        for (int64_t i = 0; i < d->per_in; i++) {
            column[(first + at) / step * group + (first + at) % step] = w[i * window + t];
            if (++at < run) continue;
            at = 0;
            first += padded;
        }
    }
}

/* The same in 16 bits; a group is what stands together of a column. */
static void pack_wide(const skv_q8_dense *d, const int8_t *w, size_t column, int16_t *panel) {
    const size_t step = skv_q8_column_run(d->gemm, d->groups), group = d->gemm->nr * step;
    const int64_t window = skv_volume(d->s.g.kernel), taps = (int64_t)d->taps, positions = window / taps;
    int16_t *to = panel + column * step;
    for (int64_t tap = 0; tap < taps; tap++) {
        size_t in = 0;
        for (int64_t t = tap * positions; t < (tap + 1) * positions; t++) {
            for (int64_t i = 0; i < d->per_in; i++) {
                to[in] = w[i * window + t];
                if (++in < step) continue;
                in = 0;
                to += group;
            }
        }
        if (in > 0) to += group; /* a tap's run is filled up with zeros */
    }
}

static void pack_few(const skv_q8_dense *d, const int8_t *w, size_t column, uint32_t *panel) {
    const size_t run = d->k / d->taps, words = d->groups * d->gemm->nr;
    const int64_t window = skv_volume(d->s.g.kernel);
    size_t at = 0;
    for (int64_t t = 0; t < window; t++) {
        for (int64_t i = 0; i < d->per_in; i++) {
            if (d->gemm->bits == SKV_Q8_SHIFT_PLACE)
                skv_q8_shift_put(d->gemm, panel, column, at, w[i * window + t]);
            else
                skv_q8_few_put(d->gemm, panel, column, at, w[i * window + t] / d->factor);
            if (++at < run) continue;
            at = 0;
            panel += words;
        }
    }
}

/* Scaling NULL: the results are sums, and init becomes the sum of each column's weights, of which
 * skv_q8_dense_at makes what it is for the zero point of a run. */
static void pack_panel(const skv_q8_dense *d, const int8_t *w, const int32_t *bias, const skv_q_scaling *scaling,
                       int64_t group, size_t panel) {
    const size_t nr = d->gemm->nr, index = (size_t)group * d->panels + panel;
    const int64_t taps = skv_volume(d->s.g.kernel), row = d->per_in * taps;
    const int32_t zero = scaling ? d->x_zero - d->gemm->shift : -1;
    char *b = d->b + index * d->panel_bytes;
    for (size_t p = 0; p < nr; p++) {
        const int64_t column = (int64_t)(panel * nr + p);
        if (column >= d->per_out) continue; /* stays zero */
        const int64_t m = group * d->per_out + column;
        const int8_t *from = w + m * row;
        int32_t sum = 0;
        if (d->gemm->bits) {
            pack_few(d, from, p, (uint32_t *)(void *)b);
            for (int64_t i = 0; !d->gemm->wide && i < row; i++) sum += from[i];
        } else if (d->gemm->wide) {
            pack_wide(d, from, p, (int16_t *)(void *)b);
        } else {
            pack_bytes(d, from, (int8_t *)b + p * skv_q8_column_run(d->gemm, d->groups));
            for (int64_t i = 0; i < row; i++) sum += from[i];
        }
        /* Wraps where the true sums would not: see int8.h. */
        d->init[index * nr + p] = (int32_t)((uint32_t)(bias ? bias[m] : 0) - (uint32_t)zero * (uint32_t)sum);
        if (!scaling) continue;
        d->multiplier[index * nr + p] = (float)scaling->multiplier[m];
        if (!d->fixed.on) continue;
        d->q31[index * nr + p] = (int32_t)scaling->q31[m];
        d->shift[index * nr + p] = (int32_t)scaling->shift[m];
    }
}

/* The input's copy for SKV_Q8_LINES: its geometry, in which no window leaves it and one tap is a line, or with `pixels`
 * the channels of a group at one pixel. */
static skive_status size_copy(skv_kernel_node *n, skv_q8_dense *d, bool pixels) {
    size_t bytes = (size_t)d->s.n;
    bool fits = true;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        d->at.in[a] += d->at.pad_lo[a] + d->at.pad_hi[a];
        d->at.pad_lo[a] = d->at.pad_hi[a] = 0;
        fits = fits && skv_mul_size(bytes, (size_t)d->at.in[a], &bytes);
    }
    if (!pixels) d->at.kernel[SKV_SPATIAL - 1] = 1;
    fits = fits && skv_mul_size(bytes, (size_t)d->s.c, &bytes) && bytes < SIZE_MAX / 4;
    if (!fits) return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "QConv: the input is too large");
    d->x_item = d->gemm->wide ? 2 : 1;
    d->copy_bytes =
        skv_align_up((bytes + d->gemm->k_group) * d->x_item, 64); /* the last run reads on to a group's end */
    return SKIVE_OK;
}

/* Reads one pixel for each it writes: all of them are as good as one line. */
static bool is_pointwise(const skv_geometry *g) {
    for (int a = 0; a < SKV_SPATIAL; a++)
        if (g->kernel[a] != 1 || g->in[a] != g->out[a] || g->pad_lo[a] || g->stride[a] != 1) return false;
    return true;
}

static void join_lines(skv_q8_dense *d) {
    d->at.in[2] = d->at.out[2] = d->images * skv_volume(d->s.g.in);
    d->at.in[0] = d->at.in[1] = d->at.out[0] = d->at.out[1] = d->images = 1;
}

/* Rows that are equally far apart: all positions in place, those of one line of a copy, or gathered. */
static skive_status choose_even(skv_kernel_node *n, skv_q8_dense *d) {
    const skv_geometry *g = &d->s.g;
    const bool window = skv_volume(g->kernel) > 1;
    if (is_pointwise(g) && d->s.c >= SKV_Q8_WORD) {
        join_lines(d);
        d->reads_on = (size_t)d->per_in % d->gemm->k_group != 0;
        return SKIVE_OK;
    }
    d->reading = SKV_Q8_GATHERED;
    if (!window || d->s.groups > 1 || g->dilation[SKV_SPATIAL - 1] != 1 || g->out[SKV_SPATIAL - 1] < SHORT_LINE)
        return SKIVE_OK;
    d->reading = SKV_Q8_LINES;
    return size_copy(n, d, false);
}

static skive_status choose_reading(skv_kernel_node *n, skv_q8_dense *d) {
    const skv_geometry *g = &d->s.g;
    d->at = *g;
    d->images = d->s.n;
    d->reading = SKV_Q8_IN_PLACE;
    d->x_item = 1;
    if (d->gemm->even) return choose_even(n, d);
    if (!d->gemm->wide && (size_t)d->per_in % d->gemm->k_group == 0) {
        if (is_pointwise(g)) join_lines(d);
        return SKIVE_OK;
    }
    d->reading = SKV_Q8_GATHERED;
    /* Where a weight cannot be 0, the numbers behind a row must be. */
    if (d->gemm->bits == 1) return SKIVE_OK;
    const bool pixels = d->s.groups > 1 || g->dilation[SKV_SPATIAL - 1] != 1;
    if (pixels && (!d->gemm->wide || (size_t)d->per_in % d->gemm->k_group != 0)) return SKIVE_OK;
    if (d->gemm->wide) {
        if (!pixels && is_pointwise(g) && (size_t)d->s.c % d->gemm->k_group == 0) {
            join_lines(d);
            d->joined = true;
        }
        /* Numbers that stand together along k have been put together for it. */
        if (skv_volume(g->kernel) == 1 || d->gemm->by_column || d->gemm->one_tap || d->gemm->bits) return SKIVE_OK;
    } else if (skv_node_is(n->node, SKV_OP_Q_GEMM)) {
        return SKIVE_OK;
    }
    d->reading = SKV_Q8_LINES;
    return size_copy(n, d, pixels);
}

static skive_status size_up(skv_kernel_node *n, skv_q8_dense *d) {
    const skv_q8_gemm *gemm = d->gemm;
    const size_t number = gemm->wide ? 2 : 1;
    d->per_in = d->s.c / d->s.groups;
    d->per_out = d->s.m / d->s.groups;
    d->k = (size_t)(d->per_in * skv_volume(d->s.g.kernel));
    SKV_TRY(choose_reading(n, d));
    d->taps = d->reading == SKV_Q8_GATHERED ? 1 : (size_t)skv_volume(d->at.kernel);
    d->groups = (d->k / d->taps + gemm->k_group - 1) / gemm->k_group;
    const size_t row_bytes = d->groups * gemm->k_group * number;
    d->panels = ((size_t)d->per_out + gemm->nr - 1) / gemm->nr;
    const size_t column_bytes = gemm->bits ? d->groups * SKV_Q8_WORD : row_bytes;
    if (!skv_mul_size(column_bytes * d->taps, gemm->nr, &d->panel_bytes))
        return skv_fail_at(n->ctx, SKIVE_ERR_LIMIT, n->node->name, "%s: the weights are too large", n->node->op_type);
    const bool gathers = d->reading == SKV_Q8_GATHERED;
    const size_t tile_pointers = d->taps * (gemm->even ? 1 : gemm->mr) * sizeof(void *);
    const size_t tile_gathered = gemm->mr * row_bytes, limit = gemm->even ? EVEN_LIMIT : GATHER_LIMIT;
    size_t tiles = POINTER_LIMIT / tile_pointers;
    if (gathers && limit / tile_gathered < tiles) tiles = limit / tile_gathered;
    d->block_tiles = tiles < 1 ? 1 : tiles > SKV_Q8_BLOCK_TILES ? SKV_Q8_BLOCK_TILES : tiles;
    d->pointer_bytes = skv_align_up(d->block_tiles * tile_pointers, 64);
    d->gathered_bytes = skv_align_up(gathers ? d->block_tiles * tile_gathered : d->reads_on ? tile_gathered : 0, 64);
    d->sum_bytes = d->fixed.on ? skv_align_up(gemm->mr * gemm->nr * sizeof(int32_t), 64) : 0;
    n->scratch_bytes = d->copy_bytes + (d->pointer_bytes + d->gathered_bytes + d->sum_bytes) * (size_t)n->threads;
    return SKIVE_OK;
}

/* Output positions lo to hi along an axis and the taps that any of them finds inside. */
typedef struct stretch {
    int64_t lo, hi, tap_lo, tap_hi;
} stretch;

static stretch stretch_of(const skv_geometry *g, int axis, int64_t from, int64_t to) {
    stretch s = {from, to, g->kernel[axis], 0};
    for (int64_t o = from; o < to; o++) {
        int64_t lo, hi;
        skv_window_range(g, axis, o, &lo, &hi);
        if (hi <= lo) continue;
        s.tap_lo = lo < s.tap_lo ? lo : s.tap_lo;
        s.tap_hi = hi > s.tap_hi ? hi : s.tap_hi;
    }
    if (s.tap_hi <= s.tap_lo) s.tap_lo = 0, s.tap_hi = 1; /* a tile has a tap */
    return s;
}

static stretch whole_axis(const skv_geometry *g, int axis) { return (stretch){0, g->out[axis], 0, g->kernel[axis]}; }

/* The axis in one piece, or as the parts before, inside and after the positions whose window lies inside. */
static int stretches(const skv_geometry *g, int axis, bool cut, stretch *out) {
    int64_t from = 0, to = g->out[axis], lo, hi;
    out[0] = whole_axis(g, axis);
    if (!cut) return 1;
    for (; from < to; from++) {
        skv_window_range(g, axis, from, &lo, &hi);
        if (hi - lo == g->kernel[axis]) break;
    }
    for (; to > from; to--) {
        skv_window_range(g, axis, to - 1, &lo, &hi);
        if (hi - lo == g->kernel[axis]) break;
    }
    if (from == to) return 1;
    out[0] = stretch_of(g, axis, from, to);
    int n = 1;
    if (from > 0) out[n++] = stretch_of(g, axis, 0, from);
    if (to < g->out[axis]) out[n++] = stretch_of(g, axis, to, g->out[axis]);
    return n;
}

static skv_q8_box box_of(const skv_q8_dense *d, stretch h, stretch w) {
    const skv_geometry *g = &d->at;
    skv_q8_box b = {.lo = {0, h.lo, w.lo},
                    .hi = {g->out[0], h.hi, w.hi},
                    .tap_lo = {0, h.tap_lo, w.tap_lo},
                    .tap_hi = {g->kernel[0], h.tap_hi, w.tap_hi}};
    const int64_t mr = (int64_t)d->gemm->mr;
    b.rows = d->images * g->out[0] * (h.hi - h.lo) * (w.hi - w.lo);
    b.run = d->gemm->even && d->reading != SKV_Q8_GATHERED ? w.hi - w.lo : b.rows;
    b.run_tiles = (b.run + mr - 1) / mr;
    b.tiles = b.rows / b.run * b.run_tiles;
    b.taps = d->reading == SKV_Q8_GATHERED ? 1 : (size_t)(g->kernel[0] * (h.tap_hi - h.tap_lo) * (w.tap_hi - w.tap_lo));
    return b;
}

/* Boxes of whole lines, and those whose window lies inside above and below cut along the line too. Returns what they
 * take, in cycles or so. */
static double cut(const skv_q8_dense *d, bool lines, bool columns, skv_q8_box *box, int *n) {
    stretch h[3], w[3];
    const int n_h = stretches(&d->at, 1, lines, h), n_w = stretches(&d->at, 2, columns, w);
    double cycles = 0;
    *n = 0;
    for (int i = 0; i < n_w; i++) box[(*n)++] = box_of(d, h[0], w[i]);
    for (int i = 1; i < n_h; i++) box[(*n)++] = box_of(d, h[i], whole_axis(&d->at, 2));
    for (int i = 0; i < *n; i++) {
        const double rows = (double)box[i].rows / (double)box[i].tiles;
        const double step = rows * 2 < STEP_CYCLES ? STEP_CYCLES : rows * 2;
        cycles += (double)box[i].tiles * (TILE_CYCLES + step * (double)(box[i].taps * d->groups));
    }
    return cycles;
}

static void choose_boxes(skv_q8_dense *d) {
    const bool can =
        d->reading == SKV_Q8_IN_PLACE && !d->gemm->even && d->x_zero == 0 && d->gemm->shift == 0 && !d->out.sums;
    double least = cut(d, false, false, d->box, &d->n_boxes);
    for (int i = 1; can && i < 4; i++) {
        skv_q8_box box[SKV_Q8_BOXES];
        int n;
        const double cycles = cut(d, i & 1, i & 2, box, &n);
        if (cycles >= least) continue;
        least = cycles;
        memcpy(d->box, box, sizeof box);
        d->n_boxes = n;
    }
    d->tiles = 0;
    for (int i = 0; i < d->n_boxes; i++) d->tiles += d->box[i].tiles;
}

static skive_status list_taps(skive_context *ctx, const skv_q8_dense *d, skv_q8_box *b) {
    const skv_geometry *g = &d->at;
    const size_t tap_bytes = d->panel_bytes / d->taps;
    SKV_TRY(skv_alloc_array(ctx, b->taps, sizeof *b->offset, &b->offset));
    SKV_TRY(skv_alloc_array(ctx, b->taps, sizeof *b->tap_at, &b->tap_at));
    if (d->reading == SKV_Q8_GATHERED) return SKIVE_OK;
    size_t n = 0;
    for (int64_t kd = b->tap_lo[0]; kd < b->tap_hi[0]; kd++)
        for (int64_t kh = b->tap_lo[1]; kh < b->tap_hi[1]; kh++)
            for (int64_t kw = b->tap_lo[2]; kw < b->tap_hi[2]; kw++, n++) {
                const int64_t line = (kd * g->dilation[0] * g->in[1] + kh * g->dilation[1]) * g->in[2];
                b->offset[n] = (line + kw * g->dilation[2]) * d->s.c;
                b->tap_at[n] = (size_t)((kd * g->kernel[1] + kh) * g->kernel[2] + kw) * tap_bytes;
            }
    return SKIVE_OK;
}

static skive_status make_boxes(skive_context *ctx, skv_q8_dense *d) {
    choose_boxes(d);
    for (int i = 0; i < d->n_boxes; i++) SKV_TRY(list_taps(ctx, d, &d->box[i]));
    return SKIVE_OK;
}

skive_status skv_q8_read_output(const skv_kernel_node *n, int64_t channels, const skv_requant *r,
                                const double *multiplier, skv_q8_out *out) {
    float largest = 0;
    skv_q_add q;
    for (int64_t m = 0; m < channels; m++) largest = (float)multiplier[m] > largest ? (float)multiplier[m] : largest;
    *out = skv_q8_out_of(r, largest);
    if (!skv_node_is(n->node, SKV_OP_Q_CONV_ADD)) return SKIVE_OK;
    SKV_TRY(skv_q_conv_add_read(n->ctx, n->node, &q));
    *out = skv_q8_out_of(&q.y, largest);
    out->adds = true;
    out->sum = (skv_q8_sum){.least = r->clamp_lo - r->y_zero_point,
                            .most = r->clamp_hi - r->y_zero_point,
                            .mine = q.a_multiplier,
                            .theirs = q.b_multiplier,
                            .zero = q.b_zero_point};
    return SKIVE_OK;
}

/* What prepared weights take. */
static skive_status allocate(skv_kernel_node *n, skv_q8_dense *d) {
    const size_t panels = (size_t)d->s.groups * d->panels, nr = d->gemm->nr;
    SKV_TRY(skv_arena_array(n->weights, panels, d->panel_bytes, &d->b));
    SKV_TRY(skv_alloc_array(n->ctx, panels, nr * sizeof *d->init, &d->init));
    SKV_TRY(skv_alloc_array(n->ctx, panels, nr * sizeof *d->multiplier, &d->multiplier));
    for (int i = 0; d->fixed.on && i < 2; i++)
        SKV_TRY(skv_alloc_array(n->ctx, panels, nr * sizeof(int32_t), i ? &d->shift : &d->q31));
    return skv_alloc(n->ctx, d->groups * d->gemm->k_group, &d->padding);
}

static void pack_all(skv_kernel_node *n, const skv_q8_dense *d, const int8_t *w, const int32_t *bias,
                     const skv_q_scaling *scaling) {
    const size_t panels = (size_t)d->s.groups * d->panels;
#pragma omp parallel for num_threads(n->threads) schedule(static) if (n->threads > 1 && panels > 1)
    for (size_t i = 0; i < panels; i++) pack_panel(d, w, bias, scaling, (int64_t)(i / d->panels), i % d->panels);
    n->state_bytes = panels * (d->panel_bytes + d->gemm->nr * (d->fixed.on ? 16 : 8));
    n->packs_input[1] = true;
}

skive_status skv_q8_dense_prepare(skv_kernel_node *n, const skv_q8_gemm *gemm, const skv_conv_shape *s) {
    skv_q_scaling scaling;
    skv_q8_dense *d = NULL;
    const skive_tensor *bias = skv_q8_bias(n);
    const int8_t *w = n->in[1].constant->data;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->gemm = gemm;
    d->s = *s;
    if (gemm->bits && gemm->bits != SKV_Q8_SHIFT_PLACE)
        (void)skv_q8_few_bits(w, (size_t)skive_tensor_count(n->in[1].constant), &d->factor);
    SKV_GO(status, fail, skv_q_zero_point(n->ctx, n->node, "x_zero_point", &d->x_zero));
    SKV_GO(status, fail, skv_q_scaling_read(n->ctx, n->node, s->m, true, &scaling));
    d->fixed = skv_q8_fixed_of(&scaling);
    d->loops = skv_q8_loops_of(skv_cpu_isa());
    SKV_GO(status, fail, size_up(n, d));
    SKV_GO(status, fail, make_boxes(n->ctx, d));
    SKV_GO(status, fail,
           skv_q_check_sums(n->ctx, n->node, d->x_zero, w, s->m, (int64_t)d->k, bias ? bias->data : NULL));
    SKV_GO(status, fail, skv_q8_read_output(n, s->m, &scaling.r, scaling.multiplier, &d->out));
    d->item = d->out.real ? sizeof(float) : 1;
    SKV_GO(status, fail, allocate(n, d));
    if (gemm->constants) gemm->constants(&d->out, &d->constants);
    memset(d->padding, d->x_zero, d->groups * gemm->k_group);
    pack_all(n, d, w, bias ? bias->data : NULL, &scaling);
    n->packs_input[2] = true;
    n->state = d;
    return SKIVE_OK;
fail:
    skv_q8_dense_destroy(n->ctx, d);
    return status;
}

skive_status skv_q8_dense_sums(skv_kernel_node *n, const skv_q8_gemm *gemm, const skv_conv_shape *s, const int8_t *w,
                               skv_q8_dense **out) {
    skv_q8_dense *d = NULL;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *d, &d));
    d->gemm = gemm;
    d->s = *s;
    d->out.sums = true;
    d->item = sizeof(int32_t);
    SKV_GO(status, fail, size_up(n, d));
    SKV_GO(status, fail, make_boxes(n->ctx, d));
    SKV_GO(status, fail, allocate(n, d));
    pack_all(n, d, w, NULL, NULL);
    *out = d;
    return SKIVE_OK;
fail:
    skv_q8_dense_destroy(n->ctx, d);
    return status;
}

size_t skv_q8_dense_at_bytes(const skv_q8_dense *d) {
    return skv_align_up((size_t)d->s.groups * d->panels * d->gemm->nr * sizeof(int32_t), 64) +
           skv_align_up(d->groups * d->gemm->k_group, 64);
}

void skv_q8_dense_at(const skv_q8_dense *d, int32_t zero, void *memory, skv_q8_dense *at) {
    const size_t columns = (size_t)d->s.groups * d->panels * d->gemm->nr;
    int32_t *init = memory;
    *at = *d;
    at->x_zero = zero;
    at->init = init;
    at->padding = (uint8_t *)memory + skv_align_up(columns * sizeof *init, 64);
    memset(at->padding, zero, d->groups * d->gemm->k_group);
    /* Wraps where the true sums would not: see int8.h. */
    for (size_t i = 0; i < columns; i++)
        init[i] = (int32_t)(0u - (uint32_t)(zero - d->gemm->shift) * (uint32_t)d->init[i]);
}
