/* Goals: which output of a model is to give which target of a data set. Most sets have one target; of several, a target
 * belongs to the output of the same name, or to the only one that fits. */
#ifndef SKV_GOALS_H
#define SKV_GOALS_H

#include "train/head/head.h"
#include "train/objective.h"

typedef struct skv_goal {
    size_t target;          /* of the set's targets */
    const char *name;       /* the set's name of it, or NULL */
    const char *called;     /* in messages */
    skv_targets targets;    /* what it asks for */
    skv_head head;          /* the output, with values of the graph in which it was found */
    bool by_name;           /* target and output have the same name */
    double weight;          /* of its loss in the sum */
    const skv_loss *loss;   /* NULL: as options->loss, or the one that fits the head */
    char *loss_text;        /* owned; its text form with options */
    skv_target_scale scale; /* owned; what differences of values are divided by; n 0: 1 */
    double *class_weights;  /* owned; NULL: 1 */
} skv_goal;

typedef struct skv_goals {
    skive_context *ctx;
    skv_goal *items; /* in the order of the set's targets */
    size_t n;
    bool chosen;   /* the set has several targets, or an option names outputs; otherwise there is one of each */
    skv_text left; /* targets of the set that are not used, and why; or empty */
} skv_goals;

/* `outputs`: those that count, with weights and losses, "kind=cross-entropy;age=0.5*mse"; NULL: all that have a
 * target. A target that no output fits is left out, which skv_goals_tell tells. Errors: ARGUMENT (the option), DATA
 * (it is not clear which output belongs to a target, or an output of the option has none: both lists), as
 * skv_head_find. */
skive_status skv_goals_find(skive_context *ctx, const skive_graph *g, const skive_dataset *set, const char *outputs,
                            skv_goals *out);
/* The same targets' outputs in another model: those of the same names, or the only ones that fit. Each needs one. */
skive_status skv_goals_again(skive_context *ctx, const skive_graph *g, const skv_goals *of, skv_goals *out);
void skv_goals_free(skv_goals *goals);
/* A note for each of several goals: output, target, weight and loss. `who`: "model". */
void skv_goals_tell(const skv_goals *goals, const char *who);
/* What to call a goal: the target's name, or the output's. */
const char *skv_goal_name(const skv_goal *goal);

#endif
