/* Convolution in f32 over padded planes, for groups of few channels and for few channels going in, where windows
 * gathered into a matrix cost more than the product. The input lines of a band of output lines are copied with their
 * padding, for strides by phase: plane (a, b) has the elements of lines a, a + stride ... and columns b, b + stride ...
 * Then the elements that a tap meets at successive output positions stand side by side, at a fixed distance from those
 * of another tap, also over the end of a line: each tap is a multiplication of whole vectors by one weight. A plane's
 * lines are longer than the output's; the positions between are computed in vain and left out. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/conv_planes.h"
#include "kernels/conv_windows.h"
#include "kernels/finish.h"

enum {
    MOST_IN = 32, /* channels going into a group */
    FEW_IN = 4,
    LEAST_WINDOW = 9,
    BAND_FLOATS = 1 << 16,   /* of planes: they stay in the second-level cache */
    PARALLEL_FROM = 1 << 17, /* multiplications */
};

typedef struct planes_state {
    skv_planes p;
    skv_finish finish;
    float *w;    /* as skv_planes_pack writes them; NULL: packed at every run */
    size_t w_at; /* in the scratch */
} planes_state;

static const skv_planes_tile *tile_of_cpu(void) {
    const skv_isa isa = skv_cpu_isa();
    return SKV_AT(isa, AVX512, &skv_planes_tile_avx512) SKV_AT(isa, AVX2, &skv_planes_tile_avx2)
        SKV_AT(isa, NEON, &skv_planes_tile_neon) SKV_ELSE(isa, &skv_planes_tile_scalar);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t tiles(int64_t n, int64_t of) { return (n + of - 1) / of; }

/* Channels that oneDNN's direct kernels take together at this level; 0: it is not used. */
static int64_t block_of_onednn(void) {
#if SKIVE_ONEDNN
    return skv_isa_has(skv_cpu_isa(), SKV_ISA_AVX512) ? 16 : skv_isa_has(skv_cpu_isa(), SKV_ISA_AVX2) ? 8 : 0;
#else
    return 0;
#endif
}

/* Measured on Sapphire Rapids at each level. Against plain C and NEON it is the faster one for up to MOST_IN channels
 * of a group. Against oneDNN it is where no whole blocks of channels go in, except into the first layers of networks (2
 * to FEW_IN channels), and where the window is so small that copies and changes of layout cost more than they bring.
 * vain: more than a third of a plane's positions. */
static bool is_faster(int64_t in, int64_t out, int64_t window, bool vain, bool groups) {
    const int64_t block = block_of_onednn();
    if (in > MOST_IN) return false;
    if (block == 0) return groups || (window > 1 && !vain);
    if (groups) return in % block != 0 || out % block != 0;
    return window >= LEAST_WINDOW && (in > FEW_IN ? in % block != 0 : in == 1 && out % block != 0);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "an empty output");
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    if (x->rank < 3 || x->rank > 2 + SKV_SPATIAL) return skv_decline(why, "rank %d", x->rank);
    if (n->training) return skv_decline(why, "its gradients read windows");
    const int64_t groups = skv_attr_int(n->node, "group", 1), in = w->dims[1].size, out = w->dims[0].size / groups;
    if (groups > 1 && in == 1 && out == 1) return skv_decline(why, "depthwise");
    const int64_t window = skv_type_count(w) / w->dims[0].size / in;
    const bool vain = 3 * (w->dims[w->rank - 1].size - 1) > n->out[0].type.dims[x->rank - 1].size;
    if (!is_faster(in, out, window, vain, groups > 1))
        return skv_decline(why, "channels that other kernels take in blocks");
    return true;
}

/* ---- preparation ---- */

static void place_taps(skv_planes *p) {
    const skv_geometry *g = &p->s.g;
    const int64_t plane = p->height * p->width, phases = g->stride[1] * g->stride[2];
    int64_t *to = p->offsets;
    for (int64_t c = 0; c < p->in; c++) {
        for (int64_t i = 0; i < skv_volume(g->kernel); i++) {
            const int64_t w = i % g->kernel[2] * g->dilation[2], h = i / g->kernel[2] % g->kernel[1] * g->dilation[1],
                          d = i / g->kernel[2] / g->kernel[1];
            const int64_t phase = h % g->stride[1] * g->stride[2] + w % g->stride[2];
            *to++ = ((c * g->kernel[0] + d) * phases + phase) * plane + h / g->stride[1] * p->width + w / g->stride[2];
        }
    }
}

void skv_planes_pack(const skv_planes *p, const float *w, float *to) {
    const int64_t rows = p->tile->rows;
    for (int64_t group = 0; group < p->s.groups; group++, w += p->out * p->taps) {
        for (int64_t first = 0; first < p->out; first += rows) {
            for (int64_t t = 0; t < p->taps; t++)
                for (int64_t r = 0; r < rows; r++) *to++ = first + r < p->out ? w[(first + r) * p->taps + t] : 0.0f;
        }
    }
}

