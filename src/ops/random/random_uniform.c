/* RandomUniform: numbers from [low, high), in the shape of an attribute. */
#include "ops/random/common_random.h"

static const skv_attr_spec attrs[] = {
    {"dtype", SKV_ATTR_INT, SKV_OPTIONAL},  {"high", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"low", SKV_ATTR_FLOAT, SKV_OPTIONAL},  {"seed", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"shape", SKV_ATTR_INTS, SKV_REQUIRED},
};

static const skv_op_case cases[] = {
    {.name = "of no width",
     CASE_ATTRS(CASE_INTS("shape", 2, 3), CASE_FLT("low", 5), CASE_FLT("high", 5)),
     .n_out = 1,
     CASE_EXPECT(5, 5, 5, 5, 5, 5),
     CASE_OUT(2, 3),
     .no_grad = true},
};

const skv_op skv_op_random_uniform = {
    .name = "RandomUniform",
    .domain = "",
    .brief = "uniform random numbers",
    .since = 1,
    .min_in = 0,
    .max_in = 0,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = skv_random_infer_shape,
    .run = skv_random_uniform_run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .random = true,
};
