/* Parameters in training, and the rules that hold for them.
 *
 * A rule is a record in rules.inc. It is bound to one parameter, sees each update before and after it is made, and may
 * keep numbers of its own. Pruning, sharing, quantization and regularization are rules; the trainer knows none of them.
 * Some rules are asked for by the graph itself (a model that was pruned or shared stays so under any later training),
 * others by the caller or by the option `rules`. */
#ifndef SKV_TRAIN_RULE_H
#define SKV_TRAIN_RULE_H

#include <skive/train.h>

#include "base/option.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "train/states.h"

enum { SKV_OPTIMIZER_STATES = 2, SKV_CLIP_GROUPS = 8 };

typedef struct skv_rule skv_rule;

/* A rule that is bound to a parameter. */
typedef struct skv_bound_rule {
    const skv_rule *rule;
    void *self;
} skv_bound_rule;

/* A parameter in training. */
typedef struct skv_param {
    skive_value *value; /* of the training graph */
    skv_role role;
    int64_t n;
    float *seen;     /* [n] the graph computes with these: the value's storage */
    float *weight;   /* [n] the optimizer changes these: `seen`, or numbers of its own (skv_param_detach) */
    float *gradient; /* [n] of the loss with respect to `seen`, within a step; rules may change it before the update */
    float *state[SKV_OPTIMIZER_STATES]; /* [n] each, of the optimizer; NULL behind the last */
    double rate;                        /* factor on the learning rate; 1 */
    double decay;                       /* weight decay */
    bool adapts;                        /* a weight or a table: the optimizer may scale its step by the norm of it */
    int clip_group;                     /* gradients are clipped together with those of the same group; 0 */
    bool reached;                       /* the loss depends on it */
    bool held;                          /* no update is made for now; its rules rest as well */
    int64_t since;                      /* updates that had been made when it began to be trained */
    skv_bound_rule *rules;              /* [n_rules] in the order of rules.inc */
    size_t n_rules;
    size_t output; /* of the plan: its gradient */
} skv_param;

/* A step of the run, as rules and hooks see it. */
typedef struct skv_step {
    int64_t number;                /* from 1 */
    double rate;                   /* of learning */
    double loss;                   /* of the batch, before the update */
    double scale[SKV_CLIP_GROUPS]; /* factors on the gradients, by clip group */
    bool hold;                     /* no update is made in this step (gradients are still being summed) */
    int threads;
    const skive_train_options *options;
} skv_step;

/* A rule that the caller asks for. */
typedef struct skv_rule_use {
    const skv_rule *rule;
    const char *parameter; /* name of one */
    const void *given;     /* what the rule's header says; borrowed while the run lasts */
    const char *text;      /* options, "0.5"; NULL: none */
} skv_rule_use;

/* Where a rule is bound. */
typedef struct skv_rule_site {
    skive_context *ctx;
    const skive_train_options *options;
    const skv_rule_use *use;         /* NULL: the graph asks for it */
    const skv_option_values *values; /* of the rule's own options */
} skv_rule_site;

struct skv_rule {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    /* Does the graph ask for the rule at this parameter? NULL: it never does. */
    bool (*asked)(const skv_rule_site *at, const skv_param *p);
    /* Prepares; may change rate, decay, clip group and the weights, and detach the parameter. *self may stay NULL. */
    skive_status (*bind)(const skv_rule_site *at, skv_param *p, void **self);
    void (*unbind)(skive_context *ctx, void *self); /* NULL: nothing to free */
    /* Between the gradients and the update. NULL: nothing. */
    void (*before)(void *self, skv_param *p, const skv_step *s);
    /* Behind the update: brings `weight`, and the optimizer's state, to where the rule holds. NULL: nothing. */
    void (*after)(void *self, skv_param *p, const skv_step *s);
    /* What the graph sees of a detached parameter: changes seen[], which starts as a copy of weight[]. NULL: all. */
    skive_status (*show)(void *self, skv_param *p);
    /* Numbers that a resumed run needs; weight[] and the optimizer's are shown by the trainer. NULL: none. */
    skive_status (*states)(void *self, const skv_param *p, skv_states *s);
    /* Does the rule hold now? Read by tests after each step and at the end. */
    bool (*holds)(const void *self, const skv_param *p);
    /* All that decides what the rule does, for the key of a checkpoint; NULL: its text. */
    uint64_t (*key)(const skv_rule_use *use);
    const char *example; /* options for the generated tests; a rule that has them may be named by the option `rules` */
    bool of_trained;     /* makes no sense for a parameter that is not trained: refused there */
    bool knows_numbers;  /* depends on the size of the weights: they must not be rescaled for the run */
};
size_t skv_rule_count(void);
const skv_rule *skv_rule_at(size_t i);
const char *skv_rule_name(size_t i);
extern const skv_family skv_rule_family;
const skv_rule *skv_rule_find(const char *name);

/* The optimizer gets numbers of its own to change, a copy of the weights; the graph sees what the rules' `show` make of
 * them. The gradient is that of what the graph sees (straight through). */
skive_status skv_param_detach(skive_context *ctx, skv_param *p);
static inline bool skv_param_is_detached(const skv_param *p) { return p->weight != p->seen; }
/* Writes seen[] of a detached parameter anew. */
skive_status skv_param_show(skv_param *p);

/* Binds the rules that the graph and the caller's list ask for. Errors: ARGUMENT (a use that names no trained
 * parameter, or does not fit it). */
skive_status skv_rules_bind(skive_context *ctx, const skive_train_options *o, const skv_rule_use *uses, size_t n_uses,
                            skv_param *p);
/* Every use must name a parameter of the graph, and one that is trained where the rule needs it. */
skive_status skv_rules_check(const skive_graph *g, const skv_rule_use *uses, size_t n_uses);
void skv_rules_before(skv_param *p, const skv_step *s);
skive_status skv_rules_after(skv_param *p, const skv_step *s);
skive_status skv_rules_states(const skv_param *p, skv_states *s);
void skv_rules_unbind(skive_context *ctx, skv_param *p);
bool skv_rules_know_numbers(const skv_rule_use *uses, size_t n_uses);

/* ---- rules that are named in a text ---- */

typedef struct skv_rule_uses {
    skv_rule_use *items;
    size_t n, room;
    char *texts[2]; /* that the items point into */
} skv_rule_uses;
/* The rules that the model carries in its metadata, those of `text`, and `given`. A text is "PATTERN=RULE:OPTIONS" with
 * more behind ';'; without a pattern all weights are meant, and the rule "none" takes away what the model carries. A
 * note tells each. Names point into `g`. skv_rule_uses_free(out) in any case. Errors: ARGUMENT (no such rule),
 * NOT_FOUND (no trained parameter of such a name). */
skive_status skv_rule_uses_collect(const skive_graph *g, const char *text, const skv_rule_use *given, size_t n_given,
                                   skv_rule_uses *out);
void skv_rule_uses_free(skive_context *ctx, skv_rule_uses *u);
/* The model says from now on which of them hold for it. */
skive_status skv_rule_uses_carry(const skv_rule_uses *u, skive_graph *model);

#endif
