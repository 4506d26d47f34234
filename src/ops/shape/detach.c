/* Detach: y = x, through which no gradient passes. Of terms of a loss of which one side is taken as given. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static skive_status grad(skv_grad *c) { return c->b->status; }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4),
     CASE_OUT(2, 2),
     .no_grad = true},
};

const skv_op skv_op_detach = {
    .name = "Detach",
    .domain = SKV_DOMAIN,
    .brief = "the input unchanged, without a gradient",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .infer = skv_infer_same,
    .run = skv_run_copy,
    .grad = grad,
    .cost = skv_cost_none,
    SKV_LIST(cases),
    .motion = SKV_RESHAPES,
};
