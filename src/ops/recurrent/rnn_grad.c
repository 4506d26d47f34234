/* RNNGrad: see common_recurrent.h. */
#include "ops/recurrent/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS};

static skive_status infer(skv_infer *c) { return skv_recurrent_grad_infer(c, &skv_cell_rnn); }
static skive_status run(const skv_eval *c) { return skv_recurrent_grad_run(c, &skv_cell_rnn); }

static const skv_op_case cases[] = {
    /* h = tanh(x w + h0 r + b) with all of them 0.5 but b = 0: tanh(0.5), slope 0.78644773296592741 */
    {.name = "one step by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(0.5)}, {CASE_F32(1, 1, 1), CASE_VALUES(0.5)},
             {CASE_F32(1, 1, 1), CASE_VALUES(0.5)}, {.absent = true}, {.absent = true},
             {CASE_F32(1, 1, 1), CASE_VALUES(0.5)}, {.absent = true}, {.absent = true},
             {CASE_F32(1, 1, 1, 1), CASE_VALUES(1)}),
     .n_out = 5,
     CASE_EXPECT(0.39322386648296370),
     CASE_OUT(1, 1, 1)},
};

const skv_op skv_op_rnn_grad = {
    .name = "RNNGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradients of RNN",
    .since = 1,
    .min_in = 3,
    .max_in = SKV_RECURRENT_GRAD_INPUTS,
    .min_out = 0,
    .max_out = SKV_RECURRENT_GRADIENTS,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_recurrent_grad_cost,
    SKV_LIST(cases),
};
