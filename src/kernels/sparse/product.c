/* The prepared sparse product: its panels, tiles and threads. */
#include <math.h>
#include <string.h>

#include "kernels/sparse/sparse.h"

/* Rows computed before their results are spread; the least that a thread is given. Multiples of a block's four, and
 * the second of the channels of a layout's block. */
enum { CHUNK = 64, SHARE = 16 };

typedef struct product {
    skv_sparse_shape s;
    skv_sparse_plan p;
    skv_sparse_weight w;
    size_t x_input, bias, residual;
    float lo, hi;   /* limits of the result, applied in the loop */
    bool has_unary; /* another activation, applied to what was written */
    skv_pointwise unary;
    float a, b;
    int threads;
    int64_t row_parts; /* the rows of a tile are divided too where there are fewer tiles than threads */
    bool turned;       /* the panel is the transposed input */
    size_t part_bytes, buffer_at, decoded_at; /* of a thread's scratch */
} product;

/* ---- preparing ---- */

static void set_activation(product *st, const skv_activation *act) {
    st->lo = act->kind == SKV_PW_RELU ? 0.0f : act->kind == SKV_PW_CLIP ? (float)act->alpha : -INFINITY;
    st->hi = act->kind == SKV_PW_CLIP ? (float)act->beta : INFINITY;
    st->a = (float)act->alpha;
    st->b = (float)act->beta;
    st->has_unary = act->kind != SKV_PW_NONE && act->kind != SKV_PW_RELU && act->kind != SKV_PW_CLIP;
    st->unary = act->kind;
}

/* Where the line of each column of W begins in the panel: of each channel the phases of the stride, in each phase the
 * tap's distance. */
static void fill_places(const skv_sparse_shape *s, const skv_sparse_plan *p, uint32_t *place) {
    const int64_t phase_floats = p->channel / (p->period[0] * p->period[1]);
    for (int64_t c = 0; c < s->channels; c++) {
        for (int64_t i = 0; i < s->kernel[0]; i++) {
            for (int64_t j = 0; j < s->kernel[1]; j++) {
                const int64_t phase = i % p->period[0] * p->period[1] + j % p->period[1];
                const int64_t down = i * s->dilation[0] / s->stride[0], right = j * s->dilation[1] / s->stride[1];
                *place++ = (uint32_t)(p->vector ? c * s->x_channel
                                                : c * p->channel + phase * phase_floats + down * p->pitch + right);
            }
        }
    }
}

/* What a weight is packed from: one of them. */
typedef struct source {
    const skv_nonzeros *nz;
    const skv_sparse_matrix *coded;
    float factor; /* of the coded */
} source;

static skive_status pack(skv_kernel_node *n, const source *from, product *st) {
    uint32_t *place = NULL;
    skive_status status;
    const int64_t last = st->p.vector ? st->s.x_channel : st->p.channel;
    if (skv_mul_sat(st->s.channels + 1, last) > INT32_MAX)
        return SKV_FAIL(n->ctx, SKIVE_ERR_UNSUPPORTED, "too many channels");
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)skv_sparse_columns(&st->s), sizeof *place, &place));
    fill_places(&st->s, &st->p, place);
    status = from->nz ? skv_sparse_pack(n->ctx, from->nz, st->s.groups, place, st->p.layout, &st->w)
                      : skv_sparse_pack_coded(n->ctx, from->coded, st->s.groups, place, st->p.unit_rows, from->factor,
                                              &st->w);
    skv_free(n->ctx, place);
    return status;
}

static skive_status add_scratch(skv_kernel_node *n, product *st) {
    enum { LINE = 64 };
    size_t at;
    if (st->p.vector) return SKIVE_OK;
    /* what is read beyond the last line of the last channel is within the buffer */
    st->buffer_at = skv_align_up((size_t)(st->s.channels * st->p.channel) * sizeof(float), LINE);
    st->decoded_at = skv_align_up(st->buffer_at + (size_t)(CHUNK * st->p.tile) * sizeof(float), LINE);
    const int64_t decoded = st->w.coded.blocks * SKV_CODED_WORDS * skv_lookup_symbols(st->w.coded.lookup);
    st->part_bytes = skv_align_up(st->decoded_at + (size_t)decoded * sizeof(float), LINE);
    return skv_scratch_add(n, st->part_bytes * (size_t)st->threads, &at);
}

/* Transposed as a whole when positions are lines of one element and channels stand side by side. */
static bool is_turned(const skv_sparse_shape *s) {
    for (int a = 0; a < 2; a++)
        if (s->kernel[a] != 1 || s->stride[a] != 1 || s->pad[a] != 0) return false;
    return s->in_width == 1 && s->x_channel == 1 && s->x_block == 1;
}

