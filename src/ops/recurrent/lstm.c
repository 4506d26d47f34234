/* LSTM, gates in the order input i, output o, forget f, cell (Hochreiter & Schmidhuber, 1997; peepholes: Gers et al.,
 * 2002):
 *
 *     i = f(x Wi^T + h Ri^T + b + Pi c), f = f(x Wf^T + h Rf^T + b + Pf c), with input_forget f = 1 - i
 *     c = f c + i g(x Wc^T + h Rc^T + b)
 *     o = f(x Wo^T + h Ro^T + b + Po c), h = o h(c) */
#include <string.h>

#include "ops/recurrent/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"input_forget", SKV_ATTR_INT, SKV_OPTIONAL}};

static void step(const skv_recurrent_step *s) {
    const int64_t n = s->r->hidden;
    const bool coupled = skv_attr_int(s->node, "input_forget", 0) != 0;
    const double *p = s->peephole;
    double *sum = s->scratch;
    skv_recurrent_product(s->weight, 4 * n, n, skv_recurrent_operand(s, sum + 4 * n), sum);
    for (int64_t i = 0; i < 4 * n; i++) sum[i] += s->xw[i] + (s->bias ? s->bias[i] : 0);
    for (int64_t i = 0; i < n; i++) {
        const double in = skv_recurrent_gate(s->r, &s->acts[0], sum[i] + (p ? p[i] * s->c[i] : 0));
        const double keep =
            coupled ? 1 - in : skv_recurrent_gate(s->r, &s->acts[0], sum[2 * n + i] + (p ? p[2 * n + i] * s->c[i] : 0));
        s->c[i] = keep * s->c[i] + in * skv_recurrent_gate(s->r, &s->acts[1], sum[3 * n + i]);
        const double out = skv_recurrent_gate(s->r, &s->acts[0], sum[n + i] + (p ? p[n + i] * s->c[i] : 0));
        s->h[i] = out * skv_act_apply(&s->acts[2], s->c[i]);
    }
}

static void back(const skv_recurrent_back *s) {
    const skv_recurrent *r = s->f.r;
    const skv_act_fn *acts = s->f.acts;
    const int64_t n = r->hidden;
    const bool coupled = skv_attr_int(s->f.node, "input_forget", 0) != 0;
    const double *p = s->f.peephole, *c = s->f.c;
    double *sum = s->f.scratch, *dp = s->dpeephole;
    skv_recurrent_product(s->f.weight, 4 * n, n, s->f.h, sum);
    for (int64_t i = 0; i < 4 * n; i++) sum[i] += s->f.xw[i] + (s->f.bias ? s->f.bias[i] : 0);
    for (int64_t i = 0; i < n; i++) {
        const double sum_in = sum[i] + (p ? p[i] * c[i] : 0), sum_keep = sum[2 * n + i] + (p ? p[2 * n + i] * c[i] : 0);
        const double in = skv_recurrent_gate(r, &acts[0], sum_in);
        const double keep = coupled ? 1 - in : skv_recurrent_gate(r, &acts[0], sum_keep);
        const double fresh = skv_recurrent_gate(r, &acts[1], sum[3 * n + i]), cell = keep * c[i] + in * fresh;
        const double sum_out = sum[n + i] + (p ? p[n + i] * cell : 0);
        const double d_out = skv_recurrent_gate_back(r, &acts[0], sum_out, s->dh[i] * skv_act_apply(&acts[2], cell));
        const double d_cell = s->dc[i] + (p ? p[n + i] * d_out : 0) +
                              s->dh[i] * skv_recurrent_gate(r, &acts[0], sum_out) * acts[2].slope(cell, acts[2].p);
        const double d_in = skv_recurrent_gate_back(r, &acts[0], sum_in, d_cell * (fresh - (coupled ? c[i] : 0)));
        const double d_keep = coupled ? 0 : skv_recurrent_gate_back(r, &acts[0], sum_keep, d_cell * c[i]);
        s->dxw[i] = d_in;
        s->dxw[n + i] = d_out;
        s->dxw[2 * n + i] = d_keep;
        s->dxw[3 * n + i] = skv_recurrent_gate_back(r, &acts[1], sum[3 * n + i], d_cell * in);
        s->dc[i] = d_cell * keep + (p ? p[i] * d_in + p[2 * n + i] * d_keep : 0);
        if (dp) {
            dp[i] += d_in * c[i];
            dp[n + i] += d_out * cell;
            dp[2 * n + i] += d_keep * c[i];
        }
    }
    for (int64_t i = 0; s->dbias && i < 4 * n; i++) s->dbias[i] += s->dxw[i];
    memset(s->dh, 0, (size_t)n * sizeof *s->dh);
    skv_recurrent_product_back(s->f.weight, 4 * n, n, s->f.h, s->dxw, s->dweight, s->dh);
}

