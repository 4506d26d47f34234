/* LSTM, GRU and RNN in f32 by products of matrices, and their gradients: for weights in training, and for many samples
 * at once. Every step is a product for all samples; whatever does not depend on the step before is one product for all
 * steps.
 *
 * Memory is by rows, one for each step and sample in the order of X: sums of the gates, which become the activated
 * gates and, going backward, the gradients of the sums; the states before the step.
 *
 * A sample that ends before a step, by its length, is computed along with the others; its states then stay what they
 * were, its Y is zero and, going backward, the gradients of its sums are. Both directions: a sequence read from its end
 * begins where the steps behind that end have left the first state. */
#include "kernels/recurrent.h"

#include <string.h>

#include "kernels/sgemm.h"

enum { X, W, R, B, LENGTHS, H0, C0, PEEPHOLES, DY, DH, DC }; /* inputs; from DY on those of the gradient */
enum { OUT_X, OUT_W, OUT_R, OUT_B, OUT_H0, OUT_C0 };         /* outputs of the gradient */
enum { FEW_SAMPLES = 32, PARALLEL_UNITS = 4096 };

typedef struct recurrent_state {
    skv_recurrent_shape s;
    const skv_recurrent_loops *loops;
    size_t product, packed; /* offsets of the products' scratch, and of R as they read it */
    size_t length, x;       /* of the samples' lengths, and of X without what stands behind them, when they are given */
    bool ragged;            /* lengths are given */
} recurrent_state;

/* One run in one direction. */
typedef struct recurrent_run {
    const skv_kernel_call *call;
    const skv_recurrent_shape *s;
    const skv_recurrent_loops *loops;
    int64_t d;
    const float *x;                          /* [rows][input], finite behind the end of a sample */
    const float *w, *r, *bias;               /* of the direction; bias [2 gates h] or NULL */
    const int64_t *length;                   /* [batch] where samples end; NULL: all at the last step */
    float *gates;                            /* [rows][gates h] */
    float *h, *c;                            /* [rows][h] the states before */
    float *recurrent;                        /* [rows][h] GRU: the hidden gate's product when linear, otherwise r h */
    float *h_last, *c_last, *dh, *dc, *part; /* [batch][h] */
    void *product;                           /* scratch of the products */
    /* R packed once for all steps, each way: a GRU's hidden gate (1) by itself, the other gates (0) together. */
    float *packed[2][2]; /* [transposed][part] */
} recurrent_run;

/* Rows of R in a part. */
static int64_t part_rows(const skv_recurrent_shape *s, int part) {
    const int64_t gates = s->kind == SKV_GRU ? (part ? 1 : 2) : (part ? 0 : s->gates);
    return gates * s->hidden;
}

static size_t packed_floats(const skv_recurrent_shape *s, bool trans, int part) {
    const int64_t rows = part_rows(s, part);
    return trans ? skv_sgemm_packed(rows, s->hidden) : skv_sgemm_packed(s->hidden, rows);
}

static size_t rows_of(const skv_recurrent_shape *s) { return (size_t)(s->steps * s->batch); }

static size_t scratch_floats(const skv_recurrent_shape *s) {
    return rows_of(s) * (size_t)((s->gates + 3) * s->hidden) + (size_t)(5 * s->batch * s->hidden);
}