static skive_status make(skv_kernel_node *n, const skv_sparse_shape *s, const skv_sparse_plan *p, const source *from,
                         size_t x_input, const skv_sparse_tail *tail) {
    product *st = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->s = *s;
    st->p = *p;
    st->x_input = x_input;
    st->bias = tail->bias;
    st->residual = tail->residual;
    st->turned = is_turned(s);
    set_activation(st, &tail->act);
    const int64_t tiles = st->p.vector ? 1 : s->images * s->groups * st->p.tiles,
                  shares = (s->rows + SHARE - 1) / SHARE;
    const int64_t wanted = (n->threads + tiles - 1) / tiles;
    st->row_parts = wanted < shares ? wanted : shares;
    st->threads = tiles * st->row_parts < n->threads ? (int)(tiles * st->row_parts) : n->threads;
    SKV_GO(status, done, pack(n, from, st));
    SKV_GO(status, done, add_scratch(n, st));
    n->state_bytes = st->w.bytes;
done:
    if (status != SKIVE_OK)
        skv_sparse_destroy(n->ctx, st);
    else
        n->state = st;
    return status;
}

skive_status skv_sparse_prepare(skv_kernel_node *n, const skv_sparse_shape *s, const skv_nonzeros *nz,
                                skv_sparse_layout layout, size_t x_input, const skv_sparse_tail *tail) {
    const skv_sparse_plan p = skv_sparse_planned(s, layout, skv_cpu_isa());
    const source from = {.nz = nz};
    return make(n, s, &p, &from, x_input, tail);
}

skive_status skv_sparse_prepare_coded(skv_kernel_node *n, const skv_sparse_shape *s, const skv_sparse_matrix *m,
                                      float factor, size_t x_input, const skv_sparse_tail *tail) {
    const skv_sparse_plan p = skv_sparse_planned_coded(s, m->coded, skv_cpu_isa());
    const source from = {.coded = m, .factor = factor};
    return make(n, s, &p, &from, x_input, tail);
}

void skv_sparse_destroy(skive_context *ctx, void *state) {
    product *st = state;
    if (!st) return;
    skv_sparse_weight_free(ctx, &st->w);
    skv_free(ctx, st);
}

/* ---- panels ---- */

/* Positions q and on, in phase (i, j) of the stride. */
static skv_sparse_phase phase_of(const product *st, int64_t q, int64_t i, int64_t j) {
    const skv_sparse_shape *s = &st->s;
    const int64_t step = s->stride[1], left = j * s->dilation[1] % step - s->pad[1];
    return (skv_sparse_phase){
        .line = q / st->p.pitch,
        .column = q % st->p.pitch,
        .span = st->p.span,
        .pitch = st->p.pitch,
        .down = s->stride[0],
        .right = step,
        .top = i * s->dilation[0] % s->stride[0] - s->pad[0],
        .left = left,
        .first = left >= 0 ? 0 : (-left + step - 1) / step,
        .end = s->in_width > left ? (s->in_width - left + step - 1) / step : 0,
        .x_line = s->x_line,
        .x_lines = s->in_lines,
    };
}

static void turn_panel(const product *st, const float *x, int64_t q, int64_t count, float *panel) {
    const skv_sparse_shape *s = &st->s;
    const skv_sparse_plan *p = &st->p;
    p->loops->turn(x + q * s->x_line, s->x_line, count, s->channels, panel, p->channel);
    for (int64_t c = 0; count < p->tile && c < s->channels; c++)
        memset(panel + c * p->channel + count, 0, (size_t)(p->tile - count) * sizeof *panel);
}

static void fill_panel(const product *st, const float *x, int64_t q, float *panel) {
    const skv_sparse_shape *s = &st->s;
    const skv_sparse_plan *p = &st->p;
    const int64_t phase_floats = p->channel / (p->period[0] * p->period[1]), b = s->x_block;
    for (int64_t i = 0; i < p->period[0]; i++) {
        for (int64_t j = 0; j < p->period[1]; j++, panel += phase_floats) {
            const skv_sparse_phase phase = phase_of(st, q, i, j);
            if (b == 1) p->loops->fill(&phase, x, s->x_channel, s->channels, panel, p->channel);
            for (int64_t c = 0; b > 1 && c < s->channels; c += b)
                p->loops->fill_block(&phase, x + c * s->x_channel, b, s->channels - c < b ? s->channels - c : b,
                                     panel + c * p->channel, p->channel);
        }
    }
}

/* ---- results ---- */

/* n results one after the other, from sums `step` apart. */
static void write_run(const product *st, const float *from, int64_t step, int64_t n, const float *z, float *y) {
    for (int64_t i = 0; i < n; i++) {
        const float v = z ? from[i * step] + z[i] : from[i * step];
        y[i] = v < st->lo ? st->lo : v > st->hi ? st->hi : v;
    }
    if (st->has_unary) st->p.loops->unary(st->unary, st->a, st->b, y, y, n);
}

