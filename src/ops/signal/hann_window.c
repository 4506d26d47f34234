/* HannWindow. */
#include "ops/cases.h"
#include "ops/signal/common_window.h"

static skive_status run(const skv_eval *c) {
    static const double abc[3] = {0.5, 0.5, 0};
    return skv_window_run(c, abc);
}

static const skv_op_case cases[] = {
    {.name = "periodic",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 4), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0.0, 0.49999999999999994, 1.0, 0.5000000000000001),
     .no_grad = true},
    {.name = "symmetric",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 5), .constant = true}),
     CASE_ATTRS(CASE_INT("periodic", 0)),
     .n_out = 1,
     CASE_EXPECT(0.0, 0.49999999999999994, 1.0, 0.5000000000000001, 0.0),
     .no_grad = true},
};

const skv_op skv_op_hann_window = {
    .name = "HannWindow",
    .brief = "Hann window",
    SKV_WINDOW_OP,
    .run = run,
    SKV_LIST(cases),
};