static recurrent_run open_run(const skv_kernel_call *call, int64_t d) {
    const recurrent_state *st = call->n->state;
    const skv_recurrent_shape *s = &st->s;
    const int64_t n = s->hidden, gh = s->gates * n, rows = (int64_t)rows_of(s);
    const float *bias = call->n->n_in > B ? call->in[B] : NULL;
    recurrent_run u = {.call = call, .s = s, .loops = st->loops, .d = d};
    u.x = st->ragged ? (const float *)(const void *)((const char *)call->scratch + st->x) : call->in[X];
    u.length = st->ragged ? (const int64_t *)(const void *)((const char *)call->scratch + st->length) : NULL;
    u.w = (const float *)call->in[W] + d * gh * s->input;
    u.r = (const float *)call->in[R] + d * gh * n;
    u.bias = bias ? bias + 2 * d * gh : NULL;
    u.gates = call->scratch;
    u.h = u.gates + rows * gh;
    u.c = u.h + rows * n;
    u.recurrent = u.c + rows * n;
    u.h_last = u.recurrent + rows * n;
    u.c_last = u.h_last + s->batch * n;
    u.dh = u.c_last + s->batch * n;
    u.dc = u.dh + s->batch * n;
    u.part = u.dc + s->batch * n;
    u.product = (char *)call->scratch + st->product;
    float *at = (float *)(void *)((char *)call->scratch + st->packed);
    for (int k = 0; k < 4; k++) {
        u.packed[k / 2][k % 2] = at;
        at += packed_floats(s, k / 2 == 1, k % 2);
    }
    return u;
}

/* c[m][n] = a b + beta c */
static void product(const recurrent_run *u, char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, const float *a,
                    int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    const skv_sgemm g = {.trans_a = trans_a == 'T',
                         .trans_b = trans_b == 'T',
                         .m = m,
                         .n = n,
                         .k = k,
                         .a = a,
                         .b = b,
                         .lda = lda,
                         .ldb = ldb,
                         .ldc = ldc,
                         .c = c,
                         .alpha = 1,
                         .add = beta != 0};
    skv_sgemm_run(&g, u->call->n->threads, u->product);
}

/* For all steps that follow: R, or its transpose. */
static void pack_recurrent(const recurrent_run *u, bool trans) {
    const int64_t n = u->s->hidden;
    for (int part = 0; part < 2; part++) {
        const int64_t rows = part_rows(u->s, part);
        const float *r = u->r + (part ? part_rows(u->s, 0) : 0) * n;
        if (rows) skv_sgemm_pack(trans, trans ? rows : n, trans ? n : rows, r, n, u->packed[trans][part]);
    }
}

/* to[batch][...] = x R' (transposed) or x R of a part, + to where `add`. */
static void recur(const recurrent_run *u, bool trans, int part, const float *x, int64_t ldx, bool add, float *to,
                  int64_t ld) {
    const int64_t rows = part_rows(u->s, part), n = u->s->hidden;
    const skv_sgemm g = {.trans_b = trans,
                         .m = u->s->batch,
                         .n = trans ? rows : n,
                         .k = trans ? n : rows,
                         .a = x,
                         .lda = ldx,
                         .c = to,
                         .ldc = ld,
                         .alpha = 1,
                         .add = add,
                         .packed = u->packed[trans][part]};
    skv_sgemm_run(&g, u->call->n->threads, u->product);
}

/* The time of step i, and the distance between samples in rows. */
static int64_t time_of(const recurrent_run *u, int64_t i) {
    return skv_recurrent_goes_back(u->s, u->d) ? u->s->steps - 1 - i : i;
}
/* Step i lies behind the end of sample b. */
static bool ended(const recurrent_run *u, int64_t i, int64_t b) { return u->length && time_of(u, i) >= u->length[b]; }
static bool all_ended(const recurrent_run *u, int64_t i) {
    for (int64_t b = 0; b < u->s->batch; b++)
        if (!ended(u, i, b)) return false;
    return u->s->batch > 0;
}
static int64_t sample_rows(const skv_recurrent_shape *s) { return s->batch_first ? s->steps : 1; }

