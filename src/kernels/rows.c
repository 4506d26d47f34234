/* What works on rows by themselves, f32: LayerNormalization, RMSNormalization, InstanceNormalization,
 * GroupNormalization, Softmax and LogSoftmax over any axis. Rows go to threads whole, so that their number
 * changes nothing. */
#include "kernels/rows.h"

#include <math.h>

enum { PARALLEL_FROM = 1 << 14 };
typedef enum row_kind { LAYER, RMS, SOFTMAX, LOG_SOFTMAX, GROUP } row_kind;

typedef struct row_state {
    row_kind kind;
    const skv_row_loops *loops;
    int64_t rows, n, count;
    int64_t inner, strips;  /* Softmax over an axis with others behind it: rows stand across, in strips of columns */
    int64_t channels, each; /* of groups: all channels, and those of one */
    double epsilon;
    int threads;
} row_state;

static row_kind kind_of(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_LAYER_NORMALIZATION)) return LAYER;
    if (skv_node_is(n, SKV_OP_RMS_NORMALIZATION)) return RMS;
    if (skv_node_is(n, SKV_OP_SOFTMAX)) return SOFTMAX;
    if (skv_node_is(n, SKV_OP_LOG_SOFTMAX)) return LOG_SOFTMAX;
    return GROUP;
}

const skv_row_loops *skv_row_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_row_loops_avx512) SKV_AT(isa, AVX2, &skv_row_loops_avx2)
        SKV_ELSE(isa, &skv_row_loops_scalar);
}

int64_t skv_row_length(const skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    const int64_t axis = skv_axis(skv_attr_int(n->node, "axis", -1), x->rank);
    int64_t length = 1;
    for (int64_t a = axis < 0 ? x->rank : axis; a < x->rank; a++) length *= x->dims[a].size;
    return length;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    const row_kind kind = kind_of(n->node);
    for (size_t i = 0; i < n->n_in; i++) {
        if (!n->in[i].absent && n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    }
    if (skv_type_count(x) < 1) return skv_decline(why, "empty");
    if (x->rank < 1) return skv_decline(why, "a scalar");
    if (kind == SOFTMAX || kind == LOG_SOFTMAX) return true;
    if (kind == GROUP) {
        for (size_t i = 1; i < n->n_in; i++)
            if (n->in[i].absent || skv_type_count(&n->in[i].type) != x->dims[1].size)
                return skv_decline(why, "scale or bias is not one number a channel");
        return true;
    }
    for (size_t i = 1; i < n->n_in; i++) {
        if (!n->in[i].absent && skv_type_count(&n->in[i].type) != skv_row_length(n))
            return skv_decline(why, "scale or bias is broadcast");
    }
    return true;
}

/* Rows of a Softmax, one after another or across; groups of channels. */
static void divide(skv_kernel_node *n, row_state *st) {
    const skive_type *x = &n->in[0].type;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->count = skv_type_count(x);
    st->inner = st->strips = 1;
    if (st->kind == GROUP) {
        const bool instance = skv_node_is(n->node, SKV_OP_INSTANCE_NORMALIZATION);
        st->channels = x->dims[1].size;
        const int64_t groups = instance ? st->channels : skv_attr_int(n->node, "num_groups", 1);
        st->each = st->channels / groups;
        st->rows = x->dims[0].size * groups;
    } else {
        const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", -1), x->rank);
        for (int d = axis + 1; d < x->rank; d++) st->inner *= x->dims[d].size;
        if (st->inner > 1) st->strips = (st->inner + SKV_ROWS_COLUMNS - 1) / SKV_ROWS_COLUMNS;
        st->rows = st->count / (x->dims[axis].size * st->inner) * st->strips;
        st->n = x->dims[axis].size;
        return;
    }
    st->n = st->count / st->rows;
}

static skive_status prepare(skv_kernel_node *n) {
    row_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->kind = kind_of(n->node);
    st->loops = skv_row_loops_of(skv_cpu_isa());
    st->epsilon = skv_attr_float(n->node, "epsilon", 1e-5);
    if (st->kind == SOFTMAX || st->kind == LOG_SOFTMAX || st->kind == GROUP) {
        divide(n, st);
    } else {
        for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
        st->count = skv_type_count(&n->in[0].type);
        st->n = skv_row_length(n);
        st->rows = st->count / st->n;
    }
    st->threads = st->count < PARALLEL_FROM ? 1 : n->threads;
    n->in_place = 1u;
    return SKIVE_OK;
}

static void one_group(const skv_kernel_call *c, const row_state *st, int64_t row) {
    const float *x = (const float *)c->in[0] + row * st->n, *scale = c->in[1], *bias = c->in[2];
    float *y = (float *)c->out[0] + row * st->n, mean, inverse;
    const int64_t positions = st->n / st->each, first = row * st->each % st->channels;
    st->loops->moments(x, st->n, st->epsilon, &mean, &inverse);
    for (int64_t k = 0; k < st->each; k++)
        st->loops->affine(x + k * positions, mean, inverse * scale[first + k], bias[first + k], y + k * positions,
                          positions);
}

static void one_softmax(const skv_kernel_call *c, const row_state *st, int64_t row) {
    const bool logarithm = st->kind == LOG_SOFTMAX;
    const float *x = c->in[0];
    float *y = c->out[0];
    if (st->inner == 1) {
        (logarithm ? st->loops->log_softmax : st->loops->softmax)(x + row * st->n, y + row * st->n, st->n);
        return;
    }
    const int64_t column = row % st->strips * SKV_ROWS_COLUMNS, left = st->inner - column,
                  at = row / st->strips * st->n * st->inner + column;
    (logarithm ? st->loops->log_softmax_columns : st->loops->softmax_columns)(
        x + at, y + at, st->n, st->inner, left < SKV_ROWS_COLUMNS ? left : SKV_ROWS_COLUMNS);
}

static void one_row(const skv_kernel_call *c, const row_state *st, int64_t row) {
    if (st->inner > 1) { /* rows across are not where the others are */
        one_softmax(c, st, row);
        return;
    }
    const int64_t at = row * st->n;
    const float *x = (const float *)c->in[0] + at;
    float *y = (float *)c->out[0] + at, mean, inverse;
    switch (st->kind) {
    case LAYER:
        st->loops->layer(x, c->in[1], c->n->n_in > 2 ? c->in[2] : NULL, st->epsilon, y, st->n, &mean, &inverse);
        if (c->n->n_out > 1 && c->out[1]) ((float *)c->out[1])[row] = mean;
        if (c->n->n_out > 2 && c->out[2]) ((float *)c->out[2])[row] = inverse;
        break;
    case RMS: st->loops->rms(x, c->in[1], st->epsilon, y, st->n); break;
    case SOFTMAX:
    case LOG_SOFTMAX: one_softmax(c, st, row); break;
    case GROUP: one_group(c, st, row); break;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const row_state *st = c->n->state;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t r = 0; r < st->rows; r++) one_row(c, st, r);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {
    SKV_OP_LAYER_NORMALIZATION,    SKV_OP_RMS_NORMALIZATION,   SKV_OP_SOFTMAX, SKV_OP_LOG_SOFTMAX,
    SKV_OP_INSTANCE_NORMALIZATION, SKV_OP_GROUP_NORMALIZATION, SKV_OP_NONE};

const skv_kernel skv_kernel_rows_f32 = {
    .name = "rows_f32",
    .brief = "normalization of rows and groups, Softmax and LogSoftmax over any axis",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