/* Lines of a band: what fits the cache, but no fewer than a tile has positions for. */
static void choose_band(skv_planes *p) {
    const skv_geometry *g = &p->s.g;
    const int64_t phases = g->stride[1] * g->stride[2];
    const int64_t reach = (g->kernel[1] - 1) * g->dilation[1] / g->stride[1];
    p->width = g->out[2] + (g->kernel[2] - 1) * g->dilation[2] / g->stride[2];
    const int64_t line = p->in * g->kernel[0] * phases * p->width, tile = tiles(p->tile->columns, p->width);
    p->lines = BAND_FLOATS / line - reach;
    if (p->lines < tile) p->lines = tile;
    if (p->lines < reach) p->lines = reach; /* else more is copied than computed */
    if (p->lines > g->out[1]) p->lines = g->out[1];
    p->bands = tiles(g->out[1], p->lines);
    p->lines = tiles(g->out[1], p->bands); /* of equal height */
    p->height = p->lines + reach;
    p->span = tiles((p->lines - 1) * p->width + g->out[2], p->tile->columns) * p->tile->columns;
    /* The last tile reads beyond the last line. */
    p->plane_floats = skv_align_up((size_t)(line * p->height + p->tile->columns), 16);
    p->sum_floats = skv_align_up((size_t)(p->tile->rows * p->span), 16);
}

skive_status skv_planes_plan(skv_kernel_node *n, const skv_conv_shape *s, skv_planes *p) {
    *p = (skv_planes){.s = *s, .tile = tile_of_cpu(), .in = s->c / s->groups, .out = s->m / s->groups};
    p->taps = p->in * skv_volume(s->g.kernel);
    p->row_blocks = tiles(p->out, p->tile->rows);
    p->weight_floats = (size_t)(s->groups * p->row_blocks * p->taps * p->tile->rows);
    choose_band(p);
    p->all_bands = s->n * s->groups * p->bands * s->g.out[0];
    p->threads = skv_type_count(&n->out[0].type) * p->taps < PARALLEL_FROM ? 1 : n->threads;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->out[0].layout = SKV_PLAIN;
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)p->taps, sizeof *p->offsets, &p->offsets));
    place_taps(p);
    SKV_TRY(skv_scratch_add(n, (size_t)p->threads * p->plane_floats * sizeof(float), &p->planes_at));
    return skv_scratch_add(n, (size_t)p->threads * p->sum_floats * sizeof(float), &p->sums_at);
}

static skive_status pack_weights(skv_kernel_node *n, planes_state *st) {
    const size_t bytes = st->p.weight_floats * sizeof(float);
    if (!n->in[1].constant) return skv_scratch_add(n, bytes, &st->w_at);
    n->state_bytes = bytes;
    SKV_TRY(skv_arena_alloc(n->weights, bytes, &st->w));
    skv_planes_pack(&st->p, n->in[1].constant->data, st->w);
    n->packs_input[1] = true;
    return SKIVE_OK;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    planes_state *st = state;
    skv_conv_shape s;
    SKV_TRY(skv_windows_shape(n, &n->in[0].type, &n->in[1].type, &s));
    SKV_TRY(skv_finish_read(n, &st->finish));
    SKV_TRY(skv_planes_plan(n, &s, &st->p));
    return pack_weights(n, st);
}

static void destroy(skive_context *ctx, void *state) {
    planes_state *st = state;
    skv_free(ctx, st->p.offsets);
    skv_free(ctx, st);
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(planes_state), set_up, destroy); }

/* ---- a run ---- */

/* A band of a group: image, group, slice of the output, its first line and their number. */
typedef struct band {
    int64_t image, group, slice, first, lines;
} band;

static band band_at(const skv_planes *p, int64_t i) {
    const skv_geometry *g = &p->s.g;
    const int64_t slices = p->bands * g->out[0], first = i % p->bands * p->lines;
    return (band){.image = i / slices / p->s.groups,
                  .group = i / slices % p->s.groups,
                  .slice = i / p->bands % g->out[0],
                  .first = first,
                  .lines = least(p->lines, g->out[1] - first)};
}

