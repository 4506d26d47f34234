/* Equal: where a = b, broadcasting; false where either is NaN. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static bool holds(int order) { return order == 0; }

static skive_status run(const skv_eval *c) { return skv_compare_run(c, holds); }

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    (void)in;
    return (skv_range){0, 1};
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3), CASE_VALUES(1, 2, 3)}, {.dtype = SKIVE_F32, CASE_VALUES(2)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 0),
     .no_grad = true},
    {.name = "int64 beyond 2^53",
     CASE_IN({CASE_I64(3), CASE_VALUES(9007199254740990, 9007199254740992, 9007199254740994)},
             {CASE_I64(1), CASE_VALUES(9007199254740992)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 0),
     .no_grad = true},
    {.name = "broadcast", CASE_IN({CASE_F32(2, 1)}, {CASE_F32(1, 3)}), .n_out = 1, CASE_OUT(2, 3), .no_grad = true},
};

const skv_op skv_op_equal = {
    .name = "Equal",
    .brief = "a = b, as bool",
    SKV_BINARY_OP,
    .since = 11,
    .needs_opset = needs_opset,
    .infer = skv_infer_compare,
    .run = run,
    .grad = skv_grad_zero,
    .range = range,
    .strings = SKV_STRINGS(0) | SKV_STRINGS(1),
    SKV_LIST(cases),
};
