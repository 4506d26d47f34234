/* Gradients of what works on rows by themselves, f32: LayerNormalization, and Softmax and LogSoftmax over any axis. Rows,
 * and columns where rows are summed, go to threads whole, so that their number changes nothing. */
#include "kernels/rows.h"

enum { PARALLEL_FROM = 1 << 14 };

typedef struct gradient_state {
    const skv_row_loops *loops;
    int64_t rows, n;
    int64_t inner, strips; /* Softmax over an axis with others behind it: rows stand across, in strips of columns */
    bool layer, logarithm;
    int threads;
} gradient_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || n->in[i].type.dtype != SKIVE_F32)
            return skv_decline(why, "an input is missing or not float32");
    }
    if (skv_type_count(x) < 1) return skv_decline(why, "empty");
    if (x->rank < 1) return skv_decline(why, "a scalar");
    if (skv_node_is(n->node, SKV_OP_LAYER_NORMALIZATION_GRAD)) {
        if (skv_type_count(&n->in[2].type) != skv_row_length(n)) return skv_decline(why, "scale is broadcast");
        return true;
    }
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    gradient_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    st->loops = skv_row_loops_of(skv_cpu_isa());
    st->layer = skv_node_is(n->node, SKV_OP_LAYER_NORMALIZATION_GRAD);
    st->logarithm = skv_node_is(n->node, SKV_OP_LOG_SOFTMAX_GRAD);
    st->n = skv_row_length(n);
    st->inner = st->strips = 1;
    const skive_type *x = &n->in[0].type;
    const int64_t count = skv_type_count(x);
    if (!st->layer) {
        st->n = x->dims[skv_axis(skv_attr_int(n->node, "axis", -1), x->rank)].size;
        st->inner = skv_row_length(n) / st->n;
        if (st->inner > 1) st->strips = (st->inner + SKV_ROWS_COLUMNS - 1) / SKV_ROWS_COLUMNS;
    }
    st->rows = count / (st->n * st->inner) * st->strips;
    st->threads = count < PARALLEL_FROM ? 1 : n->threads;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->in_place = 1u;
    return SKIVE_OK;
}

static void across(const skv_kernel_call *c, const gradient_state *st, int64_t row) {
    const int64_t column = row % st->strips * SKV_ROWS_COLUMNS, left = st->inner - column,
                  at = row / st->strips * st->n * st->inner + column;
    (st->logarithm ? st->loops->log_softmax_gradient_columns : st->loops->softmax_gradient_columns)(
        (const float *)c->in[0] + at, (const float *)c->in[1] + at, (float *)c->out[0] + at, st->n, st->inner,
        left < SKV_ROWS_COLUMNS ? left : SKV_ROWS_COLUMNS);
}

static void one_row(const skv_kernel_call *c, const gradient_state *st, int64_t row) {
    const int64_t at = row * st->n;
    const float *dy = (const float *)c->in[0] + at, *other = (const float *)c->in[1] + at;
    float *dx = (float *)c->out[0] + at;
    if (st->layer)
        st->loops->layer_gradient(dy, other, c->in[2], ((const float *)c->in[3])[row], ((const float *)c->in[4])[row],
                                  dx, st->n);
    else
        (st->logarithm ? st->loops->log_softmax_gradient : st->loops->softmax_gradient)(dy, other, dx, st->n);
}

static skive_status run(const skv_kernel_call *c) {
    const gradient_state *st = c->n->state;
    const int threads = st->threads;
    float *dscale = c->n->n_out > 1 ? c->out[1] : NULL, *dbias = c->n->n_out > 2 ? c->out[2] : NULL;
    if (dscale || dbias) { /* first, since dX may take the place of dY */
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < st->n; i += SKV_ROWS_SUMMED) {
            const int64_t left = st->n - i;
            st->loops->layer_sums((const float *)c->in[0] + i, (const float *)c->in[1] + i, c->in[3], c->in[4],
                                  st->rows, st->n, left < SKV_ROWS_SUMMED ? left : SKV_ROWS_SUMMED,
                                  dscale ? dscale + i : NULL, dbias ? dbias + i : NULL);
        }
    }
    if (!c->out[0]) return SKIVE_OK;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t r = 0; r < st->rows; r++) (st->inner > 1 ? across : one_row)(c, st, r);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_LAYER_NORMALIZATION_GRAD, SKV_OP_SOFTMAX_GRAD, SKV_OP_LOG_SOFTMAX_GRAD,
                                  SKV_OP_NONE};

const skv_kernel skv_kernel_rows_gradient_f32 = {
    .name = "rows_gradient_f32",
    .brief = "gradients of LayerNormalization, and of Softmax and LogSoftmax over any axis",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
