/* Quantization. Static, by default to INT8: asymmetric u8 activations, symmetric s8 weights per output channel, s32
 * bias. The result is standard ONNX in Q/DQ form, executed by skive in integer arithmetic (see
 * docs/quantization.md). */
#ifndef SKIVE_QUANT_H
#define SKIVE_QUANT_H

#include <skive/data.h>
#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/graph.h>
#include <skive/tune.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The grid of one weight. */
typedef struct skive_quantize_choice {
    const char *parameter; /* name of the weight */
    const char *grid;      /* as `weights` below; "f32": its node stays float */
} skive_quantize_choice;

typedef struct skive_quantize_options {
    size_t size;
    const char *calibration; /* "auto" (default), or one observer for all: "minmax", "percentile", "mse", "entropy" */
    double percentile;       /* of "percentile", default 99.99 */
    int64_t samples;         /* calibration samples; default 1,000 */
    int64_t batch;           /* samples per calibration run; default 1 */
    bool per_channel;        /* weights; default true */
    const char *const *skip; /* nodes kept in float: names, or patterns with * ? [ ]; each must match a node */
    size_t n_skip;
    const skive_shape_binding *shapes; /* for inputs with open dimensions besides the batch */
    size_t n_shapes;
    /* Only say what would be done: the report lists the nodes that would be quantized and those that would not, the
     * weights with their errors, and the bytes; no sample is read and the graph is not changed. Default false */
    bool dry_run;
    /* Number grids (docs/tables.md). Of weights "int4", "int4:32" (a scale for each 32 numbers along the inputs of a
     * matrix), "int8:tensor" ...; NULL (default): int8 from -127 to 127 over the whole range, a scale for each output
     * channel or, without per_channel, for all. Of activations "uint8" (default), other integers of 2 to 16 bits,
     * "f8e4m3", "f8e5m2" and tables of levels ("log2", "apot", "nf4" ...), one scale for each; unsigned integers have a
     * zero point, signed ones have 0 unless "int8:asymmetric" is asked for. */
    const char *weights, *activations;
    /* Edits of the float model before it is quantized (docs/quantization.md). Default: none. */
    bool equalize; /* cross-layer equalization (Nagel et al. 2019): the function stays the same */
    /* Bias absorption (the same): an approximation, for models with BatchNormalization */
    bool absorb_bias;
    /* Of the quantized layers' outputs the mean is restored: "none" (default), "analytic" (from the statistics of
     * BatchNormalization), "empirical" (from samples, layer by layer) */
    const char *bias_correction;
    /* SmoothQuant (Xiao et al. 2023): factors of channels move from activations to weights, for each layer by the alpha
     * with the least error */
    bool smooth;
    /* How weights get their codes: "nearest" (default), "adaround" (Nagel et al. 2020), "gptq" (Frantar et al. 2023),
     * "awq" (Lin et al. 2023), with options: "adaround:iterations=2000" (docs/tables.md) */
    const char *rounding;
    /* Calibration samples for what is done layer by layer (smooth, rounding, empirical bias correction), not those held
     * out; default 512. They are read again from `feed`, from index 0 on. */
    int64_t layer_samples;
    /* Of skive_quantize_data_free: the smallest and largest number of the model's inputs, if not both 0 (default: from
     * the normalisation in the model's metadata) */
    double input_low, input_high;
    /* The runtime that is to take the model: "onnxruntime", "tensorrt", "tflite", "cmsis-nn". It decides what
     * activations are unless they are given, and what has one scale; grids that it does not take are refused, nodes
     * that it does not take stay float. NULL (default): none */
    const char *target;
    const skive_quantize_choice *choices; /* of single weights, before `weights`. Default: none */
    size_t n_choices;
    /* How sums become 8 bits: "float" (default), one multiplication by a float32, or "fixed", by an int32 and a shift,
     * as processors without a float unit do. Written in the model's metadata (skive.multipliers), which every plan for
     * inference follows, so that whatever is measured is measured with it. */
    const char *multiplier;
    /* "float" (default), or "uint8": float32 inputs (of "uint8:NAME" the one of that name) become uint8 pixels, and the
     * normalisation of the model's metadata is folded into the layers that read them, or stays in front of them as two
     * float operators where a layer pads with zeros and no pixel is 0 after it; a note says which. The samples are
     * those of the float model, normalised; numbers that are no pixels are refused (ERR_DATA). */
    const char *input_type;
    /* Layers whose 8-bit form takes longer than their float form on this machine, measured now, stay float: dynamic
     * ones by themselves, static ones in the model, if the whole gains by it. The report lists them. Default false */
    bool no_slower;
} skive_quantize_options;
SKIVE_API skive_quantize_options skive_quantize_options_default(void);

