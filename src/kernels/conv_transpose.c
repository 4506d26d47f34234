/* ConvTranspose in f32 with constant weights, as convolutions by phase: the output positions that are equal modulo the
 * stride see the same taps of the window, at inputs side by side. Each phase is a product of gathered windows and the
 * weights of its taps, packed once. Input and output stand with the channels last. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/finish.h"
#include "kernels/kernel.h"
#include "kernels/sgemm.h"
#include "ops/conv/common_conv_transpose.h"

enum {
    BLOCK_FLOATS = 1 << 17, /* of gathered rows: many, so that large weights are read seldom */
    LEAST_ROWS = 12,
    MOST_ROWS = 192,
    LEAST_OUT = 8,           /* channels of a group, which are the columns of the product */
    PARALLEL_FROM = 1 << 17, /* multiplications */
    MOST_PHASES = 1 << 12,
};

/* A tap that a phase sees along an axis: weight `k`, input element `off` beyond the position's index. */
typedef struct tap {
    int64_t k, off;
} tap;

typedef struct axis_phase {
    int64_t count; /* output positions */
    int64_t n;
    const tap *taps; /* off ascends */
} axis_phase;

typedef struct phase {
    axis_phase axis[SKV_SPATIAL];
    int64_t first[SKV_SPATIAL]; /* output position 0 */
    int64_t k, rows, block, blocks;
    const float *w; /* [group] packed */
    size_t w_step;
    bool beside; /* the taps of a line are side by side */
    bool direct; /* one tap, whose rows are those of the input */
} phase;

typedef struct transpose_state {
    skv_conv_shape s; /* of the convolution whose gradient this is: s.c channels out, s.m in; g.out of x, g.in of y */
    int64_t per_in, per_out, n_phases, blocks;
    int64_t columns; /* of a product: the channels out, those of all phases where they read the same rows (together) */
    bool together;
    tap *taps[SKV_SPATIAL];
    phase *phases;
    int threads;
    size_t gathered, results, packed, thread_bytes; /* offsets into a thread's scratch, and its size */
} transpose_state;

static skive_status shape_of(const skv_kernel_node *n, skv_conv_shape *s) {
    int64_t x[SKIVE_MAX_RANK], w[SKIVE_MAX_RANK];
    skv_type_sizes(&n->in[0].type, x);
    skv_type_sizes(&n->in[1].type, w);
    return skv_conv_transpose_make(n->ctx, n->node, n->in[0].type.rank, x, n->in[1].type.rank, w, s);
}

static int64_t phases_of(const skv_geometry *g, int a) { return g->stride[a] < g->in[a] ? g->stride[a] : g->in[a]; }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    skv_conv_shape s;
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].absent && !skv_kernel_f32(&n->in[i])) return skv_decline(why, "not float32, or empty");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "an empty output");
    if (!n->in[1].constant) return skv_decline(why, "the weights are not constant");
    if (shape_of(n, &s) != SKIVE_OK) return skv_decline(why, "its shape");
    if (s.c / s.groups < LEAST_OUT) return skv_decline(why, "few channels a group");
    int64_t phases = 1;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        if (phases_of(&s.g, a) > MOST_PHASES) return skv_decline(why, "a stride of %lld", (long long)s.g.stride[a]);
        phases *= phases_of(&s.g, a);
        if (phases > MOST_PHASES) return skv_decline(why, "strides whose product is over %d", MOST_PHASES);
    }
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    transpose_state *st = state;
    if (!st) return;
    for (int a = 0; a < SKV_SPATIAL; a++) skv_free(ctx, st->taps[a]);
    skv_free(ctx, st->phases);
    skv_free(ctx, st);
}

static int64_t modulo(int64_t a, int64_t by) { return (a % by + by) % by; }

/* The taps of phase r of an axis, written to `taps`. */
static axis_phase axis_phase_of(const skv_geometry *g, int a, int64_t r, tap *taps) {
    const int64_t s = g->stride[a];
    axis_phase p = {.count = (g->in[a] - r + s - 1) / s, .taps = taps};
    for (int64_t k = g->kernel[a] - 1; k >= 0; k--) {
        const int64_t at = r + g->pad_lo[a] - k * g->dilation[a];
        if (modulo(at, s) == 0) taps[p.n++] = (tap){k, at / s};
    }
    return p;
}

