/* Concat in the layout its inputs come in. Most forms are runs of bytes one after another; channels that do not fill
 * their blocks are moved position by position. Constant inputs are brought into the layout once. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/runs.h"

/* Lanes that lie side by side in an input's block and in the output's. */
typedef struct lane_run {
    size_t input, bytes;
    size_t from, to; /* bytes within a position's block */
    int64_t in_block, out_block;
} lane_run;

typedef struct concat_state {
    size_t n_in;
    int64_t outer;   /* runs of each input */
    bool short_runs; /* all: input by input, and not run by run */
    size_t *bytes;   /* [n_in] of a run */
    size_t step;     /* of the output from one outer index to the next */
    void **constant; /* [n_in] in the layout; NULL: comes at run time */
    lane_run *lanes; /* blocks of channels that are not filled; NULL: plain runs */
    size_t n_lanes, item, block_bytes;
    int64_t positions, out_blocks, *in_blocks; /* [n_in] */
    int threads;
} concat_state;

enum { PARALLEL_BYTES = 1 << 18, SHORT_BYTES = 64 };

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const int bits = skive_dtype_bits(n->out[0].type.dtype);
    if (bits < 8) return skv_decline(why, "elements of less than a byte");
    if (n->out[0].type.rank < 1 || skv_type_count(&n->out[0].type) == 0) return skv_decline(why, "empty");
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent) return skv_decline(why, "an absent input");
        if (n->in[i].is_parameter && !n->in[i].constant) return skv_decline(why, "a parameter in training");
    }
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    concat_state *st = state;
    if (!st) return;
    for (size_t i = 0; st->constant && i < st->n_in; i++) skv_free(ctx, st->constant[i]);
    skv_free(ctx, st->constant);
    skv_free(ctx, st->bytes);
    skv_free(ctx, st->in_blocks);
    skv_free(ctx, st->lanes);
    skv_free(ctx, st);
}

/* The layout of the first input that is computed. */
static skv_layout choose_layout(const skv_kernel_node *n) {
    for (size_t i = 0; i < n->n_in; i++)
        if (!n->in[i].is_parameter && n->in[i].type.rank >= 3) return n->in[i].layout;
    return SKV_PLAIN;
}

static skive_status pack_constants(skv_kernel_node *n, concat_state *st, skv_layout layout) {
    for (size_t i = 0; i < n->n_in; i++) {
        size_t bytes;
        const skive_tensor *t = n->in[i].constant;
        if (!t || !t->data) continue;
        if (!skv_layout_bytes(&n->in[i].type, layout, &bytes)) continue;
        SKV_TRY(skv_alloc(n->ctx, bytes + 1, &st->constant[i]));
        skv_reorder(&n->in[i].type, SKV_PLAIN, t->data, layout, st->constant[i], 1);
        n->packs_input[i] = true;
        n->state_bytes += bytes;
    }
    return SKIVE_OK;
}

/* Bytes of a run of each input, along `axis` of the memory's order. */
static void size_runs(const skv_kernel_node *n, concat_state *st, skv_layout layout, int axis) {
    const skive_type *y = &n->out[0].type;
    const int64_t block = skv_layout_block(layout);
    size_t inner = st->item;
    st->outer = 1;
    if (layout == SKV_NHWC && axis == 1) {
        for (int d = 0; d < y->rank; d++)
            if (d != 1) st->outer *= y->dims[d].size;
    } else {
        for (int d = 0; d < axis; d++)
            st->outer *=
                d == 1 && layout == SKV_NHWC ? 1 : (d == 1 ? (y->dims[1].size + block - 1) / block : y->dims[d].size);
        for (int d = axis + 1; d < y->rank; d++)
            inner *= (size_t)(d == 1 ? (y->dims[1].size + block - 1) / block * block : y->dims[d].size);
        if (axis > 1 && layout != SKV_PLAIN) inner *= (size_t)(layout == SKV_NHWC ? y->dims[1].size : block);
    }
    for (size_t i = 0; i < n->n_in; i++) {
        const int64_t size = n->in[i].type.dims[axis].size;
        st->bytes[i] = inner * (size_t)(axis == 1 ? (size + block - 1) / block * block : size);
        st->step += st->bytes[i];
    }
}

/* Channels go where the blocks are not filled: which lanes of which block of which input. */
static skive_status find_lanes(skv_kernel_node *n, concat_state *st, int64_t block) {
    int64_t channel = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < n->n_in; i++) capacity += 2 * (size_t)((n->in[i].type.dims[1].size + block - 1) / block) + 1;
    SKV_TRY(skv_alloc_array(n->ctx, capacity, sizeof *st->lanes, &st->lanes));
    for (size_t i = 0; i < n->n_in; i++) {
        const int64_t count = n->in[i].type.dims[1].size;
        st->in_blocks[i] = (count + block - 1) / block;
        for (int64_t c = 0; c < count;) {
            int64_t run = block - c % block;
            if (block - (channel + c) % block < run) run = block - (channel + c) % block;
            if (count - c < run) run = count - c;
            st->lanes[st->n_lanes++] = (lane_run){.input = i,
                                                  .bytes = (size_t)run * st->item,
                                                  .from = (size_t)(c % block) * st->item,
                                                  .to = (size_t)((channel + c) % block) * st->item,
                                                  .in_block = c / block,
                                                  .out_block = (channel + c) / block};
            c += run;
        }
        channel += count;
    }
    st->block_bytes = (size_t)block * st->item;
    st->out_blocks = (channel + block - 1) / block;
    st->outer = n->out[0].type.dims[0].size;
    st->positions = 1;
    for (int d = 2; d < n->out[0].type.rank; d++) st->positions *= n->out[0].type.dims[d].size;
    return SKIVE_OK;
}

