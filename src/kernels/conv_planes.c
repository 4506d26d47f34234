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
    skv_conv_shape s;
    skv_finish finish;
    const skv_planes_tile *tile;
    int64_t in, out;                 /* channels of a group */
    int64_t taps, row_blocks;        /* of a group: elements of a window; tiles of output channels */
    int64_t lines, bands;            /* output lines of a band, at most; bands of a slice */
    int64_t height, width;           /* of a plane */
    int64_t span;                    /* positions of a band, in whole tiles */
    int64_t *offsets;                /* [taps] */
    float *w;                        /* [groups][row_blocks][taps][tile rows]; NULL: packed at every run */
    size_t w_at, planes_at, sums_at; /* offsets into scratch */
    size_t plane_floats, sum_floats; /* of a thread */
    int threads;
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

static void place_taps(planes_state *st) {
    const skv_geometry *g = &st->s.g;
    const int64_t plane = st->height * st->width, phases = g->stride[1] * g->stride[2];
    int64_t *to = st->offsets;
    for (int64_t c = 0; c < st->in; c++) {
        for (int64_t i = 0; i < skv_volume(g->kernel); i++) {
            const int64_t w = i % g->kernel[2] * g->dilation[2], h = i / g->kernel[2] % g->kernel[1] * g->dilation[1],
                          d = i / g->kernel[2] / g->kernel[1];
            const int64_t phase = h % g->stride[1] * g->stride[2] + w % g->stride[2];
            *to++ = ((c * g->kernel[0] + d) * phases + phase) * plane + h / g->stride[1] * st->width + w / g->stride[2];
        }
    }
}

static void pack(const planes_state *st, const float *w, float *to) {
    const int64_t rows = st->tile->rows;
    for (int64_t group = 0; group < st->s.groups; group++, w += st->out * st->taps) {
        for (int64_t first = 0; first < st->out; first += rows) {
            for (int64_t t = 0; t < st->taps; t++)
                for (int64_t r = 0; r < rows; r++) *to++ = first + r < st->out ? w[(first + r) * st->taps + t] : 0.0f;
        }
    }
}

static skive_status pack_weights(skv_kernel_node *n, planes_state *st) {
    const size_t bytes = (size_t)(st->s.groups * st->row_blocks * st->taps * st->tile->rows) * sizeof(float);
    if (!n->in[1].constant) return skv_scratch_add(n, bytes, &st->w_at);
    n->state_bytes = bytes;
    SKV_TRY(skv_arena_alloc(n->weights, bytes, &st->w));
    pack(st, n->in[1].constant->data, st->w);
    n->packs_input[1] = true;
    return SKIVE_OK;
}

/* Lines of a band: what fits the cache, but no fewer than a tile has positions for. */
static void choose_band(planes_state *st) {
    const skv_geometry *g = &st->s.g;
    const int64_t phases = g->stride[1] * g->stride[2];
    const int64_t reach = (g->kernel[1] - 1) * g->dilation[1] / g->stride[1];
    st->width = g->out[2] + (g->kernel[2] - 1) * g->dilation[2] / g->stride[2];
    const int64_t line = st->in * g->kernel[0] * phases * st->width, tile = tiles(st->tile->columns, st->width);
    st->lines = BAND_FLOATS / line - reach;
    if (st->lines < tile) st->lines = tile;
    if (st->lines < reach) st->lines = reach; /* else more is copied than computed */
    if (st->lines > g->out[1]) st->lines = g->out[1];
    st->bands = tiles(g->out[1], st->lines);
    st->lines = tiles(g->out[1], st->bands); /* of equal height */
    st->height = st->lines + reach;
    st->span = tiles((st->lines - 1) * st->width + g->out[2], st->tile->columns) * st->tile->columns;
    /* The last tile reads beyond the last line. */
    st->plane_floats = skv_align_up((size_t)(line * st->height + st->tile->columns), 16);
    st->sum_floats = skv_align_up((size_t)(st->tile->rows * st->span), 16);
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    planes_state *st = state;
    SKV_TRY(skv_windows_shape(n, &n->in[0].type, &n->in[1].type, &st->s));
    SKV_TRY(skv_finish_read(n, &st->finish));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->out[0].layout = SKV_PLAIN;
    st->tile = tile_of_cpu();
    st->in = st->s.c / st->s.groups;
    st->out = st->s.m / st->s.groups;
    st->taps = st->in * skv_volume(st->s.g.kernel);
    st->row_blocks = tiles(st->out, st->tile->rows);
    choose_band(st);
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)st->taps, sizeof *st->offsets, &st->offsets));
    place_taps(st);
    SKV_TRY(pack_weights(n, st));
    st->threads = skv_type_count(&n->out[0].type) * st->taps < PARALLEL_FROM ? 1 : n->threads;
    SKV_TRY(skv_scratch_add(n, (size_t)st->threads * st->plane_floats * sizeof(float), &st->planes_at));
    return skv_scratch_add(n, (size_t)st->threads * st->sum_floats * sizeof(float), &st->sums_at);
}

static void destroy(skive_context *ctx, void *state) {
    planes_state *st = state;
    skv_free(ctx, st->offsets);
    skv_free(ctx, st);
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(planes_state), set_up, destroy); }

/* ---- a run ---- */

/* A band of a group: image, group, slice of the output, its first line and their number. */
typedef struct band {
    int64_t image, group, slice, first, lines;
} band;