/* The sums of all gates from X and the biases; the hidden gate of a GRU has its recurrent bias elsewhere. */
static void input_part(recurrent_run *u) {
    const skv_recurrent_shape *s = u->s;
    const int64_t gh = s->gates * s->hidden, rows = (int64_t)rows_of(s), both = s->kind == SKV_GRU ? 2 * s->hidden : gh;
    for (int64_t row = 0; u->bias && row < rows; row++) {
        float *to = u->gates + row * gh;
        for (int64_t j = 0; j < both; j++) to[j] = u->bias[j] + u->bias[gh + j];
        for (int64_t j = both; j < gh; j++) to[j] = u->bias[j];
    }
    product(u, 'N', 'T', rows, gh, s->input, u->x, s->input, u->w, s->input, u->bias ? 1.0f : 0.0f, u->gates, gh);
}

/* The GRU's hidden gate: its recurrent bias plus the product of R's last part with x[batch][h]. */
static void hidden_gate(recurrent_run *u, const float *x, int64_t ldx, float *to, int64_t ld) {
    const skv_recurrent_shape *s = u->s;
    const int64_t n = s->hidden;
    for (int64_t b = 0; u->bias && b < s->batch; b++) memcpy(to + b * ld, u->bias + 5 * n, (size_t)n * sizeof *to);
    recur(u, true, 1, x, ldx, u->bias != NULL, to, ld);
}

typedef struct step_rows {
    float *gates, *h, *c, *recurrent; /* of the first sample */
    float *h_next, *c_next;
    int64_t ld_gates, ld, ld_next; /* from sample to sample */
} step_rows;

static step_rows rows_at(const recurrent_run *u, int64_t i) {
    const skv_recurrent_shape *s = u->s;
    const int64_t n = s->hidden, at = skv_recurrent_row(s, time_of(u, i), 0);
    const bool last = i + 1 == s->steps;
    const int64_t next = last ? 0 : skv_recurrent_row(s, time_of(u, i + 1), 0);
    return (step_rows){.gates = u->gates + at * s->gates * n,
                       .h = u->h + at * n,
                       .c = u->c + at * n,
                       .recurrent = u->recurrent + at * n,
                       .h_next = last ? u->h_last : u->h + next * n,
                       .c_next = last ? u->c_last : u->c + next * n,
                       .ld_gates = sample_rows(s) * s->gates * n,
                       .ld = sample_rows(s) * n,
                       .ld_next = last ? n : sample_rows(s) * n};
}

/* Threads for what is done to each sample of a step. */
static int team(const recurrent_run *u) {
    return u->s->batch * u->s->hidden >= PARALLEL_UNITS ? u->call->n->threads : 1;
}
/* The variable `u` is the caller's: a pragma's text is not expanded. */
#define FOR_SAMPLES(b) \
    _Pragma("omp parallel for num_threads(team(u)) schedule(static)") for (int64_t b = 0; b < u->s->batch; b++)

static void forward_step(recurrent_run *u, int64_t i) {
    const skv_recurrent_shape *s = u->s;
    const skv_recurrent_loops *f = u->loops;
    const int64_t n = s->hidden;
    const step_rows w = rows_at(u, i);
    if (s->kind != SKV_GRU) {
        recur(u, true, 0, w.h, w.ld, true, w.gates, w.ld_gates);
        FOR_SAMPLES(b) {
            float *gates = w.gates + b * w.ld_gates, *h = w.h_next + b * w.ld_next;
            if (s->kind == SKV_LSTM) {
                f->lstm_keep(gates, w.c + b * w.ld, w.c_next + b * w.ld_next, h, n);
            } else {
                f->rnn(gates, gates, n);
                memcpy(h, gates, (size_t)n * sizeof *h);
            }
        }
        return;
    }
    recur(u, true, 0, w.h, w.ld, true, w.gates, w.ld_gates);
    FOR_SAMPLES(b) {
        float *gates = w.gates + b * w.ld_gates;
        f->gru_gates(gates, n);
        for (int64_t k = 0; !s->linear && k < n; k++) w.recurrent[b * w.ld + k] = gates[n + k] * w.h[b * w.ld + k];
    }
    float *hidden = s->linear ? w.recurrent : u->part;
    const int64_t ld = s->linear ? w.ld : n;
    hidden_gate(u, s->linear ? w.h : w.recurrent, w.ld, hidden, ld);
    FOR_SAMPLES(b)
    f->gru_keep(w.gates + b * w.ld_gates, hidden + b * ld, s->linear, w.h + b * w.ld, w.h_next + b * w.ld_next, n);
}

