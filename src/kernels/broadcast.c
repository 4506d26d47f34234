/* Element-wise work with broadcasting, on float32, integers and truth values: arithmetic, comparisons, logic, Where,
 * Max, Min, Sum, Mean, Pow and PRelu. Operands that lie in the output's layout keep it; small ones come plain. */
#include <string.h>

#include "kernels/elements.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef struct broadcast_step { /* y = op(a, b); of more than two inputs the later ones join y */
    skv_strides strides;
    skv_block block;
    size_t input;
} broadcast_step;

typedef struct broadcast_state {
    skv_elements_loop *pair;
    skv_where_loop *where;
    size_t item, out_item; /* bytes of an element */
    size_t n_steps;
    broadcast_step *steps;
    bool swapped; /* b op a */
    float by;     /* of Mean */
    int64_t count;
    int threads;
} broadcast_state;

static const struct served {
    skv_op_kind op;
    skv_elements_op loop;
    bool swapped;
} served[] = {
    {SKV_OP_ADD, SKV_EL_ADD, false},
    {SKV_OP_SUB, SKV_EL_SUB, false},
    {SKV_OP_MUL, SKV_EL_MUL, false},
    {SKV_OP_DIV, SKV_EL_DIV, false},
    {SKV_OP_SUM, SKV_EL_ADD, false},
    {SKV_OP_MEAN, SKV_EL_ADD, false},
    {SKV_OP_MAX, SKV_EL_MAX, false},
    {SKV_OP_MIN, SKV_EL_MIN, false},
    {SKV_OP_PRELU, SKV_EL_PRELU, false},
    {SKV_OP_POW, SKV_EL_POW, false},
    {SKV_OP_EQUAL, SKV_EL_EQUAL, false},
    {SKV_OP_LESS, SKV_EL_LESS, false},
    {SKV_OP_GREATER, SKV_EL_LESS, true},
    {SKV_OP_LESS_OR_EQUAL, SKV_EL_LESS_EQUAL, false},
    {SKV_OP_GREATER_OR_EQUAL, SKV_EL_LESS_EQUAL, true},
    {SKV_OP_AND, SKV_EL_AND, false},
    {SKV_OP_OR, SKV_EL_OR, false},
    {SKV_OP_XOR, SKV_EL_XOR, false},
};

static const struct served *find(const skive_node *n) {
    for (size_t i = 0; i < SKV_COUNT(served); i++)
        if (skv_node_is(n, served[i].op)) return &served[i];
    return NULL;
}

const skv_elements_loops *skv_elements_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_elements_avx512) SKV_AT(isa, AVX2, &skv_elements_avx2)
        SKV_ELSE(isa, &skv_elements_scalar);
}

static bool type_of(skive_dtype t, skv_elements_type *type) {
    switch (t) {
    case SKIVE_F32: *type = SKV_EL_F32; return true;
    case SKIVE_I32: *type = SKV_EL_I32; return true;
    case SKIVE_I64: *type = SKV_EL_I64; return true;
    case SKIVE_U8:
    case SKIVE_BOOL: *type = SKV_EL_U8; return true;
    default: return false;
    }
}

static bool is_where(const skv_kernel_node *n) { return skv_node_is(n->node, SKV_OP_WHERE); }

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const size_t first = is_where(n) ? 1 : 0;
    skv_elements_type type;
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent) return skv_decline(why, "an input is absent");
        if (i > first && n->in[i].type.dtype != n->in[first].type.dtype)
            return skv_decline(why, "operands of different types");
        if (n->in[i].type.rank > n->out[0].type.rank) return skv_decline(why, "an operand of higher rank");
    }
    if (skv_type_count(&n->out[0].type) < 1) return skv_decline(why, "empty");
    const skive_dtype dtype = n->in[first].type.dtype;
    if (is_where(n)) {
        if (skive_dtype_bits(dtype) < 8 || skive_dtype_bits(dtype) > 64)
            return skv_decline(why, "elements of %d bits", skive_dtype_bits(dtype));
        return true;
    }
    const struct served *s = find(n->node);
    if (n->n_in < 2) return skv_decline(why, "a single input");
    if (!s || !type_of(dtype, &type) || !skv_elements_scalar.pair[s->loop][type])
        return skv_decline(why, "%s", skive_dtype_name(dtype));
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    broadcast_state *st = state;
    if (st) skv_free(ctx, st->steps);
    skv_free(ctx, st);
}

