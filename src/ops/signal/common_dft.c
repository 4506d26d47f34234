/* See common_dft.h. */
#include "ops/signal/common_dft.h"

#include <math.h>

skive_status skv_dft_table(skive_context *ctx, int64_t n, double **out) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)n + 1, 2 * sizeof(double), out));
    for (int64_t i = 0; i < n; i++) {
        const double angle = 2 * M_PI * (double)i / (double)n;
        (*out)[2 * i] = cos(angle);
        (*out)[2 * i + 1] = sin(angle);
    }
    return SKIVE_OK;
}

void skv_dft(const double *in, int64_t n, int64_t bins, bool inverse, const double *table, double *out) {
    for (int64_t k = 0; k < bins; k++) {
        double re = 0, im = 0;
        for (int64_t i = 0, at = 0; i < n; i++) {
            const double c = table[2 * at], s = inverse ? table[2 * at + 1] : -table[2 * at + 1];
            re += in[2 * i] * c - in[2 * i + 1] * s;
            im += in[2 * i] * s + in[2 * i + 1] * c;
            at += k;
            if (at >= n) at -= n;
        }
        out[2 * k] = inverse ? re / (double)n : re;
        out[2 * k + 1] = inverse ? im / (double)n : im;
    }
}
