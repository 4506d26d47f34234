/* pact: of activations. The clip a is learned and decays (Choi et al. 2018): its gradient is the sum of those of the
 * numbers beyond it. The step is a / Qp, so that its gradient, multiplied by 1 / Qp^2, and the same decay move a as the
 * paper does. */
#include "quant/qat.h"

static const skv_option options[] = {
    {.name = "decay", .type = SKV_OPTION_REAL, .most = 1e3, .fallback = 1e-4, .brief = "decay of the clip"},
};

static const char *refuses(const skv_quantizer *q, bool weight) {
    (void)weight;
    return q->grid->uniform ? NULL : "it has no clip to be learned; use lsq";
}

static skive_value *insert(const skv_qat_site *s) {
    const double top = skv_qat_top(s->point);
    const skv_attr_init attrs[] = {SKV_STR("step", "pact"), SKV_FLT("factor", 1 / (top * top)),
                                   SKV_FLT("decay", skv_option_real(s->values, "decay"))};
    return skv_qat_fake(s, skv_qat_scale(s, NULL, true), NULL, attrs, SKV_LENGTH(attrs));
}

const skv_qat_method skv_qat_method_pact = {
    .name = "pact",
    .brief = "the clip is learned and decays (PACT)",
    SKV_OPTIONS(options),
    .activations = true,
    .any_bits = true,
    .refuses = refuses,
    .insert = insert,
};
