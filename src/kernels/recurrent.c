/* LSTM, GRU and RNN in f32, with the usual activations. W and R stand transposed, in panels of columns; the input's
 * part is done for all steps before, and a step multiplies the states of all samples at once. */
#include "kernels/recurrent.h"

#include <string.h>
#include <strings.h>

#include "kernels/attention.h"

enum { X, W, R, B, LENGTHS, H0, C0 };

typedef struct panels { /* a matrix [k][n], whole tiles of columns side by side, the last one filled up with zeros */
    float *data;
    int64_t k, n, padded, width;
} panels;

typedef struct recurrent_state {
    skv_recurrent_shape s;
    const skv_recurrent_loops *loops;
    const skv_attention_loops *products;
    panels w[2], r[2], reset[2];  /* by direction; GRU whose reset comes first has the hidden gate's R apart */
    float *bias, *recurrent_bias; /* by direction; GRU's hidden gate has its recurrent bias apart */
    int64_t ld, recurrent_ld;     /* of the sums of the gates; of GRU's recurrent part */
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
        if (n->in[i].absent || (i == LENGTHS && n->in[i].type.dtype == SKIVE_I32)) continue;
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

skive_status skv_recurrent_lengths(const skv_recurrent_shape *s, const skv_kernel_call *c, int64_t *length) {
    const int32_t *given = c->n->n_in > LENGTHS ? c->in[LENGTHS] : NULL;
    for (int64_t b = 0; b < s->batch; b++) {
        length[b] = given ? given[b] : s->steps;
        if (length[b] < 0 || length[b] > s->steps)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->n->node->name,
                               "node '%s': a sequence length of %lld is out of range for %lld steps", c->n->node->name,
                               (long long)length[b], (long long)s->steps);
    }
    return SKIVE_OK;
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

enum { TILES = 2 }; /* side by side in a panel: what a single row takes at once */

/* x [n][k] */
static skive_status make_panels(skv_kernel_node *node, const skv_attention_loops *f, const float *x, int64_t n,
                                int64_t k, panels *p) {
    const int64_t tile = f->columns;
    *p = (panels){.k = k, .n = n, .padded = (n + tile - 1) / tile * tile, .width = TILES * tile};
    SKV_TRY(skv_alloc_array(node->ctx, (size_t)(k * p->padded) + 1, sizeof(float), &p->data));
    node->state_bytes += (size_t)(k * p->padded) * sizeof(float);
    for (int64_t first = 0; first < n; first += p->width) {
        const int64_t wide = p->padded - first < p->width ? p->padded - first : p->width;
        float *to = p->data + first * k;
        for (int64_t j = first; j < n && j < first + wide; j++)
            for (int64_t i = 0; i < k; i++) to[i * wide + j - first] = x[j * k + i];
    }
    return SKIVE_OK;
}

/* y[m][padded] += x[m][k] times the matrix */
static void add_product(const recurrent_state *st, const panels *p, int64_t m, const float *x, float *y, int64_t ld) {
    for (int64_t first = 0; first < p->padded; first += p->width) {
        const int64_t wide = p->padded - first < p->width ? p->padded - first : p->width;
        st->products->add_product(m, wide, p->k, x, p->k, p->data + first * p->k, wide, y + first, ld);
    }
}

static void destroy(skive_context *ctx, void *state) {
    recurrent_state *st = state;
    if (!st) return;
    for (int d = 0; d < 2; d++) {
        skv_free(ctx, st->w[d].data);
        skv_free(ctx, st->r[d].data);
        skv_free(ctx, st->reset[d].data);
    }
    skv_free(ctx, st->bias);
    skv_free(ctx, st->recurrent_bias);
    skv_free(ctx, st);
}

static skive_status pack(skv_kernel_node *n, recurrent_state *st) {
    const int64_t h = st->s.hidden, gh = st->s.gates * h, d = st->s.directions, in = st->s.input;
    const float *w = n->in[W].constant->data, *r = n->in[R].constant->data;
    const float *b = n->n_in > B && !n->in[B].absent ? n->in[B].constant->data : NULL;
    const bool apart = st->s.kind == SKV_GRU && !st->s.linear;
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)(d * gh) + 1, sizeof(float), &st->bias));
    SKV_TRY(skv_alloc_array(n->ctx, (size_t)(d * h) + 1, sizeof(float), &st->recurrent_bias));
    n->state_bytes = (size_t)(d * (gh + h)) * sizeof(float);
    for (int64_t k = 0; k < d; k++) {
        SKV_TRY(make_panels(n, st->products, w + k * gh * in, gh, in, &st->w[k]));
        SKV_TRY(make_panels(n, st->products, r + k * gh * h, apart ? 2 * h : gh, h, &st->r[k]));
        if (apart) SKV_TRY(make_panels(n, st->products, r + (k * gh + 2 * h) * h, h, h, &st->reset[k]));
        for (int64_t i = 0; b && i < gh; i++) {
            const bool hidden = st->s.kind == SKV_GRU && i >= 2 * h;
            st->bias[k * gh + i] = b[k * 2 * gh + i] + (hidden ? 0 : b[(k * 2 + 1) * gh + i]);
            if (hidden) st->recurrent_bias[k * h + i - 2 * h] = b[(k * 2 + 1) * gh + i];
        }
    }
    st->ld = st->w[0].padded;
    st->recurrent_ld = apart ? st->reset[0].padded : h;
    return SKIVE_OK;
}

