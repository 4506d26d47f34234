/* What follows the product of a fused node: its activation, by loops of the instruction set. Every NaN stays one. */
#ifndef SKV_KERNEL_FINISH_H
#define SKV_KERNEL_FINISH_H

#include "kernels/kernel.h"
#include "kernels/unary.h"
#include "ops/common_activation.h"

typedef struct skv_finish {
    skv_pointwise kind;
    float a, b;
    skv_unary_loop *loop;
} skv_finish;

/* The activation of a fused node; none for a node of ONNX's own operators. */
skive_status skv_finish_read(const skv_kernel_node *n, skv_finish *out);
/* y[i] = activation(y[i]) */
void skv_finish_run(const skv_finish *f, float *y, int64_t n);
/* y[r][i] = bias[i] + z[r][i], each NULL where there is none; z may be y. */
void skv_start_rows(const float *bias, const float *z, float *y, int64_t rows, int64_t n);

#endif
