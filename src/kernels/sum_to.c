/* SumTo of a f32 matrix's rows: the gradient of a bias. Sums are kept in double, column by column in the order of the
 * rows. */
#include "kernels/kernel.h"

enum { SPAN = 64 }; /* columns summed at once */

typedef struct sum_state {
    int64_t rows, columns;
} sum_state;

/* The axis of x from which on the result has the same dimensions, those before it being summed; -1: there is none. */
static int first_kept(const skive_type *x, const skive_type *y) {
    int d = 0;
    if (y->rank > x->rank) return -1;
    while (d < y->rank && y->dims[d].size == 1) d++;
    const int first = x->rank - y->rank + d;
    for (; d < y->rank; d++)
        if (y->dims[d].size != x->dims[x->rank - y->rank + d].size) return -1;
    return first;
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (n->in[0].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    if (first_kept(&n->in[0].type, &n->out[0].type) < 0) return skv_decline(why, "axes other than leading ones");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    const int kept = first_kept(x, &n->out[0].type);
    sum_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->rows = st->columns = 1;
    for (int d = 0; d < x->rank; d++) *(d < kept ? &st->rows : &st->columns) *= x->dims[d].size;
    n->state = st;
    n->in[0].layout = SKV_PLAIN;
    n->in[1].layout = n->in[1].is_parameter ? SKV_PLAIN : n->in[1].layout;
    n->skips_input_data[1] = true;
    return SKIVE_OK;
}

static inline __attribute__((always_inline)) void sum(const sum_state *st, int64_t m, const float *x, float *y) {
    double total[SPAN] = {0};
    for (int64_t r = 0; r < st->rows; r++) {
        const float *row = x + r * st->columns;
        for (int64_t c = 0; c < m; c++) total[c] += (double)row[c];
    }
    for (int64_t c = 0; c < m; c++) y[c] = (float)total[c];
}

static skive_status run(const skv_kernel_call *c) {
    const sum_state *st = c->n->state;
    const float *x = c->in[0];
    float *y = c->out[0];
    int64_t at = 0;
    for (; at + SPAN <= st->columns; at += SPAN) sum(st, SPAN, x + at, y + at);
    if (at < st->columns) sum(st, st->columns - at, x + at, y + at);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_SUM_TO, SKV_OP_NONE};

const skv_kernel skv_kernel_sum_to_f32 = {
    .name = "sum_to_f32",
    .brief = "sums over leading axes",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
