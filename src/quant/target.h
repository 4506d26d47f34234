/* What a runtime takes of a quantized model: a record for each, in targets.inc. */
#ifndef SKV_QUANT_TARGET_H
#define SKV_QUANT_TARGET_H

#include "quant/quant.h"

enum { SKV_TARGET_GRIDS = 12 };
typedef struct skv_quant_target {
    const char *name, *brief;
    const char *activations[SKV_TARGET_GRIDS]; /* text forms of the grids that it takes, the usual one first */
    /* The same of weights; "int8" stands for -127 to 127, symmetric. */
    const char *weights[SKV_TARGET_GRIDS];
    bool float_bias;          /* takes no quantized bias */
    bool products_per_tensor; /* matrix products have one scale for all weights; convolutions one for each channel */
    bool pools_keep_scale;    /* input and output of average pooling share scale and zero point */
    bool images_only;         /* convolutions and pooling have two axes of places */
    const char *left;         /* why other convolutions and poolings stay float */
    const char *of_int8;      /* what to know of weights of all eight bits with activations of eight; NULL: nothing */
} skv_quant_target;

size_t skv_quant_target_count(void);
const skv_quant_target *skv_quant_target_at(size_t i);
const char *skv_quant_target_name(size_t i);
const skv_quant_target *skv_quant_target_find(const char *name);
/* That of the options; NULL: none. */
const skv_quant_target *skv_quant_target_of(const skive_quantize_options *o);
/* Are the grids of the options among those it takes? The default of activations becomes that of the target.
 * ERR_UNSUPPORTED names the grid. */
skive_status skv_quant_target_take(skive_context *ctx, skive_quantize_options *o);
/* Is this a grid of weights that the target of the options takes, or f32? */
bool skv_quant_target_takes_weights(const skive_quantize_options *o, const char *grid);
/* ERR_UNSUPPORTED names the grid if it does not. */
skive_status skv_quant_target_take_weights(skive_context *ctx, const skive_quantize_options *o, const char *grid);
/* Why it does not take a node that could be quantized; NULL: it does. */
const char *skv_quant_target_why_not(const skive_quantize_options *o, const skive_node *n);
/* Has the weight of this node one scale? */
bool skv_quant_target_per_tensor(const skive_quantize_options *o, const skive_node *n);

#endif
