/* dorefa (Zhou et al. 2016). Weights: tanh(w) / max|tanh(w)|, rounded, times a constant, the largest magnitude at the
 * start; on the signed grid of that many bits, which has a zero (the paper's own levels, odd multiples of half a step,
 * have none). Activations: the range is [0, 1]. */
#include <math.h>

#include "quant/qat.h"

static const char *refuses(const skv_quantizer *q, bool weight) {
    if (!q->grid->uniform) return "its levels are not evenly spaced";
    if (weight && q->low >= 0) return "weights need a signed grid";
    return !weight && q->low < 0 ? "activations need an unsigned grid" : NULL;
}

static skive_status whole(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *scale) {
    (void)ctx;
    *scale = skv_grid_largest(x, n) / (float)q->high;
    return SKIVE_OK;
}

static skive_value *insert(const skv_qat_site *s) {
    skv_qat_point *p = s->point;
    const skv_attr_init attrs[] = {SKV_STR("transform", "tanh")};
    if (!p->node) p->grid_params = (skv_grid_params){.scale = 1.0f / (float)p->q.high};
    return skv_qat_fake(s, skv_qat_scale(s, whole, false), NULL, attrs, p->node ? 1 : 0);
}

const skv_qat_method skv_qat_method_dorefa = {
    .name = "dorefa",
    .brief = "weights through tanh, activations within [0, 1] (DoReFa)",
    .weights = true,
    .activations = true,
    .one_scale = true,
    .refuses = refuses,
    .insert = insert,
};
