/* Edits of the float model before it is quantized. Each succeeds, or changes nothing. */
#ifndef SKV_QUANT_EQUALIZE_H
#define SKV_QUANT_EQUALIZE_H

#include "quant/moments.h"
#include "quant/quant.h"

/* Cross-layer equalization (Nagel et al. 2019): the weights of a channel are as large where it is computed as where it
 * is read. The function stays the same; `normals` follow. */
skive_status skv_quant_equalize(skive_context *ctx, skive_graph **g, skv_normals *normals);
/* Bias absorption: of channels behind a Relu that are hardly ever below c = max(0, mean - 3 deviations), c moves into
 * the bias of the layers that read them. An approximation. */
skive_status skv_quant_absorb_bias(skive_context *ctx, skive_graph **g, skv_normals *normals);

/* The range of the model's inputs, by the options or its metadata; g is the model with them. Errors: ARGUMENT,
 * UNSUPPORTED (neither tells). */
skive_status skv_quant_input_range(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                   double *low, double *high);
/* range[points] of those that are their own source. ERR_UNSUPPORTED names a value that nothing tells of. */
skive_status skv_quant_ranges_without_data(skive_context *ctx, const skive_graph *g, const skv_moments *m,
                                           const skv_normals *normals, skv_points *points, double (*range)[2]);

/* Has the node an input for a bias? */
bool skv_quant_takes_bias(const skive_node *n);
/* Bias correction (the same authors): what rounding the weights shifts each output channel by on average is taken out
 * of the bias, of the chosen nodes that have codes. Analytic: by the moments of their inputs, where these are known. */
skive_status skv_quant_correct_analytic(skive_context *ctx, const skive_graph *g, const bool *chosen,
                                        const skv_moments *m, skv_points *points);

#endif
