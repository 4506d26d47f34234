/* RandomUniformLike: numbers from [low, high), in the shape of the input. */
#include "ops/random/common_random.h"

static const skv_attr_spec attrs[] = {
    {"dtype", SKV_ATTR_INT, SKV_OPTIONAL},
    {"high", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"low", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"seed", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static const skv_op_case cases[] = {
    {.name = "of no width",
     CASE_ATTRS(CASE_FLT("low", 5), CASE_FLT("high", 5)),
     CASE_IN({CASE_F32(1, 2)}),
     .n_out = 1,
     CASE_EXPECT(5, 5),
     CASE_OUT(1, 2),
     .no_grad = true},
};

const skv_op skv_op_random_uniform_like = {
    .name = "RandomUniformLike",
    .domain = "",
    .brief = "uniform random numbers, shaped like the input",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = skv_random_infer_like,
    .run = skv_random_uniform_run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .random = true,
};
