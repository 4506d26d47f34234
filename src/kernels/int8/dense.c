/* Running a dense integer convolution or product: the implicit product over [n][spatial...][c].
 *
 * Output positions are handled in blocks of tiles. For each block the places where the window's taps lie are worked out
 * once (pointers into the input or its padded copy, or to a row of the zero point outside of it), or the rows are gathered;
 * then every panel of weights goes over the block. The panel stays in the second-level cache while the block's tiles pass
 * over it. */
#include "kernels/int8/dense.h"

#include <omp.h>

typedef struct position {
    const uint8_t *image;
    int64_t d, h, w; /* of the output */
} position;

typedef struct block {
    int64_t first, rows;
    size_t tiles;
} block;

/* Part `i` of `n` nearly equal parts of `total`. */
static int64_t part(int64_t total, int64_t n, int64_t i) { return total / n * i + (i < total % n ? i : total % n); }

static position position_of(const skv_q8_dense *d, const uint8_t *x, int64_t row) {
    const skv_geometry *g = &d->at;
    const int64_t out = skv_volume(g->out), at = row % out;
    return (position){x + row / out * skv_volume(g->in) * d->s.c, at / g->out[2] / g->out[1],
                      at / g->out[2] % g->out[1], at % g->out[2]};
}

static void step(const skv_q8_dense *d, position *p) {
    const skv_geometry *g = &d->at;
    if (++p->w < g->out[2]) return;
    p->w = 0;
    if (++p->h < g->out[1]) return;
    p->h = 0;
    if (++p->d < g->out[0]) return;
    p->d = 0;
    p->image += skv_volume(g->in) * d->s.c;
}

/* The padded copy of line `line` of all lines of the batch, counted with padding. */
static void copy_line(const skv_q8_dense *d, const uint8_t *x, int64_t line, uint8_t *copy) {
    const skv_geometry *g = &d->s.g, *to = &d->at;
    const int64_t h = line % to->in[1] - g->pad_lo[1], z = line / to->in[1] % to->in[0] - g->pad_lo[0];
    const int64_t image = line / to->in[1] / to->in[0];
    const size_t c = (size_t)d->s.c, low = (size_t)g->pad_lo[2] * c, inside = (size_t)g->in[2] * c;
    const size_t all = (size_t)to->in[2] * c;
    copy += (size_t)line * all;
    if (h < 0 || h >= g->in[1] || z < 0 || z >= g->in[0]) {
        memset(copy, d->x_zero, all);
        return;
    }
    memset(copy, d->x_zero, low);
    memcpy(copy + low, x + (size_t)((image * g->in[0] + z) * g->in[1] + h) * inside, inside);
    memset(copy + low + inside, d->x_zero, all - low - inside);
}

/* One row of k numbers: taps outside, channels inside, padding as zero. */
static void gather(const skv_q8_dense *d, const position *p, int64_t channel, void *row) {
    const skv_geometry *g = &d->s.g;
    const size_t number = d->gemm->wide ? 2 : 1, width = (size_t)(g->kernel[2] * d->per_in);
    const int padding = d->gemm->wide ? 0 : d->x_zero;
    const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
    int64_t lo, hi;
    size_t at = 0;
    skv_window_range(g, 2, p->w, &lo, &hi);
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        const int64_t id = p->d * g->stride[0] - g->pad_lo[0] + kd * g->dilation[0];
        for (int64_t kh = 0; kh < g->kernel[1]; kh++, at += width) {
            const int64_t ih = p->h * g->stride[1] - g->pad_lo[1] + kh * g->dilation[1];
            const bool inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            const bool whole = inside && lo == 0 && hi == g->kernel[2];
            if (!whole) memset((char *)row + at * number, padding, width * number);
            if (!inside || hi <= lo) continue;
            const uint8_t *line = p->image + (id * g->in[1] + ih) * g->in[2] * d->s.c + channel;
            if (g->dilation[2] == 1 && d->s.groups == 1) {
                d->gemm->copy(row, at + (size_t)(lo * d->per_in), line + (w0 + lo) * d->s.c,
                              (size_t)((hi - lo) * d->s.c), d->x_zero);
                continue;
            }
            for (int64_t kw = lo; kw < hi; kw++)
                d->gemm->copy(row, at + (size_t)(kw * d->per_in), line + (w0 + kw * g->dilation[2]) * d->s.c,
                              (size_t)d->per_in, d->x_zero);
        }
    }
    const size_t padded = d->groups * d->gemm->k_group;
    if (at < padded) memset((char *)row + at * number, 0, (padded - at) * number);
}

/* The taps of a window of which a part lies outside, `stride` pointers apart. */
static void point_at_edge(const skv_q8_dense *d, const position *p, int64_t channel, size_t stride, const void **to) {
    const skv_geometry *g = &d->at;
    const int64_t d0 = p->d * g->stride[0] - g->pad_lo[0], h0 = p->h * g->stride[1] - g->pad_lo[1];
    const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        const int64_t id = d0 + kd * g->dilation[0];
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const int64_t ih = h0 + kh * g->dilation[1];
            const bool inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            const int64_t line = (id * g->in[1] + ih) * g->in[2];
            for (int64_t kw = 0; kw < g->kernel[2]; kw++, to += stride) {
                const int64_t iw = w0 + kw * g->dilation[2];
                *to = inside && iw >= 0 && iw < g->in[2] ? p->image + (line + iw) * d->s.c + channel : d->padding;
            }
        }
    }
}

