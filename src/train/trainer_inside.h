/* The trainer's own struct, for the files that make it up: trainer.c (a step) and trainer_access.c (what others
 * see). */
#ifndef SKV_TRAINER_INSIDE_H
#define SKV_TRAINER_INSIDE_H

#include "train/train.h"

struct skv_trainer {
    skive_context *ctx;
    skive_graph *graph;
    skive_train_options options;
    const skv_optimizer *optimizer;
    skv_option_values optimizer_values;
    skive_plan *plan;
    skive_exec *exec;
    skv_param *params;
    size_t n_params;
    float *gradients; /* [n_weights] all of them; NULL: nobody asked */
    int64_t n_weights;
    skv_step_hook *hooks;
    size_t n_hooks;
    skv_bound_callback *callbacks;
    size_t n_callbacks;
    skv_stat_update *stats;
    size_t n_stats, first_stat_output;
    skv_memory *memories;
    size_t n_memories; /* their outputs follow those of the statistics */
    size_t input_index, labels_index;
    int64_t batch, classes;
    int64_t updates, runs; /* made so far; a run whose gradients are held back makes no update */
    int64_t bad_row;       /* of the batch that gave a loss that is no number, if it is known; -1 */
    bool labelled, shares;
};

float *skv_trainer_output(skv_trainer *t, size_t i); /* the numbers of an output of the plan */
/* Where each parameter's gradient is, and all of them in one buffer if somebody asked for it. */
void skv_trainer_collect(skv_trainer *t);

#endif
