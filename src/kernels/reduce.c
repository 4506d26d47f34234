/* Reductions of float32 over any axes, in any layout, and SumTo over others than leading axes. The input's last axis in
 * memory is either reduced, and goes row by row, or kept, and goes in strips of columns. */
#include "kernels/reduce.h"

#include <math.h>

#include "kernels/strides.h"
#include "ops/reduce/common_reduce.h"

enum { PARALLEL_FROM = 1 << 15 };

typedef enum reduce_end { AS_IT_IS, MEAN, ROOT, LOGARITHM } reduce_end;

typedef struct axes_list {
    int n;
    int64_t dims[SKV_STRIDES_RANK], x[SKV_STRIDES_RANK], y[SKV_STRIDES_RANK], count;
} axes_list;

typedef struct reduce_state {
    skv_reduce_step step;
    reduce_end end;
    const skv_reduce_loops *loops;
    axes_list kept, reduced; /* without the last axis */
    bool last_reduced;
    int64_t last, strips; /* of the last axis: elements; strips of columns, if it is kept */
    double elements;      /* of a cell */
    int threads;
} reduce_state;

static const struct served {
    skv_op_kind op;
    skv_reduce_step step;
    reduce_end end;
} served[] = {
    {SKV_OP_REDUCE_SUM, SKV_RD_SUM, AS_IT_IS},
    {SKV_OP_REDUCE_MEAN, SKV_RD_SUM, MEAN},
    {SKV_OP_REDUCE_MAX, SKV_RD_MAX, AS_IT_IS},
    {SKV_OP_REDUCE_MIN, SKV_RD_MIN, AS_IT_IS},
    {SKV_OP_REDUCE_PROD, SKV_RD_PRODUCT, AS_IT_IS},
    {SKV_OP_REDUCE_L1, SKV_RD_MAGNITUDE, AS_IT_IS},
    {SKV_OP_REDUCE_SUM_SQUARE, SKV_RD_SQUARE, AS_IT_IS},
    {SKV_OP_REDUCE_L2, SKV_RD_SQUARE, ROOT},
    {SKV_OP_REDUCE_LOG_SUM, SKV_RD_SUM, LOGARITHM},
    {SKV_OP_REDUCE_LOG_SUM_EXP, SKV_RD_EXP, LOGARITHM},
    {SKV_OP_SUM_TO, SKV_RD_SUM, AS_IT_IS},
};

const skv_reduce_loops *skv_reduce_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_reduce_avx512) SKV_AT(isa, AVX2, &skv_reduce_avx2)
        SKV_ELSE(isa, &skv_reduce_scalar);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_kernel_f32(&n->in[0])) return skv_decline(why, "not float32, or empty");
    if (n->in[0].type.rank < 1) return skv_decline(why, "a scalar");
    if (skv_node_is(n->node, SKV_OP_SUM_TO)) return true; /* the result's shape says it */
    if (skv_kernel_has_input(n, 1) && !n->in[1].constant) return skv_decline(why, "computed axes");
    return true;
}

/* The axes that are summed, a bit for each. */
static bool axes_of(const skv_kernel_node *n, uint32_t *mask) {
    const skive_type *x = &n->in[0].type, *y = &n->out[0].type;
    if (!skv_node_is(n->node, SKV_OP_SUM_TO))
        return skv_reduce_axes(n->node, skv_kernel_has_input(n, 1) ? n->in[1].constant : NULL, x->rank, mask);
    *mask = 0;
    for (int d = 0; d < x->rank; d++) {
        const int at = d - (x->rank - y->rank);
        if (at < 0 || y->dims[at].size != x->dims[d].size) *mask |= 1u << d;
    }
    return y->rank <= x->rank;
}

