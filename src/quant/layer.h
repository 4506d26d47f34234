/* A product as a matrix, and samples of what it reads: what rounding methods look at, layer by layer. */
#ifndef SKV_QUANT_LAYER_H
#define SKV_QUANT_LAYER_H

#include "quant/quant.h"
#include "graph/weights.h"

/* The weight of a Conv, Gemm or MatMul as [groups][out][k]. */
typedef struct skv_layer {
    const skive_node *node;
    const skive_tensor *w;
    skv_weight_view view;
    int64_t groups, out, k; /* of one group: output channels, numbers that each multiplies */
} skv_layer;
bool skv_layer_of(const skive_node *n, skv_layer *out);
/* Where in the weight an element is. */
int64_t skv_layer_index(const skv_layer *l, int64_t group, int64_t out, int64_t k);

/* Inputs of calibration runs, kept to be run again. */
typedef struct skv_inputs {
    skive_tensor *items; /* [n][n_inputs] */
    size_t n, n_inputs;
} skv_inputs;
/* Reads runs from `feed`, from the first on, but not those that are held out of the calibration. At most `most`, and as
 * many as fit into 256 MiB. ERR_DATA: there are none. */
skive_status skv_inputs_keep(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                             skive_feed_fn feed, void *user, int64_t most, skv_inputs *out);
void skv_inputs_free(skive_context *ctx, skv_inputs *k);

/* Rows of the matrix that a layer multiplies its weight by: of a convolution windows at some positions, the same ones
 * for every graph. */
typedef struct skv_layer_rows {
    int64_t n;
    float *x; /* [groups][n][k] */
} skv_layer_rows;
/* Of the value with this name in `g`, which a node like that of `l` reads. About `wanted` rows. */
skive_status skv_layer_rows_take(skive_context *ctx, const skive_graph *g, const char *value, const skv_layer *l,
                                 const skv_inputs *inputs, const skive_quantize_options *o, int64_t wanted,
                                 skv_layer_rows *out);
void skv_layer_rows_free(skive_context *ctx, skv_layer_rows *r);

#endif
