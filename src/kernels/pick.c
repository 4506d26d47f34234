/* Slice, Pad, Tile, Expand and Resize to the nearest element, with constant amounts: along every axis, which element of
 * the input an element of the output shows is known beforehand. Axes behind the last one that changes are moved as one
 * piece. Where only spatial axes change, the layout stays. */
#include <string.h>

#include "kernels/strides.h"
#include "ops/image/common_resize.h"
#include "ops/shape/common_pad.h"
#include "ops/shape/common_slice.h"

enum { PARALLEL_BYTES = 1 << 18 };

/* So many pieces of the last axis that changes; from -1: the value padded with. */
typedef struct pick_run {
    int64_t to, from, n;
} pick_run;

typedef struct pick_state {
    int axes; /* that change, and those before them */
    int64_t dims[SKV_STRIDES_RANK], in[SKV_STRIDES_RANK], strides[SKV_STRIDES_RANK], outer;
    int64_t *source[SKV_STRIDES_RANK]; /* [dims] index along the input's axis, -1: none */
    pick_run *runs;
    size_t n_runs, item, piece; /* bytes of an element, of a piece */
    bool pads, scattered;       /* scattered: pieces of 1, 2, 4 or 8 bytes one by one */
    bool doubled;               /* each of them twice */
    bool rows_doubled;          /* and each row */
    int threads;
} pick_state;

static bool is_pad(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_PAD); }

static bool is_resize(const skv_kernel_node *n) { return SKV_NODE_IS_ANY(n->node, SKV_OP_RESIZE, SKV_OP_UPSAMPLE); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (skive_dtype_bits(n->in[0].type.dtype) < 8) return skv_decline(why, "elements of less than a byte");
    if (n->out[0].type.rank < 1 || skv_type_count(&n->out[0].type) == 0 || skv_type_count(&n->in[0].type) == 0)
        return skv_decline(why, "empty, or a scalar");
    for (size_t i = 1; i < n->n_in; i++) {
        const bool value = is_pad(n) && i == 2;
        if (!n->in[i].absent && !value && !n->in[i].constant) return skv_decline(why, "computed amounts");
        if (!n->in[i].absent && value && skv_type_count(&n->in[i].type) != 1)
            return skv_decline(why, "the padding value is not a single number");
    }
    if (is_resize(n) && strcmp(skv_attr_string(n->node, "mode", "nearest"), "nearest") != 0)
        return skv_decline(why, "between elements");
    if (strcmp(skv_attr_string(n->node, "coordinate_transformation_mode", ""), "tf_crop_and_resize") == 0)
        return skv_decline(why, "a region of interest");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    pick_state *st = state;
    for (int d = 0; st && d < SKV_STRIDES_RANK; d++) skv_free(ctx, st->source[d]);
    if (st) skv_free(ctx, st->runs);
    skv_free(ctx, st);
}

static skive_status pad_sources(const skv_kernel_node *n, int64_t *const *source, int rank) {
    skv_pads p;
    if (!skv_pads_constant(n->node, 1, 3, rank, &p))
        return skv_fail_at(n->ctx, SKIVE_ERR_UNSUPPORTED, n->node->name, "unknown pads");
    const skv_pad_mode mode = skv_pad_mode_of(n->node);
    for (int d = 0; d < rank; d++) {
        const skv_pads one = {.before = {p.before[d]}, .after = {p.after[d]}};
        const int64_t size = n->in[0].type.dims[d].size, step = 1;
        for (int64_t i = 0; i < n->out[0].type.dims[d].size; i++)
            source[d][i] = skv_pad_source(mode, &one, 1, &size, &step, &i);
    }
    return SKIVE_OK;
}

static skive_status slice_sources(const skv_kernel_node *n, int64_t *const *source, int rank) {
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
        for (int64_t i = 0; i < n->out[0].type.dims[d].size; i++) source[d][i] = s.start[d] + i * s.step[d];
    return SKIVE_OK;
}

