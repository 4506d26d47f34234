/* A weight on a number grid: its codes, its scales and zero points, and what the rounding costs. */
#ifndef SKV_QUANT_GRIDDED_H
#define SKV_QUANT_GRIDDED_H

#include "graph/weights.h"
#include "tensor/grid.h"

typedef struct skv_gridded {
    skv_quantizer q;
    const skive_tensor *t;
    int out_axis, in_axis;   /* -1: none */
    int64_t blocks, size;    /* along the input axis; 1, and all of it, unless scales are by group */
    int64_t groups;          /* that share a scale */
    int64_t *first, *member; /* [groups + 1], [n] the elements in order of group */
    skv_storage *codes, *scales, *zeros;
    double power, error;
} skv_gridded;

/* How the elements of a float32 weight share scales: as the grid asks, and where the weight has no such axes with fewer
 * of them. */
void skv_gridded_lay_out(skv_gridded *c, const skv_quantizer *q, const skv_weight_view *v, const skive_tensor *t);
/* Codes, scales and zero points as ONNX holds them (the grid has an element type), and the sums of squares. */
skive_status skv_gridded_make(skive_context *ctx, skv_gridded *c);
/* Only what the codes stand for, y[n], and the sums of squares; any grid. y may be the weight's own numbers. */
skive_status skv_gridded_round(skive_context *ctx, skv_gridded *c, float *y);
/* Bytes that codes, scales, zero points and levels take at their true bits, scales and levels being float32. */
int64_t skv_gridded_bytes(const skv_gridded *c);
void skv_gridded_free(skive_context *ctx, skv_gridded *c);

#endif
