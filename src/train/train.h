/* Training's inside: optimizers and schedules, the parts of a run (objective.h, rule.h, trainer.h, problem.h, fit.h),
 * and what is done with parameters. */
#ifndef SKV_TRAIN_H
#define SKV_TRAIN_H

#include <skive/autodiff.h>
#include <skive/eval.h>
#include <skive/exec.h>
#include <skive/train.h>

#include "base/option.h"
#include "train/callback.h"
#include "train/course.h"
#include "train/fit.h"
#include "train/recast.h"

/* ---- optimizers (schedules: course.h) ---- */

typedef struct skv_update {
    float *weight;                      /* [n] */
    const float *gradient;              /* [n] */
    float *state[SKV_OPTIMIZER_STATES]; /* [n] each, as many as the optimizer has; zero at the start */
    int64_t n;
    double rate, decay;    /* decay already zero where it does not apply */
    double gradient_scale; /* of gradient clipping */
    int64_t step;          /* from 1 */
    bool adapts;           /* see skv_param */
    const skive_train_options *options;
    const skv_option_values *values; /* of the optimizer's own options */
    int threads;
} skv_update;

typedef struct skv_optimizer {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    const char *states[SKV_OPTIMIZER_STATES]; /* what each array of numbers is, in a checkpoint; NULL behind the last */
    double rate;                              /* of learning, where none is given */
    bool whole;                               /* the update of a weight depends on the other weights of its parameter */
    void (*update)(const skv_update *u);
} skv_optimizer;
size_t skv_optimizer_count(void);
const skv_optimizer *skv_optimizer_at(size_t i);
const char *skv_optimizer_name(size_t i);
const skv_optimizer *skv_optimizer_find(const char *name);
extern const skv_family skv_optimizer_family;
/* The optimizer of a text form, and its options. Errors: ARGUMENT. */
skive_status skv_optimizer_pick(skive_context *ctx, const char *text, const skv_optimizer **out,
                                skv_option_values *values);
/* Sums over a parameter whose bits do not depend on the number of threads: each block of the numbers is summed by one
 * thread, and the blocks in their order. */
enum { SKV_SUM_BLOCKS = 64 };
static inline int64_t skv_sum_start(int64_t n, int block) { return n / SKV_SUM_BLOCKS * block; }
static inline int64_t skv_sum_end(int64_t n, int block) {
    return block + 1 == SKV_SUM_BLOCKS ? n : skv_sum_start(n, block + 1);
}

/* Checks names and ranges of options; ERR_ARGUMENT names the option. */
skive_status skv_train_options_check(skive_context *ctx, const skive_train_options *o);
/* A caller's options over the defaults in *own; options behind a name ("sgd:momentum=0.8") get into their fields. */
skive_status skv_train_options_take(skive_context *ctx, const skive_train_options *given, skive_train_options *own);
/* The same for methods that fine-tune what they have changed, which cannot look for a learning rate instead. */
skive_status skv_finetune_options_take(skive_context *ctx, const skive_train_options *given, skive_train_options *own);
extern const skv_table skv_train_table;

/* ---- rules' common parts ---- */

/* *self becomes the number that an option gives, a double. */
skive_status skv_rule_bind_number(const skv_rule_site *at, const char *option, void **self);
/* skv_rule.unbind where *self is one block of memory. */
void skv_rule_unbind_memory(skive_context *ctx, void *self);

/* Weights and the optimizer's numbers become zero where keep[n] is 0. */
void skv_param_zero(skv_param *p, const uint8_t *keep);
/* Is all that the graph sees there zero? */
bool skv_param_is_zero(const skv_param *p, const uint8_t *keep);

/* ---- evaluation ---- */

/* How a model is evaluated. */
typedef struct skv_evaluation {
    int64_t batch;       /* 0: the default */
    bool tell;           /* notes of what becomes the input, and of which outputs are measured */
    bool all;            /* all figures, otherwise those that cost little and those that `named` names */
    const char *named;   /* names of figures, separated by commas; NULL: none */
    const char *metrics; /* figures with options, as skive_train_options.metrics; NULL: none */
    const char *outputs; /* as skive_train_options.outputs; NULL: all that have a target */
    bool check_only;     /* nothing is run: do model, data and figures fit? */
    /* Sees what the first of the measured outputs is for each sample, in order; NULL: nobody does. */
    skive_status (*see)(void *user, const float *row, int64_t scores);
    void *user;
    /* The progress of a larger job of which this is a part, what of it was done before, and what this part is; NULL: it
     * has its own. */
    skv_progress *within;
    double before;
    const char *part;
} skv_evaluation;
skive_status skv_evaluate(skive_context *ctx, const skive_graph *g, skive_dataset *dataset, const skv_evaluation *how,
                          skive_eval_report *out);

/* An inference plan for batches of the data: of the model's own fixed size, of `batch`, or of the default (0). */
skive_status skv_plan_for_data(skive_context *ctx, const skive_graph *g, const struct skv_feeds *feeds, int64_t batch,
                               int64_t *batch_out, skive_plan **out);

/* What the model gives for the first samples of a shuffled set, and their targets: [n][targets] each, of `most`
 * samples or as many as there are. The model's answer must have as many numbers as a target. `goal`: one of several, of
 * a graph with the same outputs; NULL: the only one. */
skive_status skv_first_outputs(skive_context *ctx, const skive_graph *g, skive_dataset *set,
                               const struct skv_goal *goal, int64_t most, float *out, float *targets, int64_t *n);

/* ---- parameters ---- */

/* Every floating-point parameter gets a storage of its own, so that writing does not reach other graphs. */
skive_status skv_params_unshare(skive_graph *g);
/* Unless something is marked, marks what is learned by its role (graph/weights.h). */
skive_status skv_params_mark_trainable(skive_graph *g);
/* Adds what the options train and takes away what they freeze, and notes what is trained and what is not. `rules` are
 * those that the run itself brings. Errors: NOT_FOUND (a pattern that no parameter has). */
skive_status skv_params_choose(skive_graph *g, const skive_train_options *o, const skv_rule_use *rules, size_t n_rules);
/* The name under which a user knows the parameter: that of a shared weight instead of its codebook's. */
const char *skv_param_known_as(const skive_value *v);
/* The number of epochs after which the options begin to train the parameter; 0: from the start. */
int64_t skv_unfrozen_after(const skive_train_options *o, const skive_value *v);
/* Whose zeros stay: "pruned", "all", "none". */
const char *skv_keep_zeros_name(size_t i);
/* Do the zeros of a parameter of this role stay? */
bool skv_keeps_zeros(const skive_train_options *o, const skive_value *v, skv_role role);
/* What is learned is drawn anew, as before any training, and running statistics begin anew. */
skive_status skv_params_renew(skive_graph *g, uint64_t seed);
/* to's parameters take over from's data by name; graphs of the same structure. Cannot fail. */
void skv_params_assign(skive_graph *to, const skive_graph *from);
/* Copies values of parameters by id between graphs that are copies of one another. */
void skv_params_copy_values(skive_graph *to, const skive_graph *from);

#endif
