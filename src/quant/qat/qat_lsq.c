/* lsq: the step is learned (Esser et al. 2020). Its gradient is multiplied by 1 / sqrt(N * Qp), N being the numbers
 * that share it (of an activation those of one sample) and Qp the highest level, and it starts at
 * 2 * mean|w| / sqrt(Qp); of an activation at that of its calibrated range. */
#include <math.h>

#include "quant/qat.h"

static float start(const skv_quantizer *q, const float *x, int64_t n) {
    const skv_grid_params one = {.scale = 1};
    const double top = (double)skv_grid_level(q, &one, q->high);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    return n > 0 ? (float)(2 * sum / (double)n / sqrt(top > 1 ? top : 1)) : 0;
}

static skive_value *insert(const skv_qat_site *s) {
    skive_value *scale = skv_qat_scale(s, start, true);
    const skv_attr_init attrs[] = {SKV_STR("step", "lsq"),
                                   SKV_FLT("factor", 1 / sqrt(skv_qat_share(s->point) * skv_qat_top(s->point)))};
    return skv_qat_fake(s, scale, NULL, attrs, SKV_LENGTH(attrs));
}

const skv_qat_method skv_qat_method_lsq = {
    .name = "lsq",
    .brief = "the step is learned (LSQ)",
    .weights = true,
    .activations = true,
    .any_bits = true,
    .insert = insert,
};