static void forward(recurrent_run *u, float *y) {
    const skv_recurrent_shape *s = u->s;
    const step_rows first = rows_at(u, 0);
    input_part(u);
    pack_recurrent(u, true);
    skv_recurrent_load(s, u->call, H0, u->d, first.h, first.ld);
    if (s->kind == SKV_LSTM) skv_recurrent_load(s, u->call, C0, u->d, first.c, first.ld);
    const size_t states = (size_t)s->hidden * sizeof *y;
    for (int64_t i = 0; i < s->steps; i++) {
        if (!all_ended(u, i)) forward_step(u, i);
        const step_rows w = rows_at(u, i);
        for (int64_t b = 0; b < s->batch; b++) {
            float *h = w.h_next + b * w.ld_next, *to = y ? y + skv_recurrent_y(s, time_of(u, i), u->d, b) : NULL;
            if (ended(u, i, b)) {
                memcpy(h, w.h + b * w.ld, states);
                if (s->kind == SKV_LSTM) memcpy(w.c_next + b * w.ld_next, w.c + b * w.ld, states);
                if (to) memset(to, 0, states);
            } else if (to) {
                memcpy(to, h, states);
            }
        }
    }
}

/* ---- backward ---- */

/* Of a sample that ended before the step: nothing goes by way of the gates. `held`: where its dh is kept, because the
 * product that follows writes over it, or NULL. */
static void pass_ended(const recurrent_run *u, const step_rows *w, int64_t b, float *held) {
    const int64_t n = u->s->hidden;
    memset(w->gates + b * w->ld_gates, 0, (size_t)(u->s->gates * n) * sizeof *w->gates);
    if (u->s->kind == SKV_GRU) memset(w->recurrent + b * w->ld, 0, (size_t)n * sizeof *w->recurrent);
    if (held) memcpy(held, u->dh + b * n, (size_t)n * sizeof *held);
}

/* From the gradient of the state after step i to that of the state before, by way of the gates. */
static void backward_step(recurrent_run *u, int64_t i, const float *dy) {
    const skv_recurrent_shape *s = u->s;
    const skv_recurrent_loops *f = u->loops;
    const int64_t n = s->hidden;
    const step_rows w = rows_at(u, i);
    FOR_SAMPLES(b) {
        float *gates = w.gates + b * w.ld_gates, *dh = u->dh + b * n;
        if (ended(u, i, b)) {
            pass_ended(u, &w, b, s->kind == SKV_GRU ? NULL : u->part + b * n);
            continue;
        }
        if (dy) {
            const float *from = dy + skv_recurrent_y(s, time_of(u, i), u->d, b);
            for (int64_t k = 0; k < n; k++) dh[k] += from[k];
        }
        if (s->kind == SKV_LSTM)
            f->lstm_back(gates, w.c + b * w.ld, dh, u->dc + b * n, n);
        else if (s->kind == SKV_RNN)
            f->rnn_back(gates, dh, n);
        else
            f->gru_back(gates, w.recurrent + b * w.ld, s->linear, w.h + b * w.ld, dh, n);
    }
    if (s->kind != SKV_GRU) {
        if (!all_ended(u, i)) recur(u, false, 0, w.gates, w.ld_gates, false, u->dh, n);
        for (int64_t b = 0; b < s->batch; b++)
            if (ended(u, i, b)) memcpy(u->dh + b * n, u->part + b * n, (size_t)n * sizeof *u->dh);
        return;
    }
    if (all_ended(u, i)) return;
    if (s->linear) {
        recur(u, false, 1, w.recurrent, w.ld, true, u->dh, n);
    } else {
        recur(u, false, 1, w.gates + 2 * n, w.ld_gates, false, u->part, n);
        FOR_SAMPLES(b)
        if (!ended(u, i, b))
            f->gru_back_reset(w.gates + b * w.ld_gates, u->part + b * n, w.h + b * w.ld, u->dh + b * n, n);
    }
    recur(u, false, 0, w.gates, w.ld_gates, true, u->dh, n);
}