/* w [c][m / groups][kernel] of one group and phase as [m / groups][tap][c / groups]. */
static void turn(const transpose_state *st, const phase *p, int64_t group, const float *w, float *to) {
    const skv_geometry *g = &st->s.g;
    const int64_t window = skv_volume(g->kernel);
    for (int64_t m = 0; m < st->per_out; m++)
        for (int64_t d = 0; d < p->axis[0].n; d++)
            for (int64_t h = 0; h < p->axis[1].n; h++)
                for (int64_t i = 0; i < p->axis[2].n; i++) {
                    const int64_t at = (p->axis[0].taps[d].k * g->kernel[1] + p->axis[1].taps[h].k) * g->kernel[2] +
                                       p->axis[2].taps[i].k;
                    for (int64_t c = 0; c < st->per_in; c++)
                        *to++ = w[((group * st->per_in + c) * st->per_out + m) * window + at];
                }
}

/* The weights of `count` phases side by side, in the first one. */
static skive_status pack(skv_kernel_node *n, const transpose_state *st, phase *p, int64_t count) {
    const int64_t groups = st->s.groups, columns = count * st->per_out, each = st->per_out * p->k;
    float *turned, *packed;
    if (!p->k) return SKIVE_OK;
    p->w_step = skv_sgemm_packed(columns, p->k);
    SKV_TRY(skv_arena_array(n->weights, (size_t)groups, p->w_step * sizeof *packed, &packed));
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)columns, (size_t)p->k * sizeof *turned, &turned));
    for (int64_t group = 0; group < groups; group++) {
        for (int64_t i = 0; i < count; i++) turn(st, p + i, group, n->in[1].constant->data, turned + i * each);
        skv_sgemm_pack(true, columns, p->k, turned, p->k, packed + (size_t)group * p->w_step);
    }
    skv_free(n->ctx, turned);
    p->w = packed;
    n->state_bytes += (size_t)groups * p->w_step * sizeof *packed;
    return SKIVE_OK;
}

static void size_phase(transpose_state *st, phase *p) {
    p->rows = st->s.n * p->axis[0].count * p->axis[1].count * p->axis[2].count;
    p->k = p->axis[0].n * p->axis[1].n * p->axis[2].n * st->per_in;
    p->block = p->k ? BLOCK_FLOATS / p->k / LEAST_ROWS * LEAST_ROWS : MOST_ROWS;
    p->block = p->block < LEAST_ROWS ? LEAST_ROWS : p->block > MOST_ROWS ? MOST_ROWS : p->block;
    p->blocks = (p->rows + p->block - 1) / p->block;
    p->beside = st->s.groups == 1;
    p->direct = st->s.groups == 1;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        const axis_phase *x = &p->axis[a];
        p->direct = p->direct && x->n == 1 && x->taps[0].off == 0 && x->count == st->s.g.out[a];
    }
    for (int64_t i = 1; i < p->axis[2].n; i++)
        p->beside = p->beside && p->axis[2].taps[i].off == p->axis[2].taps[i - 1].off + 1;
}

static skive_status list_phases(skv_kernel_node *n, transpose_state *st) {
    const skv_geometry *g = &st->s.g;
    int64_t count[SKV_SPATIAL], used[SKV_SPATIAL] = {0};
    axis_phase *axis[SKV_SPATIAL] = {NULL};
    skive_status status = SKIVE_OK;
    st->n_phases = 1;
    for (int a = 0; a < SKV_SPATIAL; a++) {
        count[a] = phases_of(g, a);
        st->n_phases *= count[a];
        SKV_GO(status, done, skv_alloc_array(n->ctx, (size_t)g->kernel[a], sizeof(tap), &st->taps[a]));
        SKV_GO(status, done, skv_alloc_array(n->ctx, (size_t)count[a], sizeof(axis_phase), &axis[a]));
        for (int64_t r = 0; r < count[a]; r++) {
            axis[a][r] = axis_phase_of(g, a, r, st->taps[a] + used[a]);
            used[a] += axis[a][r].n;
        }
    }
    SKV_GO(status, done, skv_alloc_array(n->ctx, (size_t)st->n_phases, sizeof(phase), &st->phases));
    for (int64_t i = 0; i < st->n_phases; i++) {
        const int64_t r[SKV_SPATIAL] = {i / count[2] / count[1], i / count[2] % count[1], i % count[2]};
        phase *p = &st->phases[i];
        for (int a = 0; a < SKV_SPATIAL; a++) p->axis[a] = axis[a][r[a]], p->first[a] = r[a];
        size_phase(st, p);
        st->together = (i == 0 || st->together) && p->direct;
    }
    /* Windows as wide as the stride: the rows are read once, and not by each phase again. */
    const int64_t many = st->together ? st->n_phases : 1;
    st->columns = many * st->per_out;
    for (int64_t i = 0; i < st->n_phases; i += many) {
        st->blocks += st->phases[i].blocks;
        SKV_GO(status, done, pack(n, st, &st->phases[i], many));
    }
done:
    for (int a = 0; a < SKV_SPATIAL; a++) skv_free(n->ctx, axis[a]);
    return status;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    transpose_state *st = state;
    SKV_TRY(shape_of(n, &st->s));
    st->per_in = st->s.m / st->s.groups;
    st->per_out = st->s.c / st->s.groups;
    SKV_TRY(list_phases(n, st));
    n->packs_input[1] = true;
    n->in[0].layout = n->out[0].layout = SKV_NHWC;
    int64_t gathered = 0, results = 0, k = 0, work = 0;
    for (int64_t i = 0; i < st->n_phases; i++) {
        const phase *p = &st->phases[i];
        gathered = p->block * p->k > gathered ? p->block * p->k : gathered;
        results = p->block * st->columns > results ? p->block * st->columns : results;
        k = p->k > k ? p->k : k;
        work += p->rows * p->k;
    }
    st->threads = work < PARALLEL_FROM / st->per_out ? 1 : n->threads;
    st->results = skv_align_up((size_t)gathered * sizeof(float), 64);
    st->packed = st->results + skv_align_up((size_t)results * sizeof(float), 64);
    st->thread_bytes = st->packed + skv_align_up(skv_sgemm_scratch(st->columns, k, 1), 64);
    size_t at;
    return skv_scratch_add(n, st->thread_bytes * (size_t)n->threads, &at);
}

