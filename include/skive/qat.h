/* Quantization-aware training: a network is trained while its weights and activations are rounded, and becomes the
 * quantized model whose accuracy the last validation measured: that was computed in the integers that are exported (see
 * docs/quantization.md). */
#ifndef SKIVE_QAT_H
#define SKIVE_QAT_H

#include <skive/distill.h>
#include <skive/quant.h>
#include <skive/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_qat_options {
    size_t size;
    /* Number grids (docs/tables.md) of the weights of products, and of the activations that these read: "int8" (default
     * for weights), "int4", "int2:tensor", "ternary", "binary" ...; "uint8" (default for activations), "uint4",
     * "uint2", "binary", or "float": activations are not rounded. NULL: the default. Sums and poolings read uint8. */
    const char *weights, *activations;
    /* How weights and activations are rounded in training: "lsq", "fit", "dorefa", "ttq", "inq"; "lsq", "pact", "ema",
     * "fixed", "dorefa", with options: "pact:decay=0.001" (skive_qat_method_name). Default "lsq" for both. */
    const char *weight_rule, *activation_rule;
    /* Of the first and the last product: "8" (default): int8 weights and uint8 activations; "same": as all others. */
    const char *first_last;
    /* "trained" (default): BatchNormalization stays behind the rounded products and follows the batches, and its
     * statistics are computed anew with the rounded weights before each validation and for the export; "frozen": it
     * stays with the statistics, scales and shifts that it has; "folded": it is folded into the weights first. In each
     * case the exported model has it in the scales and biases of its integers. */
    const char *batchnorm;
    double distill_alpha;       /* weight of the teacher's outputs in the loss, 0 (default: none) to 1 */
    double temperature;         /* of them; default 4 */
    const skive_graph *teacher; /* borrowed; NULL: the model itself before quantization */
    /* How ranges of activations are found before the training (its `calibration`, "auto" meaning mse; `samples`,
     * `batch`, `per_channel`, `skip`), and the form of the multipliers (its `multiplier`); NULL: defaults. */
    const skive_quantize_options *quantize;
    const skive_train_options *train; /* NULL: skive_qat_train_default() */
    /* Only say what would be done: no data are read, and the graph is not changed. Default false */
    bool dry_run;
    /* All that a teacher can teach, in the place of distill_alpha and temperature, which must be as they are by default
     * then: terms on values inside both networks, several teachers, samples without labels, answers on disk
     * (skive/distill.h). Its `train` has no effect. `teacher` is the first teacher. NULL: none. */
    const skive_distill_options *distill;
} skive_qat_options;
SKIVE_API skive_qat_options skive_qat_options_default(void);
/* Training options for quantization-aware training: 5 epochs, learning rate 0.01, no warm-up, weight decay 1e-4. */
SKIVE_API skive_train_options skive_qat_train_default(void);
/* The rules by which numbers are rounded in training; NULL past the end. *weights and *activations (may be NULL) tell
 * what the rule is for. */
SKIVE_API const char *skive_qat_method_name(size_t index, bool *weights, bool *activations);

typedef struct skive_qat_row {
    char *name;       /* of the weight, or of the value */
    char *node;       /* the first that reads the weight so rounded; NULL: an activation */
    char *grid;       /* "int4", "uint8" ... */
    const char *rule; /* "lsq" ... (static) */
    double before;    /* the step (the scale) at the start; of several channels their mean; NaN: there is none */
    double after;     /* the same at the end */
    int zero_point;   /* of an activation */
    double zeros;     /* fraction of the numbers of a weight that are zero at the end */
} skive_qat_row;

typedef struct skive_qat_report {
    size_t n_rows;
    skive_qat_row *rows;
    skive_train_report training;
    size_t n_quantized; /* nodes */
    size_t n_left;      /* nodes that compute floats, by operator and reason */
    skive_quantize_left *left;
    bool tested;                    /* the following are measured on the test set, percent (of VALUES 100 R squared) */
    double original, before, after; /* the float model; quantized without training on the same grids; the result */
    skive_paired_report test;       /* the float model and the result, paired */
    skive_paired_report gain;       /* quantized without training and the result, paired */
    int64_t bytes_before, bytes_after; /* of the parameters, as a file holds them */
    int64_t packed_bytes; /* of the result, with each weight at the bits of its grid, scales and zero points included */
} skive_qat_report;
SKIVE_API void skive_qat_report_free(skive_context *ctx, skive_qat_report *report);

/* Trains a float model with rounded weights and activations, in place, and quantizes it. `validation` (may be NULL)
 * chooses the best epoch, and is computed by the integers that are exported; `test` (may be NULL) measures float model,
 * quantization without training, and the result. Zeros of a pruned model stay, and weights that share values go on
 * sharing them. On failure the graph is as it was, except for ERR_INTERRUPTED after a finished epoch: then it is the
 * quantized model of the best epoch so far. `options` and `report` may be NULL; *report is freed by
 * skive_qat_report_free. Errors: ARGUMENT (an unknown name; a rule that cannot take a grid; the model is quantized
 * already), NOT_FOUND (a name in `skip` that no node has), UNSUPPORTED (nothing to quantize; a model whose shapes
 * depend on data), NUMERIC, as skive_train. Papers: Jacob et al. 2018; Esser et al. 2020 (lsq); Choi et al. 2018
 * (pact); Zhou et al. 2016 (dorefa); Li & Liu 2016 (ternary); Zhu et al. 2017 (ttq); Rastegari et al. 2016 (binary);
 * Zhou et al. 2017 (inq). */
SKIVE_API skive_status skive_quantize_aware(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                            skive_dataset *validation, skive_dataset *test,
                                            const skive_qat_options *options, skive_qat_report *report);

#ifdef __cplusplus
}
#endif
#endif