static void fill_planes(const skv_planes *p, const void *x, skv_planes_copy *copy, int32_t zero, const band *b,
                        float *to) {
    const skv_geometry *g = &p->s.g;
    const int64_t height = b->lines + p->height - p->lines, step = g->stride[2];
    const int64_t from = (b->image * p->s.c + b->group * p->in) * g->in[0];
    for (int64_t c = 0; c < p->in; c++) {
        for (int64_t k = 0; k < g->kernel[0]; k++) {
            const int64_t d = b->slice * g->stride[0] - g->pad_lo[0] + k * g->dilation[0];
            const int64_t image = (from + c * g->in[0] + d) * g->in[1];
            for (int64_t phase = 0; phase < g->stride[1] * step; phase++, to += p->height * p->width) {
                const int64_t down = phase / step, start = phase % step - g->pad_lo[2];
                /* columns [low, high) of a line lie inside */
                const int64_t low = least(p->width, start < 0 ? (-start + step - 1) / step : 0);
                const int64_t inside = g->in[2] - start <= 0 ? 0 : (g->in[2] - start + step - 1) / step;
                const int64_t high = inside < low ? low : least(p->width, inside);
                for (int64_t i = 0; i < height; i++) {
                    const int64_t h = (b->first + i) * g->stride[1] + down - g->pad_lo[1];
                    float *line = to + i * p->width;
                    if (d < 0 || d >= g->in[0] || h < 0 || h >= g->in[1]) {
                        memset(line, 0, (size_t)p->width * sizeof *line);
                        continue;
                    }
                    memset(line, 0, (size_t)low * sizeof *line);
                    if (high > low)
                        copy(x, (image + h) * g->in[2] + start + low * step, step, high - low, zero, line + low);
                    memset(line + high, 0, (size_t)(p->width - high) * sizeof *line);
                }
            }
        }
    }
}

/* The sums of a tile's output channels from `first` of the group on: rows `span` apart, lines `width` apart. Gives how
 * many channels there are. */
static int64_t sum_tile(const skv_planes *p, const band *b, int64_t first, const float *planes, const float *w,
                        float *sums) {
    const int64_t rows = p->tile->rows, columns = p->tile->columns, left = least(rows, p->out - first);
    const int64_t end = (b->lines - 1) * p->width + p->s.g.out[2];
    const int some = left > 4 ? (int)rows : left > 2 ? 4 : (int)left;
    w += (b->group * p->row_blocks * rows + first) * p->taps;
    for (int64_t at = 0; at < end; at += columns)
        p->tile->run(some, p->taps, planes + at, p->offsets, w, rows, sums + at, p->span);
    return left;
}

static void run_band(const skv_planes *p, const skv_kernel_call *c, const float *w, const band *b, const float *planes,
                     float *sums, skv_planes_finish *finish) {
    const skv_geometry *g = &p->s.g;
    for (int64_t first = 0; first < p->out; first += p->tile->rows) {
        const int64_t left = sum_tile(p, b, first, planes, w, sums);
        for (int64_t r = 0; r < left; r++) {
            const int64_t channel = b->group * p->out + first + r;
            const int64_t at =
                (b->image * p->s.m + channel) * skv_volume(g->out) + (b->slice * g->out[1] + b->first) * g->out[2];
            finish(c, sums + r * p->span, b->lines, channel, at);
        }
    }
}

void skv_planes_run(const skv_planes *p, const skv_kernel_call *c, const float *w, skv_planes_copy *copy, int32_t zero,
                    skv_planes_finish *finish) {
    const int threads = p->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < p->all_bands; i++) {
        const size_t t = (size_t)skv_thread_number();
        float *planes = (float *)(void *)((char *)c->scratch + p->planes_at) + t * p->plane_floats;
        float *sums = (float *)(void *)((char *)c->scratch + p->sums_at) + t * p->sum_floats;
        const band b = band_at(p, i);
        fill_planes(p, c->in[0], copy, zero, &b, planes);
        run_band(p, c, w, &b, planes, sums, finish);
    }
}

/* ---- float32 ---- */

static void finish_lines(const skv_kernel_call *c, const float *sums, int64_t lines, int64_t channel, int64_t at) {
    const planes_state *st = c->n->state;
    const int64_t n = st->p.s.g.out[2];
    const float bias = skv_kernel_has_input(c->n, 2) ? ((const float *)c->in[2])[channel] : 0.0f;
    const float *z = skv_kernel_has_input(c->n, 3) ? (const float *)c->in[3] + at : NULL;
    float *y = (float *)c->out[0] + at;
    for (int64_t i = 0; i < lines; i++, sums += st->p.width, y += n) {
        for (int64_t k = 0; k < n; k++) y[k] = sums[k] + bias;
        for (int64_t k = 0; z && k < n; k++) y[k] += z[i * n + k];
        if (st->p.width > n) skv_finish_run(&st->finish, y, n);
    }
    if (st->p.width == n) skv_finish_run(&st->finish, y - lines * n, lines * n);
}

static void copy_floats(const void *x, int64_t at, int64_t step, int64_t n, int32_t zero, float *to) {
    const float *from = (const float *)x + at;
    (void)zero;
    if (step == 1) {
        memcpy(to, from, (size_t)n * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
}

static skive_status run(const skv_kernel_call *call) {
    const planes_state *st = call->n->state;
    const float *w = st->w;
    if (!w) {
        float *packed = (float *)(void *)((char *)call->scratch + st->w_at);
        skv_planes_pack(&st->p, call->in[1], packed);
        w = packed;
    }
    skv_planes_run(&st->p, call, w, copy_floats, 0, finish_lines);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_FUSED_CONV, SKV_OP_CONV, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_planes_f32 = {
    .name = "conv_planes_f32",
    .brief = "convolution, residual and activation in one, of few channels or groups of few, over padded planes",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