typedef struct skive_quantize_row {
    char *name; /* of the value (activation) or parameter */
    bool is_parameter;
    const char *grid; /* of numbers: "int8" */
    double lo, hi;    /* observed range (activation) */
    double scale;     /* of the value; the largest of the channels of a parameter */
    int zero_point;
    double sqnr; /* signal to quantization noise, dB, on calibration data or weights */
} skive_quantize_row;
/* What a method found for one layer: the squared error of its outputs on calibration samples. */
typedef struct skive_quantize_fit {
    char *node;
    const char *method;     /* "adaround", "gptq", "awq", "smooth" */
    double before, after;   /* with the nearest codes, and with what is used: never larger */
    int64_t channels, kept; /* output channels (of awq and smooth: of the input), and those that stay as before */
    double alpha;           /* of awq and smooth; NAN: none is better than no factors */
} skive_quantize_fit;
/* The nodes of one operator that were kept in float for one reason. */
typedef struct skive_quantize_left {
    char *op, *reason;
    char *nodes[3];    /* names of the first three, NULL after the last */
    char *weights[3];  /* the largest float parameter of each, or NULL */
    size_t n_nodes;    /* how many they are */
    int64_t n_weights; /* number of float weights in them */
} skive_quantize_left;
/* The difference of an output of the quantized model from that of the float model. */
typedef struct skive_quantize_output {
    char *name;
    double sqnr; /* signal to noise, dB; NAN for outputs that are not floats or are all zero */
    /* For outputs [N, C]: fraction of samples whose largest score is the same; of integers: fraction of equal ones;
     * NAN for others */
    double agreement;
} skive_quantize_output;
typedef struct skive_quantize_worst {
    char *name; /* NULL after the last */
    bool is_parameter;
    double sqnr;
} skive_quantize_worst;
typedef struct skive_quantize_trial {
    const char *calibration; /* "auto": chosen for each value */
    double score;            /* dB: mean over the outputs of their signal to noise, each within -20 to 60 */
} skive_quantize_trial;
/* A value far outside all others during calibration, such as a missing-value marker or a sensor fault. */
typedef struct skive_quantize_outlier {
    char *name;       /* of the value; NULL: there was none */
    double value;     /* the outlier */
    double low, high; /* range of all others */
    /* Calibration run in which it occurred; after skive_quantize and skive_quantize_arrays the index of the sample
     * (the first of its batch) */
    int64_t run;
    /* Number of runs with such an input, which are left out of the choice of "auto" and of the figures */
    int64_t spoilt_runs;
} skive_quantize_outlier;
enum { SKIVE_QUANTIZE_WORST = 3, SKIVE_QUANTIZE_TRIED = 8 };
typedef struct skive_quantize_report {
    size_t n_rows;
    skive_quantize_row *rows;
    size_t n_quantized, n_refused; /* nodes */
    char **refused;                /* "node: reason" */
    int64_t samples;               /* read, those held out of calibration included */
    double seconds;
    size_t n_left;
    skive_quantize_left *left; /* all nodes that compute floats, including those of `refused` */
    /* The outputs against the float model's, on runs held out of the calibration; after the measurement these samples
     * were added to the ranges. If there were too few to hold any out, the calibration samples were used (held_out
     * false). */
    bool held_out;
    int64_t check_samples;
    size_t n_outputs;
    skive_quantize_output *outputs;
    const char *calibration; /* the setting that was used: "auto" may have selected one observer for all */
    size_t n_tried;
    skive_quantize_trial tried[SKIVE_QUANTIZE_TRIED];
    skive_quantize_worst worst[SKIVE_QUANTIZE_WORST]; /* values in ascending order of their own signal to noise */
    skive_quantize_outlier outlier;
    size_t n_fits;
    skive_quantize_fit *fits;
    int64_t expected_bytes; /* of the parameters of the quantized model; of a dry run only */
    bool fixed_multipliers; /* the option `multiplier` was "fixed" */
} skive_quantize_report;
SKIVE_API void skive_quantize_report_free(skive_context *ctx, skive_quantize_report *report);

/* Quantizes in place. `calibration` gives unlabelled samples (normally of the training set). BatchNormalization is
 * folded first. On failure the graph is as it was. Errors: ARGUMENT, DATA, NOT_FOUND (a name in `skip` that no node
 * has), NUMERIC (NaN in a weight or an activation, naming it), UNSUPPORTED (no node can be quantized; a grid that no
 * element type of ONNX holds). */
SKIVE_API skive_status skive_quantize(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                                      const skive_quantize_options *options, skive_quantize_report *report);

/* The same for models of any inputs: samples[i] belongs to input i of the graph, with one array for each input. Its
 * first axis counts the samples: it either replaces the input's first dimension (the batch; each run takes as many rows
 * as the model fixes, or `batch`), or comes before all of the input's dimensions (then a run is one sample). Open
 * dimensions are those of the samples, other element types are converted, and an array of one sample is used in all
 * runs. If there are more than `samples` of them, they are chosen evenly spaced. Errors: as skive_quantize; SHAPE. */
