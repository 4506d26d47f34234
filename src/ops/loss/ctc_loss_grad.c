/* CtcLossGrad(dloss [n], scores [n][steps][classes], labels [n][places], lengths [n]) -> dscores: dloss times (softmax
 * of the scores minus how probable it is that the step says the class, given the labels). 0 in steps behind the length,
 * and where no alignment has so few steps. */
#include "ops/loss/ctc_loss.h"

#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_CTC_LOSS, SKV_FORWARD_IN(1, 2, 3), 0));
    c->out[0] = *skv_infer_in(c, 1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) { return skv_ctc_run(c, 1, NULL, c->in[0], c->out[0]); }

static const skv_op_case cases[] = {
    /* Of the paths 11, 01, 10 two say "1" in each step: 1/2 - 2/3. */
    {.name = "one label in two steps",
     CASE_IN({CASE_F32(1), CASE_VALUES(6)}, {CASE_F32(1, 2, 2), CASE_VALUES(0, 0, 3, 3)},
             {CASE_I64(1, 1), CASE_VALUES(1), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, -1, 1, -1),
     .no_grad = true},
    {.name = "a length",
     CASE_IN({CASE_F32(1), CASE_VALUES(6)}, {CASE_F32(1, 3, 2), CASE_VALUES(0, 0, 3, 3, 5, 1)},
             {CASE_I64(1, 1), CASE_VALUES(1), .constant = true}, {CASE_I64(1), CASE_VALUES(2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, -1, 1, -1, 0, 0),
     .no_grad = true},
};

const skv_op skv_op_ctc_loss_grad = {
    .name = "CtcLossGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of CtcLoss",
    .since = 1,
    .min_in = 3,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_ctc_attrs,
    .n_attrs = SKV_COUNT(skv_ctc_attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
