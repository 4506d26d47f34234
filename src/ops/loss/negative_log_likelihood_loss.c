/* NegativeLogLikelihoodLoss: -weight[label] * x[label], where x are log-probabilities; summed, averaged by weight, or
 * not reduced. Labels equal to ignore_index are ignored. */
#include "ops/loss/common_nll.h"

static skive_status infer(skv_infer *c) { return skv_nll_loss_type(c, 0, &c->out[0]); }

static skive_status run(const skv_eval *c) {
    skv_nll_walk w;
    skv_doubles x = {0};
    SKV_TRY(skv_nll_start(c, 0, &w));
    SKV_TRY(skv_doubles_read(c->ctx, c->in[0], &x));
    skv_nll_store(&w, x.p, c->out[0]);
    skv_doubles_free(c->ctx, &x);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_nll_emit_grad(c, c->node->inputs[0]);
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    (void)n;
    return 13;
}

static const skv_op_case cases[] = {
    {.name = "mean",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(-1, -2, -3, -4, -5, -6)}, {CASE_I64(2), CASE_VALUES(0, 2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3.5)},
    {.name = "weighted mean",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(-1, -2, -3, -4, -5, -6)}, {CASE_I64(2), CASE_VALUES(0, 2), .constant = true},
             {CASE_F32(3), CASE_VALUES(1, 2, 3), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(4.75)},
    {.name = "sum over pixels, one class ignored",
     CASE_IN({CASE_F32(1, 2, 3), CASE_VALUES(-1, -2, -3, -4, -5, -6)},
             {CASE_I64(1, 3), CASE_VALUES(0, 7, 1), .constant = true}),
     CASE_ATTRS(CASE_STR("reduction", "sum"), CASE_INT("ignore_index", 7)),
     .n_out = 1,
     CASE_EXPECT(7)},
    {.name = "none",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(-1, -2, -3, -4, -5, -6)}, {CASE_I64(2), CASE_VALUES(0, 2), .constant = true}),
     CASE_ATTRS(CASE_STR("reduction", "none")),
     .n_out = 1,
     CASE_EXPECT(1, 6),
     CASE_OUT(2)},
};

const skv_op skv_op_negative_log_likelihood_loss = {
    .name = "NegativeLogLikelihoodLoss",
    .domain = "",
    .brief = "loss of log-probabilities against labels",
    .since = 12,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_nll_attrs,
    .n_attrs = SKV_COUNT(skv_nll_attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
