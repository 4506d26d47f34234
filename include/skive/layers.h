/* Where two models come apart: the values inside them, held against one another by name. */
#ifndef SKIVE_LAYERS_H
#define SKIVE_LAYERS_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_layers_options {
    size_t size;     /* sizeof(skive_layers_options) */
    int64_t samples; /* at most; default 256 */
    int64_t batch;   /* samples a run, unless a model fixes it; default 32 */
} skive_layers_options;
SKIVE_API skive_layers_options skive_layers_options_default(void);

/* A value that both models compute. */
typedef struct skive_layers_row {
    char *value;
    char *node, *op; /* that computes it in the first model */
    int64_t elements;
    double sqnr;       /* signal to noise of the second model's numbers against the first's, dB; infinite: the same */
    double difference; /* the largest */
    double cosine;     /* of all numbers of the value over all samples */
    /* What the way from the values before it to this one adds: as `sqnr`, but against the first model's nodes computing
     * on the second model's values. The smallest are the culprits. */
    double own_sqnr;
    double own_difference;
} skive_layers_row;

typedef struct skive_layers_unmatched {
    char *value, *reason;
    bool in_second; /* it is a value of the second model */
} skive_layers_unmatched;

typedef struct skive_layers_report {
    size_t n_rows;
    skive_layers_row *rows; /* culprits first: in ascending order of own_sqnr */
    size_t n_unmatched;
    skive_layers_unmatched *unmatched; /* floats that a node computes, and that are not held against another */
    int64_t samples;
} skive_layers_report;
SKIVE_API void skive_layers_report_free(skive_context *ctx, skive_layers_report *report);

/* Runs both models on samples of the set (labels are not read) and compares the float32 values that have the same name
 * in both, as they leave quantization: of a value with QuantizeLinear and DequantizeLinear behind it, the result of
 * these. Works for any two models whose values keep their names: quantized, pruned, folded, fine-tuned. `options` may
 * be NULL. Neither graph is changed. Errors: DATA (no value has the same name and shape in both), UNSUPPORTED (a model
 * whose shapes depend on data), as skive_quantize. */
SKIVE_API skive_status skive_compare_layers(skive_context *ctx, const skive_graph *a, const skive_graph *b,
                                            skive_dataset *set, const skive_layers_options *options,
                                            skive_layers_report *report);

#ifdef __cplusplus
}
#endif
#endif
