/* GRU, gates in the order update z, reset r, hidden (Cho et al., 2014):
 *
 *     z = f(x Wz^T + h Rz^T + b), r = f(x Wr^T + h Rr^T + b)
 *     n = g(x Wh^T + (r h) Rh^T + Rbh + Wbh), or with linear_before_reset g(x Wh^T + r (h Rh^T + Rbh) + Wbh)
 *     h = (1 - z) n + z h */
#include "ops/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"linear_before_reset", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) { return skv_recurrent_infer(c, 3, 2, 1); }

static void step(const skv_recurrent_step *s) {
    const int64_t n = s->r->hidden;
    const bool linear = skv_attr_int(s->node, "linear_before_reset", 0) != 0;
    double *z = s->scratch, *r = s->scratch + n, *product = s->scratch + 2 * n, *gated = s->scratch + 3 * n;
    skv_recurrent_product(s->weight, 2 * n, n, s->h, s->scratch);
    for (int64_t i = 0; i < 2 * n; i++)
        s->scratch[i] =
            skv_act_apply(&s->acts[0], skv_recurrent_clip(s->r, s->xw[i] + s->scratch[i] + (s->bias ? s->bias[i] : 0)));
    for (int64_t i = 0; i < n; i++) gated[i] = linear ? s->h[i] : r[i] * s->h[i];
    skv_recurrent_product(s->weight + 2 * n * n, n, n, gated, product);
    for (int64_t i = 0; i < n; i++) {
        const double bias = s->bias ? s->bias[2 * n + i] : 0;
        const double sum = s->xw[2 * n + i] + (linear ? r[i] * (product[i] + bias) : product[i] + bias);
        s->h[i] = (1 - z[i]) * skv_act_apply(&s->acts[1], skv_recurrent_clip(s->r, sum)) + z[i] * s->h[i];
    }
}

static skive_status run(const skv_eval *c) { return skv_recurrent_run(c, 3, 2, 1, step); }

static const skv_op_case cases[] = {
    /* all gates see x = 1 only: z = r = 0.7310585786300049, n = tanh(1) = 0.7615941559557649, h = (1 - z) n */
    {.name = "first step by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(1)}, {CASE_F32(1, 3, 1), CASE_VALUES(1, 1, 1)},
             {CASE_F32(1, 3, 1), CASE_VALUES(3, 4, 5)}),
     .n_out = 2,
     CASE_EXPECT(0.20482421480982513),
     CASE_OUT(1, 1, 1, 1)},
    {.name = "both directions, batch first",
     CASE_IN({CASE_F32(2, 3, 4)}, {CASE_F32(2, 6, 4)}, {CASE_F32(2, 6, 2)}, {CASE_F32(2, 12)}),
     CASE_ATTRS(CASE_STR("direction", "bidirectional"), CASE_INT("layout", 1), CASE_INT("linear_before_reset", 1)),
     .n_out = 2,
     CASE_OUT(2, 3, 2, 2)},
};

const skv_op skv_op_gru = {
    .name = "GRU",
    .domain = "",
    .brief = "recurrent layer with gates",
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
