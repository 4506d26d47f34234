/* Pruning: single weights are set to zero, or whole channels are removed.
 *
 * Selection of weights: the weights of lowest magnitude (LeCun et al. 1989; Han et al. 2015) or lowest layer-
 * adaptive magnitude (LAMP, Lee et al. 2021), as many as a sparsity requires, over all layers or layer by layer, or
 * all below a threshold. Schedule: at once, in steps of a cubic schedule (Zhu & Gupta 2017), or in steps that remove
 * the same fraction of the remaining weights (Han et al. 2015; Frankle & Carbin 2019). Fine-tuning keeps pruned
 * weights at zero; optionally with the dense model or another as teacher (Hinton et al. 2015), and optionally with
 * masks from which weights can return (dynamic network surgery, Guo et al. 2016).
 *
 * Channels (granularity "channel"): what goes is really gone. Filters, neurons, hidden units, heads are removed from
 * the graph with everything that is coupled to them (skive/coupling.h), and the model becomes an ordinary smaller
 * one. The scores of all weights of a channel are combined (as in DepGraph, Fang et al. 2023), and those of lowest
 * score go over all layers until a budget of multiply-accumulates, parameters, bytes or measured time is met. */
#ifndef SKIVE_PRUNE_H
#define SKIVE_PRUNE_H

#include <skive/exec.h>
#include <skive/train.h>
#include <skive/tune.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A separate sparsity for one parameter, in [0, 1). */
typedef struct skive_prune_ratio {
    const char *parameter; /* value name */
    double sparsity;
} skive_prune_ratio;

typedef struct skive_prune_options {
    size_t size;
    const char *criterion; /* criteria.inc: "magnitude", "lamp", "taylor:batches=16" ... */
    const char *schedule;  /* schedules.inc: "one-shot", "cubic", "iterative" */
    double sparsity;       /* fraction of the prunable weights set to zero, in [0, 1); 0 if a threshold is set */
    bool per_layer;        /* the same fraction in each layer; otherwise one threshold for all layers */
    /* Minimum fraction of each layer's weights to keep, so that no layer is pruned completely, in [0, 1]; negative
     * (default): a twentieth of the fraction kept overall, 0.05 (1 - sparsity), or 0.005 with a threshold. */
    double layer_floor;
    const char *const *skip; /* names of parameters that are not pruned */
    size_t n_skip;
    const skive_train_options *finetune; /* NULL or epochs 0: none. Start from skive_prune_finetune_default() */
    int steps;                           /* of a gradual schedule */
    /* Instead of a sparsity, with the schedule "one-shot"; 0: not used. Weights that score below it are pruned: below
     * this number, or below this many standard deviations of the layer's weights ("magnitude" only). */
    double threshold, threshold_std;
    /* Parameters with a sparsity of their own; `sparsity` or the threshold is for the others. */
    const skive_prune_ratio *ratios;
    size_t n_ratios;
    /* Fine-tuning also trains the masked weights and chooses the mask again from time to time, until this fraction of
     * it is done, in (0, 1], default 0.75; then the mask is fixed, and the best epoch is selected among the epochs from
     * there on. */
    bool surgery;
    double surgery_until;
    double distill_alpha; /* weight of the teacher's soft labels in the loss of fine-tuning, in [0, 1]; 0: none */
    double temperature;   /* temperature of the soft labels, above 0; default 4 */
    /* Fraction of the epochs of fine-tuning that follows the last step of a gradual schedule, in [0, 1]; 0: the same as
     * after each of the others. */
    double last_step;
    /* Provides the soft labels and is not modified; NULL: the model before pruning. It takes the same samples as the
     * model (each applies its own normalisation) and gives scores [N, classes] for the same number of classes. */
    const skive_graph *teacher;
    /* Only say what would be done: the report has the weights that would be kept with the weights as they are now (of a
     * gradual schedule the end, without the training between its steps); nothing is trained and the graph is not
     * changed. `train` is read only by criteria that look at data. Default false */
    bool dry_run;
    /* What goes at once: "element", the default, sets single weights to zero; "channel:..." removes whole channels from
     * the graph, "head" those that are heads of attention or groups, "layer" whole layers and residual blocks
     * (granularities.inc). `sparsity`, thresholds, ratios, `layer_floor` and surgery are for elements. */
    const char *granularity;
    /* With "channel": what remains of the model, as text, one of them; NULL: none. Up to 1 or with % a fraction of what
     * there is ("0.5"), otherwise absolute: multiply-accumulates ("200M"), parameters ("1.5M"), bytes of the ONNX file
     * ("200k"), time of one run with one sample, measured on this machine with the context's threads ("2ms"). */
    const char *macs, *params, *bytes, *latency;
    /* Instead of a budget, channels that do nothing are removed: those whose numbers are zero or one constant wherever
     * they are read, proven by interval analysis from the types of the inputs and the parameters, and those that are
     * read with weights that are zero. Either implies the granularity "channel". `lossless`: of a quantized model not a
     * bit of the outputs changes; constants are moved into biases where that is exact in integers. `zeros`: what
     * training left at zero (group lasso, pruned filters); constants are moved into biases also in float32, which
     * changes roundings; fine-tuning may follow. */
    bool lossless, zeros;
    /* With `lossless`: constants of float32, within this fraction of their magnitude, are moved into biases too. 0, the
     * default: they stay. */
    double tolerance;
    /* After pruning without fine-tuning, the statistics of BatchNormalization from some batches of the training set:
     * "auto", the default, where there is a training set, with a note (not with `lossless`); "on", "off". */
    const char *recalibrate_bn;
    /* With channels: before they go, the weights of the layers that read them are fitted so that these give what they
     * gave, by least squares over samples of the training set (Channel Pruning, He, Zhang & Sun 2017). */
    bool reconstruct;
    /* With "channel": sizes of inputs with open dimensions, for which multiply-accumulates and times are measured; the
     * model keeps its open dimensions. */
    const skive_shape_binding *shapes;
    size_t n_shapes;
    /* With fine-tuning: before it the weights that stay, and all else that is learned, go back to those of this model,
     * which is the same network at an earlier time of its training and is not modified. NULL: they do not. */
    const skive_graph *rewind;
    /* Also trains the pruned network from newly drawn weights for so many epochs, with the options of fine-tuning, as a
     * control (skive_prune_report.scratch); 0: not. */
    int scratch_control;
    /* Percentage points (of R squared for VALUES) that may be lost on the validation set: of the way to `sparsity`, or
     * to the budget, as many twentieths (SKIVE_PRUNE_LEVELS) are gone as stay within, found by bisection
     * (skive_control_drop); each trial is the whole method, with fine-tuning. What is handed over was itself measured.
     * Negative, the default: no limit. A dry run tells the whole way. */
    double max_drop;
} skive_prune_options;
SKIVE_API skive_prune_options skive_prune_options_default(void);
/* Training options for fine-tuning a pruned model: epochs 0, learning rate 0.01, no warm-up. */
SKIVE_API skive_train_options skive_prune_finetune_default(void);

