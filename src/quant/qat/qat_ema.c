/* ema: of activations. The range is a moving average of those of the batches, and activations are not rounded until so
 * many steps are done, while weights change most (Jacob et al. 2018). The zero point stays. */
#include "quant/qat.h"

static const skv_option options[] = {
    {.name = "momentum",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .below = true,
     .fallback = 0.99,
     .brief = "what stays of the range at each step"},
    {.name = "delay",
     .type = SKV_OPTION_INTEGER,
     .most = 1e9,
     .fallback = 100,
     .brief = "steps before activations are rounded"},
};

static const char *refuses(const skv_quantizer *q, bool weight) {
    (void)weight;
    return q->grid->uniform ? NULL : "it has no range to be followed; use lsq";
}

static skive_value *insert(const skv_qat_site *s) {
    const skv_attr_init attrs[] = {SKV_FLT("momentum", skv_option_real(s->values, "momentum")),
                                   SKV_FLT("delay", (double)skv_option_integer(s->values, "delay"))};
    skive_value *scale = skv_qat_scale(s, NULL, false);
    return skv_qat_fake(s, scale, skv_emit_scalar(s->b, SKIVE_F32, 0), attrs, SKV_LENGTH(attrs));
}

const skv_qat_method skv_qat_method_ema = {
    .name = "ema",
    .brief = "the range is a moving average of those of the batches",
    SKV_OPTIONS(options),
    .activations = true,
    .any_bits = true,
    .refuses = refuses,
    .insert = insert,
};
