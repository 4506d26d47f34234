/* fixed: of activations. The calibrated range stays (Jacob et al. 2018, without the moving average). */
#include "quant/qat.h"

static const char *refuses(const skv_quantizer *q, bool weight) {
    (void)weight;
    return q->grid->uniform ? NULL : "it has no range to be fixed; use lsq";
}

static skive_value *insert(const skv_qat_site *s) {
    return skv_qat_fake(s, skv_qat_scale(s, NULL, false), NULL, NULL, 0);
}

const skv_qat_method skv_qat_method_fixed = {
    .name = "fixed",
    .brief = "the calibrated range stays",
    .activations = true,
    .any_bits = true,
    .refuses = refuses,
    .insert = insert,
};
