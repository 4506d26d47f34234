/* Slice and Pad with constant amounts: along every axis, which element of the input an element of the output shows is
 * known beforehand. Axes behind the last one that changes are moved as one piece. */
#include <string.h>

#include "kernels/kernel.h"
#include "ops/shape/common_pad.h"
#include "ops/shape/common_slice.h"

enum { PARALLEL_BYTES = 1 << 18 };

/* So many pieces of the last axis that changes; from -1: the value padded with. */
typedef struct pick_run {
    int64_t to, from, n;
} pick_run;

typedef struct pick_state {
    int axes; /* that change, and those before them */
    int64_t dims[SKIVE_MAX_RANK], strides[SKIVE_MAX_RANK], outer;
    int64_t *source[SKIVE_MAX_RANK]; /* [dims] index along the input's axis, -1: none */
    pick_run *runs;
    size_t n_runs, item, piece; /* bytes of an element, of a piece */
    bool pads;
    int threads;
} pick_state;

static bool is_pad(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_PAD); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (skive_dtype_bits(n->in[0].type.dtype) < 8) return skv_decline(why, "elements of less than a byte");
    if (n->in[0].type.rank < 1 || skv_type_count(&n->out[0].type) == 0 || skv_type_count(&n->in[0].type) == 0)
        return skv_decline(why, "empty, or a scalar");
    for (size_t i = 1; i < n->n_in; i++) {
        const bool value = is_pad(n) && i == 2;
        if (!n->in[i].absent && !value && !n->in[i].constant) return skv_decline(why, "computed amounts");
        if (!n->in[i].absent && value && skv_type_count(&n->in[i].type) != 1)
            return skv_decline(why, "the padding value is not a single number");
    }
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    pick_state *st = state;
    for (int d = 0; st && d < SKIVE_MAX_RANK; d++) skv_free(ctx, st->source[d]);
    if (st) skv_free(ctx, st->runs);
    skv_free(ctx, st);
}

static skive_status pad_sources(const skv_kernel_node *n, pick_state *st, int rank) {
    skv_pads p;
    if (!skv_pads_constant(n->node, 1, 3, rank, &p))
        return skv_fail_at(n->ctx, SKIVE_ERR_UNSUPPORTED, n->node->name, "unknown pads");
    const skv_pad_mode mode = skv_pad_mode_of(n->node);
    for (int d = 0; d < rank; d++) {
        const skv_pads one = {.before = {p.before[d]}, .after = {p.after[d]}};
        const int64_t size = n->in[0].type.dims[d].size, step = 1;
        for (int64_t i = 0; i < n->out[0].type.dims[d].size; i++)
            st->source[d][i] = skv_pad_source(mode, &one, 1, &size, &step, &i);
    }
    return SKIVE_OK;
}

static skive_status slice_sources(const skv_kernel_node *n, pick_state *st, int rank) {
    int64_t lists[5][SKIVE_MAX_RANK], dims[SKIVE_MAX_RANK];
    int count[5] = {-1, -1, -1, -1, -1};
    skv_slice s;
    for (size_t i = 1; i < 5 && i < n->n_in; i++)
        if (!n->in[i].absent) count[i] = skv_read_ints(n->in[i].constant, lists[i], SKIVE_MAX_RANK);
    for (int d = 0; d < rank; d++) dims[d] = n->in[0].type.dims[d].size;
    if (count[1] < 0 || count[2] != count[1] ||
        !skv_slice_resolve(&s, rank, dims, count[1], lists[1], lists[2], count[3] >= 0 ? lists[3] : NULL,
                           count[4] >= 0 ? lists[4] : NULL))
        return skv_fail_at(n->ctx, SKIVE_ERR_UNSUPPORTED, n->node->name, "unknown starts, ends, axes or steps");
    for (int d = 0; d < rank; d++)
        for (int64_t i = 0; i < n->out[0].type.dims[d].size; i++) st->source[d][i] = s.start[d] + i * s.step[d];
    return SKIVE_OK;
}

static bool unchanged(const skv_kernel_node *n, const pick_state *st, int d) {
    const int64_t size = n->out[0].type.dims[d].size;
    bool same = size == n->in[0].type.dims[d].size;
    for (int64_t i = 0; same && i < size; i++) same = st->source[d][i] == i;
    return same;
}