/* n positions of the buffer, the rows of each side by side, positions `step` apart. */
static void put_positions(const product *st, const float *buffer, int64_t rows, int64_t n, int64_t step, const float *z,
                          float *y) {
    if (!z && !st->has_unary) {
        st->p.loops->turn(buffer, st->p.tile, rows, n, y, step);
        return;
    }
    for (int64_t k = 0; k < n; k++) write_run(st, buffer + k, st->p.tile, rows, z ? z + k * step : NULL, y + k * step);
}

/* Part of a tile's results: rows row .. row + rows - 1 of the group, positions q .. q + count - 1; z and y: the
 * group's. */
typedef struct piece {
    int64_t row, rows, q, count;
    const float *z;
    float *y;
} piece;

/* The buffer's rows to where they belong, all rows of a position side by side. */
static void spread_rows(const product *st, const float *buffer, const piece *t) {
    const int64_t step = st->s.width == 1 ? st->s.y_line : st->s.y_column, at = t->row + t->q * step;
    put_positions(st, buffer, t->rows, t->count, step, t->z ? t->z + at : NULL, t->y + at);
}

/* Line by line, the rows of a position side by side in blocks; those that fill up the last block are zero. */
static void put_blocks(const product *st, const float *buffer, const piece *t, int64_t at, int64_t n) {
    const skv_sparse_shape *s = &st->s;
    const int64_t b = s->y_block;
    for (int64_t done = 0, rows; done < t->rows; done += rows) {
        const int64_t row = t->row + done, in_block = row % b, left = t->rows - done;
        const int64_t to = (row - in_block) * s->y_row + at * b + in_block;
        rows = b - in_block < left ? b - in_block : left;
        put_positions(st, buffer + done * st->p.tile, rows, n, b, t->z ? t->z + to : NULL, t->y + to);
        if (row + rows < s->rows || s->y_fill == 0) continue;
        for (int64_t k = 0; k < n; k++) memset(t->y + to + k * b + rows, 0, (size_t)s->y_fill * sizeof(float));
    }
}

static void put_lines(const product *st, const float *buffer, const piece *t, int64_t at, int64_t n) {
    for (int64_t r = 0; r < t->rows; r++) {
        const int64_t to = at + (t->row + r) * st->s.y_row;
        if (!t->z && !st->has_unary)
            memcpy(t->y + to, buffer + r * st->p.tile, (size_t)n * sizeof(float));
        else
            write_run(st, buffer + r * st->p.tile, 1, n, t->z ? t->z + to : NULL, t->y + to);
    }
}

/* What stands between lines is left out. */
static void spread_lines(const product *st, const float *buffer, const piece *t) {
    const skv_sparse_shape *s = &st->s;
    for (int64_t done = 0, n; done < t->count; done += n) {
        const int64_t line = (t->q + done) / st->p.pitch, column = (t->q + done) % st->p.pitch;
        n = st->p.pitch - column < t->count - done ? st->p.pitch - column : t->count - done;
        const int64_t kept = s->width - column < n ? s->width - column : n;
        if (kept > 0) (s->y_block > 1 ? put_blocks : put_lines)(st, buffer + done, t, line * s->y_line + column, kept);
    }
}

/* Can the loop write positions q .. q + *count - 1 where they belong, *at behind the first? What follows them between
 * lines is left out. */
static bool is_direct(const product *st, int64_t q, int64_t *count, int64_t *at) {
    const skv_sparse_shape *s = &st->s;
    const int64_t line = q / st->p.pitch, column = q % st->p.pitch;
    if (s->y_column != 1 || s->y_block > 1 || (s->y_row == 1 && s->rows > 1)) return false;
    *at = line * s->y_line + column;
    if (st->p.pitch == s->width && s->y_line == s->width) return true;
    if (column >= s->width || column + *count > st->p.pitch) return false;
    if (column + *count > s->width) *count = s->width - column;
    return true;
}

static void finish_rows(const product *st, const skv_sparse_tile *t) {
    for (int64_t r = 0; st->has_unary && r < t->rows; r++)
        st->p.loops->unary(st->unary, st->a, st->b, t->y + r * t->y_row, t->y + r * t->y_row, t->lanes);
}