/* y[n] = the sums of the columns of x[rows][n], `ld` apart. */
static void column_sums(const float *x, int64_t rows, int64_t n, int64_t ld, float *y) {
    memset(y, 0, (size_t)n * sizeof *y);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < n; j++) y[j] += x[r * ld + j];
}

/* What all steps give together: gradients of the weights, the biases and X. */
static void gather(recurrent_run *u) {
    const skv_recurrent_shape *s = u->s;
    void *const *out = u->call->out;
    const int64_t n = s->hidden, gh = s->gates * n, rows = (int64_t)rows_of(s), in = s->input;
    const size_t n_out = u->call->n->n_out;
    const bool gru = s->kind == SKV_GRU;
    if (out[OUT_X]) product(u, 'N', 'N', rows, in, gh, u->gates, gh, u->w, in, u->d ? 1.0f : 0.0f, out[OUT_X], in);
    if (n_out > OUT_W && out[OUT_W])
        product(u, 'T', 'N', gh, in, rows, u->gates, gh, u->x, in, 0.0f, (float *)out[OUT_W] + u->d * gh * in, in);
    if (n_out > OUT_R && out[OUT_R]) {
        float *to = (float *)out[OUT_R] + u->d * gh * n;
        product(u, 'T', 'N', gru ? 2 * n : gh, n, rows, u->gates, gh, u->h, n, 0.0f, to, n);
        if (gru && s->linear) product(u, 'T', 'N', n, n, rows, u->recurrent, n, u->h, n, 0.0f, to + 2 * n * n, n);
        if (gru && !s->linear)
            product(u, 'T', 'N', n, n, rows, u->gates + 2 * n, gh, u->recurrent, n, 0.0f, to + 2 * n * n, n);
    }
    if (n_out > OUT_B && out[OUT_B] && u->bias) {
        float *to = (float *)out[OUT_B] + 2 * u->d * gh;
        column_sums(u->gates, rows, gh, gh, to);
        memcpy(to + gh, to, (size_t)gh * sizeof *to);
        if (gru && s->linear) column_sums(u->recurrent, rows, n, n, to + gh + 2 * n);
    }
}

static void backward(recurrent_run *u) {
    const skv_recurrent_shape *s = u->s;
    skv_recurrent_load(s, u->call, DH, u->d, u->dh, s->hidden);
    skv_recurrent_load(s, u->call, DC, u->d, u->dc, s->hidden);
    pack_recurrent(u, false);
    for (int64_t i = s->steps - 1; i >= 0; i--) backward_step(u, i, u->call->n->n_in > DY ? u->call->in[DY] : NULL);
    gather(u);
    skv_recurrent_store(s, u->call, OUT_H0, u->d, u->dh);
    if (s->kind == SKV_LSTM) skv_recurrent_store(s, u->call, OUT_C0, u->d, u->dc);
}

/* ---- the records ---- */

static bool servable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i <= R; i++) {
        if (!skv_kernel_f32(&n->in[i])) return skv_decline(why, "input %zu is not float32, or empty", i);
    }
    return skv_recurrent_plain(n, why);
}

