/* Training's inside: the records of losses, optimizers and schedules, and the fit, on which training, pruning with
 * fine-tuning and distillation are built. */
#ifndef SKV_TRAIN_H
#define SKV_TRAIN_H

#include <skive/autodiff.h>
#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/train.h>

#include "graph/graph.h"
#include "graph/weights.h"
#include "train/head.h"
#include "train/scale.h"

/* ---- losses ---- */

typedef struct skv_loss_args {
    skive_value *logits;  /* [n][classes] of the trained model */
    skive_value *output;  /* what the model gives out, for losses on that; NULL: the logits */
    skive_value *labels;  /* i64 [n] classes, or f32 targets */
    skive_value *teacher; /* logits (of "mse" the output) of a teacher; NULL when there is none */
    double label_smoothing, temperature;
    bool sigmoid;                  /* each score by itself, not a softmax over all */
    const skv_target_scale *scale; /* of "mse": what differences are divided by; NULL: 1 */
    const double *class_weights;   /* of class labels, [n_classes]; NULL: 1 */
    int64_t n_classes;
} skv_loss_args;

typedef struct skv_loss {
    const char *name, *brief;
    bool needs_teacher; /* a teacher's scores */
    bool on_output;     /* compares what the model gives out; otherwise the logits */
    skive_value *(*build)(skv_builder *b, const skv_loss_args *args); /* a scalar, mean over the batch */
} skv_loss;
/* The targets in the shape of the logits: class labels one-hot. `smoothing` spreads that share over `among` answers
 * (0: as many as there are classes). */
skive_value *skv_loss_target(skv_builder *b, const skv_loss_args *a, double smoothing, int64_t among);
/* Losses of samples [n] or [n][...] times the weights of their classes. */
skive_value *skv_weight_samples(skv_builder *b, const skv_loss_args *a, skive_value *losses);
/* What an option says of class weights: [classes], freed by skv_free; NULL where all are 1. Tells them in a note.
 * Errors: ARGUMENT. */
skive_status skv_class_weights(skive_context *ctx, const char *text, const skive_dataset *set, double **out);
size_t skv_loss_count(void);
const skv_loss *skv_loss_at(size_t i);
const char *skv_loss_name(size_t i);
const skv_loss *skv_loss_find(const char *name);

/* ---- optimizers ---- */

typedef struct skv_update {
    float *weight;         /* [n] */
    const float *gradient; /* [n] */
    float *state[2];       /* [n] each, as many as the optimizer has; zero at the start */
    const uint8_t *keep;   /* [n] or NULL: 0 = pruned, stays exactly zero */
    int64_t n;
    double rate, decay;    /* decay already zero where it does not apply */
    double gradient_scale; /* of gradient clipping */
    int64_t step;          /* from 1 */
    const skive_train_options *options;
    int threads;
} skv_update;

typedef struct skv_optimizer {
    const char *name, *brief;
    int states;
    void (*update)(const skv_update *u);
} skv_optimizer;
size_t skv_optimizer_count(void);
const skv_optimizer *skv_optimizer_at(size_t i);
const char *skv_optimizer_name(size_t i);
const skv_optimizer *skv_optimizer_find(const char *name);

/* ---- schedules ---- */

typedef struct skv_schedule {
    const char *name, *brief;
    /* Factor on the learning rate, warm-up not counted, of the batch at whose end `epoch` epochs (fractional) are
     * done. */
    double (*factor)(const skive_train_options *o, double epoch);
} skv_schedule;
size_t skv_schedule_count(void);
const skv_schedule *skv_schedule_at(size_t i);
const char *skv_schedule_name(size_t i);
const skv_schedule *skv_schedule_find(const char *name);
double skv_schedule_rate(const skv_schedule *s, const skive_train_options *o, double epoch); /* with warm-up */

/* ---- the fit ---- */

/* What a loss is built on: values of the training graph, and what the data are. */
typedef struct skv_loss_site {
    skive_value *input, *labels;
    skive_value *logits; /* skv_head_logits; of the task VALUES the output */
    const skv_head *head;
    const skv_targets *targets;
    const skv_target_scale *scale; /* of the targets of a regression; NULL: they are taken as they are */
    const double *class_weights;   /* [targets->info.classes], or NULL */
} skv_loss_site;
/* Builds the loss over the training graph. A scalar, or NULL with the builder's status set. */
typedef skive_value *(*skv_build_loss_fn)(void *user, skv_builder *b, const skv_loss_site *at);
/* The loss that the options name, or the one that fits the head: cross-entropy for classes, binary cross-entropy for
 * sigmoids, mse for values. */
const skv_loss *skv_loss_for(const skive_train_options *o, const skv_head *head);

/* A masked parameter whose mask may move: all of it is kept and trained, masked weights with the gradient of what the
 * graph sees in their place (straight through), and the graph sees dense * keep. */
