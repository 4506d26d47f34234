/* Static quantization to INT8: asymmetric u8 activations, symmetric s8 weights per output channel, s32 bias. The result
 * is standard ONNX in Q/DQ form, executed by skive in integer arithmetic (docs/quantization.md states it). */
#ifndef SKIVE_QUANT_H
#define SKIVE_QUANT_H

#include <skive/data.h>
#include <skive/exec.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_quantize_options {
    size_t size;
    const char *calibration; /* "auto" (default), or one observer for all: "minmax", "percentile", "mse", "entropy" */
    double percentile;       /* of "percentile", default 99.99 */
    int64_t samples;         /* calibration samples; default 1,000 */
    int64_t batch;           /* samples a calibration run; default 1 */
    bool per_channel;        /* weights; default true */
    const char *const *skip; /* nodes left in float: names, or patterns with * ? [ ]; each must cover a node */
    size_t n_skip;
    const skive_shape_binding *shapes; /* for inputs with open dimensions besides the batch's */
    size_t n_shapes;
} skive_quantize_options;
SKIVE_API skive_quantize_options skive_quantize_options_default(void);

typedef struct skive_quantize_row {
    char *name; /* of the value (activation) or parameter */
    bool is_parameter;
    double lo, hi; /* range seen (activation) */
    double scale;  /* of the value; the largest of the channels of a parameter */
    int zero_point;
    double sqnr; /* signal to quantization noise, dB, on calibration data or weights */
} skive_quantize_row;
/* The nodes of one operator that stayed in float for one reason. */
typedef struct skive_quantize_left {
    char *op, *reason;
    char *nodes[3];    /* names of the first three, NULL behind the last */
    char *weights[3];  /* the largest float parameter of each, or NULL */
    size_t n_nodes;    /* how many they are */
    int64_t n_weights; /* float weights that they hold */
} skive_quantize_left;
/* How far an output of the quantized model is from that of the float model. */
typedef struct skive_quantize_output {
    char *name;
    double sqnr; /* signal to noise, dB; NAN for outputs that are no floats or all zero */
    double
        agreement; /* of outputs [N, C]: share of samples whose largest score is the same; of integers: share of equal
                       * ones; NAN for others */
} skive_quantize_output;
typedef struct skive_quantize_worst {
    char *name; /* NULL: there are no more */
    bool is_parameter;
    double sqnr;
} skive_quantize_worst;
typedef struct skive_quantize_trial {
    const char *calibration; /* "auto" is each value's own choice */
    double score;            /* dB: mean over the outputs of their signal to noise, each within -20 to 60 */
} skive_quantize_trial;
/* A value far outside all others during calibration: such as a missing-value marker or a sensor fault. */
typedef struct skive_quantize_outlier {
    char *name;       /* of the value; NULL: there was none */
    double value;     /* the outlier */
    double low, high; /* range of all others */
    int64_t
        run; /* calibration run that gave it; after skive_quantize and skive_quantize_arrays the sample's place, the first of
                       * a batch */
    int64_t spoilt_runs; /* runs with such an input, which count neither in the choice of "auto" nor in the figures */
} skive_quantize_outlier;
enum { SKIVE_QUANTIZE_WORST = 3, SKIVE_QUANTIZE_TRIED = 8 };
typedef struct skive_quantize_report {
    size_t n_rows;
    skive_quantize_row *rows;
    size_t n_quantized, n_refused; /* nodes */
    char **refused;                /* "node: reason" */
    int64_t samples;
    double seconds;
    size_t n_left;
    skive_quantize_left *left; /* all nodes that compute floats, those of `refused` among them */
    /* The outputs against the float model's, on runs held out of the calibration; once measured, those runs' samples
     * were added to the ranges. Where there were too few to hold any out, on calibration samples (held_out false). */
    bool held_out;
    int64_t check_samples;
    size_t n_outputs;
    skive_quantize_output *outputs;
    const char *calibration; /* the setting that was used: "auto" may end as one observer */
    size_t n_tried;
    skive_quantize_trial tried[SKIVE_QUANTIZE_TRIED];
    skive_quantize_worst worst[SKIVE_QUANTIZE_WORST]; /* values by their own signal to noise, least first */
    skive_quantize_outlier outlier;
} skive_quantize_report;
SKIVE_API void skive_quantize_report_free(skive_context *ctx, skive_quantize_report *report);

/* Quantizes in place. `calibration` gives unlabelled samples (normally of the training set). BatchNormalization is
 * folded first. On failure the graph is as it was. Errors: ARGUMENT, DATA, NOT_FOUND (a name in `skip` that no node
 * has), NUMERIC (NaN in a weight or an activation, naming it). */
SKIVE_API skive_status skive_quantize(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                                      const skive_quantize_options *options, skive_quantize_report *report);

/* The same for models of any inputs: samples[i] belongs to input i of the graph, [n_samples] one for each input. Its
 * first axis counts the samples: it takes the place of the input's first dimension (the batch; as many rows a run as
 * the model fixes, or `batch`), or stands before all of the input's dimensions (then a run is one sample). Open
 * dimensions are those of the samples, other element types are converted, an array of one sample serves in all runs.
 * Where there are more than `samples` of them, they are taken evenly spaced. Errors: as skive_quantize; SHAPE. */
SKIVE_API skive_status skive_quantize_arrays(skive_context *ctx, skive_graph *graph, const skive_tensor *samples,
                                             size_t n_samples, const skive_quantize_options *options,
                                             skive_quantize_report *report);

/* The same with a callback that fills the graph's inputs for run `index` (returns ERR_NOT_FOUND when there is no
 * more). */
typedef skive_status (*skive_feed_fn)(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs);
SKIVE_API skive_status skive_quantize_feed(skive_context *ctx, skive_graph *graph, skive_feed_fn feed, void *user,
                                           const skive_quantize_options *options, skive_quantize_report *report);

#ifdef __cplusplus
}
#endif
#endif
