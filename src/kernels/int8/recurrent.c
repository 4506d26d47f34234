/* DynamicQuantizeLSTM: X as uint8 at once, the state of each sample before each step; products in integers, the gates
 * in float32. */
#include "kernels/recurrent.h"

#include <string.h>

#include "kernels/int8/matrix.h"

enum { X, W, R, B, LENGTHS, H0, C0, PEEPHOLES, W_SCALE, W_ZERO, R_SCALE, R_ZERO, INPUTS };

typedef struct direction {
    skv_q8_matrix w, r;
    float *w_scale, *r_scale, *bias; /* [4 h] */
} direction;

typedef struct lstm_state {
    skv_recurrent_shape s;
    const skv_recurrent_loops *loops;
    const skv_q8_loops *bytes;
    direction d[2];
    size_t scratch; /* of a matrix */
} lstm_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    static const size_t constants[] = {W, R, W_SCALE, W_ZERO, R_SCALE, R_ZERO};
    if (!n->in[LENGTHS].absent || !n->in[PEEPHOLES].absent) return skv_decline(why, "lengths or peepholes");
    if (!skv_recurrent_usual(n->node, SKV_LSTM)) return skv_decline(why, "unusual activations, clip or input_forget");
    for (size_t i = 0; i < SKV_COUNT(constants); i++)
        if (!n->in[constants[i]].constant || !n->in[constants[i]].constant->data)
            return skv_decline(why, "the weights are not constant");
    if (!n->in[B].absent && !n->in[B].constant) return skv_decline(why, "the bias is not constant");
    if (n->in[X].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    const skv_recurrent_shape s = skv_recurrent_shape_of(n);
    if (s.input < 1 || s.hidden < 1 || s.directions > 2) return skv_decline(why, "empty");
    if (s.input > SKV_Q8_MATRIX_LONGEST || s.hidden > SKV_Q8_MATRIX_LONGEST) return skv_decline(why, "too wide");
    return true;
}

static void destroy(skive_context *ctx, void *state) {
    lstm_state *st = state;
    for (int k = 0; st && k < 2; k++) {
        direction *d = &st->d[k];
        skv_q8_matrix_free(ctx, &d->w);
        skv_q8_matrix_free(ctx, &d->r);
        skv_free(ctx, d->w_scale);
        skv_free(ctx, d->r_scale);
        skv_free(ctx, d->bias);
    }
    skv_free(ctx, st);
}

/* The matrix and the scales of one direction; scales and zero points are one, or one a column. */
static skive_status make_matrix(skv_kernel_node *n, size_t i, size_t s, int64_t rows, int64_t k, int64_t columns,
                                int64_t d, int64_t directions, skv_q8_matrix *m, float **scales) {
    const skive_tensor *q = n->in[i].constant, *scale = n->in[s].constant, *zero = n->in[s + 1].constant;
    const int64_t each = skive_tensor_count(scale) / directions, zeros = skive_tensor_count(zero) / directions;
    if ((each != 1 && each != columns) || (zeros != 1 && zeros != columns))
        return skv_fail_at(n->ctx, SKIVE_ERR_UNSUPPORTED, n->node->name, "an unusual number of scales");
    SKV_TRY(skv_q8_matrix_make(n->ctx, (const uint8_t *)q->data + d * k * columns, q->dtype == SKIVE_I8, rows, k,
                               columns, zero, d * zeros, zeros, m));
    n->state_bytes += m->panels * m->panel_bytes;
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)columns, sizeof **scales, scales));
    for (int64_t j = 0; j < columns; j++) (*scales)[j] = (float)skive_tensor_get(scale, d * each + (each > 1 ? j : 0));
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    lstm_state *st = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->s = skv_recurrent_shape_of(n);
    st->loops = skv_recurrent_loops_of(skv_cpu_isa());
    st->bytes = skv_q8_loops_of(skv_cpu_isa());
    const skv_recurrent_shape *s = &st->s;
    const int64_t columns = 4 * s->hidden;
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (int64_t k = 0; k < s->directions; k++) {
        direction *d = &st->d[k];
        const float *bias = n->in[B].absent ? NULL : (const float *)n->in[B].constant->data + 2 * k * columns;
        SKV_GO(
            status, fail,
            make_matrix(n, W, W_SCALE, s->steps * s->batch, s->input, columns, k, s->directions, &d->w, &d->w_scale));
        SKV_GO(status, fail,
               make_matrix(n, R, R_SCALE, s->batch, s->hidden, columns, k, s->directions, &d->r, &d->r_scale));
        SKV_GO(status, fail, skv_alloc_array(n->ctx, (size_t)columns, sizeof *d->bias, &d->bias));
        for (int64_t j = 0; bias && j < columns; j++) d->bias[j] = bias[j] + bias[columns + j];
    }
    const size_t w = skv_q8_matrix_scratch(&st->d[0].w), r = skv_q8_matrix_scratch(&st->d[0].r);
    st->scratch = w > r ? w : r;
    for (size_t i = W; i <= B; i++) n->packs_input[i] = !n->in[i].absent;
    for (size_t i = W_SCALE; i < INPUTS; i++) n->packs_input[i] = true;
    const size_t rows = (size_t)(s->steps * s->batch), states = (size_t)(s->batch * s->hidden);
    n->state = st;
    /* the gates' sums, h and c, the samples' scales and zero points; X and h in bytes */
    n->scratch_bytes = (rows * (size_t)columns + 2 * states + 2 * (size_t)s->batch) * sizeof(float) + st->scratch +
                       skv_align_up(rows * (size_t)s->input + states, 64);
    return SKIVE_OK;