typedef struct skv_live_mask {
    float *dense;  /* [count] */
    float *seen;   /* [count], the parameter's storage: dense where kept, else 0 */
    uint8_t *keep; /* [count] */
    int64_t count;
} skv_live_mask;

/* Moves masks during a run. */
typedef struct skv_mask_mover {
    double until; /* fraction of the run after which masks rest, in (0, 1]; epochs count as best only from there on */
    /* After each step; masks rest from step `rest` on. live[i] belongs to the fit's masks[i]. Sets *moved when keep was
     * written. Must depend on nothing but its arguments, so that a run can be resumed. */
    skive_status (*move)(void *user, int64_t steps_done, double rest, const skv_live_mask *live, bool *moved);
    void *user;
} skv_mask_mover;

typedef struct skv_fit {
    skive_graph *model;                /* trained in place */
    skive_dataset *train, *validation; /* validation may be NULL */
    const skive_train_options *options;
    const skive_mask *masks;
    size_t n_masks;
    const skv_mask_mover *mover; /* NULL: the masks stay */
    skv_build_loss_fn build_loss;
    void *user;
    const char *what;     /* progress name: "train", "distill", "fine-tune" */
    const char *settings; /* lines of whatever else decides the result (the teacher), for checkpoints; NULL: none */
    const skv_target_scale *scale; /* set by skv_fit_values */
    bool may_grow;                 /* nodes may be put behind the model's output; pointers into it are lost then */
} skv_fit;
skive_status skv_fit_run(skive_context *ctx, const skv_fit *fit, skive_train_report *report);
typedef skive_status (*skv_fit_fn)(skive_context *ctx, const skv_fit *fit, skive_train_report *report);
/* Runs a regression on standardised targets, by `run`. */
skive_status skv_fit_values(skive_context *ctx, const skv_fit *fit, const skv_targets *targets,
                            skive_train_report *report, skv_fit_fn run);

/* skive_evaluate; `tell`: with notes of how samples become the model's input. */
skive_status skv_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, int64_t batch, bool tell,
                          skive_eval_report *out);

/* What the model gives for the first samples of a shuffled set, and their targets: [n][targets] each, of `most`
 * samples or as many as there are. The model's answer must have as many numbers as a target. */
skive_status skv_first_outputs(skive_context *ctx, const skive_graph *g, skive_dataset *set, int64_t most, float *out,
                               float *targets, int64_t *n);

/* The loss of the options on the labels alone; `user` is the skive_train_options. */
skive_value *skv_label_loss(void *user, skv_builder *b, const skv_loss_site *at);

/* ---- a teacher ---- (distillation, and fine-tuning of a pruned model) */

/* The teacher's nodes are merged into the training graph, frozen and in inference form, and the loss is
 * alpha * kl + (1 - alpha) * the loss of the options on the labels. */
typedef struct skv_teacher {
    const skive_graph *graph; /* only read */
    double alpha, temperature;
    const skive_train_options *options;
    const skive_graph *student; /* set by skv_teacher_prepare: its metadata say what its input is */
} skv_teacher;
/* Checks alpha, temperature and the graph. `student` is kept and must last. Errors: ARGUMENT. */
skive_status skv_teacher_prepare(skive_context *ctx, skv_teacher *t, const skive_graph *student);
skive_value *skv_teacher_loss(void *teacher, skv_builder *b, const skv_loss_site *at);
/* The student's input as the teacher takes it. *teacher_feed is freed by the caller. NULL with the builder's status
 * set. */
struct skv_feed;
skive_value *skv_teacher_input(skv_builder *b, const skv_teacher *teacher, const skv_loss_site *at,
                               struct skv_feed *teacher_feed);
void skv_teacher_settings(const skv_teacher *t, skv_text *out); /* for skv_fit.settings */

/* Checks names and ranges of options; ERR_ARGUMENT names the option. */
skive_status skv_train_options_check(skive_context *ctx, const skive_train_options *o);

/* Turns a copy of a model into its training form: BatchNormalization takes statistics of the batch (with the outputs
 * its gradient needs), Dropout is live. updates lists (parameter, value that replaces it after each step); freed by
 * skv_free. */
typedef struct skv_stat_update {
    skive_value *parameter, *next;
} skv_stat_update;
skive_status skv_train_form(skive_context *ctx, skive_graph *g, skv_stat_update **updates, size_t *n_updates);

/* ---- the trainer: one step at a time ---- (the loop, the benchmark and the tests use it) */

typedef struct skv_trainer skv_trainer;
/* `g` in training form with its loss built; ownership is taken on success. Trainable parameters' storages are written
 * in place. */
