/* LSTM, GRU and RNN in f32, with the usual activations. W and R stand transposed, [input][gates h] and [hidden][gates
 * h], so that every step adds rows to the sums of all gates; the input's part is done for all steps before. */
#include "kernels/recurrent.h"

#include <string.h>
#include <strings.h>

typedef struct recurrent_state {
    skv_recurrent_shape s;
    const skv_recurrent_loops *loops;
    float *w, *r, *bias, *recurrent_bias; /* by direction; GRU's hidden gate has its recurrent bias apart */
} recurrent_state;

static const char *const usual[3][3] = {{"Sigmoid", "Tanh", "Tanh"}, {"Sigmoid", "Tanh", NULL}, {"Tanh", NULL, NULL}};

static skv_recurrent_kind kind_of(const skive_node *n) {
    if (SKV_NODE_IS_ANY(n, SKV_OP_LSTM, SKV_OP_LSTM_GRAD)) return SKV_LSTM;
    return SKV_NODE_IS_ANY(n, SKV_OP_GRU, SKV_OP_GRU_GRAD) ? SKV_GRU : SKV_RNN;
}

bool skv_recurrent_usual(const skive_node *n, skv_recurrent_kind kind) {
    const skv_attr *names = skv_node_attr(n, "activations");
    const char *const *expected = usual[kind];
    const size_t each = kind == SKV_LSTM ? 3 : kind == SKV_GRU ? 2 : 1;
    for (size_t i = 0; names && i < names->n; i++)
        if (strcasecmp(names->strings[i], expected[i % each]) != 0) return false;
    return !skv_node_attr(n, "clip") && !skv_attr_int(n, "input_forget", 0);
}

bool skv_recurrent_plain(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent) continue;
        if (i == 4) return skv_decline(why, "sequences of different lengths");
        if (i == 7) return skv_decline(why, "peepholes");
        if (n->in[i].type.dtype != SKIVE_F32) return skv_decline(why, "not float32");
    }
    if (!skv_recurrent_usual(n->node, kind_of(n->node)))
        return skv_decline(why, "unusual activations, clip or input_forget");
    return true;
}

skv_recurrent_shape skv_recurrent_shape_of(const skv_kernel_node *n) {
    static const int64_t gates[3] = {4, 3, 1};
    const skive_type *x = &n->in[0].type, *w = &n->in[1].type;
    const bool turned = skv_node_is(n->node, SKV_OP_DYNAMIC_QUANTIZE_LSTM); /* weights [d][input][gates h] */
    skv_recurrent_shape s = {.kind = turned ? SKV_LSTM : kind_of(n->node)};
    s.batch_first = skv_attr_int(n->node, "layout", 0) != 0;
    s.reverse_first = strcasecmp(skv_attr_string(n->node, "direction", "forward"), "reverse") == 0;
    s.linear = skv_attr_int(n->node, "linear_before_reset", 0) != 0;
    s.steps = x->dims[s.batch_first ? 1 : 0].size;
    s.batch = x->dims[s.batch_first ? 0 : 1].size;
    s.input = x->dims[2].size;
    s.directions = w->dims[0].size;
    s.gates = gates[s.kind];
    s.hidden = n->in[2].type.dims[turned ? 1 : 2].size;
    return s;
}

void skv_recurrent_load(const skv_recurrent_shape *s, const skv_kernel_call *c, size_t input, int64_t d, float *to,
                        int64_t ld) {
    const float *from = c->n->n_in > input ? c->in[input] : NULL;
    for (int64_t b = 0; b < s->batch; b++) {
        if (from)
            memcpy(to + b * ld, from + skv_recurrent_state(s, d, b), (size_t)s->hidden * sizeof *to);
        else
            memset(to + b * ld, 0, (size_t)s->hidden * sizeof *to);
    }
}

void skv_recurrent_store(const skv_recurrent_shape *s, const skv_kernel_call *c, size_t output, int64_t d,
                         const float *from) {
    float *to = c->n->n_out > output ? c->out[output] : NULL;
    for (int64_t b = 0; to && b < s->batch; b++)
        memcpy(to + skv_recurrent_state(s, d, b), from + b * s->hidden, (size_t)s->hidden * sizeof *to);
}