/* space: the thread's scratch, whose panel is filled. */
static void chunk(const product *st, char *space, int64_t group, const float *bias, const piece *of) {
    const skv_sparse_shape *s = &st->s;
    const int64_t unit = group * st->w.units + of->row / st->p.unit_rows;
    int64_t at = 0, count = of->count;
    const bool direct = is_direct(st, of->q, &count, &at), limited = direct || !of->z;
    float *buffer = (float *)(void *)(space + st->buffer_at);
    at += of->row * s->y_row;
    const skv_sparse_tile t = {
        .start = st->w.start ? st->w.start + unit : NULL,
        .offset = st->w.offset,
        .value = st->w.value,
        .coded = &st->w.coded,
        .unit = unit,
        .decoded = (float *)(void *)(space + st->decoded_at),
        .rows = of->rows,
        .x = (const float *)(const void *)space,
        .vectors = (int)((count + st->p.loops->lanes - 1) / st->p.loops->lanes),
        .lanes = count,
        .bias = bias ? bias + group * s->rows + of->row : NULL,
        .z = direct && of->z ? of->z + at : NULL,
        .y = direct ? of->y + at : buffer,
        .y_row = direct ? s->y_row : st->p.tile,
        .lo = limited ? st->lo : -INFINITY,
        .hi = limited ? st->hi : INFINITY,
    };
    st->p.loops->tile[st->p.layout](&t);
    if (direct)
        finish_rows(st, &t);
    else
        (s->y_row == 1 ? spread_rows : spread_lines)(st, buffer, of);
}

/* ---- running ---- */

typedef struct job {
    const product *st;
    const float *x, *bias, *z;
    float *y;
    char *scratch;
} job;

/* The rows of part `part` of row_parts. */
static void rows_of(const product *st, int64_t part, int64_t *from, int64_t *until) {
    const int64_t shares = (st->s.rows + SHARE - 1) / SHARE;
    *from = part * shares / st->row_parts * SHARE;
    *until = (part + 1) * shares / st->row_parts * SHARE;
    if (*until > st->s.rows) *until = st->s.rows;
}

/* Units are tiles, and of each tile the parts of its rows. A panel serves until another tile's turn comes. */
static void work_tiles(const job *j, int64_t first, int64_t end, char *space) {
    const product *st = j->st;
    const skv_sparse_shape *s = &st->s;
    float *panel = (float *)(void *)space;
    int64_t filled = -1;
    for (int64_t unit = first; unit < end; unit++) {
        const int64_t tile = unit / st->row_parts, q = tile % st->p.tiles * st->p.tile, whole = tile / st->p.tiles,
                      group = whole % s->groups, image = whole / s->groups;
        const int64_t left = st->p.positions - q, count = left < st->p.tile ? left : st->p.tile;
        const int64_t y_at = image * s->y_image + group * s->rows * s->y_row;
        int64_t from, until;
        const float *x = j->x + image * s->x_image + group * s->channels * s->x_channel;
        if (filled != tile && st->turned)
            turn_panel(st, x, q, count, panel);
        else if (filled != tile)
            fill_panel(st, x, q, panel);
        filled = tile;
        rows_of(st, unit % st->row_parts, &from, &until);
        for (int64_t row = from; row < until; row += CHUNK) {
            const piece of = {
                row, until - row < CHUNK ? until - row : CHUNK, q, count, j->z ? j->z + y_at : NULL, j->y + y_at};
            chunk(st, space, group, j->bias, &of);
        }
    }
}

static void work_vector(const job *j, int64_t part) {
    const product *st = j->st;
    const skv_sparse_shape *s = &st->s;
    int64_t from, until;
    rows_of(st, part, &from, &until);
    for (int64_t g = 0; g < s->groups; g++) {
        const int64_t row = g * s->rows + from, unit = g * st->w.units + from / st->p.unit_rows;
        const skv_sparse_tile t = {
            .start = st->w.start ? st->w.start + unit : NULL,
            .offset = st->w.offset,
            .value = st->w.value,
            .coded = &st->w.coded,
            .unit = unit,
            .rows = until - from,
            .x = j->x + g * s->channels * s->x_channel,
            .bias = j->bias ? j->bias + row : NULL,
            .z = j->z ? j->z + row : NULL,
            .y = j->y + row,
        };
        st->p.loops->vector[st->p.layout](&t);
        write_run(st, t.y, 1, t.rows, NULL, t.y);
    }
}

skive_status skv_sparse_run(const skv_kernel_call *c) {
    const product *st = c->n->state;
    const int threads = st->threads;
    const job j = {
        st,        c->in[st->x_input], st->bias ? c->in[st->bias] : NULL, st->residual ? c->in[st->residual] : NULL,
        c->out[0], c->scratch};
    const int64_t units = (st->p.vector ? 1 : st->s.images * st->s.groups * st->p.tiles) * st->row_parts;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        const int64_t first = part * units / threads, end = (part + 1) * units / threads;
        if (!st->p.vector)
            work_tiles(&j, first, end, j.scratch + (size_t)part * st->part_bytes);
        else
            for (int64_t unit = first; unit < end; unit++) work_vector(&j, unit);
    }
    return SKIVE_OK;
}
