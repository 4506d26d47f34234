/* And: logical and, broadcasting. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static int64_t integer(int64_t a, int64_t b) { return a & b; }

static skive_status run(const skv_eval *c) {
    static const skv_binary op = {.f = NULL, .i = integer, .u = NULL};
    return skv_binary_run(c, &op);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_BOOL(4), CASE_VALUES(1, 1, 0, 0)}, {CASE_BOOL(4), CASE_VALUES(1, 0, 1, 0)}),
     .n_out = 1,
     CASE_EXPECT(1, 0, 0, 0),
     .no_grad = true},
    {.name = "broadcast",
     CASE_IN({CASE_BOOL(2, 1), CASE_VALUES(1, 0)}, {CASE_BOOL(2), CASE_VALUES(1, 0)}),
     .n_out = 1,
     CASE_EXPECT(1, 0, 0, 0),
     .no_grad = true},
};

const skv_op skv_op_and = {
    .name = "And",
    .brief = "logical and",
    SKV_BINARY_OP,
    .since = 7,
    .infer = skv_infer_logic,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
