/* Pruning. This version: unstructured, by magnitude (LeCun et al. 1989; Han et al. 2015), global or per layer, one-shot
 * or gradual on the cubic schedule (Zhu & Gupta 2017), with fine-tuning under the mask. */
#ifndef SKIVE_PRUNE_H
#define SKIVE_PRUNE_H

#include <skive/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_prune_options {
    size_t size;
    const char *criterion; /* criteria.inc: "magnitude" */
    const char *schedule;  /* "one-shot", "cubic" */
    double sparsity;       /* fraction of the prunable weights set to zero, in [0, 1) */
    bool per_layer;        /* the same fraction in each layer; otherwise one threshold over all */
    double layer_floor;    /* least fraction of a layer's weights that stays, so that no layer empties; default 0.005 */
    const char *const *skip; /* names of parameters left alone */
    size_t n_skip;
    skive_train_options finetune; /* epochs 0: none */
    int steps;                    /* of the gradual schedule */
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
    int64_t count, kept; /* over the prunable weights */
    double threshold;    /* of the global criterion */
    skive_train_report training;
} skive_prune_report;
SKIVE_API void skive_prune_report_free(skive_context *ctx, skive_prune_report *report);

/* Prunes weights of Conv, Gemm and MatMul in place. `train` may be NULL when nothing is trained. On failure the graph is
 * as it was, except ERR_INTERRUPTED after an epoch of fine-tuning: then graph and report are as that epoch left them. Errors: ARGUMENT (sparsity outside [0, 1), unknown name), NUMERIC (weights that are NaN or infinite), DATA, as skive_train. */
SKIVE_API skive_status skive_prune(skive_context *ctx, skive_graph *graph, skive_dataset *train,
                                   skive_dataset *validation, const skive_prune_options *options,
                                   skive_prune_report *report);

#ifdef __cplusplus
}
#endif
#endif
