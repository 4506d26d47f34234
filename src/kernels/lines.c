/* Trilu, OneHot and CumSum, line by line. */
#include <string.h>

#include "base/parallel.h"
#include "kernels/kernel.h"
#include "tensor/tensor.h"

enum { PARALLEL_BYTES = 1 << 18, STRIP = 256 };

typedef struct lines_state {
    size_t item;                  /* bytes of an element */
    int64_t outer, length, inner; /* around the axis: rows and columns of the matrices, depth, or what is summed */
    bool upper, exclusive, reverse;
    int64_t diagonal;
    int threads;
} lines_state;

static bool constant_axis(const skv_kernel_node *n, size_t i) {
    return !skv_kernel_has_input(n, i) || (n->in[i].constant && n->in[i].constant->data);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_dtype t = n->out[0].type.dtype;
    const int bits = skive_dtype_bits(t);
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return skv_decline(why, "elements of %d bits", bits);
    if (n->out[0].type.rank < 1 || skv_type_count(&n->out[0].type) < 1) return skv_decline(why, "a scalar, or empty");
    if (skv_node_is(n->node, SKV_OP_ONE_HOT)) {
        const skive_dtype index = n->in[0].type.dtype;
        return index == SKIVE_I64 || index == SKIVE_I32 ? true : skv_decline(why, "indices that are not integers");
    }
    if (!constant_axis(n, 1)) return skv_decline(why, "a computed diagonal or axis");
    if (skv_node_is(n->node, SKV_OP_CUM_SUM) && t != SKIVE_F32 && t != SKIVE_I64 && t != SKIVE_I32)
        return skv_decline(why, "neither float32 nor int64 nor int32");
    return true;
}

static int64_t given(const skv_kernel_node *n, size_t i, int64_t otherwise) {
    const skive_tensor *t = skv_kernel_has_input(n, i) ? n->in[i].constant : NULL;
    return t && skive_tensor_count(t) > 0 ? skv_load_i64(t->dtype, t->data, 0) : otherwise;
}

static skive_status set_up(skv_kernel_node *n, void *state) {
    lines_state *st = state;
    const skive_type *y = &n->out[0].type;
    int axis = y->rank - 2;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->item = (size_t)skive_dtype_bits(y->dtype) / 8;
    st->threads = (size_t)skv_type_count(y) * st->item < PARALLEL_BYTES ? 1 : n->threads;
    n->skips_input_data[1] = true; /* a constant, or the depth, which is in the type of the output */
    if (skv_node_is(n->node, SKV_OP_TRILU))
        n->in_place = 1u;
    else if (skv_node_is(n->node, SKV_OP_ONE_HOT))
        axis = (int)skv_axis(skv_attr_int(n->node, "axis", -1), y->rank);
    else
        axis = (int)skv_axis(given(n, 1, 0), y->rank);
    if (axis < 0) return skv_fail_at(n->ctx, SKIVE_ERR_SHAPE, n->node->name, "there is no such axis");
    skv_around_axis(y, axis, &st->outer, &st->length, &st->inner);
    st->upper = skv_attr_int(n->node, "upper", 1) != 0;
    st->exclusive = skv_attr_int(n->node, "exclusive", 0) != 0;
    st->reverse = skv_attr_int(n->node, "reverse", 0) != 0;
    st->diagonal = skv_node_is(n->node, SKV_OP_TRILU) ? given(n, 1, 0) : 0;
    if (st->diagonal > st->inner) st->diagonal = st->inner; /* larger values change nothing */
    if (st->diagonal < -st->length) st->diagonal = -st->length;
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(lines_state), set_up, destroy); }

/* Row `row` of a matrix: what is kept is [from, to). */
static void triangle_row(const lines_state *st, int64_t row, const char *x, char *y) {
    const int64_t width = st->inner, edge = row + st->diagonal + (st->upper ? 0 : 1);
    const int64_t cut = edge < 0 ? 0 : edge > width ? width : edge;
    const size_t from = (size_t)(st->upper ? cut : 0) * st->item, to = (size_t)(st->upper ? width : cut) * st->item;
    memset(y, 0, from);
    if (x != y) memcpy(y + from, x + from, to - from);
    memset(y + to, 0, (size_t)width * st->item - to);
}