/* With constant weights the other kernel leaves out what lies behind the ends. */
static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (!servable(n, why)) return false;
    if (!n->in[W].constant || !n->in[R].constant) return true;
    if (skv_kernel_has_input(n, LENGTHS)) return skv_decline(why, "sequences of different lengths, constant weights");
    if (skv_recurrent_shape_of(n).batch < FEW_SAMPLES)
        return skv_decline(why, "fewer than %d samples, constant weights", FEW_SAMPLES);
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    recurrent_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    st->s = skv_recurrent_shape_of(n);
    st->loops = skv_recurrent_loops_of(skv_cpu_isa());
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->state = st;
    size_t rows_at_0;
    SKV_TRY(skv_scratch_add(n, scratch_floats(&st->s) * sizeof(float), &rows_at_0));
    const int64_t rows = (int64_t)rows_of(&st->s), gates = st->s.gates * st->s.hidden;
    int64_t longest = rows > gates ? rows : gates;
    if (st->s.input > longest) longest = st->s.input;
    size_t packed = 0;
    for (int k = 0; k < 4; k++) packed += packed_floats(&st->s, k / 2 == 1, k % 2);
    st->ragged = skv_kernel_has_input(n, LENGTHS);
    if (st->ragged) {
        SKV_TRY(skv_scratch_add(n, (size_t)st->s.batch * sizeof(int64_t), &st->length));
        SKV_TRY(skv_scratch_add(n, (size_t)(rows * st->s.input) * sizeof(float), &st->x));
    }
    SKV_TRY(skv_scratch_add(n, packed * sizeof(float), &st->packed));
    return skv_scratch_add(n, skv_sgemm_scratch(longest, longest, n->threads), &st->product);
}

/* Reads the lengths, and X with zeros behind them: whatever stands there, nothing of it must come through the products. */
static skive_status read_ragged(const recurrent_state *st, const skv_kernel_call *c) {
    const skv_recurrent_shape *s = &st->s;
    int64_t *length = (int64_t *)(void *)((char *)c->scratch + st->length);
    float *x = (float *)(void *)((char *)c->scratch + st->x);
    SKV_TRY(skv_recurrent_lengths(s, c, length));
    for (int64_t t = 0; t < s->steps; t++) {
        for (int64_t b = 0; b < s->batch; b++) {
            const int64_t at = skv_recurrent_row(s, t, b) * s->input;
            if (t < length[b])
                memcpy(x + at, (const float *)c->in[X] + at, (size_t)s->input * sizeof *x);
            else
                memset(x + at, 0, (size_t)s->input * sizeof *x);
        }
    }
    return SKIVE_OK;
}

static skive_status run_both(const skv_kernel_call *c, bool gradient) {
    const recurrent_state *st = c->n->state;
    if (st->ragged) SKV_TRY(read_ragged(st, c));
    for (int64_t d = 0; d < st->s.directions; d++) {
        recurrent_run u = open_run(c, d);
        forward(&u, gradient ? NULL : c->out[0]);
        if (gradient) {
            backward(&u);
        } else {
            skv_recurrent_store(u.s, c, 1, d, u.h_last);
            skv_recurrent_store(u.s, c, 2, d, u.c_last);
        }
    }
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) { return run_both(c, false); }
static skive_status run_gradient(const skv_kernel_call *c) { return run_both(c, true); }
static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_LSTM, SKV_OP_GRU, SKV_OP_RNN, SKV_OP_NONE};
static const skv_op_kind gradient_ops[] = {SKV_OP_LSTM_GRAD, SKV_OP_GRU_GRAD, SKV_OP_RNN_GRAD, SKV_OP_NONE};

const skv_kernel skv_kernel_recurrent_train_f32 = {
    .name = "recurrent_train_f32",
    .brief = "LSTM, GRU and RNN for weights in training or many samples",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};

const skv_kernel skv_kernel_recurrent_grad_f32 = {
    .name = "recurrent_grad_f32",
    .brief = "gradients of LSTM, GRU and RNN",
    .ops = gradient_ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = servable,
    .prepare = prepare,
    .run = run_gradient,
    .destroy = destroy,
};