SKIVE_API skive_status skive_quantize_arrays(skive_context *ctx, skive_graph *graph, const skive_tensor *samples,
                                             size_t n_samples, const skive_quantize_options *options,
                                             skive_quantize_report *report);

/* The same with a callback that fills the graph's inputs for run `index` (returns ERR_NOT_FOUND when there are no
 * more). */
typedef skive_status (*skive_feed_fn)(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs);
SKIVE_API skive_status skive_quantize_feed(skive_context *ctx, skive_graph *graph, skive_feed_fn feed, void *user,
                                           const skive_quantize_options *options, skive_quantize_report *report);

/* ---- without samples ---- */

/* Only the weights and tables, on a number grid (docs/tables.md): "int8", "int4:32" (a scale for each 32 numbers
 * along the inputs of a matrix; other weights have one for each output channel), "uint4:64,asymmetric", "f16",
 * "bf16", "f8e4m3". The file has the codes, which DequantizeLinear or Cast turn into float32, in which the model
 * computes: it becomes smaller, not faster. Of the options `skip` and `dry_run` count. Errors: ARGUMENT (no such
 * grid; the model is quantized already), NOT_FOUND (a name in `skip` that no node has), UNSUPPORTED (no weight; a
 * grid that no element type of ONNX holds: skive/pack.h stores those), NUMERIC. */
SKIVE_API skive_status skive_quantize_weights(skive_context *ctx, skive_graph *graph, const char *grid,
                                              const skive_quantize_options *options, skive_quantize_report *report);

/* Static quantization without samples (data-free quantization, Nagel et al. 2019): ranges of activations are 6 standard
 * deviations around the means that BatchNormalization keeps, cut by the activation functions, followed through sums,
 * pools and layers without one. Options as of skive_quantize, but for those of calibration; bias_correction may be
 * "none" or "analytic". Nothing is measured: without samples there is nothing to measure on. Errors: as above;
 * UNSUPPORTED (no statistics: the value is named; no range of the inputs). */
SKIVE_API skive_status skive_quantize_data_free(skive_context *ctx, skive_graph *graph,
                                                const skive_quantize_options *options, skive_quantize_report *report);

/* Dynamic quantization: weights of MatMul, Gemm, Conv, LSTM, GRU and RNN become int8 with a scale for each output
 * channel, and their inputs (of recurrent cells the state before each step too) uint8 while the model runs, with the
 * range of each run (DynamicQuantizeLinear, MatMulInteger, ConvInteger; com.microsoft's DynamicQuantizeLSTM; a Scan
 * of the first two for GRU and RNN). Other nodes stay float and are listed in report->left. Of the options `weights`
 * (int8 or int7, which onnxruntime computes exactly on every processor), `per_channel`, `skip`, `no_slower` and
 * `dry_run` count. Errors: as above; UNSUPPORTED (no such node with float weights; another grid). */
SKIVE_API skive_status skive_quantize_dynamic(skive_context *ctx, skive_graph *graph,
                                              const skive_quantize_options *options, skive_quantize_report *report);

/* ---- with a limit on the loss of accuracy ---- */

typedef struct skive_quantize_layer {
    char *node, *op;
    double sqnr; /* of the model's outputs when this node alone is quantized, dB: the larger, the less harmful */
    bool quantized;
} skive_quantize_layer;
typedef struct skive_quantize_control {
    skive_control_report search; /* on the validation split; a "choice" is a quantized node */
    size_t n_layers;
    skive_quantize_layer *layers; /* all nodes that can be quantized, the least harmful first */
    double original;              /* accuracy of the float model on the validation split, percent; of VALUES 100 R^2 */
    bool tested;                  /* the following are measured on the test set */
    double test_original;         /* as `original` */
    double test_drop;             /* percentage points, positive: the quantized model is worse */
    double test_low, test_high;   /* its paired 95 % interval (Newcombe 1998); NaN for VALUES */
    skive_paired_report test;
} skive_quantize_control;
SKIVE_API void skive_quantize_control_free(skive_context *ctx, skive_quantize_control *control);

/* skive_quantize, with as many nodes quantized as lose at most `max_drop` percentage points of accuracy (of R squared
 * for VALUES) on the labelled set `validation`. The harm of each node by itself is measured on calibration samples; the
 * most harmful are put back to float by bisection (skive_control_drop), and what is written was itself measured to be
 * within the limit. `test` may be NULL: on it the final model is compared with the original. `options`, `report` and
 * `control` may be NULL. Calibration and validation samples should differ. Errors: as skive_quantize and
 * skive_evaluate; ARGUMENT (max_drop is not 0 to 100); GOAL (no node at all can be quantized; *control is filled, and
 * the graph is as it was). Free *control with skive_quantize_control_free. */
SKIVE_API skive_status skive_quantize_within(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                                             skive_dataset *validation, skive_dataset *test, double max_drop,
                                             const skive_quantize_options *options, skive_quantize_report *report,
                                             skive_quantize_control *control);

#ifdef __cplusplus
}
#endif
#endif
