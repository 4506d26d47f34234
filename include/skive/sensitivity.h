/* How much each layer of a network suffers from quantization: what the model loses when one layer alone is quantized,
 * on each of several number grids. */
#ifndef SKIVE_SENSITIVITY_H
#define SKIVE_SENSITIVITY_H

#include <skive/data.h>
#include <skive/eval.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_sensitivity_options {
    size_t size; /* sizeof(skive_sensitivity_options) */
    /* Grids of weights (docs/tables.md), separated by commas; a comma within one is written "\,". "all": every grid
     * with its default options. Default "int8,int4,int2" */
    const char *grids;
    /* The grid of the layer's input: an integer grid with a scale, such as "uint8", "uint4", "int16"; "none": floats.
     * Default "uint8" */
    const char *activations;
    /* What `harm` is. "loss" (default): the increase of the loss, measured. "kl": the divergence of the answers from
     * those of the float model (Kullback and Leibler 1951), measured. "hessian": half the mean of the trace of the
     * Hessian times the squared error of the weights, which estimates the increase of the loss (Dong et al. 2020,
     * HAWQ-V2); no run for each layer and grid takes place, and activations stay float. */
    const char *by;
    const char *calibration; /* the observer that gives the range of the layer's input; default "mse" */
    int64_t samples;         /* calibration samples; default 1,000 */
    int64_t vectors;         /* of "hessian": random vectors (Hutchinson 1990); default 8 */
    int64_t batches;         /* of "hessian": batches of 100 samples; default 10 */
    const char *const *skip; /* nodes to leave out: names, or patterns with * ? [ ]; each must match a node */
    size_t n_skip;
    /* Only the rows with what is known of the weights alone (bytes, bits, weight_sqnr): nothing is run, and `samples`
     * may be NULL. */
    bool dry_run;
} skive_sensitivity_options;
SKIVE_API skive_sensitivity_options skive_sensitivity_options_default(void);

/* One layer on one grid. What was not measured is NaN. */
typedef struct skive_sensitivity_row {
    char *node, *op, *parameter;
    char *grid;             /* as it was asked for */
    int64_t elements;       /* of the weight */
    int64_t macs;           /* for one sample: of all nodes that read the weight, what falls to it */
    int64_t bytes;          /* codes, float32 scales, zero points and levels at their true bits */
    int bits;               /* of a code */
    double weight_sqnr;     /* signal to noise of the weights themselves, dB; infinite: exact */
    double drop, low, high; /* loss of accuracy (of R squared), percentage points, and its paired 95 % interval */
    double loss;            /* increase of the mean loss of a sample */
    double sqnr;            /* signal to noise of the output against the float model's, dB; infinite: the same */
    double kl;              /* mean divergence of a sample's answer from the float model's, nats */
    double trace;           /* of the Hessian of the loss with respect to this weight; of "hessian" */
    double harm;            /* never negative: see skive_sensitivity_options.by */
} skive_sensitivity_row;

typedef struct skive_sensitivity_left {
    char *node, *reason;
} skive_sensitivity_left;

typedef struct skive_sensitivity_report {
    size_t n_layers, n_grids;
    size_t n_rows; /* n_layers * n_grids, layer by layer; fewer after an interruption */
    skive_sensitivity_row *rows;
    size_t n_left; /* layers that cannot be quantized */
    skive_sensitivity_left *left;
    int64_t macs;     /* for one sample: of all products with weights in the model, those of `left` too */
    int64_t samples;  /* on which was measured */
    int64_t compared; /* samples whose outputs were compared (sqnr, kl): all, or as many as fit into 64 MiB */
    double original;  /* accuracy of the float model, percent; of VALUES 100 R^2 */
    double loss;      /* of the float model */
    double seconds;
} skive_sensitivity_report;
SKIVE_API void skive_sensitivity_report_free(skive_context *ctx, skive_sensitivity_report *report);

/* Rounds the weight of each layer in turn, and its input if `activations` says so, to each grid, all other layers being
 * float, and runs the model over the labelled set `samples`, once for each layer and grid. BatchNormalization is folded
 * first. `calibration` gives the samples from which the range of a layer's input is found (labels are not read); it may
 * be NULL if activations are "none" or `by` is "hessian". `options` may be NULL. The graph is not changed. If the
 * caller stops it (INTERRUPTED), the report has the rows that are complete. Errors: ARGUMENT (a grid or observer that
 * does not exist; a model that is quantized already), NOT_FOUND (`skip`), UNSUPPORTED (no layer; "kl" for an output
 * that is neither of classes nor of labels), those of skive_evaluate. */
SKIVE_API skive_status skive_sensitivity(skive_context *ctx, const skive_graph *graph, skive_dataset *calibration,
                                         skive_dataset *samples, const skive_sensitivity_options *options,
                                         skive_sensitivity_report *report);

#ifdef __cplusplus
}
#endif
#endif
