/* LogSoftmaxGrad(dY, Y) -> dX = dY - exp(Y) * sum of dY along `axis`. */
#include "ops/activation/common_softmax.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
};

static void row(double *d, const double *y, int64_t n, int64_t step) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += d[i * step];
    for (int64_t i = 0; i < n; i++) d[i * step] -= exp(y[i * step]) * sum;
}

static skive_status run(const skv_eval *c) { return skv_softmax_run(c, row); }

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 3; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    {.name = "last axis", /* Y = log 1/2, log 1/4, log 1/4; the sum of dY is 4 */
     CASE_IN({CASE_F32(1, 3), CASE_VALUES(3, 1, 0)},
             {CASE_F32(1, 3), CASE_VALUES(-0.6931471805599453, -1.3862943611198906, -1.3862943611198906)}),
     .n_out = 1,
     CASE_EXPECT(1, 0, -1)},
    {.name = "axis 0",
     CASE_IN({CASE_F32(2, 1), CASE_VALUES(4, 0)},
             {CASE_F32(2, 1), CASE_VALUES(-0.6931471805599453, -0.6931471805599453)}),
     CASE_ATTRS(CASE_INT("axis", 0)),
     .n_out = 1,
     CASE_EXPECT(2, -2)},
};

const skv_op skv_op_log_softmax_grad = {
    .name = "LogSoftmaxGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of LogSoftmax",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = skv_softmax_grad_infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
