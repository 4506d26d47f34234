/* ttq: of weights. Two learned values and 0, the values standing where magnitudes exceed 0.05 of the largest (Zhu et
 * al. 2017). They start at the means of what they replace. Their gradients are multiplied by 1 / sqrt(N), as those of a
 * learned step, so that they move as fast as the weights. The model that comes out has them as a codebook of three
 * values, in float32. */
#include <math.h>
#include <stdio.h>

#include "quant/qat.h"

static const skv_option options[] = {
    {.name = "threshold",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .below = true,
     .fallback = 0.05,
     .brief = "fraction of the largest magnitude up to which weights are 0"},
};

static const char *refuses(const skv_quantizer *q, bool weight) {
    (void)weight;
    return q->grid == &skv_grid_ternary ? NULL : "it has three levels; use ternary";
}

static void means(const skive_tensor *t, double threshold, float value[2]) {
    const float *x = t->data;
    const int64_t n = skive_tensor_count(t);
    const double limit = threshold * (double)skv_grid_largest(x, n);
    double sum[2] = {0}, count[2] = {0};
    for (int64_t i = 0; i < n; i++) {
        const int side = x[i] < 0;
        if (fabs((double)x[i]) <= limit) continue;
        sum[side] += fabs((double)x[i]);
        count[side]++;
    }
    for (int k = 0; k < 2; k++) value[k] = count[k] > 0 ? (float)(sum[k] / count[k]) : 1;
}

static skive_value *insert(const skv_qat_site *s) {
    const double threshold = skv_option_real(s->values, "threshold");
    float value[2];
    means(s->point->weight, threshold, value);
    skive_value *values = skv_qat_parameter(s, value, 2, true);
    return skv_emit(s->b, "TrainedTernary", SKV_IN(s->x, values),
                    SKV_ATTRS(SKV_FLT("threshold", threshold),
                              SKV_FLT("factor", 1 / sqrt((double)skive_tensor_count(s->point->weight)))));
}

const skv_qat_method skv_qat_method_ttq = {
    .name = "ttq",
    .brief = "two learned values and 0 (TTQ)",
    SKV_OPTIONS(options),
    .weights = true,
    .one_scale = true,
    .codebook = true,
    .refuses = refuses,
    .insert = insert,
};
