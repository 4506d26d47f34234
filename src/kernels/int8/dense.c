/* Running a dense integer convolution or product: the implicit product over [n][spatial...][c].
 *
 * Output positions are handled in blocks of tiles. For each block the places where the window's taps lie are worked out
 * once (pointers into the input or its padded copy, or to a row of the zero point outside of it), or the rows are
 * gathered; then every panel of weights goes over the block. The panel stays in the second-level cache while the
 * block's tiles pass over it. */
#include "base/parallel.h"
#include "kernels/int8/dense.h"

enum { PARALLEL_FROM = 1 << 19 }; /* multiplications: some 10 us, less is not worth waking a thread for */

typedef struct position {
    const uint8_t *image;
    int64_t n, d, h, w; /* image, and of the output */
} position;

/* One tile of a block, its pointers apart. */
typedef struct place {
    const skv_q8_box *box;
    size_t rows, apart, y_at[SKV_Q8_MOST_ROWS];
} place;

static int64_t image_bytes(const skv_q8_dense *d) { return skv_volume(d->at.in) * d->s.c * (int64_t)d->x_item; }

static position position_of(const skv_q8_dense *d, const skv_q8_box *b, const uint8_t *x, int64_t row) {
    const int64_t width = b->hi[2] - b->lo[2], height = b->hi[1] - b->lo[1], depth = b->hi[0] - b->lo[0];
    const int64_t n = row / (width * height * depth);
    return (position){x + n * image_bytes(d), n, b->lo[0] + row / width / height % depth,
                      b->lo[1] + row / width % height, b->lo[2] + row % width};
}

static void step(const skv_q8_dense *d, const skv_q8_box *b, position *p) {
    if (++p->w < b->hi[2]) return;
    p->w = b->lo[2];
    if (++p->h < b->hi[1]) return;
    p->h = b->lo[1];
    if (++p->d < b->hi[0]) return;
    p->d = b->lo[0];
    p->n++;
    p->image += image_bytes(d);
}

static int64_t output_of(const skv_q8_dense *d, const position *p) {
    const skv_geometry *g = &d->at;
    return ((p->n * g->out[0] + p->d) * g->out[1] + p->h) * g->out[2] + p->w;
}