static skive_status prepare(skv_kernel_node *n) {
    return skv_kernel_prepare(n, sizeof(transpose_state), set_up, destroy);
}

/* Image and index along each axis of a row. */
typedef struct place {
    int64_t n, at[SKV_SPATIAL];
} place;

static place place_of(const phase *p, int64_t row) {
    const int64_t w = p->axis[2].count, h = p->axis[1].count, d = p->axis[0].count;
    return (place){row / w / h / d, {row / w / h % d, row / w % h, row % w}};
}

static void step(const phase *p, place *at) {
    for (int a = SKV_SPATIAL - 1; a >= 0; a--) {
        if (++at->at[a] < p->axis[a].count) return;
        at->at[a] = 0;
    }
    at->n++;
}

/* One line of taps: those outside are 0. */
static float *gather_line(const transpose_state *st, const phase *p, const float *line, int64_t index, int64_t channel,
                          float *to) {
    const axis_phase *a = &p->axis[2];
    const int64_t c = st->per_in, all = st->s.m, width = st->s.g.out[2];
    if (!line) {
        memset(to, 0, (size_t)(a->n * c) * sizeof *to);
        return to + a->n * c;
    }
    if (p->beside && index + a->taps[0].off >= 0 && index + a->taps[a->n - 1].off < width) {
        memcpy(to, line + (index + a->taps[0].off) * c, (size_t)(a->n * c) * sizeof *to);
        return to + a->n * c;
    }
    for (int64_t i = 0; i < a->n; i++, to += c) {
        const int64_t at = index + a->taps[i].off;
        if (at >= 0 && at < width)
            memcpy(to, line + at * all + channel, (size_t)c * sizeof *to);
        else
            memset(to, 0, (size_t)c * sizeof *to);
    }
    return to;
}

static void gather(const transpose_state *st, const phase *p, const float *x, int64_t first, int64_t rows,
                   int64_t group, float *to) {
    const int64_t *size = st->s.g.out;
    place at = place_of(p, first);
    for (int64_t r = 0; r < rows; r++, step(p, &at)) {
        const float *image = x + at.n * skv_volume(size) * st->s.m;
        for (int64_t d = 0; d < p->axis[0].n; d++) {
            const int64_t id = at.at[0] + p->axis[0].taps[d].off;
            for (int64_t h = 0; h < p->axis[1].n; h++) {
                const int64_t ih = at.at[1] + p->axis[1].taps[h].off;
                const bool there = id >= 0 && id < size[0] && ih >= 0 && ih < size[1];
                to = gather_line(st, p, there ? image + (id * size[1] + ih) * size[2] * st->s.m : NULL, at.at[2],
                                 group * st->per_in, to);
            }
        }
    }
}

