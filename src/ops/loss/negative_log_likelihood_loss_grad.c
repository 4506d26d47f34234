/* NegativeLogLikelihoodLossGrad(dloss, x, labels, weight) -> dx: -weight[label] * dloss at the label, divided by the
 * sum of weights for a mean; zero elsewhere. Of x only the shape is read. */
#include <string.h>

#include "ops/loss/common_nll.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_NEGATIVE_LOG_LIKELIHOOD_LOSS, SKV_FORWARD_IN(1, 2, 3), 0));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *dx = c->out[0];
    skv_nll_walk w;
    SKV_TRY(skv_nll_start(c, 1, &w));
    memset(dx->data, 0, skive_tensor_bytes(dx));
    for (int64_t i = 0; i < w.count; i++) {
        size_t at = 0;
        const double weight = skv_nll_weight(&w, i, &at);
        if (weight == 0) continue;
        const double d = skv_load_f64(dy->dtype, dy->data, w.reduction == SKV_NLL_NONE ? (size_t)i : 0);
        skv_store_f64(dx->dtype, dx->data, at, -weight * d / w.divisor);
    }
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "weighted mean",
     CASE_IN({CASE_SCALAR(SKIVE_F32, 8)}, {CASE_F32(2, 3)}, {CASE_I64(2), CASE_VALUES(0, 2), .constant = true},
             {CASE_F32(3), CASE_VALUES(1, 2, 3), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(-2, 0, 0, 0, 0, -6)},
};

const skv_op skv_op_negative_log_likelihood_loss_grad = {
    .name = "NegativeLogLikelihoodLossGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of NegativeLogLikelihoodLoss",
    .since = 1,
    .min_in = 3,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_nll_attrs,
    .n_attrs = SKV_COUNT(skv_nll_attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
