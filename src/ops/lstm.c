/* LSTM, gates in the order input i, output o, forget f, cell (Hochreiter & Schmidhuber, 1997; peepholes: Gers et al., 2002):
 *
 *     i = f(x Wi^T + h Ri^T + b + Pi c), f = f(x Wf^T + h Rf^T + b + Pf c), with input_forget f = 1 - i
 *     c = f c + i g(x Wc^T + h Rc^T + b)
 *     o = f(x Wo^T + h Ro^T + b + Po c), h = o h(c) */
#include "ops/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"input_forget", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) { return skv_recurrent_infer(c, 4, 3, 2); }

static void step(const skv_recurrent_step *s) {
    const int64_t n = s->r->hidden;
    const bool coupled = skv_attr_int(s->node, "input_forget", 0) != 0;
    const double *p = s->peephole;
    double *sum = s->scratch;
    skv_recurrent_product(s->weight, 4 * n, n, s->h, sum);
    for (int64_t i = 0; i < 4 * n; i++) sum[i] += s->xw[i] + (s->bias ? s->bias[i] : 0);
    for (int64_t i = 0; i < n; i++) {
        const double in = skv_act_apply(&s->acts[0], skv_recurrent_clip(s->r, sum[i] + (p ? p[i] * s->c[i] : 0)));
        const double keep =
            coupled ? 1 - in
                    : skv_act_apply(&s->acts[0],
                                    skv_recurrent_clip(s->r, sum[2 * n + i] + (p ? p[2 * n + i] * s->c[i] : 0)));
        s->c[i] = keep * s->c[i] + in * skv_act_apply(&s->acts[1], skv_recurrent_clip(s->r, sum[3 * n + i]));
        const double out =
            skv_act_apply(&s->acts[0], skv_recurrent_clip(s->r, sum[n + i] + (p ? p[n + i] * s->c[i] : 0)));
        s->h[i] = out * skv_act_apply(&s->acts[2], s->c[i]);
    }
}

static skive_status run(const skv_eval *c) { return skv_recurrent_run(c, 4, 3, 2, step); }

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
    .infer = infer,
    .run = run,
    .cost = skv_recurrent_cost,
    SKV_LIST(cases),
};
