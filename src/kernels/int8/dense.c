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
    int64_t first; /* tile */
    size_t tiles;
} block;

typedef struct span {
    size_t from, to;
} span;

/* First output position of a tile. */
static int64_t tile_from(const skv_q8_dense *d, int64_t tile) {
    if (!d->image_tiles) return skv_part(d->rows, d->tiles, tile);
    return tile / d->image_tiles * skv_volume(d->at.out) + d->tile_at[tile % d->image_tiles];
}

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

/* The taps of a window of which a part lies outside, `stride` pointers apart. `inside` grows by those that lie inside. */
static void point_at_edge(const skv_q8_dense *d, const position *p, int64_t channel, size_t stride, const void **to,
                          span *inside) {
    const skv_geometry *g = &d->at;
    const int64_t d0 = p->d * g->stride[0] - g->pad_lo[0], h0 = p->h * g->stride[1] - g->pad_lo[1];
    const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
    size_t tap = 0;
    for (int64_t kd = 0; kd < g->kernel[0]; kd++) {
        const int64_t id = d0 + kd * g->dilation[0];
        for (int64_t kh = 0; kh < g->kernel[1]; kh++) {
            const int64_t ih = h0 + kh * g->dilation[1];
            const bool line_inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            const int64_t line = (id * g->in[1] + ih) * g->in[2];
            for (int64_t kw = 0; kw < g->kernel[2]; kw++, tap++) {
                const int64_t iw = w0 + kw * g->dilation[2];
                if (!line_inside || iw < 0 || iw >= g->in[2]) {
                    to[tap * stride] = d->padding;
                    continue;
                }
                to[tap * stride] = p->image + (line + iw) * d->s.c + channel;
                if (tap < inside->from) inside->from = tap;
                if (tap >= inside->to) inside->to = tap + 1;
            }
        }
    }
}

/* Pointers of one tile, [taps][rows]. Returns the taps outside of which all rows read padding. */
static span point(const skv_q8_dense *d, position *p, int64_t channel, size_t rows, const void **a) {
    const skv_geometry *g = &d->at;
    const span all = {0, d->taps};
    span inside = {d->taps, 0};
    int64_t last[SKV_SPATIAL]; /* where a window may begin and still lie inside */
    for (int k = 0; k < SKV_SPATIAL; k++) last[k] = g->in[k] - (g->kernel[k] - 1) * g->dilation[k] - 1;
    const int64_t apart = g->stride[2] * d->s.c;
    for (size_t r = 0; r < rows;) {
        const int64_t d0 = p->d * g->stride[0] - g->pad_lo[0], h0 = p->h * g->stride[1] - g->pad_lo[1];
        const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
        if (d0 < 0 || h0 < 0 || w0 < 0 || d0 > last[0] || h0 > last[1] || w0 > last[2]) {
            point_at_edge(d, p, channel, rows, a + r, &inside);
            r++;
            step(d, p);
            continue;
        }
        /* as many positions of the line as lie inside too */
        const int64_t fit = (last[2] - w0) / g->stride[2] + 1, left = g->out[2] - p->w;
        size_t run = (size_t)(fit < left ? fit : left);
        if (run > rows - r) run = rows - r;
        inside = all;
        const uint8_t *first = p->image + ((d0 * g->in[1] + h0) * g->in[2] + w0) * d->s.c + channel;
        for (size_t t = 0; t < d->taps; t++)
            for (size_t i = 0; i < run; i++) a[t * rows + r + i] = first + d->offset[t] + (int64_t)i * apart;
        r += run;
        p->w += (int64_t)run - 1;
        step(d, p);
    }
    /* a zero point other than 0 counts in padding too; a tile has one tap at least */
    return d->x_zero == 0 && inside.from < inside.to ? inside : all;
}

static void run_part(const skv_q8_dense *d, const block *b, int64_t group, size_t panel_from, size_t panel_to,
                     const uint8_t *x, const uint8_t *other, char *y, char *scratch) {
    const skv_q8_gemm *gemm = d->gemm;
    const size_t number = gemm->wide ? 2 : 1, row_bytes = d->groups * gemm->k_group * number;
    const size_t tile_pointers = d->taps * gemm->mr, tap_bytes = d->panel_bytes / d->taps;
    const void **a = (const void **)(void *)scratch;
    char *gathered = scratch + d->pointer_bytes;
    int64_t from[SKV_Q8_BLOCK_TILES + 1];
    span taps[SKV_Q8_BLOCK_TILES];
    for (size_t t = 0; t <= b->tiles; t++) from[t] = tile_from(d, b->first + (int64_t)t);
    position p = position_of(d, x, from[0]);
    const int64_t channel = group * d->per_in;
    for (size_t t = 0; t < b->tiles; t++) {
        const size_t rows = (size_t)(from[t + 1] - from[t]);
        const void **to = a + t * tile_pointers;
        if (d->reading != SKV_Q8_GATHERED) {
            taps[t] = point(d, &p, channel, rows, to);
            continue;
        }
        taps[t] = (span){0, 1};
        for (size_t r = 0; r < rows; r++, gathered += row_bytes, step(d, &p)) {
            gather(d, &p, channel, gathered);
            to[r] = gathered;
        }
    }
    skv_q8_tile tile = {
        .groups = d->groups, .y_stride = (size_t)d->s.m * d->item, .out = &d->out, .constants = d->constants};
    for (size_t panel = panel_from; panel < panel_to; panel++) {
        const size_t index = (size_t)group * d->panels + panel, left = (size_t)d->per_out - panel * gemm->nr;
        tile.columns = left < gemm->nr ? left : gemm->nr;
        tile.init = d->init + index * gemm->nr;
        tile.multiplier = d->multiplier + index * gemm->nr;
        const size_t column = (size_t)(group * d->per_out) + panel * gemm->nr;
        const char *weights = d->b + index * d->panel_bytes;
        const char *next = panel + 1 < panel_to ? weights + d->panel_bytes : weights;
        for (size_t t = 0; t < b->tiles; t++) {
            const size_t at = (size_t)from[t] * tile.y_stride + column * d->item;
            tile.rows = (size_t)(from[t + 1] - from[t]);
            tile.taps = taps[t].to - taps[t].from;
            tile.a = a + t * tile_pointers + taps[t].from * tile.rows;
            tile.b = weights + taps[t].from * tap_bytes;
            tile.next = next + t * d->panel_bytes / b->tiles;
            tile.y = y + at;
            if (other) tile.other = other + at;
            gemm->tile(&tile);
        }
    }
}

skive_status skv_q8_dense_run(const skv_kernel_call *c) {
    const skv_q8_dense *d = c->n->state;
    const int threads = c->n->threads;
    const int64_t blocks = (d->tiles + (int64_t)d->block_tiles - 1) / (int64_t)d->block_tiles;
    const int64_t pairs = blocks * d->s.groups;
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
        const int64_t first = skv_part(d->tiles, blocks, at);
        const block b = {first, (size_t)(skv_part(d->tiles, blocks, at + 1) - first)};
        run_part(d, &b, pair / blocks, (size_t)skv_part((int64_t)d->panels, chunks, chunk),
                 (size_t)skv_part((int64_t)d->panels, chunks, chunk + 1), x, other, c->out[0],
                 scratch + (size_t)omp_get_thread_num() * per_thread);
    }
    return SKIVE_OK;
}
