/* HammingWindow. */
#include "ops/cases.h"
#include "ops/signal/common_window.h"

static skive_status run(const skv_eval *c) {
    static const double abc[3] = {25.0 / 46, 21.0 / 46, 0};
    return skv_window_run(c, abc);
}

static const skv_op_case cases[] = {
    {.name = "periodic",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 4), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0.08695652173913043, 0.5434782608695652, 1.0, 0.5434782608695653),
     .no_grad = true},
    {.name = "symmetric",
     CASE_IN({CASE_SCALAR(SKIVE_I64, 5), .constant = true}),
     CASE_ATTRS(CASE_INT("periodic", 0)),
     .n_out = 1,
     CASE_EXPECT(0.08695652173913043, 0.5434782608695652, 1.0, 0.5434782608695653, 0.08695652173913043),
     .no_grad = true},
};

const skv_op skv_op_hamming_window = {
    .name = "HammingWindow",
    .brief = "Hamming window",
    SKV_WINDOW_OP,
    .run = run,
    SKV_LIST(cases),
};