/* Neighbours of the last axis that changes go together. */
static skive_status find_runs(const skv_kernel_node *n, pick_state *st) {
    const int last = st->axes - 1;
    const int64_t *source = st->source[last];
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)st->dims[last], sizeof *st->runs, &st->runs));
    for (int64_t i = 0; st->runs && i < st->dims[last]; i++) {
        pick_run *before = st->n_runs ? &st->runs[st->n_runs - 1] : NULL;
        const bool goes_on =
            before && (source[i] < 0 ? before->from < 0 : before->from >= 0 && source[i] == before->from + before->n);
        if (goes_on)
            before->n++;
        else
            st->runs[st->n_runs++] = (pick_run){i, source[i], 1};
    }
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    const int rank = n->in[0].type.rank;
    pick_state *st = NULL;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (int d = 0; d < rank; d++) {
        st->dims[d] = n->out[0].type.dims[d].size;
        SKV_GO(status, fail, skv_alloc_array(n->ctx, (size_t)st->dims[d], sizeof(int64_t), &st->source[d]));
    }
    st->pads = is_pad(n);
    SKV_GO(status, fail, st->pads ? pad_sources(n, st, rank) : slice_sources(n, st, rank));
    st->item = st->piece = (size_t)skive_dtype_bits(n->in[0].type.dtype) / 8;
    st->axes = rank;
    while (st->axes > 1 && unchanged(n, st, st->axes - 1)) st->piece *= (size_t)st->dims[--st->axes];
    st->outer = 1;
    int64_t stride = 1;
    for (int d = st->axes - 1; d >= 0; d--) {
        st->strides[d] = stride;
        stride *= n->in[0].type.dims[d].size;
        if (d < st->axes - 1) st->outer *= st->dims[d];
    }
    SKV_GO(status, fail, find_runs(n, st));
    for (size_t i = 1; i < n->n_in && i < SKV_OP_MAX_IO; i++) n->skips_input_data[i] = !(st->pads && i == 2);
    const size_t bytes = (size_t)(st->outer * st->dims[st->axes - 1]) * st->piece;
    st->threads = bytes < PARALLEL_BYTES ? 1 : n->threads;
    n->state = st;
    return SKIVE_OK;
fail:
    destroy(n->ctx, st);
    return status;
}

static void fill(const pick_state *st, char *to, int64_t pieces, const char *value) {
    const size_t bytes = (size_t)pieces * st->piece;
    if (!value) {
        memset(to, 0, bytes);
        return;
    }
    for (size_t at = 0; at < bytes; at += st->item) memcpy(to + at, value, st->item);
}

/* Row `o` of the last axis that changes. */
static void copy_row(const pick_state *st, int64_t o, const char *x, const char *value, char *y) {
    const int last = st->axes - 1;
    int64_t base = 0, rest = o;
    bool outside = false;
    for (int d = last - 1; d >= 0; d--) {
        const int64_t at = st->source[d][rest % st->dims[d]];
        outside = outside || at < 0;
        base += at * st->strides[d];
        rest /= st->dims[d];
    }
    char *row = y + (size_t)(o * st->dims[last]) * st->piece;
    if (outside) {
        fill(st, row, st->dims[last], value);
        return;
    }
    for (size_t r = 0; r < st->n_runs; r++) {
        const pick_run *run = &st->runs[r];
        char *to = row + (size_t)run->to * st->piece;
        if (run->from < 0)
            fill(st, to, run->n, value);
        else
            memcpy(to, x + (size_t)(base + run->from) * st->piece, (size_t)run->n * st->piece);
    }
}

static skive_status run(const skv_kernel_call *c) {
    const pick_state *st = c->n->state;
    const int threads = st->threads;
    const char *value = st->pads && c->n->n_in > 2 ? c->in[2] : NULL;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t o = 0; o < st->outer; o++) copy_row(st, o, c->in[0], value, c->out[0]);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_SLICE, SKV_OP_PAD, SKV_OP_NONE};

const skv_kernel skv_kernel_pick = {
    .name = "pick",
    .brief = "Slice and Pad by constant amounts, copying contiguous runs",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
