/* Bits for each layer under a budget: the grid of each layer's weights is chosen so that the model meets budgets of
 * bytes, bit operations or measured time with the least harm. */
#ifndef SKIVE_BITS_H
#define SKIVE_BITS_H

#include <skive/quant.h>
#include <skive/sensitivity.h>
#include <skive/tune.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_bits_options {
    size_t size; /* sizeof(skive_bits_options) */
    /* Budgets, of which at least one is given: a fraction of the float model ("0.2") or a size with a unit. Bytes of
     * the ONNX file ("60k", "64KiB"); bit operations of the products with weights in one sample, multiply-accumulates
     * times bits of the weight times bits of the input ("500M"); time of a run with batch 1, measured ("2ms") */
    const char *bytes, *bit_operations, *latency;
    /* Grids to choose from (docs/tables.md), separated by commas; "f32" leaves a layer in float. Default "int8,int4" */
    const char *grids;
    /* The harm that is added up over the layers: "kl", "loss" or "hessian" (skive/sensitivity.h). Default "kl", or
     * "loss" where the model's answers have no divergence */
    const char *by;
    /* Percentage points of accuracy that may be lost on the validation split: of the way from the grids of least
     * harm to the budgets, as many parts of SKIVE_BITS_LEVELS as stay within, found by bisection
     * (skive_control_drop); each trial is the whole quantization. Negative (default): no limit, and the budgets are
     * met */
    double max_drop;
    /* NULL: the defaults. With `dry_run` grids are chosen and reported for the budgets, the model with them is made and
     * its sizes are measured, but no loss, and the graph stays as it was */
    const skive_quantize_options *quantize;
} skive_bits_options;
SKIVE_API skive_bits_options skive_bits_options_default(void);

enum { SKIVE_BITS_LEVELS = 24 };
enum { SKIVE_BITS_BUDGETS = 3 }; /* bytes, bit operations, seconds */
typedef struct skive_bits_layer {
    char *node, *parameter, *grid; /* chosen; "f32": float */
    int64_t elements, macs;
    double harm;
} skive_bits_layer;
typedef struct skive_bits_report {
    size_t n_layers;
    skive_bits_layer *layers;
    double budget[SKIVE_BITS_BUDGETS]; /* NaN: none */
    double used[SKIVE_BITS_BUDGETS]; /* by the model that comes out, measured: file and time too; NaN without budget */
    /* The smallest that the grids can reach; of times the smallest that was measured. */
    double least[SKIVE_BITS_BUDGETS];
    double harm;                      /* sum over the layers */
    bool exact;                       /* no choice of the grids within the budgets has a smaller sum (skive_allocate) */
    int64_t samples;                  /* of the validation split */
    double original, drop, low, high; /* on it: accuracy in percent (100 R^2), drop and its paired 95 % interval */
    bool tested;
    int64_t test_samples;
    double test_original, test_drop, test_low, test_high; /* the same on the test split */
    skive_control_report control;                         /* with `max_drop`: the trials; otherwise there are none */
    size_t levels; /* of `control`: SKIVE_BITS_LEVELS, or 1 where the least harm is within the budgets */
} skive_bits_report;
SKIVE_API void skive_bits_report_free(skive_context *ctx, skive_bits_report *report);

/* Measures the sensitivity of each layer on the labelled set `validation` (skive_sensitivity), chooses a grid for
 * each so that the sum of harms is the least within the budgets (skive_allocate, exact), and quantizes the graph with
 * these grids and ranges from `calibration` (skive_quantize). Without `max_drop` the result is never over a budget:
 * its file is written to memory, and its time measured. With it the limit on the loss goes first: the result is within
 * the limit and as near to the budgets as that allows, and a note says so where they are not met. The loss of accuracy
 * of the result itself is measured on `validation`, and on `test` unless it is NULL. `options` must give a budget;
 * `quantized` (the report of skive_quantize) and `report` may be NULL. On failure the graph is as it was. Errors:
 * ARGUMENT (no budget), GOAL (a budget below the smallest that can be reached, which the message names; not even the
 * first part of the way is within `max_drop`; *report is filled as far as it is known), as skive_sensitivity and
 * skive_quantize. */
SKIVE_API skive_status skive_quantize_bits(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                                           skive_dataset *validation, skive_dataset *test,
                                           const skive_bits_options *options, skive_quantize_report *quantized,
                                           skive_bits_report *report);

#ifdef __cplusplus
}
#endif
#endif
