/* GRU, gates in the order update z, reset r, hidden (Cho et al., 2014):
 *
 *     z = f(x Wz^T + h Rz^T + b), r = f(x Wr^T + h Rr^T + b)
 *     n = g(x Wh^T + (r h) Rh^T + Rbh + Wbh), or with linear_before_reset g(x Wh^T + r (h Rh^T + Rbh) + Wbh)
 *     h = (1 - z) n + z h */
#include <string.h>

#include "ops/recurrent/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"linear_before_reset", SKV_ATTR_INT, SKV_OPTIONAL}};

static void step(const skv_recurrent_step *s) {
    const int64_t n = s->r->hidden;
    const bool linear = skv_attr_int(s->node, "linear_before_reset", 0) != 0;
    double *z = s->scratch, *r = s->scratch + n, *product = s->scratch + 2 * n, *gated = s->scratch + 3 * n;
    skv_recurrent_product(s->weight, 2 * n, n, s->h, s->scratch);
    for (int64_t i = 0; i < 2 * n; i++)
        s->scratch[i] = skv_recurrent_gate(s->r, &s->acts[0], s->xw[i] + s->scratch[i] + (s->bias ? s->bias[i] : 0));
    for (int64_t i = 0; i < n; i++) gated[i] = linear ? s->h[i] : r[i] * s->h[i];
    skv_recurrent_product(s->weight + 2 * n * n, n, n, gated, product);
    for (int64_t i = 0; i < n; i++) {
        const double bias = s->bias ? s->bias[2 * n + i] : 0;
        const double sum = s->xw[2 * n + i] + (linear ? r[i] * (product[i] + bias) : product[i] + bias);
        s->h[i] = (1 - z[i]) * skv_recurrent_gate(s->r, &s->acts[1], sum) + z[i] * s->h[i];
    }
}

static void back(const skv_recurrent_back *s) {
    const skv_recurrent *r = s->f.r;
    const skv_act_fn *acts = s->f.acts;
    const int64_t n = r->hidden;
    const bool linear = skv_attr_int(s->f.node, "linear_before_reset", 0) != 0;
    const double *h = s->f.h, *weight_n = s->f.weight + 2 * n * n;
    double *sum = s->f.scratch, *d_sum = sum + 2 * n, *gated = sum + 4 * n, *product = gated + n,
           *d_product = product + n, *d_gated = d_product + n, *dh = d_gated + n;
    skv_recurrent_product(s->f.weight, 2 * n, n, h, sum);
    for (int64_t i = 0; i < 2 * n; i++) sum[i] += s->f.xw[i] + (s->f.bias ? s->f.bias[i] : 0);
    for (int64_t i = 0; i < n; i++) gated[i] = linear ? h[i] : skv_recurrent_gate(r, &acts[0], sum[n + i]) * h[i];
    skv_recurrent_product(weight_n, n, n, gated, product);
    for (int64_t i = 0; i < n; i++) {
        const double update = skv_recurrent_gate(r, &acts[0], sum[i]),
                     reset = skv_recurrent_gate(r, &acts[0], sum[n + i]);
        const double recurrent = product[i] + (s->f.bias ? s->f.bias[2 * n + i] : 0);
        const double sum_n = s->f.xw[2 * n + i] + (linear ? reset * recurrent : recurrent);
        const double d_n = skv_recurrent_gate_back(r, &acts[1], sum_n, s->dh[i] * (1 - update));
        d_sum[i] =
            skv_recurrent_gate_back(r, &acts[0], sum[i], s->dh[i] * (h[i] - skv_recurrent_gate(r, &acts[1], sum_n)));
        d_sum[n + i] = linear ? skv_recurrent_gate_back(r, &acts[0], sum[n + i], d_n * recurrent) : 0;
        d_product[i] = linear ? d_n * reset : d_n;
        s->dxw[2 * n + i] = d_n;
        if (s->dbias) s->dbias[2 * n + i] += d_product[i];
        dh[i] = s->dh[i] * update;
        d_gated[i] = 0;
    }
    skv_recurrent_product_back(weight_n, n, n, gated, d_product, s->dweight + 2 * n * n, d_gated);
    for (int64_t i = 0; i < n; i++) {
        if (linear) {
            dh[i] += d_gated[i];
        } else {
            dh[i] += d_gated[i] * skv_recurrent_gate(r, &acts[0], sum[n + i]);
            d_sum[n + i] = skv_recurrent_gate_back(r, &acts[0], sum[n + i], d_gated[i] * h[i]);
        }
    }
    for (int64_t i = 0; i < 2 * n; i++) {
        s->dxw[i] = d_sum[i];
        if (s->dbias) s->dbias[i] += d_sum[i];
    }
    skv_recurrent_product_back(s->f.weight, 2 * n, n, h, d_sum, s->dweight, dh);
    memcpy(s->dh, dh, (size_t)n * sizeof *dh);
}

const skv_recurrent_cell skv_cell_gru = {
    .gates = 3, .acts = 2, .states = 1, .grad = "GRUGrad", .step = step, .back = back};

static skive_status infer(skv_infer *c) { return skv_recurrent_infer(c, &skv_cell_gru); }
static skive_status run(const skv_eval *c) { return skv_recurrent_run(c, &skv_cell_gru); }
static skive_status grad(skv_grad *c) { return skv_recurrent_grad(c, &skv_cell_gru); }

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
    {.name = "reset before the product, lengths, state, other activations",
     CASE_IN({CASE_F32(3, 2, 2)}, {CASE_F32(2, 6, 2)}, {CASE_F32(2, 6, 2)}, {CASE_F32(2, 12)},
             {.dtype = SKIVE_I32, .rank = 1, .dims = {2}, CASE_VALUES(1, 3), .constant = true}, {CASE_F32(2, 2, 2)}),
     CASE_ATTRS(CASE_STR("direction", "bidirectional"), CASE_FLT("clip", 1.5),
                CASE_STRS("activations", "Sigmoid", "Elu", "Affine", "Softplus"),
                CASE_FLTS("activation_alpha", 0.7, 0.4), CASE_FLTS("activation_beta", 0.3)),
     .n_out = 2,
     CASE_OUT(3, 2, 2, 2)},
};

static const skv_input_spec inputs[] = {
    SKV_RECURRENT_INPUTS(3),
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
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_recurrent_couple,
    .shrink = skv_recurrent_shrink,
    .cost = skv_recurrent_cost,
    SKV_LIST(cases),
};