/* The layout of the first whole operand that is computed, if it pads no channels. */
static skv_layout layout_of(const skv_kernel_node *n) {
    const skive_type *y = &n->out[0].type;
    for (size_t i = 0; i < n->n_in; i++) {
        const skv_kernel_value *v = &n->in[i];
        if (v->is_parameter || v->type.rank != y->rank || y->rank < 3) continue;
        bool whole = true;
        for (int d = 0; d < y->rank; d++) whole = whole && v->type.dims[d].size == y->dims[d].size;
        if (whole) return y->dims[1].size % skv_layout_block(v->layout) == 0 ? v->layout : SKV_PLAIN;
    }
    return SKV_PLAIN;
}

/* Which layout an operand must have: the output's, if it has all channels, else plain. */
static void want_layout(skv_kernel_value *v, const skive_type *y, skv_layout layout) {
    const bool has_channels = y->rank >= 3 && v->type.rank == y->rank && v->type.dims[1].size == y->dims[1].size;
    v->layout = has_channels && !v->is_parameter ? layout : SKV_PLAIN;
}

static void add_operand(skv_strides *s, const skv_kernel_node *n, size_t i) {
    skv_strides_add(s, &n->in[i].type, n->in[i].layout, &n->out[0].type, n->out[0].layout);
}

static void make_step(const skv_kernel_node *n, broadcast_step *step, size_t k) {
    const skive_type *y = &n->out[0].type;
    const skv_layout layout = n->out[0].layout;
    skv_strides_start(&step->strides, y, layout);
    skv_strides_add(&step->strides, y, layout, y, layout);
    step->input = k + 1;
    if (k == 0)
        add_operand(&step->strides, n, 0);
    else
        skv_strides_add(&step->strides, y, layout, y, layout);
    add_operand(&step->strides, n, k + 1);
    if (is_where(n)) add_operand(&step->strides, n, 2);
    skv_strides_join(&step->strides);
    step->block = skv_strides_block(&step->strides);
}

static void swap_operands(skv_strides *s, skv_block *b) {
    for (int k = 0; k < s->rank; k++) {
        const int64_t t = s->step[1][k];
        s->step[1][k] = s->step[2][k];
        s->step[2][k] = t;
    }
    *b = skv_strides_block(s);
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *y = &n->out[0].type;
    const skv_elements_loops *loops = skv_elements_loops_of(skv_cpu_isa());
    const struct served *s = find(n->node);
    broadcast_state *st = NULL;
    skv_elements_type type = SKV_EL_F32;
    skive_status status;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->n_steps = is_where(n) ? 1 : n->n_in - 1;
    SKV_GO(status, fail, skv_alloc_array(n->ctx, st->n_steps, sizeof *st->steps, &st->steps));
    const skv_layout layout = layout_of(n);
    n->out[0].layout = layout;
    for (size_t i = 0; i < n->n_in; i++) {
        want_layout(&n->in[i], y, layout);
        if (i < 2 && skive_dtype_bits(n->in[i].type.dtype) == skive_dtype_bits(y->dtype) &&
            n->in[i].type.rank == y->rank && skv_type_count(&n->in[i].type) == skv_type_count(y) && !is_where(n))
            n->in_place |= 1u << i;
    }
    if (st->n_steps > 1) n->in_place = 0; /* an input could stand among the later ones again */
    const skive_dtype dtype = n->in[is_where(n) ? 1 : 0].type.dtype;
    st->item = (size_t)skive_dtype_bits(dtype) / 8;
    st->out_item = (size_t)skive_dtype_bits(y->dtype) / 8;
    for (size_t k = 0; k < st->n_steps; k++) make_step(n, &st->steps[k], k);
    if (s) {
        type_of(dtype, &type);
        st->pair = loops->pair[s->loop][type];
        st->swapped = s->swapped;
        if (s->swapped) swap_operands(&st->steps[0].strides, &st->steps[0].block);
    } else {
        st->where = loops->where[st->item == 1 ? 0 : st->item == 2 ? 1 : st->item == 4 ? 2 : 3];
    }
    st->by = skv_node_is(n->node, SKV_OP_MEAN) ? (float)n->n_in : 0;
    st->count = skv_type_count(y);
    st->threads = st->count < PARALLEL_FROM ? 1 : n->threads;
    n->state = st;
    return SKIVE_OK;
fail:
    destroy(n->ctx, st);
    return status;
}