const skv_recurrent_loops *skv_recurrent_loops_of(skv_isa isa) {
    return SKV_AT(isa, AVX512, &skv_recurrent_avx512) SKV_AT(isa, AVX2, &skv_recurrent_avx2)
        SKV_ELSE(isa, &skv_recurrent_scalar);
}

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!skv_recurrent_plain(n, why)) return false;
    for (size_t i = 1; i < n->n_in && i <= 3; i++)
        if (!n->in[i].absent && !(n->in[i].constant && n->in[i].constant->data))
            return skv_decline(why, "weights that are not constant");
    return true;
}

/* y[k][n] = x[n][k] */
static void turn(const float *x, int64_t n, int64_t k, float *y) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++) y[j * n + i] = x[i * k + j];
}

static void destroy(skive_context *ctx, void *state) {
    recurrent_state *st = state;
    if (!st) return;
    skv_free(ctx, st->w);
    skv_free(ctx, st->r);
    skv_free(ctx, st->bias);
    skv_free(ctx, st->recurrent_bias);
    skv_free(ctx, st);
}

static skive_status pack(skv_kernel_node *n, recurrent_state *st) {
    const size_t gh = (size_t)(st->s.gates * st->s.hidden), d = (size_t)st->s.directions;
    const float *w = n->in[1].constant->data, *r = n->in[2].constant->data;
    const float *b = n->n_in > 3 && !n->in[3].absent ? n->in[3].constant->data : NULL;
    SKV_TRY(skv_alloc_array(n->ctx, d * gh * (size_t)st->s.input + 1, sizeof(float), &st->w));
    SKV_TRY(skv_alloc_array(n->ctx, d * gh * (size_t)st->s.hidden + 1, sizeof(float), &st->r));
    SKV_TRY(skv_alloc_array(n->ctx, d * gh + 1, sizeof(float), &st->bias));
    SKV_TRY(skv_alloc_array(n->ctx, d * (size_t)st->s.hidden + 1, sizeof(float), &st->recurrent_bias));
    n->state_bytes = d * gh * (size_t)(st->s.input + st->s.hidden + 1) * sizeof(float);
    for (size_t k = 0; k < d; k++) {
        turn(w + k * gh * (size_t)st->s.input, (int64_t)gh, st->s.input, st->w + k * gh * (size_t)st->s.input);
        turn(r + k * gh * (size_t)st->s.hidden, (int64_t)gh, st->s.hidden, st->r + k * gh * (size_t)st->s.hidden);
        for (size_t i = 0; b && i < gh; i++) {
            const bool apart = st->s.kind == SKV_GRU && i >= 2 * (size_t)st->s.hidden;
            st->bias[k * gh + i] = b[k * 2 * gh + i] + (apart ? 0 : b[(k * 2 + 1) * gh + i]);
            if (apart)
                st->recurrent_bias[k * (size_t)st->s.hidden + i - 2 * (size_t)st->s.hidden] = b[(k * 2 + 1) * gh + i];
        }
    }
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    recurrent_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->s = skv_recurrent_shape_of(n);
    st->loops = skv_recurrent_loops_of(skv_cpu_isa());
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (size_t i = 1; i < 4 && i < n->n_in; i++) n->packs_input[i] = !n->in[i].absent;
    const skive_status status = pack(n, st);
    if (status != SKIVE_OK) {
        destroy(n->ctx, st);
        return status;
    }
    n->state = st;
    /* Of one direction: the sums of all steps; states h, c and the reset h of each sample; GRU's recurrent part. */
    n->scratch_bytes =
        (size_t)((st->s.steps * st->s.batch * st->s.gates + st->s.batch * 3 + 1) * st->s.hidden) * sizeof(float);
    return SKIVE_OK;
}