const skv_recurrent_cell skv_cell_lstm = {
    .gates = 4, .acts = 3, .states = 2, .grad = "LSTMGrad", .step = step, .back = back};

static skive_status infer(skv_infer *c) { return skv_recurrent_infer(c, &skv_cell_lstm); }
static skive_status run(const skv_eval *c) { return skv_recurrent_run(c, &skv_cell_lstm); }
static skive_status grad(skv_grad *c) { return skv_recurrent_grad(c, &skv_cell_lstm); }

static const skv_op_case cases[] = {
    /* every gate sees x = 1 only: c = sigmoid(1) tanh(1) = 0.5567699, h = sigmoid(1) tanh(c) */
    {.name = "first step by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 4, 1), CASE_VALUES(1, 1, 1, 1)},
             {CASE_F32(1, 4, 1), CASE_VALUES(3, 4, 5, 6)}),
     .n_out = 3,
     CASE_EXPECT(0.36960635293570576),
     CASE_OUT(1, 1, 1, 1)},
    {.name = "both directions, lengths, states, peepholes",
     CASE_IN({CASE_F32(3, 2, 4)}, {CASE_F32(2, 8, 4)}, {CASE_F32(2, 8, 2)}, {CASE_F32(2, 16)},
             {.dtype = SKIVE_I32, .rank = 1, .dims = {2}, CASE_VALUES(3, 2), .constant = true}, {CASE_F32(2, 2, 2)},
             {CASE_F32(2, 2, 2)}, {CASE_F32(2, 6)}),
     CASE_ATTRS(CASE_STR("direction", "bidirectional")),
     .n_out = 3,
     CASE_OUT(3, 2, 2, 2)},
    {.name = "other activations, clip, coupled gates, backward, batch first",
     CASE_IN({CASE_F32(2, 3, 2)}, {CASE_F32(1, 12, 2)}, {CASE_F32(1, 12, 3)}, {CASE_F32(1, 24)}, CASE_ABSENT,
             {CASE_F32(2, 1, 3)}, {CASE_F32(2, 1, 3)}, {CASE_F32(1, 9)}),
     CASE_ATTRS(CASE_STR("direction", "reverse"), CASE_INT("layout", 1), CASE_INT("input_forget", 1),
                CASE_FLT("clip", 0.9), CASE_STRS("activations", "HardSigmoid", "Softsign", "ScaledTanh"),
                CASE_FLTS("activation_alpha", 0.3, 1.2), CASE_FLTS("activation_beta", 0.4, 0.8)),
     .n_out = 3,
     CASE_OUT(2, 3, 1, 3)},
};

static const skv_input_spec inputs[] = {
    SKV_RECURRENT_INPUTS(4),
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_SCALE, .axes = true, .out_axis = 1, .in_axis = -1, .blocks = 3},
};

const skv_op skv_op_lstm = {
    .name = "LSTM",
    .domain = "",
    .brief = "recurrent layer with gates and a cell",
    .since = 7,
    .min_in = 3,
    .max_in = 8,
    .min_out = 0,
    .max_out = 3,
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