/* Of Resize; axes that are copied included. */
static skive_status resize_sources(const skv_kernel_node *n, int64_t *const *source, int rank) {
    const bool old = skv_node_is(n->node, SKV_OP_UPSAMPLE);
    const skive_tensor *operand[4] = {NULL};
    int64_t dims[SKIVE_MAX_RANK];
    skv_resize r;
    for (size_t i = 1; i < 4 && i < n->n_in; i++) operand[i] = n->in[i].absent ? NULL : n->in[i].constant;
    for (int d = 0; d < rank; d++) dims[d] = n->in[0].type.dims[d].size;
    SKV_TRY(skv_resize_read(n->ctx, n->node, rank, dims, old ? NULL : operand[1], operand[old ? 1 : 2],
                            old ? NULL : operand[3], &r));
    for (int d = 0; d < rank; d++) {
        skv_resize_taps taps = {0};
        if (r.axis[d].out != n->out[0].type.dims[d].size)
            return skv_fail_at(n->ctx, SKIVE_ERR_UNSUPPORTED, n->node->name, "sizes other than planned");
        if (!r.axis[d].copied) SKV_TRY(skv_resize_taps_make(n->ctx, n->node, &r, d, &taps));
        for (int64_t i = 0; i < r.axis[d].out; i++) source[d][i] = taps.index ? taps.index[i] : i;
        skv_resize_taps_free(n->ctx, &taps);
    }
    return SKIVE_OK;
}

/* The input's size along an axis of the output; leading axes that it does not have are 1. */
static int64_t input_size(const skv_kernel_node *n, int d) {
    const int shift = n->out[0].type.rank - n->in[0].type.rank;
    return d < shift ? 1 : n->in[0].type.dims[d - shift].size;
}

/* Tile and Expand. */
static void repeat_sources(const skv_kernel_node *n, int64_t *const *source, int rank) {
    for (int d = 0; d < rank; d++)
        for (int64_t i = 0; i < n->out[0].type.dims[d].size; i++) source[d][i] = i % input_size(n, d);
}

static bool unchanged(const int64_t *source, int64_t in, int64_t out) {
    bool same = out == in;
    for (int64_t i = 0; same && i < out; i++) same = source[i] == i;
    return same;
}

/* The axes as they lie in this layout, from those of the type; they take over `logical`. */
static skive_status lay_out(skv_kernel_node *n, pick_state *st, skv_layout layout, int64_t **logical) {
    const skive_type *y = &n->out[0].type;
    const int64_t block = skv_layout_block(layout);
    int order[SKV_STRIDES_RANK];
    st->axes = skv_strides_order(y->rank, layout, order);
    for (int k = 0; k < st->axes; k++) {
        const int d = order[k];
        if (d == 1 && block > 1) {
            st->dims[k] = st->in[k] = k == st->axes - 1 ? block : (y->dims[1].size + block - 1) / block;
            SKV_TRY(skv_alloc_array(n->ctx, (size_t)st->dims[k], sizeof(int64_t), &st->source[k]));
            for (int64_t i = 0; st->source[k] && i < st->dims[k]; i++) st->source[k][i] = i;
            continue;
        }
        st->dims[k] = y->dims[d].size;
        st->in[k] = input_size(n, d);
        st->source[k] = logical[d];
        logical[d] = NULL;
    }
    return SKIVE_OK;
}

