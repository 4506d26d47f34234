/* ArgMax: index of the largest element along an axis; for ties the first, or optionally the last. */
#include "ops/cases.h"
#include "ops/index/common_arg.h"

static skive_status run(const skv_eval *c) { return skv_arg_run(c, 1); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_ATTRS(CASE_INT("axis", 1), CASE_INT("keepdims", 0)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 5, 5, 4, 2, 1)}),
     .n_out = 1,
     CASE_EXPECT(1, 0),
     CASE_OUT(2),
     .no_grad = true},
    {.name = "last of equals",
     CASE_ATTRS(CASE_INT("axis", 1), CASE_INT("select_last_index", 1)),
     CASE_IN({CASE_F32(1, 3), CASE_VALUES(1, 5, 5)}),
     .n_out = 1,
     CASE_EXPECT(2),
     CASE_OUT(1, 1),
     .no_grad = true},
};

const skv_op skv_op_arg_max = {
    .name = "ArgMax",
    .brief = "index of the largest element along an axis",
    .domain = "",
    .since = 13,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .attrs = skv_arg_attrs,
    .n_attrs = SKV_COUNT(skv_arg_attrs),
    .infer = skv_arg_infer,
    .run = run,
    .grad = skv_grad_zero,
    .couple = skv_arg_couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
