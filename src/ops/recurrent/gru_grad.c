/* GRUGrad: see common_recurrent.h. */
#include "ops/recurrent/common_recurrent.h"

static const skv_attr_spec attrs[] = {SKV_RECURRENT_ATTRS, {"linear_before_reset", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) { return skv_recurrent_grad_infer(c, &skv_cell_gru); }
static skive_status run(const skv_eval *c) { return skv_recurrent_grad_run(c, &skv_cell_gru); }

static const skv_op_case cases[] = {
    /* gates 1/2, n = tanh(2 x): dx = (1 - z) (1 - n^2) 2 at x = 0.25 */
    {.name = "one step by hand",
     CASE_IN({CASE_F32(1, 1, 1), CASE_VALUES(0.25)}, {CASE_F32(1, 3, 1), CASE_VALUES(0, 0, 2)},
             {CASE_F32(1, 3, 1), CASE_VALUES(0, 0, 0)}, {.absent = true}, {.absent = true}, {.absent = true},
             {.absent = true}, {.absent = true}, {CASE_F32(1, 1, 1, 1), CASE_VALUES(1)}),
     .n_out = 4,
     CASE_EXPECT(0.78644773296592741),
     CASE_OUT(1, 1, 1)},
};

const skv_op skv_op_gru_grad = {
    .name = "GRUGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradients of GRU",
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