static bool blocks_filled(const skv_kernel_node *n, int64_t block) {
    for (size_t i = 0; i + 1 < n->n_in; i++)
        if (n->in[i].type.dims[1].size % block) return false;
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *y = &n->out[0].type;
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", 0), y->rank);
    const skv_layout layout = choose_layout(n);
    concat_state *st = NULL;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->n_in = n->n_in;
    st->item = (size_t)skive_dtype_bits(y->dtype) / 8;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, n->n_in, sizeof *st->constant, &st->constant));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, n->n_in, sizeof *st->bytes, &st->bytes));
    SKV_GO(status, fail, skv_alloc_array(n->ctx, n->n_in, sizeof *st->in_blocks, &st->in_blocks));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = layout;
    n->out[0].layout = layout;
    SKV_GO(status, fail, pack_constants(n, st, layout));
    if (axis == 1 && skv_layout_block(layout) > 1 && !blocks_filled(n, skv_layout_block(layout)))
        SKV_GO(status, fail, find_lanes(n, st, skv_layout_block(layout)));
    else
        size_runs(n, st, layout, axis);
    st->short_runs = true;
    for (size_t i = 0; i < n->n_in; i++) st->short_runs = st->short_runs && st->bytes[i] <= SHORT_BYTES;
    size_t all;
    st->threads = skv_layout_bytes(y, layout, &all) && all >= PARALLEL_BYTES ? n->threads : 1;
    n->state = st;
    return SKIVE_OK;
fail:
    destroy(n->ctx, st);
    return status;
}

static const char *source(const concat_state *st, const skv_kernel_call *c, size_t i) {
    return st->constant[i] ? st->constant[i] : c->in[i];
}

static void copy_run(const concat_state *st, const skv_kernel_call *c, int64_t o) {
    char *to = (char *)c->out[0] + (size_t)o * st->step;
    for (size_t i = 0; i < st->n_in; i++) {
        memcpy(to, source(st, c, i) + (size_t)o * st->bytes[i], st->bytes[i]);
        to += st->bytes[i];
    }
}

static void copy_short(const concat_state *st, const skv_kernel_call *c, int64_t first, int64_t last) {
    char *to = (char *)c->out[0] + (size_t)first * st->step;
    for (size_t i = 0; i < st->n_in; i++) {
        const size_t bytes = st->bytes[i];
        if (bytes) skv_move_runs(source(st, c, i) + (size_t)first * bytes, bytes, to, st->step, last - first, bytes);
        to += bytes;
    }
}

static inline __attribute__((always_inline)) void move_lanes(const char *from, char *to, int64_t positions, size_t step,
                                                             const size_t bytes) {
    for (int64_t p = 0; p < positions; p++, from += step, to += step) memcpy(to, from, bytes);
}

/* Everything that goes into one block of the output's channels. */
static void fill_block(const concat_state *st, const skv_kernel_call *c, int64_t o, int64_t block) {
    const size_t plane = (size_t)st->positions * st->block_bytes;
    char *out = (char *)c->out[0] + (size_t)(o * st->out_blocks + block) * plane;
    size_t filled = 0;
    for (size_t k = 0; k < st->n_lanes; k++) {
        const lane_run *r = &st->lanes[k];
        if (r->out_block != block) continue;
        const char *from =
            source(st, c, r->input) + (size_t)(o * st->in_blocks[r->input] + r->in_block) * plane + r->from;
        filled += r->bytes;
        switch (r->bytes) {
        case 16: move_lanes(from, out + r->to, st->positions, st->block_bytes, 16); break;
        case 32: move_lanes(from, out + r->to, st->positions, st->block_bytes, 32); break;
        case 48: move_lanes(from, out + r->to, st->positions, st->block_bytes, 48); break;
        case 64: move_lanes(from, out + r->to, st->positions, st->block_bytes, 64); break;
        default: move_lanes(from, out + r->to, st->positions, st->block_bytes, r->bytes);
        }
    }
    for (int64_t p = 0; filled < st->block_bytes && p < st->positions; p++) /* padding stays zero */
        memset(out + (size_t)p * st->block_bytes + filled, 0, st->block_bytes - filled);
}

static skive_status run(const skv_kernel_call *c) {
    const concat_state *st = c->n->state;
    const int threads = st->threads;
    if (st->lanes) {
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t o = 0; o < st->outer; o++)
            for (int64_t b = 0; b < st->out_blocks; b++) fill_block(st, c, o, b);
        return SKIVE_OK;
    }
    if (st->short_runs) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int t = 0; t < threads; t++) copy_short(st, c, st->outer * t / threads, st->outer * (t + 1) / threads);
        return SKIVE_OK;
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t o = 0; o < st->outer; o++) copy_run(st, c, o);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_CONCAT, SKV_OP_NONE};

const skv_kernel skv_kernel_concat = {
    .name = "concat",
    .brief = "inputs concatenated, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