/* The padded copy of line `line` of all lines of the batch, counted with padding. */
static void copy_line(const skv_q8_dense *d, const uint8_t *x, int64_t line, uint8_t *copy) {
    const skv_geometry *g = &d->s.g, *to = &d->at;
    const int64_t h = line % to->in[1] - g->pad_lo[1], z = line / to->in[1] % to->in[0] - g->pad_lo[0];
    const int64_t image = line / to->in[1] / to->in[0];
    const size_t c = (size_t)d->s.c, low = (size_t)g->pad_lo[2] * c, inside = (size_t)g->in[2] * c;
    const size_t all = (size_t)to->in[2] * c, item = d->x_item;
    const int padding = d->gemm->wide ? 0 : d->x_zero;
    copy += (size_t)line * all * item;
    if (h < 0 || h >= g->in[1] || z < 0 || z >= g->in[0]) {
        memset(copy, padding, all * item);
        return;
    }
    memset(copy, padding, low * item);
    d->gemm->copy(copy, low, x + (size_t)((image * g->in[0] + z) * g->in[1] + h) * inside, inside, d->x_zero);
    memset(copy + (low + inside) * item, padding, (all - low - inside) * item);
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

/* The taps of a window of which a part may lie outside, `stride` pointers apart. */
static void point_at_edge(const skv_q8_dense *d, const skv_q8_box *b, const position *p, int64_t channel, size_t stride,
                          const void **to) {
    const skv_geometry *g = &d->at;
    const int64_t d0 = p->d * g->stride[0] - g->pad_lo[0], h0 = p->h * g->stride[1] - g->pad_lo[1];
    const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
    for (int64_t kd = b->tap_lo[0]; kd < b->tap_hi[0]; kd++) {
        const int64_t id = d0 + kd * g->dilation[0];
        for (int64_t kh = b->tap_lo[1]; kh < b->tap_hi[1]; kh++) {
            const int64_t ih = h0 + kh * g->dilation[1];
            const bool inside = id >= 0 && id < g->in[0] && ih >= 0 && ih < g->in[1];
            const int64_t line = (id * g->in[1] + ih) * g->in[2];
            for (int64_t kw = b->tap_lo[2]; kw < b->tap_hi[2]; kw++, to += stride) {
                const int64_t iw = w0 + kw * g->dilation[2];
                const int64_t at = ((line + iw) * d->s.c + channel) * (int64_t)d->x_item;
                *to = inside && iw >= 0 && iw < g->in[2] ? p->image + at : d->padding;
            }
        }
    }
}

/* How many of the next positions on the line of a box have all its taps inside. */
static int64_t run_inside(const skv_q8_dense *d, const skv_q8_box *b, const position *p) {
    const skv_geometry *g = &d->at;
    const int64_t o[SKV_SPATIAL] = {p->d, p->h, p->w};
    int64_t last = 0;
    for (int k = 0; k < SKV_SPATIAL; k++) {
        const int64_t at = o[k] * g->stride[k] - g->pad_lo[k];
        last = g->in[k] - 1 - at - (b->tap_hi[k] - 1) * g->dilation[k];
        if (at + b->tap_lo[k] * g->dilation[k] < 0 || last < 0) return 0;
    }
    const int64_t fit = last / g->stride[2] + 1, left = b->hi[2] - p->w;
    return fit < left ? fit : left;
}

/* Pointers of one tile, [taps][rows], and where its rows' results go. */
static void point(const skv_q8_dense *d, const skv_q8_box *b, position *p, int64_t channel, size_t rows, const void **a,
                  size_t *y_at) {
    const skv_geometry *g = &d->at;
    const int64_t apart = g->stride[2] * d->s.c;
    const size_t y_stride = (size_t)d->s.m * d->item;
    for (size_t r = 0; r < rows; step(d, b, p)) {
        const size_t y = (size_t)output_of(d, p) * y_stride;
        size_t run = (size_t)run_inside(d, b, p);
        if (!run) {
            point_at_edge(d, b, p, channel, rows, a + r);
            y_at[r++] = y;
            continue;
        }
        if (run > rows - r) run = rows - r;
        const int64_t d0 = p->d * g->stride[0] - g->pad_lo[0], h0 = p->h * g->stride[1] - g->pad_lo[1];
        const int64_t w0 = p->w * g->stride[2] - g->pad_lo[2];
        /* the window may begin outside where the box leaves out taps, so that offsets are added up first */
        const int64_t first = ((d0 * g->in[1] + h0) * g->in[2] + w0) * d->s.c + channel;
        for (size_t t = 0; t < b->taps; t++)
            for (size_t i = 0; i < run; i++)
                a[t * rows + r + i] = p->image + (first + b->offset[t] + (int64_t)i * apart) * (int64_t)d->x_item;
        for (size_t i = 0; i < run; i++) y_at[r + i] = y + i * y_stride;
        r += run;
        p->w += (int64_t)run - 1;
    }
}

/* The same of an even gemm: its tile lies on one line, and nothing of its windows outside. */
static void point_even(const skv_q8_dense *d, const skv_q8_box *b, position *p, int64_t channel, const void **a,
                       place *at) {
    const skv_geometry *g = &d->at;
    const size_t y = (size_t)output_of(d, p), y_stride = (size_t)d->s.m * d->item;
    const int64_t line = p->d * g->stride[0] * g->in[1] + p->h * g->stride[1];
    const uint8_t *first = p->image + (line * g->in[2] + p->w * g->stride[2]) * d->s.c + channel;
    for (size_t t = 0; t < b->taps; t++) a[t] = first + b->offset[t];
    for (size_t r = 0; r < at->rows; r++) at->y_at[r] = (y + r) * y_stride;
    at->apart = (size_t)(g->stride[2] * d->s.c);
    p->w += (int64_t)at->rows - 1;
    step(d, b, p);
}

/* Rows that are read past their ends, where the input ends with them: a copy. */
static void copy_last(const skv_q8_dense *d, const void **a, char *copy, place *at) {
    const size_t row_bytes = d->groups * d->gemm->k_group;
    for (size_t r = 0; r < at->rows; r++)
        memcpy(copy + r * row_bytes, (const char *)a[0] + r * at->apart, (size_t)d->per_in);
    a[0] = copy;
    at->apart = row_bytes;
}

/* The first row of a tile, of all of a box; *rows: how many it has. */
static int64_t tile_from(const skv_q8_box *b, int64_t tile, size_t *rows) {
    const int64_t at = tile % b->run_tiles, first = skv_part(b->run, b->run_tiles, at);
    *rows = (size_t)(skv_part(b->run, b->run_tiles, at + 1) - first);
    return tile / b->run_tiles * b->run + first;
}

/* Finds where the rows of the tiles from `tile` on lie, or gathers them. */
static void find_rows(const skv_q8_dense *d, int64_t tile, size_t tiles, int64_t group, const uint8_t *x,
                      const void **a, char *gathered, place *places) {
    const size_t row_bytes = d->groups * d->gemm->k_group * (d->gemm->wide ? 2 : 1);
    const int64_t channel = group * d->per_in;
    const skv_q8_box *box = d->box;
    const size_t pointers = d->taps * (d->gemm->even ? 1 : d->gemm->mr);
    position p = {0};
    for (size_t t = 0; t < tiles; t++, tile++, a += pointers) {
        const bool first = t == 0 || tile >= box->tiles;
        while (tile >= box->tiles) tile -= box++->tiles;
        place *at = &places[t];
        const int64_t from = tile_from(box, tile, &at->rows);
        if (first) p = position_of(d, box, x, from);
        at->box = box;
        at->apart = row_bytes;
        if (d->gemm->even && d->reading != SKV_Q8_GATHERED) {
            point_even(d, box, &p, channel, a, at);
            if (d->reads_on && tile == box->tiles - 1) copy_last(d, a, gathered, at);
            continue;
        }
        if (d->reading != SKV_Q8_GATHERED) {
            point(d, box, &p, channel, at->rows, a, at->y_at);
            continue;
        }
        if (d->joined) {
            d->gemm->copy(gathered, 0, p.image + p.w * d->s.c, at->rows * (size_t)d->s.c, d->x_zero);
            for (size_t r = 0; r < at->rows; r++, gathered += row_bytes, step(d, box, &p)) {
                a[r] = gathered;
                at->y_at[r] = (size_t)output_of(d, &p) * (size_t)d->s.m * d->item;
            }
            continue;
        }
        for (size_t r = 0; r < at->rows; r++, gathered += row_bytes, step(d, box, &p)) {
            gather(d, &p, channel, gathered);
            if (r == 0 || !d->gemm->even) a[r] = gathered;
            at->y_at[r] = (size_t)output_of(d, &p) * (size_t)d->s.m * d->item;
        }
    }
}

/* A tile in fixed point. */
static void run_fixed(const skv_q8_dense *d, skv_q8_tile *tile, size_t index, const size_t *y_at, uint8_t *y,
                      int32_t *sums) {
    static const skv_q8_out out = {.sums = true};
    const size_t nr = d->gemm->nr;
    size_t sum_at[SKV_Q8_MOST_ROWS];
    for (size_t r = 0; r < tile->rows; r++) sum_at[r] = r * nr * sizeof *sums;
    tile->out = &out;
    tile->y = sums;
    tile->y_at = sum_at;
    d->gemm->tile(tile);
    for (size_t r = 0; r < tile->rows; r++)
        d->loops->fixed(sums + r * nr, d->q31 + index * nr, d->shift + index * nr, 1, y + y_at[r], tile->columns,
                        &d->fixed);
}

static void run_part(const skv_q8_dense *d, int64_t first, size_t tiles, int64_t group, size_t panel_from,
                     size_t panel_to, const uint8_t *x, const uint8_t *other, char *y, char *scratch) {
    const skv_q8_gemm *gemm = d->gemm;
    const size_t pointers = d->taps * (gemm->even ? 1 : gemm->mr);
    const void **a = (const void **)(void *)scratch;
    size_t configured = 0;
    place places[SKV_Q8_BLOCK_TILES] = {{0}};
    int32_t *sums = (int32_t *)(void *)(scratch + d->pointer_bytes + d->gathered_bytes);
    find_rows(d, first, tiles, group, x, a, scratch + d->pointer_bytes, places);
    skv_q8_tile tile = {.groups = d->groups,
                        .factor = d->factor,
                        .out = &d->out,
                        .constants = &d->constants,
                        .next_bytes = d->panel_bytes / tiles};
    for (size_t panel = panel_from; panel < panel_to; panel++) {
        const size_t index = (size_t)group * d->panels + panel, left = (size_t)d->per_out - panel * gemm->nr;
        const size_t column = ((size_t)(group * d->per_out) + panel * gemm->nr) * d->item;
        tile.columns = left < gemm->nr ? left : gemm->nr;
        tile.init = d->init + index * gemm->nr;
        tile.multiplier = d->multiplier + index * gemm->nr;
        tile.b = d->b + index * d->panel_bytes;
        tile.y = y + column;
        if (other) tile.other = other + column;
        const char *next = d->b + (panel + 1 < panel_to ? index + 1 : index) * d->panel_bytes;
        for (size_t t = 0; t < tiles; t++) {
            tile.rows = places[t].rows;
            tile.taps = places[t].box->taps;
            tile.tap_at = places[t].box->tap_at;
            tile.a = a + t * pointers;
            tile.apart = places[t].apart;
            tile.y_at = places[t].y_at;
            tile.next = next + t * d->panel_bytes / tiles;
            if (gemm->configure && tile.rows != configured) gemm->configure(configured = tile.rows);
            if (d->fixed.on)
                run_fixed(d, &tile, index, places[t].y_at, (uint8_t *)y + column, sums);
            else
                gemm->tile(&tile);
        }
    }
    if (gemm->release) gemm->release();
}

skive_status skv_q8_dense_run(const skv_kernel_call *c) {
    const skv_q8_dense *d = c->n->state;
    skv_q8_dense_run_on(d, c->in[0], d->out.adds ? c->in[SKV_Q8_OTHER] : NULL, c->out[0], c->scratch, c->n->threads);
    return SKIVE_OK;
}

void skv_q8_dense_run_on(const skv_q8_dense *d, const uint8_t *from, const uint8_t *other, void *y, char *memory,
                         int threads) {
    const double outputs = (double)d->s.n * (double)skv_volume(d->s.g.out) * (double)d->s.m;
    if (outputs * (double)d->k < PARALLEL_FROM) threads = 1;
    const int64_t blocks = (d->tiles + (int64_t)d->block_tiles - 1) / (int64_t)d->block_tiles;
    const int64_t pairs = blocks * d->s.groups;
    /* With few blocks the panels are shared out among the threads too. */
    int64_t chunks = pairs >= 2 * threads ? 1 : threads;
    if (chunks > (int64_t)d->panels) chunks = (int64_t)d->panels;
    const size_t per_thread = d->pointer_bytes + d->gathered_bytes + d->sum_bytes;
    const uint8_t *x = from;
    char *scratch = memory + d->copy_bytes;
    if (d->reading == SKV_Q8_LINES) {
        const int64_t lines = d->s.n * d->at.in[0] * d->at.in[1];
        x = (const uint8_t *)memory;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < lines; i++) copy_line(d, from, i, (uint8_t *)memory);
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pairs * chunks; i++) {
        const int64_t pair = i / chunks, chunk = i % chunks, at = pair % blocks;
        const int64_t first = skv_part(d->tiles, blocks, at);
        run_part(d, first, (size_t)(skv_part(d->tiles, blocks, at + 1) - first), pair / blocks,
                 (size_t)skv_part((int64_t)d->panels, chunks, chunk),
                 (size_t)skv_part((int64_t)d->panels, chunks, chunk + 1), x, other, y,
                 scratch + (size_t)skv_thread_number() * per_thread);
    }
}
