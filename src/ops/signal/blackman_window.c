/* BlackmanWindow. */
#include "ops/cases.h"
#include "ops/signal/common_window.h"

static skive_status run(const skv_eval *c) {
    static const double abc[3] = {0.42, 0.5, 0.08};
    return skv_window_run(c, abc);
}

static const skv_op_case cases[] = {
    {.name = "periodic",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 4), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(-1.3877787807814457e-17, 0.3399999999999999, 0.9999999999999999, 0.3400000000000001),
     .no_grad = true},
    {.name = "symmetric",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 5), .constant = true}),
     CASE_ATTRS(CASE_INT("periodic", 0)),
     .n_out = 1,
     CASE_EXPECT(-1.3877787807814457e-17, 0.3399999999999999, 0.9999999999999999, 0.3400000000000001,
                 -1.3877787807814457e-17),
     .no_grad = true},
};

const skv_op skv_op_blackman_window = {
    .name = "BlackmanWindow",
    .brief = "Blackman window",
    SKV_WINDOW_OP,
    .run = run,
    SKV_LIST(cases),
};