typedef struct skive_prune_layer {
    char *parameter, *node;
    int64_t count, kept;
    char *refused; /* reason if the layer was not pruned, else NULL */
} skive_prune_layer;
/* The output channels of one layer, where channels are removed. */
typedef struct skive_prune_channels {
    char *parameter, *node; /* the weight, and the node that it belongs to */
    const char *channels;   /* what they are called: "filters"; static */
    int64_t count, kept, removable;
    char *why; /* the reason why not all could be removed, with the node it comes from; NULL: all could */
} skive_prune_channels;
typedef struct skive_prune_size {
    int64_t macs, parameters, bytes; /* of one sample; of the model; of its ONNX file */
    double seconds;                  /* of one run; NaN if it was not measured */
} skive_prune_size;

enum { SKIVE_PRUNE_LEVELS = 20 };
typedef struct skive_prune_report {
    size_t n_layers;
    skive_prune_layer *layers;
    int64_t count, kept; /* over the prunable weights */
    double threshold;    /* largest pruned score, if one threshold applies to all layers; else that of the options */
    skive_train_report training; /* of the last step of a gradual schedule */
    skive_train_report scratch;  /* of the control: the same model trained from scratch; without one, no epochs */
    /* Where channels are removed; otherwise empty. */
    size_t n_channels;
    skive_prune_channels *channels;
    skive_prune_size before, after; /* times are measured in turns, and comparable */
    int64_t removed;                /* channels, of so many that could be removed */
    int64_t removable;
    int64_t multiple; /* widths of layers were rounded to multiples of it */
    /* With `lossless` and `zeros`: channels removed whose constant the next bias has taken, and constant ones kept. */
    int64_t folded, constant;
    int64_t merged; /* with `lossless`: channels removed because another gives the same, whose weights took theirs */
    /* With `max_drop`: the trials; a choice is a twentieth of the way. Otherwise there are none. */
    skive_control_report control;
} skive_prune_report;
SKIVE_API void skive_prune_report_free(skive_context *ctx, skive_prune_report *report);

/* Prunes weights of products, convolutions and recurrent layers, and tables of embeddings, in place; with the
 * granularity "channel" removes channels, after which pointers to nodes and values of the graph are invalid. Zeros stay
 * under any later training (skive_train_options.keep_zeros). `train` may be NULL when nothing is trained and the
 * criterion looks at no data. On failure the graph is unchanged, except for ERR_INTERRUPTED after an epoch of
 * fine-tuning: then graph and report are those of the last finished epoch. Errors: ARGUMENT (a number out of its range,
 * a sparsity and a threshold at once, an unknown name), NUMERIC (weights that are NaN or infinite), UNSUPPORTED
 * (nothing to prune), GOAL (channels: the budget is below what can be reached; the message names that, and what stands
 * in the way), SHAPE (a teacher with another input than the model; soft labels if one of the two does not give scores
 * [N, classes] or their classes differ), as skive_train. */
SKIVE_API skive_status skive_prune(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                   skive_dataset *validation, const skive_prune_options *options,
                                   skive_prune_report *report);

#ifdef __cplusplus
}
#endif
#endif