/* Pointers of one tile, [taps][rows]. */
static void point(const skv_q8_dense *d, position *p, int64_t channel, size_t rows, const void **a) {
    const skv_geometry *g = &d->at;
    int64_t last[SKV_SPATIAL]; /* where a window may begin and still lie inside */
    for (int k = 0; k < SKV_SPATIAL; k++) last[k] = g->in[k] - (g->kernel[k] - 1) * g->dilation[k] - 1;
    for (size_t r = 0; r < rows; r++, step(d, p)) {
        const int64_t d0 = p->d * g->stride[0] - g->pad_lo[0], h0 = p->h * g->stride[1] - g->pad_lo[1];
        const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
        if (d0 < 0 || h0 < 0 || w0 < 0 || d0 > last[0] || h0 > last[1] || w0 > last[2]) {
            point_at_edge(d, p, channel, rows, a + r);
            continue;
        }
        const uint8_t *first = p->image + ((d0 * g->in[1] + h0) * g->in[2] + w0) * d->s.c + channel;
        for (size_t t = 0; t < d->taps; t++) a[t * rows + r] = first + d->offset[t];
    }
}

static void run_part(const skv_q8_dense *d, const block *b, int64_t group, size_t panel_from, size_t panel_to,
                     const uint8_t *x, const uint8_t *other, char *y, char *scratch) {
    const skv_q8_gemm *gemm = d->gemm;
    const size_t number = gemm->wide ? 2 : 1, row_bytes = d->groups * gemm->k_group * number;
    const size_t tile_pointers = d->taps * gemm->mr;
    const void **a = (const void **)(void *)scratch;
    char *gathered = scratch + d->pointer_bytes;
    position p = position_of(d, x, b->first);
    const int64_t channel = group * d->per_in;
    for (size_t t = 0; t < b->tiles; t++) {
        const size_t rows =
            (size_t)(part(b->rows, (int64_t)b->tiles, (int64_t)t + 1) - part(b->rows, (int64_t)b->tiles, (int64_t)t));
        const void **to = a + t * tile_pointers;
        if (d->reading != SKV_Q8_GATHERED) {
            point(d, &p, channel, rows, to);
            continue;
        }
        for (size_t r = 0; r < rows; r++, gathered += row_bytes, step(d, &p)) {
            gather(d, &p, channel, gathered);
            to[r] = gathered;
        }
    }
    skv_q8_tile tile = {.taps = d->taps, .groups = d->groups, .y_stride = (size_t)d->s.m * d->item, .out = &d->out};
    for (size_t panel = panel_from; panel < panel_to; panel++) {
        const size_t index = (size_t)group * d->panels + panel, left = (size_t)d->per_out - panel * gemm->nr;
        tile.columns = left < gemm->nr ? left : gemm->nr;
        tile.b = d->b + index * d->panel_bytes;
        tile.init = d->init + index * gemm->nr;
        tile.multiplier = d->multiplier + index * gemm->nr;
        const size_t column =
            ((size_t)b->first * (size_t)d->s.m + (size_t)(group * d->per_out) + panel * gemm->nr) * d->item;
        for (size_t t = 0; t < b->tiles; t++) {
            const int64_t from = part(b->rows, (int64_t)b->tiles, (int64_t)t);
            tile.rows = (size_t)(part(b->rows, (int64_t)b->tiles, (int64_t)t + 1) - from);
            tile.a = a + t * tile_pointers;
            tile.y = y + column + (size_t)from * tile.y_stride;
            if (other) tile.other = other + column + (size_t)from * tile.y_stride;
            gemm->tile(&tile);
        }
    }
}

skive_status skv_q8_dense_run(const skv_kernel_call *c) {
    const skv_q8_dense *d = c->n->state;
    const int threads = c->n->threads;
    const int64_t mr = (int64_t)d->gemm->mr, tiles = (d->rows + mr - 1) / mr;
    const int64_t blocks = (tiles + (int64_t)d->block_tiles - 1) / (int64_t)d->block_tiles,
                  pairs = blocks * d->s.groups;
    /* With few blocks the panels are shared out among the threads too. */
    int64_t chunks = pairs >= 2 * threads ? 1 : threads;
    if (chunks > (int64_t)d->panels) chunks = (int64_t)d->panels;
    const size_t per_thread = d->pointer_bytes + d->gathered_bytes;
    const uint8_t *x = c->in[0], *other = d->out.adds ? c->in[SKV_Q8_OTHER] : NULL;
    char *scratch = (char *)c->scratch + d->copy_bytes;
    if (d->reading == SKV_Q8_LINES) {
        const int64_t lines = d->s.n * d->at.in[0] * d->at.in[1];
        x = c->scratch;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < lines; i++) copy_line(d, c->in[0], i, c->scratch);
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pairs * chunks; i++) {
        const int64_t pair = i / chunks, chunk = i % chunks, at = pair % blocks;
        /* blocks begin at whole tiles' boundaries of the even division, so none has more than block_tiles */
        const int64_t t0 = part(tiles, blocks, at), t1 = part(tiles, blocks, at + 1);
        const block b = {part(d->rows, tiles, t0), part(d->rows, tiles, t1) - part(d->rows, tiles, t0),
                         (size_t)(t1 - t0)};
        run_part(d, &b, pair / blocks, (size_t)part((int64_t)d->panels, chunks, chunk),
                 (size_t)part((int64_t)d->panels, chunks, chunk + 1), x, other, c->out[0],
                 scratch + (size_t)omp_get_thread_num() * per_thread);
    }
    return SKIVE_OK;
}