/* One step of one sample: `sum` holds the input's part and the biases. */
static void one_step(const recurrent_state *st, int64_t d, float *sum, float *h, float *c, float *reset,
                     float *recurrent) {
    const skv_recurrent_loops *f = st->loops;
    const int64_t n = st->s.hidden, gh = st->s.gates * n;
    const float *r = st->r + d * gh * n;
    if (st->s.kind == SKV_LSTM) {
        f->product(h, n, r, sum, gh, 1, n, gh);
        f->lstm(sum, h, c, n);
    } else if (st->s.kind == SKV_RNN) {
        f->product(h, n, r, sum, gh, 1, n, gh);
        f->rnn(sum, h, n);
    } else {
        memcpy(recurrent, st->recurrent_bias + d * n, (size_t)n * sizeof *recurrent);
        if (st->s.linear) { /* one pass over R for all gates: the hidden one is put apart behind */
            float *hidden_sum = sum + 2 * n;
            memcpy(reset, hidden_sum, (size_t)n * sizeof *reset);
            memcpy(hidden_sum, recurrent, (size_t)n * sizeof *recurrent);
            f->product(h, n, r, sum, gh, 1, n, gh);
            f->gru_gates(sum, n);
            f->gru_state(sum, reset, hidden_sum, true, h, n);
            return;
        }
        /* The hidden gate's part of this product is not used: it reads the state behind the reset. */
        float *hidden_sum = sum + 2 * n;
        memcpy(reset, hidden_sum, (size_t)n * sizeof *reset);
        f->product(h, n, r, sum, gh, 1, n, gh);
        memcpy(hidden_sum, reset, (size_t)n * sizeof *reset);
        f->gru_gates(sum, n);
        for (int64_t i = 0; i < n; i++) reset[i] = sum[n + i] * h[i];
        for (int64_t k = 0; k < n; k++) {
            const float a = reset[k], *row = r + k * gh + 2 * n;
            for (int64_t i = 0; i < n; i++) recurrent[i] += a * row[i];
        }
        f->gru_state(sum, hidden_sum, recurrent, false, h, n);
    }
}

static void one_direction(const recurrent_state *st, const skv_kernel_call *call, int64_t d) {
    const int64_t n = st->s.hidden, gh = st->s.gates * n, rows = st->s.steps * st->s.batch;
    const float *x = call->in[0];
    float *sums = call->scratch, *h = sums + rows * gh, *c = h + st->s.batch * n, *reset = c + st->s.batch * n,
          *recurrent = reset + st->s.batch * n;
    const bool backward = skv_recurrent_goes_back(&st->s, d);
    for (int64_t i = 0; i < rows; i++) memcpy(sums + i * gh, st->bias + d * gh, (size_t)gh * sizeof *sums);
    st->loops->product(x, st->s.input, st->w + d * gh * st->s.input, sums, gh, rows, st->s.input, gh);
    skv_recurrent_load(&st->s, call, 5, d, h, n);
    skv_recurrent_load(&st->s, call, 6, d, c, n);
    float *y = call->out[0];
    for (int64_t i = 0; i < st->s.steps; i++) {
        const int64_t t = backward ? st->s.steps - 1 - i : i;
        for (int64_t b = 0; b < st->s.batch; b++) {
            const int64_t row = skv_recurrent_row(&st->s, t, b);
            one_step(st, d, sums + row * gh, h + b * n, c + b * n, reset + b * n, recurrent);
            if (y) memcpy(y + skv_recurrent_y(&st->s, t, d, b), h + b * n, (size_t)n * sizeof *y);
        }
    }
    skv_recurrent_store(&st->s, call, 1, d, h);
    skv_recurrent_store(&st->s, call, 2, d, c);
}

static skive_status run(const skv_kernel_call *c) {
    const recurrent_state *st = c->n->state;
    for (int64_t d = 0; d < st->s.directions; d++) one_direction(st, c, d);
    return SKIVE_OK;
}

static const skv_op_kind ops[] = {SKV_OP_LSTM, SKV_OP_GRU, SKV_OP_RNN, SKV_OP_NONE};

const skv_kernel skv_kernel_recurrent_f32 = {
    .name = "recurrent_f32",
    .brief = "LSTM, GRU and RNN with constant weights and the usual activations",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
