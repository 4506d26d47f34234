/* Quantization for multiplication by shifts alone, and grids whose levels are multiples of a step (grid_whole.h). */
#ifndef SKV_QUANT_POWERS_H
#define SKV_QUANT_POWERS_H

#include "quant/gridded.h"

#include <skive/quant.h>

/* The option `multiplier` is "shift". */
bool skv_quant_shifts(const skive_quantize_options *o);
/* Then scales of the grid become powers of two. ERR_ARGUMENT at `what` if they cannot. */
skive_status skv_quant_power(skive_context *ctx, const skive_quantize_options *o, const char *what, skv_quantizer *q);

/* The step of which a group's numbers are whole multiples in a file: the scale, of such grids a part of it. */
float skv_gridded_step(const skv_gridded *c, int64_t group);

#endif