fail:
    destroy(n->ctx, st);
    return status;
}

static void one_direction(const lstm_state *st, const skv_kernel_call *call, int64_t d, const uint8_t *x, float x_scale,
                          int32_t x_zero, float *sums, float *states, uint8_t *h_bytes, char *scratch) {
    const skv_recurrent_shape *s = &st->s;
    const direction *k = &st->d[d];
    const int64_t n = s->hidden, columns = 4 * n, rows = s->steps * s->batch,
                  ld = s->batch_first ? s->steps * columns : columns;
    float *h = states, *c = states + s->batch * n, *scale = c + s->batch * n, *y = call->out[0];
    int32_t *zero = (int32_t *)(void *)(scale + s->batch);
    for (int64_t i = 0; i < rows; i++) memcpy(sums + i * columns, k->bias, (size_t)columns * sizeof *sums);
    skv_q8_matrix_add(&k->w, st->bytes, x, rows, &x_scale, &x_zero, 0, k->w_scale, sums, columns, scratch);
    skv_recurrent_load(s, call, H0, d, h, n);
    skv_recurrent_load(s, call, C0, d, c, n);
    for (int64_t i = 0; i < s->steps; i++) {
        const int64_t t = skv_recurrent_goes_back(s, d) ? s->steps - 1 - i : i;
        float *row = sums + skv_recurrent_row(s, t, 0) * columns;
        for (int64_t b = 0; b < s->batch; b++)
            skv_q8_dynamic(st->bytes, h + b * n, (size_t)n, h_bytes + b * n, &scale[b], &zero[b]);
        skv_q8_matrix_add(&k->r, st->bytes, h_bytes, s->batch, scale, zero, 1, k->r_scale, row, ld, scratch);
        for (int64_t b = 0; b < s->batch; b++) {
            st->loops->lstm(row + b * ld, h + b * n, c + b * n, n);
            if (y) memcpy(y + skv_recurrent_y(s, t, d, b), h + b * n, (size_t)n * sizeof *y);
        }
    }
    skv_recurrent_store(s, call, 1, d, h);
    skv_recurrent_store(s, call, 2, d, c);
}

static skive_status run(const skv_kernel_call *c) {
    const lstm_state *st = c->n->state;
    const skv_recurrent_shape *s = &st->s;
    const size_t rows = (size_t)(s->steps * s->batch);
    float *sums = c->scratch, *states = sums + rows * 4 * (size_t)s->hidden, x_scale;
    char *scratch = (char *)(states + 2 * s->batch * s->hidden + 2 * s->batch);
    uint8_t *x = (uint8_t *)scratch + st->scratch, *h = x + rows * (size_t)s->input;
    int32_t x_zero;
    skv_q8_dynamic(st->bytes, c->in[X], rows * (size_t)s->input, x, &x_scale, &x_zero);
    for (int64_t d = 0; d < s->directions; d++) one_direction(st, c, d, x, x_scale, x_zero, sums, states, h, scratch);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_DYNAMIC_QUANTIZE_LSTM, SKV_OP_NONE};

const skv_kernel skv_kernel_int8_recurrent = {
    .name = "lstm_dynamic_u8s8",
    .brief = "LSTM with 8-bit weights and states",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