static skive_status prepare(skv_kernel_node *n) {
    recurrent_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->s = skv_recurrent_shape_of(n);
    st->loops = skv_recurrent_loops_of(skv_cpu_isa());
    st->products = skv_attention_loops_of(skv_cpu_isa());
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    for (size_t i = 1; i < 4 && i < n->n_in; i++) n->packs_input[i] = !n->in[i].absent;
    const skive_status status = pack(n, st);
    if (status != SKIVE_OK) {
        destroy(n->ctx, st);
        return status;
    }
    /* Of one direction: the sums of all steps and of one; of each sample the states h and c, the reset h, GRU's
     * recurrent part; how long each is. */
    const size_t batch = (size_t)st->s.batch, states = batch * (size_t)(3 * st->s.hidden + st->recurrent_ld);
    size_t bytes;
    if (!skv_mul_size((size_t)st->s.steps + 1, batch * (size_t)st->ld, &bytes) ||
        !skv_mul_size(bytes + states, sizeof(float), &bytes)) {
        destroy(n->ctx, st);
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "sequences too long");
    }
    n->state = st;
    n->scratch_bytes = bytes + (batch + 1) * sizeof(int64_t);
    return SKIVE_OK;
}

typedef struct direction_run {
    const recurrent_state *st;
    int64_t d;
    float *sums, *now; /* [rows][ld], in the order of X; [batch][ld] of one step */
    float *h, *c, *reset, *recurrent;
    int64_t *length; /* [batch] */
} direction_run;

/* One step of the first `m` samples, of which `i` is beyond the end of some: those keep their states. */
static void step_states(const direction_run *u, int64_t i, int64_t m) {
    const recurrent_state *st = u->st;
    const skv_recurrent_loops *f = st->loops;
    const int64_t n = st->s.hidden;
    for (int64_t b = 0; b < m; b++) {
        if (i >= u->length[b]) continue;
        float *sum = u->now + b * st->ld, *h = u->h + b * n;
        switch (st->s.kind) {
        case SKV_LSTM: f->lstm(sum, h, u->c + b * n, n); break;
        case SKV_RNN: f->rnn(sum, h, n); break;
        case SKV_GRU:
            if (st->s.linear)
                f->gru_state(sum, u->reset + b * n, sum + 2 * n, true, h, n);
            else
                f->gru_state(sum, sum + 2 * n, u->recurrent + b * st->recurrent_ld, false, h, n);
            break;
        }
    }
}

/* `now` holds the input's part and the biases of all samples: to the gates, the weights read once for all. */
static void step_gates(const direction_run *u, int64_t m) {
    const recurrent_state *st = u->st;
    const int64_t n = st->s.hidden, ld = st->ld;
    const float *bias = st->recurrent_bias + u->d * n;
    if (st->s.kind != SKV_GRU) {
        add_product(st, &st->r[u->d], m, u->h, u->now, ld);
        return;
    }
    if (st->s.linear) { /* one pass over R for all gates: the hidden one's input part is put apart */
        for (int64_t b = 0; b < m; b++) {
            float *hidden_sum = u->now + b * ld + 2 * n;
            memcpy(u->reset + b * n, hidden_sum, (size_t)n * sizeof *hidden_sum);
            memcpy(hidden_sum, bias, (size_t)n * sizeof *hidden_sum);
        }
        add_product(st, &st->r[u->d], m, u->h, u->now, ld);
        for (int64_t b = 0; b < m; b++) st->loops->gru_gates(u->now + b * ld, n);
        return;
    }
    add_product(st, &st->r[u->d], m, u->h, u->now, ld);
    for (int64_t b = 0; b < m; b++) {
        float *sum = u->now + b * ld, *reset = u->reset + b * n;
        const float *h = u->h + b * n;
        st->loops->gru_gates(sum, n);
#pragma omp simd
        for (int64_t k = 0; k < n; k++) reset[k] = sum[n + k] * h[k];
        memcpy(u->recurrent + b * st->recurrent_ld, bias, (size_t)n * sizeof *bias);
    }
    add_product(st, &st->reset[u->d], m, u->reset, u->recurrent, st->recurrent_ld);
}