typedef struct skv_trainer_setup {
    skive_graph *graph;
    skive_value *input, *labels, *loss, *logits;
    const skv_stat_update *updates;
    size_t n_updates;
    const skive_train_options *options;
    const skive_mask *masks;
    size_t n_masks;
    bool live_masks; /* masks may move; every masked parameter must be trainable */
    int64_t batch;
} skv_trainer_setup;
skive_status skv_trainer_create(skive_context *ctx, const skv_trainer_setup *setup, skv_trainer **out);
void skv_trainer_free(skv_trainer *t);
/* Places to write a batch into: [batch][sample], [batch]. */
void skv_trainer_inputs(skv_trainer *t, float **x, void **labels);
/* Copies a batch there. Errors: DATA when it is not exactly what the plan was made for. */
skive_status skv_trainer_feed(skv_trainer *t, const skive_tensor *x, const skive_tensor *labels);
/* Forward, backward, update at `rate`. *loss is of the batch before the update; *correct counts right classes. */
skive_status skv_trainer_step(skv_trainer *t, double rate, double *loss, int64_t *correct);
/* With live masks: as many as there are masks, in their order. Who writes keep[] calls skv_trainer_show_masks. */
const skv_live_mask *skv_trainer_live_masks(const skv_trainer *t);
void skv_trainer_show_masks(skv_trainer *t);
/* State that a checkpoint keeps: optimizer state of all parameters, one after another, then the live masks; and the
 * step. */
size_t skv_trainer_state_count(const skv_trainer *t);
void *skv_trainer_state(skv_trainer *t, size_t i, size_t *bytes);
int64_t *skv_trainer_step_number(skv_trainer *t);
const skive_plan *skv_trainer_plan(const skv_trainer *t);
skive_exec *skv_trainer_exec(skv_trainer *t); /* for profiling */

/* ---- checkpoints ---- */

typedef struct skv_checkpoint {
    const char *settings; /* of the run (skv_run_settings): a checkpoint of other ones is refused */
    int32_t epochs;       /* of the run */
    bool may_extend;      /* a checkpoint of a run of fewer or more epochs will do */
    int32_t run_epochs;   /* out: of the run that wrote it */
    int32_t epoch;        /* finished */
    int32_t best_epoch;
    double best, tie; /* what the best epoch is better in, and what decides among equals */
} skv_checkpoint;
skive_status skv_checkpoint_save(skive_context *ctx, const char *path, const skv_checkpoint *c,
                                 const skive_graph *model, const skive_graph *best, skv_trainer *t);
/* *found false when there is no file. Errors: IO, FORMAT (damaged), ARGUMENT (of another run; says in what it
 * differs). */
skive_status skv_checkpoint_load(skive_context *ctx, const char *path, skv_checkpoint *c, skive_graph *model,
                                 skive_graph *best, skv_trainer *t, bool *found);

/* Lines "name TAB value" of all that decides a run's result but the number of epochs. skv_text_free(out) in any case.
 * */
skive_status skv_run_settings(skive_context *ctx, const skv_fit *fit, const skive_graph *model, skv_text *out);
void skv_settings_text(skv_text *t, const char *name, const char *value);
void skv_settings_number(skv_text *t, const char *name, double value);
/* What the model's metadata say of its input. `who`: "", or "teacher-". */
void skv_settings_input(skv_text *t, const char *who, const skive_graph *g);
void skv_settings_hash(skv_text *t, const char *name, uint64_t hash); /* of what is not shown */
/* Has each of my lines the same value in theirs[size]? `why` tells the first that has not. */
bool skv_settings_same(const char *mine, const char *theirs, size_t size, char *why, size_t room);

/* ---- the best epoch ---- */

const char *skv_best_name(size_t i);
skive_status skv_best_check(skive_context *ctx, const char *by);
/* "accuracy", "loss" or "f1". */
const char *skv_best_rule(const char *by, const skive_epoch_report *row);
/* Is the epoch better than the best so far? If so, *best gets its figures. Errors: ARGUMENT (what is asked for was not
 * measured). */
skive_status skv_best_better(skive_context *ctx, const char *by, const skive_epoch_report *row, skv_checkpoint *best,
                             bool *better);

/* Every floating-point parameter gets a storage of its own, so that writing does not reach other graphs. */
skive_status skv_params_unshare(skive_graph *g);
/* Unless something is marked, marks what is learned by its role (graph/weights.h). */
skive_status skv_params_mark_trainable(skive_graph *g);
/* Adds what the options train and takes away what they freeze, and notes what is trained and what is not. Errors:
 * NOT_FOUND (a pattern that no parameter has). */
skive_status skv_params_choose(skive_graph *g, const skive_train_options *o);
/* Whose zeros stay: "pruned", "all", "none". */
const char *skv_keep_zeros_name(size_t i);
bool skv_keep_zeros_known(const char *name);
/* Do the zeros of a parameter of this role stay? */
bool skv_keeps_zeros(const skive_train_options *o, const skive_value *v, skv_role role);
/* to's parameters take over from's data by name; graphs of the same structure. Cannot fail. */
void skv_params_assign(skive_graph *to, const skive_graph *from);
/* Copies values of parameters by id between graphs that are copies of one another. */
void skv_params_copy_values(skive_graph *to, const skive_graph *from);

#endif