/* The input's, if neither samples nor channels change and no number is put where channels are filled up. */
static skv_layout choose_layout(const skv_kernel_node *n, int64_t *const *logical) {
    const skive_type *y = &n->out[0].type;
    const skv_layout layout = n->in[0].layout;
    if (n->in[0].is_parameter || n->in[0].type.rank != y->rank || y->rank < 3) return SKV_PLAIN;
    for (int d = 0; d < 2; d++)
        if (!unchanged(logical[d], n->in[0].type.dims[d].size, y->dims[d].size)) return SKV_PLAIN;
    return is_pad(n) && y->dims[1].size % skv_layout_block(layout) != 0 ? SKV_PLAIN : layout;
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

static skive_status find_sources(skv_kernel_node *n, int64_t **logical) {
    const int rank = n->out[0].type.rank;
    for (int d = 0; d < rank; d++)
        SKV_TRY(skv_alloc_array(n->ctx, (size_t)n->out[0].type.dims[d].size, sizeof(int64_t), &logical[d]));
    if (is_pad(n)) return pad_sources(n, logical, rank);
    if (is_resize(n)) return resize_sources(n, logical, rank);
    if (skv_node_is(n->node, SKV_OP_SLICE)) return slice_sources(n, logical, rank);
    repeat_sources(n, logical, rank);
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    int64_t *logical[SKIVE_MAX_RANK] = {NULL};
    pick_state *st = NULL;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    SKV_GO(status, fail, find_sources(n, logical));
    const skv_layout layout = choose_layout(n, logical);
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = i == 0 ? layout : SKV_PLAIN;
    n->out[0].layout = layout;
    SKV_GO(status, fail, lay_out(n, st, layout, logical));
    for (int d = 0; d < SKIVE_MAX_RANK; d++) { /* of channels in blocks */
        skv_free(n->ctx, logical[d]);
        logical[d] = NULL;
    }
    st->pads = is_pad(n);
    st->item = st->piece = (size_t)skive_dtype_bits(n->in[0].type.dtype) / 8;
    while (st->axes > 1 && unchanged(st->source[st->axes - 1], st->in[st->axes - 1], st->dims[st->axes - 1]))
        st->piece *= (size_t)st->dims[--st->axes];
    st->outer = 1;
    int64_t stride = 1;
    for (int d = st->axes - 1; d >= 0; d--) {
        st->strides[d] = stride;
        stride *= st->in[d];
        if (d < st->axes - 1) st->outer *= st->dims[d];
    }
    SKV_GO(status, fail, find_runs(n, st));
    bool inside = true;
    for (size_t r = 0; r < st->n_runs; r++) inside = inside && st->runs[r].from >= 0;
    st->scattered = inside && (st->piece == 1 || st->piece == 2 || st->piece == 4 || st->piece == 8) &&
                    (int64_t)st->n_runs * 4 > st->dims[st->axes - 1];
    st->doubled = st->scattered && st->dims[st->axes - 1] == 2 * st->in[st->axes - 1];
    for (int64_t i = 0; st->doubled && i < st->dims[st->axes - 1]; i++)
        st->doubled = st->source[st->axes - 1][i] == i / 2;
    const int above = st->axes - 2;
    st->rows_doubled = st->doubled && above >= 0 && st->dims[above] == 2 * st->in[above];
    for (int64_t i = 0; st->rows_doubled && i < st->dims[above]; i++) st->rows_doubled = st->source[above][i] == i / 2;
    for (size_t i = 1; i < n->n_in && i < SKV_OP_MAX_IO; i++) n->skips_input_data[i] = !(st->pads && i == 2);
    const size_t bytes = (size_t)(st->outer * st->dims[st->axes - 1]) * st->piece;
    st->threads = bytes < PARALLEL_BYTES ? 1 : n->threads;
    n->state = st;
    return SKIVE_OK;
fail:
    for (int d = 0; d < SKIVE_MAX_RANK; d++) skv_free(n->ctx, logical[d]);
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

#define SCATTERED(T)                                                                                              \
    static void scattered_##T(const int64_t *source, int64_t n, bool doubled, const void *x_data, void *y_data) { \
        const T *restrict x = x_data;                                                                             \
        T *restrict y = y_data;                                                                                   \
        if (doubled) {                                                                                            \
            for (int64_t i = 0; i < n / 2; i++) y[2 * i] = y[2 * i + 1] = x[i];                                   \
            return;                                                                                               \
        }                                                                                                         \
        for (int64_t i = 0; i < n; i++) y[i] = x[source[i]];                                                      \
    }
SCATTERED(uint8_t)
SCATTERED(uint16_t)
SCATTERED(uint32_t)
SCATTERED(uint64_t)

/* Both rows that show each element of x twice. */
#define TWICE(T)                                                                                  \
    static void twice_##T(const void *x_data, int64_t n, void *first_row, void *second_row) {     \
        const T *restrict x = x_data;                                                             \
        T *restrict y = first_row, *restrict z = second_row;                                      \
        for (int64_t i = 0; i < n; i++) y[2 * i] = y[2 * i + 1] = z[2 * i] = z[2 * i + 1] = x[i]; \
    }
TWICE(uint8_t)
TWICE(uint16_t)
TWICE(uint32_t)
TWICE(uint64_t)

