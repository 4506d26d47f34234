/* LSTMGrad: see common_recurrent.h. */
#include "ops/recurrent/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"input_forget", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) { return skv_recurrent_grad_infer(c, &skv_cell_lstm); }
static skive_status run(const skv_eval *c) { return skv_recurrent_grad_run(c, &skv_cell_lstm); }

static const skv_op_case cases[] = {
    /* gates 1/2, c = tanh(2 x) / 2, h = tanh(c) / 2: dx = (1 - tanh(c)^2) (1 - tanh(2 x)^2) / 2 at x = 0.25 */
    {.name = "one step by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(0.25)}, {CASE_F32(1, 4, 1), CASE_VALUES(0, 0, 0, 2)},
             {CASE_F32(1, 4, 1), CASE_VALUES(0, 0, 0, 0)}, {.absent = true}, {.absent = true}, {.absent = true},
             {.absent = true}, {.absent = true}, {CASE_F32(1, 1, 1, 1), CASE_VALUES(1)}),
     .n_out = 4,
     CASE_EXPECT(0.3729556120220518),
     CASE_OUT(1, 1, 1)},
};

const skv_op skv_op_lstm_grad = {
    .name = "LSTMGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradients of LSTM",
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