static void put(axes_list *l, int64_t dim, int64_t x, int64_t y) {
    l->dims[l->n] = dim;
    l->x[l->n] = x;
    l->y[l->n++] = y;
    l->count *= dim;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    reduce_state *st = NULL;
    skv_strides s;
    uint32_t mask;
    if (!axes_of(n, &mask))
        return skv_fail_at(n->ctx, SKIVE_ERR_SHAPE, n->node->name, "the axes do not match the input");
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    for (size_t i = 0; i < SKV_COUNT(served); i++) {
        if (!skv_node_is(n->node, served[i].op)) continue;
        st->step = served[i].step;
        st->end = served[i].end;
    }
    st->loops = skv_reduce_loops_of(skv_cpu_isa());
    if (x->rank < 3 || x->dims[1].size % skv_layout_block(n->in[0].layout) != 0) n->in[0].layout = SKV_PLAIN;
    for (size_t i = 1; i < n->n_in && i < SKV_OP_MAX_IO; i++) n->skips_input_data[i] = true;
    skive_type cell = *x; /* the result with the reduced axes kept as 1 */
    st->elements = 1;
    for (int d = 0; d < x->rank; d++) {
        if (!(mask >> d & 1u)) continue;
        st->elements *= (double)x->dims[d].size;
        cell.dims[d].size = 1;
    }
    skv_strides_start(&s, x, n->in[0].layout);
    skv_strides_add(&s, &cell, SKV_PLAIN, x, n->in[0].layout);
    skv_strides_add(&s, x, n->in[0].layout, x, n->in[0].layout);
    skv_strides_join(&s);
    const int last = s.rank - 1;
    st->kept.count = st->reduced.count = 1;
    st->last = s.dims[last];
    st->last_reduced = s.step[0][last] == 0;
    for (int k = 0; k < last; k++) {
        if (s.dims[k] != 1) put(s.step[0][k] ? &st->kept : &st->reduced, s.dims[k], s.step[1][k], s.step[0][k]);
    }
    /* A kept axis that is not the result's last one: its elements lie apart in y, which a strip would not see. */
    if (!st->last_reduced && s.step[0][last] != 1) {
        put(&st->kept, st->last, s.step[1][last], s.step[0][last]);
        st->last = 1;
        st->last_reduced = true;
    }
    st->strips = st->last_reduced ? 1 : (st->last + SKV_REDUCE_COLUMNS - 1) / SKV_REDUCE_COLUMNS;
    st->threads = skv_type_count(x) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

static int64_t place(const axes_list *l, int64_t index, int64_t *y) {
    int64_t x = 0;
    for (int k = l->n - 1; k >= 0; k--) {
        const int64_t i = index % l->dims[k];
        index /= l->dims[k];
        x += i * l->x[k];
        *y += i * l->y[k];
    }
    return x;
}

static float ended(const reduce_state *st, double sum, float shift) {
    switch (st->end) {
    case MEAN: return (float)(sum / st->elements);
    case ROOT: return (float)sqrt(sum);
    case LOGARITHM: return (float)((double)shift + log(sum));
    default: return (float)sum;
    }
}

static double start_of(skv_reduce_step step) {
    return step == SKV_RD_MAX ? -INFINITY : step == SKV_RD_MIN ? INFINITY : step == SKV_RD_PRODUCT ? 1 : 0;
}

static double fold_row(const reduce_state *st, skv_reduce_step step, const float *x, float shift) {
    double sum = start_of(step);
    for (int64_t i = 0; i < st->reduced.count; i++) {
        int64_t unused = 0;
        sum = st->loops->row[step](x + place(&st->reduced, i, &unused), st->last, shift, sum);
    }
    return sum;
}

/* The last reduced axis goes with the columns. */
static void fold_columns(const reduce_state *st, skv_reduce_step step, const float *x, int64_t w, const float *shift,
                         double *sums) {
    axes_list outer = st->reduced;
    int64_t rows = 1, stride = 0;
    for (int64_t l = 0; l < w; l++) sums[l] = start_of(step);
    if (outer.n > 0) {
        outer.n--;
        rows = outer.dims[outer.n];
        stride = outer.x[outer.n];
        outer.count /= rows;
    }
    for (int64_t i = 0; i < outer.count; i++) {
        int64_t unused = 0;
        st->loops->columns[step](x + place(&outer, i, &unused), rows, stride, w, shift, sums);
    }
}

/* What exponents are taken from: the largest, unless that is no number. */
static float shift_of(double most) { return isfinite(most) ? (float)most : 0; }

static void one_strip(const reduce_state *st, const float *x, float *y, int64_t w) {
    double sums[SKV_REDUCE_COLUMNS];
    float shift[SKV_REDUCE_COLUMNS] = {0};
    if (st->step == SKV_RD_EXP) {
        fold_columns(st, SKV_RD_MAX, x, w, NULL, sums);
        for (int64_t l = 0; l < w; l++) shift[l] = shift_of(sums[l]);
    }
    fold_columns(st, st->step, x, w, st->step == SKV_RD_EXP ? shift : NULL, sums);
    for (int64_t l = 0; l < w; l++) y[l] = ended(st, sums[l], shift[l]);
}

static void one_cell(const reduce_state *st, const float *x, float *y) {
    const float shift = st->step == SKV_RD_EXP ? shift_of(fold_row(st, SKV_RD_MAX, x, 0)) : 0;
    *y = ended(st, fold_row(st, st->step, x, shift), shift);
}

static skive_status run(const skv_kernel_call *c) {
    const reduce_state *st = c->n->state;
    const float *x = c->in[0];
    float *y = c->out[0];
    const int threads = st->threads;
    const int64_t pieces = st->kept.count * st->strips;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < pieces; i++) {
        int64_t to = 0;
        const int64_t from = place(&st->kept, i / st->strips, &to), column = i % st->strips * SKV_REDUCE_COLUMNS;
        if (st->last_reduced)
            one_cell(st, x + from, y + to);
        else
            one_strip(st, x + from + column, y + to + column,
                      st->last - column < SKV_REDUCE_COLUMNS ? st->last - column : SKV_REDUCE_COLUMNS);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_REDUCE_SUM,         SKV_OP_REDUCE_MEAN, SKV_OP_REDUCE_MAX,
                                  SKV_OP_REDUCE_MIN,         SKV_OP_REDUCE_PROD, SKV_OP_REDUCE_L1,
                                  SKV_OP_REDUCE_SUM_SQUARE,  SKV_OP_REDUCE_L2,   SKV_OP_REDUCE_LOG_SUM,
                                  SKV_OP_REDUCE_LOG_SUM_EXP, SKV_OP_SUM_TO,      SKV_OP_NONE};

const skv_kernel skv_kernel_reduce_f32 = {
    .name = "reduce_f32",
    .brief = "sums, means, extremes and norms over any axes, and SumTo, in any layout",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
