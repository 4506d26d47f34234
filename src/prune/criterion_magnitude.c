/* Magnitude: |w| (Han et al. 2015). */
#include <math.h>

#include "prune/prune.h"

static void score(const float *weight, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = fabsf(weight[i]);
}

const skv_criterion skv_criterion_magnitude = {
    .name = "magnitude", .brief = "absolute value of the weight", .score = score};
