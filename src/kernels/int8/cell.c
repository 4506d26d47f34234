/* DynamicQuantizeCell: the steps of a GRU or RNN, the states of all samples as uint8 by one range before each product
 * with 8-bit weights. */
#include <string.h>

#include "kernels/int8/matrix.h"
#include "kernels/recurrent.h"
#include "ops/quant/common_dynamic_cell.h"

enum { X, H, R, R_SCALE, N, N_SCALE, BIAS };

typedef struct cell_state {
    skv_cell_kind kind;
    int64_t steps, batch, hidden, gates;
    const skv_recurrent_loops *loops;
    const skv_q8_loops *bytes;
    skv_q8_matrix r, n;
    size_t scratch_at, bytes_at; /* of a matrix; the state as bytes */
    bool reverse;
} cell_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = R; i < n->n_in; i++)
        if (!n->in[i].absent && !(n->in[i].constant && n->in[i].constant->data))
            return skv_decline(why, "the weights are not constant");
    if (n->in[X].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    const int64_t hidden = n->in[R].type.dims[0].size;
    if (hidden < 1 || skv_type_count(&n->in[X].type) == 0) return skv_decline(why, "empty");
    return hidden <= SKV_Q8_MATRIX_LONGEST ? true : skv_decline(why, "too wide");
}

static void destroy(skive_context *ctx, void *state) {
    cell_state *st = state;
    if (!st) return;
    skv_q8_matrix_free(ctx, &st->r);
    skv_q8_matrix_free(ctx, &st->n);
    skv_free(ctx, st);
}

static skive_status make_matrix(skv_kernel_node *n, const cell_state *st, size_t i, skv_q8_matrix *m) {
    const skive_tensor *q = n->in[i].constant;
    n->packs_input[i] = true;
    SKV_TRY(skv_q8_matrix_make(n->ctx, q->data, true, st->batch, st->hidden, q->dims[1], NULL, 0, 0, m));
    n->state_bytes += m->panels * m->panel_bytes;
    return SKIVE_OK;
}

/* In floats: the state, a step's sums, the recurrent part or the input's of the hidden gate, the state behind the reset
 * gate. */
static size_t floats_of(const cell_state *st) { return (size_t)(st->batch * st->hidden * (st->gates + 3)); }

static skive_status set_up(skv_kernel_node *n, void *state) {
    cell_state *st = state;
    size_t at;
    st->kind = skv_cell_find(skv_attr_string(n->node, "cell", ""));
    st->reverse = skv_attr_int(n->node, "reverse", 0) != 0;
    st->steps = n->in[X].type.dims[0].size;
    st->batch = n->in[X].type.dims[1].size;
    st->hidden = n->in[R].type.dims[0].size;
    st->gates = skv_cell_gates(st->kind);
    st->loops = skv_recurrent_loops_of(skv_cpu_isa());
    st->bytes = skv_q8_loops_of(skv_cpu_isa());
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    SKV_TRY(make_matrix(n, st, R, &st->r));
    if (st->kind == SKV_CELL_GRU) SKV_TRY(make_matrix(n, st, N, &st->n));
    const size_t r = skv_q8_matrix_scratch(&st->r), other = st->n.b ? skv_q8_matrix_scratch(&st->n) : 0;
    SKV_TRY(skv_scratch_add(n, floats_of(st) * sizeof(float), &at));
    SKV_TRY(skv_scratch_add(n, r > other ? r : other, &st->scratch_at));
    return skv_scratch_add(n, (size_t)(st->batch * st->hidden), &st->bytes_at);
}

static skive_status prepare(skv_kernel_node *n) { return skv_kernel_prepare(n, sizeof(cell_state), set_up, destroy); }

/* sums[b][ld] += the states through bytes times the weights */
static void add_product(const cell_state *st, const skv_kernel_call *c, const skv_q8_matrix *m, const float *scale,
                        const float *h, float *sums, int64_t ld) {
    uint8_t *bytes = (uint8_t *)c->scratch + st->bytes_at;
    float by;
    int32_t zero;
    skv_q8_dynamic(st->bytes, h, (size_t)(st->batch * st->hidden), bytes, &by, &zero);
    skv_q8_matrix_add(m, st->bytes, bytes, st->batch, &by, &zero, 0, scale, sums, ld,
                      (char *)c->scratch + st->scratch_at);
}

static void gru_step(const cell_state *st, const skv_kernel_call *c, float *h, float *sums, float *part, float *reset) {
    const int64_t n = st->hidden, ld = 3 * n;
    const bool linear = st->kind == SKV_CELL_GRU_LINEAR;
    const float *bias = c->n->n_in > BIAS ? c->in[BIAS] : NULL;
    for (int64_t b = 0; linear && b < st->batch; b++) { /* the hidden gate's input is put apart */
        float *hidden = sums + b * ld + 2 * n;
        memcpy(part + b * n, hidden, (size_t)n * sizeof *hidden);
        if (bias)
            memcpy(hidden, bias, (size_t)n * sizeof *hidden);
        else
            memset(hidden, 0, (size_t)n * sizeof *hidden);
    }
    add_product(st, c, &st->r, c->in[R_SCALE], h, sums, ld);
    for (int64_t b = 0; b < st->batch; b++) {
        float *sum = sums + b * ld;
        st->loops->gru_gates(sum, n);
        if (linear) {
            st->loops->gru_state(sum, part + b * n, sum + 2 * n, true, h + b * n, n);
            continue;
        }
        for (int64_t k = 0; k < n; k++) reset[b * n + k] = sum[n + k] * h[b * n + k];
    }
    if (linear) return;
    memset(part, 0, (size_t)(st->batch * n) * sizeof *part);
    add_product(st, c, &st->n, c->in[N_SCALE], reset, part, n);
    for (int64_t b = 0; b < st->batch; b++)
        st->loops->gru_state(sums + b * ld, sums + b * ld + 2 * n, part + b * n, false, h + b * n, n);
}

static skive_status run(const skv_kernel_call *c) {
    const cell_state *st = c->n->state;
    const int64_t n = st->hidden, states = st->batch * n, ld = st->gates * n;
    float *h = c->scratch, *sums = h + states, *part = sums + st->batch * ld, *reset = part + states;
    float *y = c->n->n_out > 1 ? c->out[1] : NULL;
    memcpy(h, c->in[H], (size_t)states * sizeof *h);
    for (int64_t i = 0; i < st->steps; i++) {
        const int64_t t = st->reverse ? st->steps - 1 - i : i;
        memcpy(sums, (const float *)c->in[X] + t * st->batch * ld, (size_t)(st->batch * ld) * sizeof *sums);
        if (st->kind == SKV_CELL_RNN) {
            add_product(st, c, &st->r, c->in[R_SCALE], h, sums, ld);
            for (int64_t b = 0; b < st->batch; b++) st->loops->rnn(sums + b * ld, h + b * n, n);
        } else {
            gru_step(st, c, h, sums, part, reset);
        }
        if (y) memcpy(y + t * states, h, (size_t)states * sizeof *y);
    }
    if (c->out[0]) memcpy(c->out[0], h, (size_t)states * sizeof *h);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_DYNAMIC_QUANTIZE_CELL, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_cell = {
    .name = "cell_dynamic_u8s8",
    .brief = "the steps of a GRU or RNN with 8-bit weights and states",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
