/* lsq: the step is learned (Esser et al. 2020). Its gradient is multiplied by 1 / sqrt(N * Qp), N being the numbers
 * that share it (of an activation those of one sample) and Qp the highest level. It starts where the grid's own method
 * fits it to the weights, of an activation at that of its calibrated range. The paper's start, 2 * mean|w| / sqrt(Qp)
 * ("start=mean"), is coarser than that: about twice with 4 bits, six times with 8, of which the network would first
 * have to be trained out. */
#include <math.h>
#include <string.h>

#include "quant/qat.h"

static const char *start_at(size_t i) { return i == 0 ? "fit" : i == 1 ? "mean" : NULL; }

static const skv_option options[] = {
    {.name = "start",
     .type = SKV_OPTION_CHOICE,
     .choices = start_at,
     .text = "fit",
     .brief = "steps of weights start at those that fit them, or at 2 mean|w| / sqrt(Qp)"},
};

static skive_status fitted(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *scale) {
    skv_grid_params p = {.scale = 0};
    if (n > 0) SKV_TRY(q->grid->solve(ctx, q, x, n, NULL, &p));
    *scale = p.scale;
    return SKIVE_OK;
}

static skive_status by_mean(skive_context *ctx, const skv_quantizer *q, const float *x, int64_t n, float *scale) {
    const skv_grid_params one = {.scale = 1};
    const double top = (double)skv_grid_level(q, &one, q->high);
    double sum = 0;
    (void)ctx;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    *scale = n > 0 ? (float)(2 * sum / (double)n / sqrt(top > 1 ? top : 1)) : 0;
    return SKIVE_OK;
}

static skive_value *insert(const skv_qat_site *s) {
    const bool mean = strcmp(skv_option_text(s->values, "start"), "mean") == 0;
    skive_value *scale = skv_qat_scale(s, mean ? by_mean : fitted, true);
    const skv_attr_init attrs[] = {SKV_STR("step", "lsq"),
                                   SKV_FLT("factor", 1 / sqrt(skv_qat_share(s->point) * skv_qat_top(s->point)))};
    return skv_qat_fake(s, scale, NULL, attrs, SKV_LENGTH(attrs));
}

const skv_qat_method skv_qat_method_lsq = {
    .name = "lsq",
    .brief = "the step is learned (LSQ)",
    SKV_OPTIONS(options),
    .weights = true,
    .activations = true,
    .any_bits = true,
    .insert = insert,
};
