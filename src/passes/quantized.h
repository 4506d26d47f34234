/* Recognising the quantized form of a node, with operands from DequantizeLinear. */
#ifndef SKV_QUANTIZED_H
#define SKV_QUANTIZED_H

#include "graph/graph.h"

/* real = scale * (integer - zero_point), one for the whole tensor, the integers being uint8. */
typedef struct skv_q_grid {
    float scale;
    int32_t zero_point;
} skv_q_grid;

/* `n` is QuantizeLinear from float32 to uint8 with one constant grid. */
bool skv_quantizes(const skive_node *n, skv_q_grid *grid);
/* If `v` is DequantizeLinear of computed uint8 numbers with one constant grid: those numbers, otherwise NULL. */
skive_value *skv_dequantized(const skive_value *v, skv_q_grid *grid);

/* The weights of a Conv, Gemm or MatMul that come from a DequantizeLinear, 4 or 8 bits, as int8 around zero. Their
 * scales are skv_q_weight_scale. */
typedef struct skv_q_weights {
    skive_value *value;    /* the integers in the graph */
    const skive_tensor *q; /* their data: int8 or int4, or unsigned with a zero point */
    int zero_point;        /* one for all; q - zero_point is in the range of int8 */
    const float *scale;    /* [n_scales] as in the graph */
    /* 4-bit integers are taken 16 times as large, with a sixteenth of the scale: so the steps of the sums, in which the
     * bias is rounded, stay fine where those of the activations are coarse. Otherwise 1. */
    int factor;
    int64_t n_scales; /* 1 or m */
    int64_t m, k;     /* output channels, weights of each */
    bool columns;     /* the output channels are the second axis of two */
} skv_q_weights;
bool skv_quantized_weights(const skive_node *n, skv_q_weights *w);
static inline double skv_q_weight_scale(const skv_q_weights *w, int64_t m) {
    return (double)w->scale[w->n_scales > 1 ? m : 0] / w->factor;
}
/* Integers [count] as a storage: of int4 where they fit, else of int8. */
skive_status skv_storage_of_integers(skive_context *ctx, const int8_t *x, int rank, const int64_t *dims,
                                     skv_storage **out);
/* Output channel by output channel, [m][k], times the factor. */
void skv_q_weight_rows(const skv_q_weights *w, int8_t *rows);
/* True if `q` already has this form. */
static inline bool skv_q_weights_ready(const skv_q_weights *w) {
    return w->q->dtype == SKIVE_I8 && w->zero_point == 0 && !w->columns;
}

/* The bias `v` in steps of x_scale times the weights' scale, [m]. False: it has another form, or is too large for
 * int32. Zeros if there is none (NULL). */
bool skv_quantized_bias(const skive_value *v, float x_scale, const skv_q_weights *w, int32_t *bias);

/* ---- training ---- */

/* The result of a node whose inputs, three at most, are all constants. */
skive_status skv_quantize_evaluate(skive_graph *g, const skive_node *n, skv_storage **out);
/* Copies of the node's axis and block_size: to[2]. */
size_t skv_quantize_attrs(const skive_node *n, skv_attr_init *to);

/* Are there parameters stored as integers behind a DequantizeLinear? */
bool skv_quantized_parameters(const skive_graph *g);
/* The form of a quantized model that can be trained: parameters stored as integers become floats, trainable if their
 * role is, and weights are rounded by FakeQuantize with the scales they have. Pairs of QuantizeLinear and
 * DequantizeLinear of activations stay; their gradient passes straight through. Plans for inference turn FakeQuantize
 * into integers, so that a validation during training computes what the quantized model will. Integers that several
 * nodes dequantize stay as they are. */
skive_status skv_quantized_to_training(skive_graph *g, size_t *changes);
/* Back: FakeQuantize becomes the integers, and biases of quantized products too. */
skive_status skv_quantized_from_training(skive_graph *g, size_t *changes);

/* ---- for methods that change weights (quantized_in_float.c) ---- */

/* Runs `work` on a copy in the form for training, and takes the copy as integers again. On failure the graph is as it
 * was; after ERR_INTERRUPTED it has what `work` left. */
typedef skive_status (*skv_in_float_fn)(skive_graph *g, void *user);
skive_status skv_quantized_in_float(skive_graph *graph, skv_in_float_fn work, void *user);

/* What of a quantized model is refused: operators that multiply integers; weights stored with 16 bits behind a Cast;
 * weights stored as integers behind a DequantizeLinear. */
enum { SKV_QUANTIZED_PRODUCTS = 1, SKV_QUANTIZED_HALF = 2, SKV_QUANTIZED_WEIGHTS = 4, SKV_QUANTIZED_ALL = 7 };
/* Errors: UNSUPPORTED, naming the first node or weight of these and what to do; `done`: "pruned". With
 * SKV_QUANTIZED_ALL a model that also has weights of float32 is not refused: those can be changed. */
skive_status skv_quantized_refuse(const skive_graph *g, const char *done, unsigned what);

#endif