static void all_steps(const direction_run *u, const skv_kernel_call *call) {
    const skv_recurrent_shape *s = &u->st->s;
    const int64_t n = s->hidden, ld = u->st->ld;
    const bool backward = skv_recurrent_goes_back(s, u->d);
    float *y = call->out[0];
    for (int64_t i = 0; i < s->steps; i++) {
        int64_t m = s->batch;
        while (m > 0 && i >= u->length[m - 1]) m--;
        for (int64_t b = 0; b < m; b++) { /* of one that has ended, anything */
            const int64_t t = i < u->length[b] ? (backward ? u->length[b] - 1 - i : i) : 0;
            memcpy(u->now + b * ld, u->sums + skv_recurrent_row(s, t, b) * ld, (size_t)ld * sizeof *u->now);
        }
        if (m > 0) {
            step_gates(u, m);
            step_states(u, i, m);
        }
        for (int64_t b = 0; y && b < s->batch; b++) {
            if (i < u->length[b])
                memcpy(y + skv_recurrent_y(s, backward ? u->length[b] - 1 - i : i, u->d, b), u->h + b * n,
                       (size_t)n * sizeof *y);
            else
                memset(y + skv_recurrent_y(s, i, u->d, b), 0, (size_t)n * sizeof *y);
        }
    }
}

/* What X gives, for `rows` of its rows. */
static void input_sums(const direction_run *u, const float *x, int64_t first, int64_t rows) {
    const recurrent_state *st = u->st;
    const int64_t gh = st->s.gates * st->s.hidden;
    float *sums = u->sums + first * st->ld;
    for (int64_t i = 0; i < rows; i++) {
        float *to = sums + i * st->ld;
        memcpy(to, st->bias + u->d * gh, (size_t)gh * sizeof *to);
        memset(to + gh, 0, (size_t)(st->ld - gh) * sizeof *to);
    }
    add_product(st, &st->w[u->d], rows, x + first * st->s.input, sums, st->ld);
}

/* Steps behind the end of the longest sequence, or where samples lie one after the other of each, are not looked at. */
static void all_input_sums(const direction_run *u, const float *x) {
    const skv_recurrent_shape *s = &u->st->s;
    int64_t longest = 0;
    for (int64_t b = 0; b < s->batch; b++) longest = u->length[b] > longest ? u->length[b] : longest;
    if (longest == s->steps || skv_recurrent_row(s, 1, 0) == s->batch) {
        input_sums(u, x, 0, longest * s->batch);
        return;
    }
    for (int64_t b = 0; b < s->batch; b++) /* the first row stands for steps behind the end, too */
        input_sums(u, x, skv_recurrent_row(s, 0, b), u->length[b] > 0 ? u->length[b] : 1);
}

static void one_direction(const direction_run *u, const skv_kernel_call *call) {
    const recurrent_state *st = u->st;
    const int64_t n = st->s.hidden;
    all_input_sums(u, call->in[X]);
    skv_recurrent_load(&st->s, call, H0, u->d, u->h, n);
    skv_recurrent_load(&st->s, call, C0, u->d, u->c, n);
    all_steps(u, call);
    skv_recurrent_store(&st->s, call, 1, u->d, u->h);
    skv_recurrent_store(&st->s, call, 2, u->d, u->c);
}

static skive_status run(const skv_kernel_call *c) {
    const recurrent_state *st = c->n->state;
    const int64_t states = st->s.batch * st->s.hidden, all = st->s.batch * st->ld;
    direction_run u = {.st = st, .length = c->scratch};
    u.sums = (float *)(void *)(u.length + st->s.batch + 1);
    u.now = u.sums + st->s.steps * all;
    u.h = u.now + all;
    u.c = u.h + states;
    u.reset = u.c + states;
    u.recurrent = u.reset + states;
    SKV_TRY(skv_recurrent_lengths(&st->s, c, u.length));
    for (u.d = 0; u.d < st->s.directions; u.d++) one_direction(&u, c);
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
