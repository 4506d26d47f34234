/* RNN: h = f(x W^T + h R^T + bias) (Elman, 1990). */
#include <string.h>

#include "ops/recurrent/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS};

static void step(const skv_recurrent_step *s) {
    const int64_t n = s->r->hidden;
    skv_recurrent_product(s->weight, n, n, s->h, s->scratch);
    for (int64_t i = 0; i < n; i++) {
        const double sum = s->xw[i] + s->scratch[i] + (s->bias ? s->bias[i] : 0);
        s->h[i] = skv_recurrent_gate(s->r, &s->acts[0], sum);
    }
}

static void back(const skv_recurrent_back *s) {
    const int64_t n = s->f.r->hidden;
    double *sum = s->f.scratch, *dh = sum + n;
    skv_recurrent_product(s->f.weight, n, n, s->f.h, sum);
    for (int64_t i = 0; i < n; i++) {
        sum[i] += s->f.xw[i] + (s->f.bias ? s->f.bias[i] : 0);
        s->dxw[i] = skv_recurrent_gate_back(s->f.r, &s->f.acts[0], sum[i], s->dh[i]);
        if (s->dbias) s->dbias[i] += s->dxw[i];
        dh[i] = 0;
    }
    skv_recurrent_product_back(s->f.weight, n, n, s->f.h, s->dxw, s->dweight, dh);
    memcpy(s->dh, dh, (size_t)n * sizeof *dh);
}

const skv_recurrent_cell skv_cell_rnn = {
    .gates = 1, .acts = 1, .states = 1, .grad = "RNNGrad", .step = step, .back = back};

static skive_status infer(skv_infer *c) { return skv_recurrent_infer(c, &skv_cell_rnn); }
static skive_status run(const skv_eval *c) { return skv_recurrent_run(c, &skv_cell_rnn); }
static skive_status grad(skv_grad *c) { return skv_recurrent_grad(c, &skv_cell_rnn); }

static const skv_op_case cases[] = {
    /* h = tanh(x + 2 h): tanh(0.5) = 0.46211715726, tanh(-1 + 0.92423431452) */
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 1, 1), CASE_VALUES(0.5, -1)}, {CASE_F32(1, 1, 1), CASE_VALUES(1)},
             {CASE_F32(1, 1, 1), CASE_VALUES(2)}),
     CASE_ATTRS(CASE_INT("hidden_size", 1)),
     .n_out = 2,
     CASE_EXPECT(0.46211715726000974, -0.07562104149786411),
     CASE_OUT(2, 1, 1, 1)},
    {.name = "lengths, state, leaky",
     CASE_IN({CASE_F32(4, 2, 3)}, {CASE_F32(2, 2, 3)}, {CASE_F32(2, 2, 2)}, {CASE_F32(2, 4)},
             {.dtype = SKIVE_I32, .rank = 1, .dims = {2}, CASE_VALUES(4, 2), .constant = true}, {CASE_F32(2, 2, 2)}),
     CASE_ATTRS(CASE_STR("direction", "bidirectional"), CASE_STRS("activations", "LeakyRelu", "Tanh"),
                CASE_FLTS("activation_alpha", 0.1)),
     .n_out = 2,
     CASE_OUT(4, 2, 2, 2)},
};

static const skv_input_spec inputs[] = {
    SKV_RECURRENT_INPUTS(1),
};

const skv_op skv_op_rnn = {
    .name = "RNN",
    .domain = "",
    .brief = "simple recurrent layer",
    .since = 7,
    .min_in = 3,
    .max_in = 6,
    .min_out = 0,
    .max_out = 2,
    SKV_LIST(attrs),
    .needs_opset = skv_recurrent_needs_opset,
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_recurrent_couple,
    .shrink = skv_recurrent_shrink,
    .cost = skv_recurrent_cost,
    SKV_LIST(cases),
};