static void scatter(const transpose_state *st, const phase *p, const float *from, int64_t first, int64_t rows,
                    int64_t group, float *y) {
    const skv_geometry *g = &st->s.g;
    const int64_t m = st->per_out;
    place at = place_of(p, first);
    for (int64_t r = 0; r < rows; r++, from += m, step(p, &at)) {
        int64_t to = at.n;
        for (int a = 0; a < SKV_SPATIAL; a++) to = to * g->in[a] + p->first[a] + at.at[a] * g->stride[a];
        memcpy(y + to * st->s.c + group * m, from, (size_t)m * sizeof *from);
    }
}

/* Of all phases: rows [phase][m]. Phases that only differ along the last axis are neighbours here and there. */
static void scatter_together(const transpose_state *st, const float *from, const float *bias, int64_t first,
                             int64_t rows, float *y) {
    const skv_geometry *g = &st->s.g;
    const int64_t m = st->per_out, run = phases_of(g, SKV_SPATIAL - 1), floats = run * m;
    place at = place_of(st->phases, first);
    for (int64_t r = 0; r < rows; r++, step(st->phases, &at)) {
        for (int64_t i = 0; i < st->n_phases; i += run, from += floats) {
            int64_t to = at.n;
            for (int a = 0; a < SKV_SPATIAL; a++) to = to * g->in[a] + st->phases[i].first[a] + at.at[a] * g->stride[a];
            float *line = y + to * m;
            if (!bias) {
                memcpy(line, from, (size_t)floats * sizeof *from);
                continue;
            }
            for (int64_t k = 0; k < floats; k += m)
                for (int64_t c = 0; c < m; c++) line[k + c] = from[k + c] + bias[c];
        }
    }
}

static void run_together(const transpose_state *st, const skv_kernel_call *call, int64_t first, int64_t rows,
                         char *scratch) {
    const phase *p = st->phases;
    float *results = (float *)(void *)(scratch + st->results);
    const skv_sgemm product = {.trans_b = true,
                               .m = rows,
                               .n = st->columns,
                               .k = p->k,
                               .a = (const float *)call->in[0] + first * p->k,
                               .lda = p->k,
                               .ldb = p->k,
                               .ldc = st->columns,
                               .c = results,
                               .alpha = 1,
                               .packed = p->w};
    skv_sgemm_run(&product, 1, scratch + st->packed);
    scatter_together(st, results, skv_kernel_has_input(call->n, 2) ? call->in[2] : NULL, first, rows, call->out[0]);
}

static void run_block(const transpose_state *st, const phase *p, const skv_kernel_call *call, int64_t first,
                      int64_t rows, int64_t group, char *scratch) {
    const int64_t m = st->per_out;
    float *gathered = (float *)(void *)scratch, *results = (float *)(void *)(scratch + st->results);
    const float *bias = skv_kernel_has_input(call->n, 2) ? (const float *)call->in[2] + group * m : NULL;
    if (!bias && !p->k) memset(results, 0, (size_t)(rows * m) * sizeof *results);
    skv_start_rows(bias, NULL, results, rows, m);
    if (p->k) {
        if (!p->direct) gather(st, p, call->in[0], first, rows, group, gathered);
        const skv_sgemm product = {.trans_b = true,
                                   .m = rows,
                                   .n = m,
                                   .k = p->k,
                                   .a = p->direct ? (const float *)call->in[0] + first * p->k : gathered,
                                   .lda = p->k,
                                   .ldb = p->k,
                                   .ldc = m,
                                   .c = results,
                                   .alpha = 1,
                                   .add = bias != NULL,
                                   .packed = p->w + (size_t)group * p->w_step};
        skv_sgemm_run(&product, 1, scratch + st->packed);
    }
    scatter(st, p, results, first, rows, group, call->out[0]);
}

static skive_status run(const skv_kernel_call *call) {
    const transpose_state *st = call->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->blocks * st->s.groups; i++) {
        const phase *p = st->phases;
        int64_t block = i / st->s.groups;
        while (block >= p->blocks) block -= p++->blocks;
        const int64_t first = block * p->block, left = p->rows - first, rows = left < p->block ? left : p->block;
        char *scratch = (char *)call->scratch + (size_t)skv_thread_number() * st->thread_bytes;
        if (st->together)
            run_together(st, call, first, rows, scratch);
        else
            run_block(st, p, call, first, rows, i % st->s.groups, scratch);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_CONV_TRANSPOSE, SKV_OP_NONE};

const skv_kernel skv_kernel_conv_transpose_f32 = {
    .name = "conv_transpose_f32",
    .brief = "transposed convolution as convolutions by phase, by the matrix product",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
