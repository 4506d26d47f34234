/* RNN: h = f(x W^T + h R^T + bias) (Elman, 1990). */
#include "ops/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS};

static skive_status infer(skv_infer *c) { return skv_recurrent_infer(c, 1, 1, 1); }

static void step(const skv_recurrent_step *s) {
    const int64_t n = s->r->hidden;
    skv_recurrent_product(s->weight, n, n, s->h, s->scratch);
    for (int64_t i = 0; i < n; i++) {
        const double sum = s->xw[i] + s->scratch[i] + (s->bias ? s->bias[i] : 0);
        s->h[i] = skv_act_apply(&s->acts[0], skv_recurrent_clip(s->r, sum));
    }
}

static skive_status run(const skv_eval *c) { return skv_recurrent_run(c, 1, 1, 1, step); }

static const skv_op_case cases[] = {
    /* h = tanh(x + 2 h): tanh(0.5) = 0.46211715726, tanh(-1 + 0.92423431452) */
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 1, 1), CASE_VALUES(0.5, -1)}, {CASE_F32(1, 1, 1), CASE_VALUES(1)},
             {CASE_F32(1, 1, 1), CASE_VALUES(2)}),
     CASE_ATTRS(CASE_INT("hidden_size", 1)),
     .n_out = 2,
     CASE_EXPECT(0.46211715726000974, -0.07562104149786411),
     CASE_OUT(2, 1, 1, 1)},
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
    .infer = infer,
    .run = run,
    .cost = skv_recurrent_cost,
    SKV_LIST(cases),
};