/* to[i] = line[start + i step] for i < n, 0 outside the line of `size` elements. */
static void copy_line(const float *line, int64_t size, int64_t start, int64_t step, int64_t n, float *to) {
    const int64_t low = least(n, start < 0 ? (-start + step - 1) / step : 0);
    const int64_t inside = size - start <= 0 ? 0 : (size - start + step - 1) / step;
    const int64_t high = inside < low ? low : least(n, inside);
    memset(to, 0, (size_t)low * sizeof *to);
    if (step == 1) {
        if (high > low) memcpy(to + low, line + start + low, (size_t)(high - low) * sizeof *to);
    } else {
        for (int64_t i = low; i < high; i++) to[i] = line[start + i * step];
    }
    memset(to + high, 0, (size_t)(n - high) * sizeof *to);
}

static void fill_planes(const planes_state *st, const float *x, const band *b, float *to) {
    const skv_geometry *g = &st->s.g;
    const int64_t height = b->lines + st->height - st->lines;
    for (int64_t c = 0; c < st->in; c++) {
        for (int64_t k = 0; k < g->kernel[0]; k++) {
            const int64_t d = b->slice * g->stride[0] - g->pad_lo[0] + k * g->dilation[0];
            const float *image = x + (c * g->in[0] + d) * g->in[1] * g->in[2];
            for (int64_t p = 0; p < g->stride[1] * g->stride[2]; p++, to += st->height * st->width) {
                const int64_t down = p / g->stride[2], across = p % g->stride[2];
                for (int64_t i = 0; i < height; i++) {
                    const int64_t h = (b->first + i) * g->stride[1] + down - g->pad_lo[1];
                    if (d < 0 || d >= g->in[0] || h < 0 || h >= g->in[1])
                        memset(to + i * st->width, 0, (size_t)st->width * sizeof *to);
                    else
                        copy_line(image + h * g->in[2], g->in[2], across - g->pad_lo[2], g->stride[2], st->width,
                                  to + i * st->width);
                }
            }
        }
    }
}

/* One output channel's lines of a band, from sums with longer lines. */
static void finish_lines(const planes_state *st, const float *sums, int64_t lines, float bias, const float *z,
                         float *y) {
    const int64_t n = st->s.g.out[2];
    for (int64_t i = 0; i < lines; i++, sums += st->width, y += n) {
        for (int64_t k = 0; k < n; k++) y[k] = sums[k] + bias;
        for (int64_t k = 0; z && k < n; k++) y[k] += z[i * n + k];
        if (st->width > n) skv_finish_run(&st->finish, y, n);
    }
    if (st->width == n) skv_finish_run(&st->finish, y - lines * n, lines * n);
}

static void run_band(const planes_state *st, const skv_kernel_call *call, const float *w, const band *b, float *planes,
                     float *sums) {
    const skv_conv_shape *s = &st->s;
    const skv_geometry *g = &s->g;
    const int64_t rows = st->tile->rows, columns = st->tile->columns, volume = skv_volume(g->out);
    const int64_t end = (b->lines - 1) * st->width + g->out[2];
    fill_planes(st, (const float *)call->in[0] + (b->image * s->c + b->group * st->in) * skv_volume(g->in), b, planes);
    const float *bias = skv_kernel_has_input(call->n, 2) ? call->in[2] : NULL,
                *z = skv_kernel_has_input(call->n, 3) ? call->in[3] : NULL;
    w += b->group * st->row_blocks * st->taps * rows;
    for (int64_t first = 0; first < st->out; first += rows, w += st->taps * rows) {
        const int64_t left = least(rows, st->out - first);
        const int some = left > 4 ? (int)rows : left > 2 ? 4 : (int)left;
        for (int64_t p = 0; p < end; p += columns)
            st->tile->run(some, st->taps, planes + p, st->offsets, w, rows, sums + p, st->span);
        for (int64_t r = 0; r < left; r++) {
            const int64_t channel = b->group * st->out + first + r;
            const int64_t at = (b->image * s->m + channel) * volume + (b->slice * g->out[1] + b->first) * g->out[2];
            finish_lines(st, sums + r * st->span, b->lines, bias ? bias[channel] : 0.0f, z ? z + at : NULL,
                         (float *)call->out[0] + at);
        }
    }
}

static skive_status run(const skv_kernel_call *call) {
    const planes_state *st = call->n->state;
    const skv_geometry *g = &st->s.g;
    const int64_t slices = st->bands * g->out[0], n = st->s.n * st->s.groups * slices;
    const float *w = st->w;
    if (!w) {
        float *packed = (float *)(void *)((char *)call->scratch + st->w_at);
        pack(st, call->in[1], packed);
        w = packed;
    }
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < n; i++) {
        const size_t t = (size_t)skv_thread_number();
        const int64_t first = i % st->bands * st->lines;
        const band b = {.image = i / slices / st->s.groups,
                        .group = i / slices % st->s.groups,
                        .slice = i / st->bands % g->out[0],
                        .first = first,
                        .lines = least(st->lines, g->out[1] - first)};
        run_band(st, call, w, &b, (float *)(void *)((char *)call->scratch + st->planes_at) + t * st->plane_floats,
                 (float *)(void *)((char *)call->scratch + st->sums_at) + t * st->sum_floats);
    }
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