/* Rows first .. last of all rows of a step, which are the combinations' blocks one after another. */
static void some_rows(const skv_kernel_call *c, const broadcast_state *st, const broadcast_step *step, const char *left,
                      int64_t first, int64_t last) {
    const int64_t m = step->block.m;
    while (first < last) {
        const int64_t index = first / m, row = first % m, rows = last - first < m - row ? last - first : m - row;
        int64_t at[SKV_STRIDES_TENSORS];
        skv_block block = step->block;
        skv_strides_at(&step->strides, index, at);
        for (int t = 0; t < step->strides.tensors; t++) at[t] += row * block.row[t];
        block.m = rows;
        char *y = (char *)c->out[0] + (size_t)at[0] * st->out_item;
        if (st->where) {
            st->where(&block, (const uint8_t *)c->in[0] + at[1], (const char *)c->in[1] + (size_t)at[2] * st->item,
                      (const char *)c->in[2] + (size_t)at[3] * st->item, y);
        } else {
            const char *a = st->swapped ? c->in[1] : left, *b = st->swapped ? left : c->in[step->input];
            st->pair(&block, a + (size_t)at[1] * st->item, b + (size_t)at[2] * st->item, y);
        }
        first += rows;
    }
}

/* A block of one long row is divided by elements, any other by rows. */
static void part(const skv_kernel_call *c, const broadcast_state *st, const broadcast_step *step, const char *left,
                 int t) {
    const int64_t rows = step->strides.outer * step->block.m, threads = st->threads;
    if (rows >= threads) {
        some_rows(c, st, step, left, rows * t / threads, rows * (t + 1) / threads);
        return;
    }
    broadcast_step mine = *step;
    const int64_t from = step->block.n * t / threads, to = step->block.n * (t + 1) / threads;
    skv_kernel_call call = *c;
    const void *in[3] = {NULL};
    void *out[1];
    mine.block.n = to - from;
    for (size_t i = 0; i < 3 && i < c->n->n_in; i++) in[i] = c->in[i];
    call.in = in;
    call.out = out;
    out[0] = (char *)c->out[0] + (size_t)(from * mine.block.along[0]) * st->out_item;
    if (st->where) {
        in[0] = (const char *)c->in[0] + from * mine.block.along[1];
        in[1] = (const char *)c->in[1] + (size_t)(from * mine.block.along[2]) * st->item;
        in[2] = (const char *)c->in[2] + (size_t)(from * mine.block.along[3]) * st->item;
        some_rows(&call, st, &mine, left, 0, rows);
        return;
    }
    const int64_t a = from * mine.block.along[1], b = from * mine.block.along[2];
    mine.input = 1;
    in[1] = (const char *)c->in[step->input] + (size_t)(st->swapped ? a : b) * st->item;
    some_rows(&call, st, &mine, left + (size_t)(st->swapped ? b : a) * st->item, 0, rows);
}

static skive_status run(const skv_kernel_call *c) {
    const broadcast_state *st = c->n->state;
    const int threads = st->threads;
    for (size_t k = 0; k < st->n_steps; k++) {
        const char *left = k == 0 ? c->in[0] : c->out[0];
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int t = 0; t < threads; t++) part(c, st, &st->steps[k], left, t);
    }
    if (st->by > 0) {
        float *y = c->out[0];
#pragma omp simd
        for (int64_t i = 0; i < st->count; i++) y[i] = y[i] / st->by;
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {
    SKV_OP_ADD,   SKV_OP_SUB,  SKV_OP_MUL,     SKV_OP_DIV,           SKV_OP_SUM,
    SKV_OP_MEAN,  SKV_OP_MAX,  SKV_OP_MIN,     SKV_OP_PRELU,         SKV_OP_POW,
    SKV_OP_EQUAL, SKV_OP_LESS, SKV_OP_GREATER, SKV_OP_LESS_OR_EQUAL, SKV_OP_GREATER_OR_EQUAL,
    SKV_OP_AND,   SKV_OP_OR,   SKV_OP_XOR,     SKV_OP_WHERE,         SKV_OP_NONE};

const skv_kernel skv_kernel_broadcast = {
    .name = "broadcast",
    .brief = "arithmetic, comparisons, logic and Where with broadcasting, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