static void hot_line(const lines_state *st, const skv_kernel_call *c, int64_t o) {
    const char *values = c->in[2];
    const size_t item = st->item, line = (size_t)(st->length * st->inner) * item;
    char *y = (char *)c->out[0] + (size_t)o * line;
    size_t filled = item;
    bool zero = true;
    for (size_t i = 0; i < item; i++) zero = zero && values[i] == 0;
    if (zero) {
        memset(y, 0, line);
    } else {
        memcpy(y, values, item);
        for (; filled < line; filled *= 2) memcpy(y + filled, y, filled < line - filled ? filled : line - filled);
    }
    for (int64_t q = 0; q < st->inner; q++) {
        const size_t at = (size_t)(o * st->inner + q);
        int64_t i =
            c->n->in[0].type.dtype == SKIVE_I32 ? ((const int32_t *)c->in[0])[at] : ((const int64_t *)c->in[0])[at];
        if (i < 0 && i >= -st->length) i += st->length;
        if (i >= 0 && i < st->length) memcpy(y + (size_t)(i * st->inner + q) * item, values + item, item);
    }
}

/* Sums of floats in double, as in the reference; of integers they wrap. `w` columns side by side. */
#define RUNNING(name, T, sum_type)                                                                     \
    static void name(const lines_state *st, const void *x_data, void *y_data, int64_t at, int64_t w) { \
        sum_type sum[STRIP] = {0};                                                                     \
        for (int64_t k = 0; k < st->length; k++) {                                                     \
            const int64_t row = at + (st->reverse ? st->length - 1 - k : k) * st->inner;               \
            const T *x = (const T *)x_data + row;                                                      \
            T *y = (T *)y_data + row;                                                                  \
            for (int64_t i = 0; i < w; i++) {                                                          \
                const sum_type next = sum[i] + (sum_type)x[i];                                         \
                y[i] = (T)(st->exclusive ? sum[i] : next);                                             \
                sum[i] = next;                                                                         \
            }                                                                                          \
        }                                                                                              \
    }
RUNNING(running_f32, float, double)
RUNNING(running_i64, uint64_t, uint64_t)
RUNNING(running_i32, uint32_t, uint32_t)

/* Strip `i` of the columns of all outer indices. */
static void running(const lines_state *st, const skv_kernel_call *c, int64_t i, int64_t strips) {
    const int64_t column = i % strips * STRIP, left = st->inner - column;
    const int64_t at = i / strips * st->length * st->inner + column, w = left < STRIP ? left : STRIP;
    switch (c->n->out[0].type.dtype) {
    case SKIVE_F32: running_f32(st, c->in[0], c->out[0], at, w); return;
    case SKIVE_I64: running_i64(st, c->in[0], c->out[0], at, w); return;
    default: running_i32(st, c->in[0], c->out[0], at, w); return;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const lines_state *st = c->n->state;
    const int threads = st->threads;
    const bool triangle = skv_node_is(c->n->node, SKV_OP_TRILU), hot = skv_node_is(c->n->node, SKV_OP_ONE_HOT);
    const int64_t strips = (st->inner + STRIP - 1) / STRIP;
    const int64_t n = triangle ? st->outer * st->length : hot ? st->outer : st->outer * strips;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < n; i++) {
        const size_t at = (size_t)(i * st->inner) * st->item;
        if (triangle)
            triangle_row(st, i % st->length, (const char *)c->in[0] + at, (char *)c->out[0] + at);
        else if (hot)
            hot_line(st, c, i);
        else
            running(st, c, i, strips);
    }
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_TRILU, SKV_OP_ONE_HOT, SKV_OP_CUM_SUM, SKV_OP_NONE};

const skv_kernel skv_kernel_lines = {
    .name = "lines",
    .brief = "triangles of matrices, rows with one element on, and running sums, line by line",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
