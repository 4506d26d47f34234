/* Pruning. This version: unstructured.
 *
 * Selection: the weights of lowest magnitude (LeCun et al. 1989; Han et al. 2015) or lowest layer-adaptive magnitude
 * (LAMP, Lee et al. 2021), as many as a sparsity asks for, over all layers or layer by layer, or all below a
 * threshold. Schedule: at once, in steps of a cubic schedule (Zhu & Gupta 2017), or in steps that take the same
 * fraction of what is left (Han et al. 2015; Frankle & Carbin 2019). Fine-tuning goes on under the mask, on request
 * with the dense model or another as teacher (Hinton et al.
 * 2015), and on request with masks from which weights return (dynamic network surgery, Guo et al. 2016). */
#ifndef SKIVE_PRUNE_H
#define SKIVE_PRUNE_H

#include <skive/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A parameter's own sparsity, in [0, 1). */
typedef struct skive_prune_ratio {
    const char *parameter; /* value name */
    double sparsity;
} skive_prune_ratio;

typedef struct skive_prune_options {
    size_t size;
    const char *criterion; /* criteria.inc: "magnitude", "lamp" */
    const char *schedule;  /* schedules.inc: "one-shot", "cubic", "iterative" */
    double sparsity;       /* fraction of the prunable weights set to zero, in [0, 1); 0 where a threshold is set */
    bool per_layer;        /* the same fraction in each layer; otherwise one threshold over all */
    /* Least fraction of a layer's weights that stays, so that no layer empties, in [0, 1]; negative (default): a
     * twentieth of what stays over all, 0.05 (1 - sparsity), or 0.005 with a threshold. */
    double layer_floor;
    const char *const *skip; /* names of parameters left alone */
    size_t n_skip;
    skive_train_options finetune; /* epochs 0: none */
    int steps;                    /* of a gradual schedule */
    /* Instead of a sparsity, with the schedule "one-shot"; 0: not used. Weights that score below it are pruned: below
     * this number, or below so many standard deviations of the layer's weights ("magnitude" only). */
    double threshold, threshold_std;
    /* Parameters with a sparsity of their own; `sparsity` or the threshold is for the others. */
    const skive_prune_ratio *ratios;
    size_t n_ratios;
    /* Fine-tuning trains the masked weights too and chooses the mask anew from time to time, until this fraction of it
     * is done, in (0, 1], default 0.75; then the mask rests, and epochs from there on count as best. */
    bool surgery;
    double surgery_until;
    double distill_alpha; /* share of the teacher's soft labels in the loss of fine-tuning, in [0, 1]; 0: none */
    double temperature;   /* of the soft labels, above 0; default 4 */
    /* Fraction of the epochs of fine-tuning that follows the last step of a gradual schedule, in [0, 1]; 0: as much as
     * follows each of the others. */
    double last_step;
    /* Gives the soft labels, only read; NULL: the model as it is before pruning. It takes what the model takes (each
     * normalises it as its own metadata say) and gives scores [N, classes], as many as the model's. */
    const skive_graph *teacher;
} skive_prune_options;
SKIVE_API skive_prune_options skive_prune_options_default(void);

typedef struct skive_prune_layer {
    char *parameter, *node;
    int64_t count, kept;
    char *refused; /* reason when the layer was left alone, else NULL */
} skive_prune_layer;
typedef struct skive_prune_report {
    size_t n_layers;
    skive_prune_layer *layers;
    int64_t count, kept;         /* over the prunable weights */
    double threshold;            /* largest score that went, where one holds for all layers; else that of the options */
    skive_train_report training; /* of the last step of a gradual schedule */
} skive_prune_report;
SKIVE_API void skive_prune_report_free(skive_context *ctx, skive_prune_report *report);

/* Prunes weights of Conv, Gemm and MatMul in place. `train` may be NULL when nothing is trained. On failure the graph
 * is as it was, except ERR_INTERRUPTED after an epoch of fine-tuning: then graph and report are as that epoch left
 * them. Errors: ARGUMENT (a number out of its range, a sparsity and a threshold at once, an unknown name), NUMERIC
 * (weights that are NaN or infinite), UNSUPPORTED (nothing to prune), SHAPE (a teacher of another input than the
 * model's; soft labels without scores [N, classes] of both, or not of as many classes), as skive_train. */
SKIVE_API skive_status skive_prune(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                   skive_dataset *validation, const skive_prune_options *options,
                                   skive_prune_report *report);

#ifdef __cplusplus
}
#endif
#endif