static void copy_twice(const pick_state *st, const char *x, char *y) {
    const int64_t n = st->in[st->axes - 1];
    char *next = y + 2 * (size_t)n * st->piece;
    switch (st->piece) {
    case 1: twice_uint8_t(x, n, y, next); break;
    case 2: twice_uint16_t(x, n, y, next); break;
    case 4: twice_uint32_t(x, n, y, next); break;
    default: twice_uint64_t(x, n, y, next); break;
    }
}

static void copy_scattered(const pick_state *st, const char *x, char *y) {
    const int last = st->axes - 1;
    const int64_t *source = st->source[last], n = st->dims[last];
    switch (st->piece) {
    case 1: scattered_uint8_t(source, n, st->doubled, x, y); break;
    case 2: scattered_uint16_t(source, n, st->doubled, x, y); break;
    case 4: scattered_uint32_t(source, n, st->doubled, x, y); break;
    default: scattered_uint64_t(source, n, st->doubled, x, y); break;
    }
}

/* Where the row at these indices of the axes before the last one that changes comes from; -1: padding. */
static int64_t row_base(const pick_state *st, const int64_t *at) {
    int64_t base = 0;
    for (int d = 0; d < st->axes - 1; d++) {
        const int64_t source = st->source[d][at[d]];
        if (source < 0) return -1;
        base += source * st->strides[d];
    }
    return base;
}

static void copy_row(const pick_state *st, int64_t base, const char *x, const char *value, char *row) {
    if (base < 0) {
        fill(st, row, st->dims[st->axes - 1], value);
        return;
    }
    if (st->scattered) {
        copy_scattered(st, x + (size_t)base * st->piece, row);
        return;
    }
    for (size_t r = 0; r < st->n_runs; r++) {
        const pick_run *run = &st->runs[r];
        char *to = row + (size_t)run->to * st->piece;
        if (run->from < 0)
            fill(st, to, run->n, value);
        else if (run->n == 1 && st->piece == sizeof(uint32_t)) /* reflected elements come one by one */
            memcpy(to, x + (size_t)(base + run->from) * sizeof(uint32_t), sizeof(uint32_t));
        else
            memcpy(to, x + (size_t)(base + run->from) * st->piece, (size_t)run->n * st->piece);
    }
}

/* A row that is the one before once more is copied from there. */
static void some_rows(const pick_state *st, int64_t first, int64_t last, const char *x, const char *value, char *y) {
    const size_t bytes = (size_t)st->dims[st->axes - 1] * st->piece;
    const int above = st->axes - 2;
    int64_t before = -1, at[SKV_STRIDES_RANK], rest = first;
    for (int d = st->axes - 2; d >= 0; d--) {
        at[d] = rest % st->dims[d];
        rest /= st->dims[d];
    }
    for (int64_t o = first; o < last; o++) {
        const int64_t base = row_base(st, at);
        char *row = y + (size_t)o * bytes;
        if (st->rows_doubled && base >= 0 && at[above] % 2 == 0 && o + 1 < last) {
            copy_twice(st, x + (size_t)base * st->piece, row);
            at[above]++; /* which is not the last of its axis */
            o++;
        } else if (base >= 0 && base == before)
            memcpy(row, row - bytes, bytes);
        else
            copy_row(st, base, x, value, row);
        before = base;
        for (int d = st->axes - 2; d >= 0 && ++at[d] == st->dims[d]; d--) at[d] = 0;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const pick_state *st = c->n->state;
    const int threads = st->threads;
    const char *value = st->pads && c->n->n_in > 2 ? c->in[2] : NULL;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++)
        some_rows(st, st->outer * t / threads, st->outer * (t + 1) / threads, c->in[0], value, c->out[0]);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_SLICE,  SKV_OP_PAD,      SKV_OP_TILE, SKV_OP_EXPAND,
                                  SKV_OP_RESIZE, SKV_OP_UPSAMPLE, SKV_OP_NONE};

const skv_kernel skv_kernel_pick = {
    .name = "pick",
    .brief = "Slice, Pad, Tile, Expand and Resize to the nearest, by constant amounts, copying runs",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
