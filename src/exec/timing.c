/* See timing.h. */
#include "exec/timing.h"

#include <stdlib.h>

#include "base/context.h"

skive_status skv_timing_fill(skive_context *ctx, skive_exec *exec, size_t n) {
    for (size_t i = 0; i < n; i++) {
        skive_tensor t;
        SKV_TRY(skive_exec_input(exec, i, &t));
        if (t.dtype != SKIVE_F32) continue;
        float *x = t.data;
        for (int64_t k = 0; k < skive_tensor_count(&t); k++)
            x[k] = (float)skv_rng_normal(skive_context_seed(ctx), i, (uint64_t)k);
    }
    return SKIVE_OK;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void skv_timing_sort(double *times, size_t n) {
    if (n) qsort(times, n, sizeof *times, ascending);
}
