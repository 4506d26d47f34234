/* A weight on a number grid: its codes, its scales and zero points, and what the rounding costs. */
#ifndef SKV_QUANT_GRIDDED_H
#define SKV_QUANT_GRIDDED_H

#include "graph/weights.h"
#include "tensor/grid.h"

typedef struct skv_gridded {
    skv_quantizer q; /* with fewer scales where the weight has no such axes */
    const skive_tensor *t;
    int out_axis, in_axis;   /* -1: none */
    int64_t blocks, size;    /* along the input axis; 1, and all of it, unless scales are by group */
    int64_t groups;          /* that share a scale */
    int64_t *first, *member; /* [groups + 1], [n] the elements in order of group */
    skv_grid_params *params; /* [groups] */
    float *levels;           /* of codebooks [groups][highest code + 1] */
    int32_t *code;           /* [n] in the order of the weight */
    float *shift;            /* [output channels] added to the bias where these codes are used; NULL: nothing */
    double power, error;     /* sums of squares of the weight, and of what rounding changed */
} skv_gridded;

/* How the elements of a float32 weight share scales: as the grid asks, and where the weight has no such axes with fewer
 * of them. The tensor is borrowed. */
void skv_gridded_lay_out(skv_gridded *c, const skv_quantizer *q, const skv_weight_view *v, const skive_tensor *t);
/* Scales by the grid's own method, the nearest codes, and the sums of squares; any grid. */
skive_status skv_gridded_make(skive_context *ctx, skv_gridded *c);
/* The nearest codes of the numbers x[n], with the scales as they are. */
void skv_gridded_encode(skv_gridded *c, const float *x);
/* A scale larger by a factor of at least this, and the codes nearest to what the codes stand for now. */
void skv_gridded_widen(skv_gridded *c, int64_t group, double factor);
/* What the codes stand for, y[n]. */
void skv_gridded_decode(const skv_gridded *c, float *y);
/* The sums of squares of the codes as they are, against the weight as it is. */
void skv_gridded_measure(skv_gridded *c);
/* Signal to noise, dB; infinite if the codes are exact. */
double skv_gridded_sqnr(const skv_gridded *c);
/* Scales and codes made, only what they stand for, y[n], and the sums of squares. y may be the weight's own numbers. */
skive_status skv_gridded_round(skive_context *ctx, skv_gridded *c, float *y);
/* The group of an element. */
int64_t skv_gridded_group(const skv_gridded *c, int64_t index);
/* Whether a scale has a zero point that is not 0, or was asked to have one: symmetric grids of unsigned integers have
 * their zero in the middle. */
bool skv_gridded_has_zeros(const skv_gridded *c);
/* Bytes that codes, scales, zero points and levels take at their true bits, scales and levels being float32. */
int64_t skv_gridded_bytes(const skv_gridded *c);
void skv_gridded_free(skive_context *ctx, skv_gridded *c);

/* ERR_ARGUMENT: the grid has no negative numbers. `text` is how it was asked for. */
skive_status skv_gridded_check(skive_context *ctx, const char *text, const skv_quantizer *q);
/* ERR_ARGUMENT: the parameter was pruned, and the grid has no zero. */
skive_status skv_gridded_check_zeros(const skive_value *v, const skv_quantizer *q);
/* Does no element type, nor int8 in parts of the scale, hold the codes? */
bool skv_gridded_has_codebook(const skv_grid *g);
/* Parameters with codes, scales and zero points, named after `like`, and the nodes that make float32 of them:
 * DequantizeLinear, Cast of a float grid, or where no element type holds the codes Gather from a codebook. */
skive_status skv_gridded_emit(skv_builder *b, const skv_gridded *c, const skive_value *like, skive_value **real);

#endif
