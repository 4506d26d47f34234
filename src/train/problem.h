/* A model with its loss, in one graph, ready for gradients. */
#ifndef SKV_PROBLEM_H
#define SKV_PROBLEM_H

#include "data/feed.h"
#include "train/head/goals.h"
#include "train/objective.h"
#include "train/trainer.h"

/* Names of the inputs that are put beside the model's own. */
#define SKV_LABELS_INPUT  "skive.labels"
#define SKV_INDICES_INPUT "skive.indices"
/* Of the second goal and those after it: "skive.labels.2" ... */
enum { SKV_LABELS_NAME = 40 };
const char *skv_labels_name(size_t goal, char buffer[SKV_LABELS_NAME]);

typedef struct skv_problem_setup {
    const skive_graph *model; /* with what is trained marked; only read */
    const skv_feeds *feeds;   /* from the samples to the model */
    const skv_targets *targets;
    const skv_goals *goals; /* of several outputs; NULL: the one that fits the targets */
    const skv_objective *objective;
    const skive_train_options *options;
    const skv_target_scale *scale; /* NULL: none */
    const double *class_weights;   /* NULL: none */
    int64_t batch;
    int64_t shares; /* labels are rows of so many shares of classes, not numbers of classes; 0: they are not */
    bool inference; /* BatchNormalization with its running statistics, no Dropout: for scores of a finished model */
    bool apart;     /* teachers of whom only scores are asked may run in a plan of their own (answers.h) */
    bool quiet;     /* no notes of what the output is taken for */
} skv_problem_setup;

typedef struct skv_problem {
    skive_graph *graph;
    skive_value **inputs; /* [feeds->n] */
    skive_value *labels, *indices /* NULL: no term needs them */, *logits, *loss;
    skv_head head;
    skv_stat_update *updates; /* of statistics; freed by skv_problem_free */
    size_t n_updates;
    skv_memories memories; /* of the terms */
    skv_apart apart;       /* the teachers, where they run by themselves */
    skive_value **courses; /* [terms of the objective] input of a factor, or NULL */
} skv_problem;
/* Errors: DATA (targets that do not fit the model), SHAPE, ARGUMENT, UNSUPPORTED. */
skive_status skv_problem_build(skive_context *ctx, const skv_problem_setup *setup, skv_problem *out);
void skv_problem_free(skive_context *ctx, skv_problem *p); /* the graph too; NULL it where it was given away */

/* The model for as many samples a run, with the sizes that it leaves open taken from the samples. */
skive_status skv_problem_bind(skive_context *ctx, const skive_graph *model, const skv_feeds *feeds, int64_t batch,
                              skive_graph **out);

/* Turns a copy of a model into its training mode: BatchNormalization takes statistics of the batch (with the outputs
 * its gradient needs), Dropout is live. Values keep their names. updates lists (parameter, value that replaces it after
 * each step); freed by skv_free. */
skive_status skv_graph_to_training(skive_context *ctx, skive_graph *g, skv_stat_update **updates, size_t *n_updates);

#endif
