/* The trainer: one training problem, a step at a time. A step has four stages, and hooks stand at two of them:
 *
 *   forward and backward   the plan runs: loss, gradients, statistics
 *   reduce                 gradients are summed: over machines, over several batches
 *   inspect                gradients are read, measured and scaled: clipping, loss scaling, scores
 *   apply                  rules and the optimizer change the parameters */
#ifndef SKV_TRAINER_H
#define SKV_TRAINER_H

#include <skive/exec.h>

#include "train/rule.h"

typedef struct skv_trainer skv_trainer;

struct skv_bound_callback;

typedef struct skv_stat_update {
    skive_value *parameter, *next; /* after each step the parameter becomes `next` */
} skv_stat_update;

/* Looks at the gradients of a step. Any function may be NULL. */
typedef struct skv_step_hook {
    const char *name;
    /* Sums gradients. What it sets step->hold for is not applied in this step. */
    skive_status (*reduce)(void *self, skv_trainer *t, skv_step *step);
    /* Reads gradients and may multiply step->scale[]. */
    skive_status (*inspect)(void *self, skv_trainer *t, skv_step *step);
    skive_status (*states)(void *self, skv_states *s);
    void *self;
} skv_step_hook;

/* `graph` in training form with its loss built; ownership is taken on success. Trainable parameters' storages are
 * written in place. */
typedef struct skv_trainer_setup {
    skive_graph *graph;
    skive_value *input, *labels, *loss, *logits;
    const skv_stat_update *updates;
    size_t n_updates;
    const struct skv_memory *memories; /* what terms of the loss keep from step to step */
    size_t n_memories;
    const skive_train_options *options;
    const skv_rule_use *rules; /* besides those that the graph asks for */
    size_t n_rules;
    const skv_step_hook *hooks; /* run in this order, then the callbacks (callback.h) */
    size_t n_hooks;
    int64_t batch;
    bool validated;           /* epochs are validated, for callbacks */
    const skive_graph *model; /* in its own form, for callbacks; NULL: not known */
    int64_t steps;            /* of the whole run, for callbacks; 0: not known */
    bool shares;              /* labels are rows of shares of classes */
    size_t reserve;           /* bytes of the memory limit that the step leaves to others */
} skv_trainer_setup;
skive_status skv_trainer_create(skive_context *ctx, const skv_trainer_setup *setup, skv_trainer **out);
/* Goes on with another training graph, whose parameters have the same names and share the numbers; what the optimizer,
 * rules and callbacks keep of them stays. Takes the setup's graph over in any case. After a failure the trainer can
 * only be freed. */
skive_status skv_trainer_change(skv_trainer *t, const skv_trainer_setup *setup);
void skv_trainer_free(skv_trainer *t);

/* Places to write a batch into: [batch][sample], [batch]. */
void skv_trainer_inputs(skv_trainer *t, float **x, void **labels);
/* Copies a tensor into an input of the training graph, found by name. Errors: DATA when it is not exactly what the
 * plan was made for, NOT_FOUND. */
skive_status skv_trainer_feed(skv_trainer *t, const char *input, const skive_tensor *from);
/* All stages, at `rate`. *loss is of the batch before the update; *correct counts right classes, may be NULL. */
skive_status skv_trainer_step(skv_trainer *t, double rate, double *loss, int64_t *correct);
/* The stages one by one, in this order. `step` is set by the first. */
skive_status skv_trainer_forward_backward(skv_trainer *t, double rate, skv_step *step);
skive_status skv_trainer_reduce(skv_trainer *t, skv_step *step);
skive_status skv_trainer_inspect(skv_trainer *t, skv_step *step);
skive_status skv_trainer_apply(skv_trainer *t, skv_step *step);

size_t skv_trainer_param_count(const skv_trainer *t);
skv_param *skv_trainer_param(skv_trainer *t, size_t i);
skv_param *skv_trainer_find(skv_trainer *t, const char *name); /* NULL: no trained parameter has the name */

/* All gradients in one buffer [*n], parameter after parameter. From the first call on the step writes them there. */
skive_status skv_trainer_gradients(skv_trainer *t, float **all, int64_t *n);
/* All that the optimizer changes, copied out of or into such a buffer. */
void skv_trainer_get_weights(const skv_trainer *t, float *all);
skive_status skv_trainer_set_weights(skv_trainer *t, const float *all);

int64_t skv_trainer_weights(const skv_trainer *t); /* how many numbers */
/* The running statistics of normalisations, all in one buffer. */
int64_t skv_trainer_statistics(const skv_trainer *t); /* how many numbers */
void skv_trainer_get_statistics(const skv_trainer *t, float *all);
void skv_trainer_set_statistics(skv_trainer *t, const float *all);
/* Only those of BatchNormalization, not the ranges that rounded activations follow. */
void skv_trainer_set_norms(skv_trainer *t, const float *all);
/* Those of the last batch alone: behind forward and backward, before apply. */
void skv_trainer_batch_statistics(skv_trainer *t, float *all);

skive_context *skv_trainer_context(const skv_trainer *t);
const skive_train_options *skv_trainer_options(const skv_trainer *t);
/* Of a step that failed with NUMERIC: which sample of the batch had the first number that is not finite; -1: it is not
 * one sample's. */
int64_t skv_trainer_bad_row(const skv_trainer *t);
int64_t skv_trainer_updates(const skv_trainer *t); /* made so far */
const struct skv_bound_callback *skv_trainer_callbacks(const skv_trainer *t, size_t *n);

/* Shows all numbers that the next step starts from to a visitor: trained values, statistics, the optimizer's, the
 * rules', the hooks', the number of the step. */
skive_status skv_trainer_states(skv_trainer *t, skv_states *s);
const skive_plan *skv_trainer_plan(const skv_trainer *t);
skive_exec *skv_trainer_exec(skv_trainer *t); /* for profiling */

#endif
