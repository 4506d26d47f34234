/* See finish.h. */
#include "kernels/finish.h"

#include <string.h>

skive_status skv_finish_read(const skv_kernel_node *n, skv_finish *out) {
    skv_activation a = {.kind = SKV_PW_NONE};
    if (n->node->domain[0]) SKV_TRY(skv_activation_read(n->ctx, n->node, &a));
    *out =
        (skv_finish){.kind = a.kind, .a = (float)a.alpha, .b = (float)a.beta, .loop = skv_unary_loop_of(skv_cpu_isa())};
    return SKIVE_OK;
}

void skv_finish_run(const skv_finish *f, float *y, int64_t n) {
    if (f->kind == SKV_PW_RELU) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = y[i] < 0 ? 0.0f : y[i];
    } else if (f->kind != SKV_PW_NONE) {
        f->loop(f->kind, f->a, f->b, y, y, n);
    }
}

void skv_start_rows(const float *bias, const float *z, float *y, int64_t rows, int64_t n) {
    if (!bias) {
        if (z && z != y) memcpy(y, z, (size_t)(rows * n) * sizeof *y);
        return;
    }
    for (int64_t r = 0; r < rows; r++, y += n) {
        if (!z) {
            memcpy(y, bias, (size_t)n * sizeof *y);
            continue;
        }
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = z[i] + bias[i];
        z += n;
    }
}
