/* What a run minimises: a sum of weighted terms over the model that is trained and its teachers, all in one graph. */
#ifndef SKV_OBJECTIVE_H
#define SKV_OBJECTIVE_H

#include <skive/train.h>

#include "base/option.h"
#include "graph/graph.h"
#include "train/head/head.h"
#include "train/scale.h"

struct skv_feeds;
typedef struct skv_schedule skv_schedule;

/* ---- losses: the records of losses.inc ---- */

/* What a loss is built from: values of the training graph. */
typedef struct skv_loss_args {
    skive_value *logits; /* [n][classes] of the trained model */
    skive_value *output; /* what the model gives out, for losses on that; NULL: the logits */
    skive_value *labels; /* i64 [n] classes, or [n][places] of which -1 does not count; or f32 targets, which for losses
                             on classes are probabilities [n][classes] */
    skive_value *teacher;                     /* logits (of "mse" the output) of a teacher; NULL when there is none */
    skive_value *feature;                     /* a value of the trained model that the term names; NULL: none */
    skive_value *example;                     /* the teacher's value for it; NULL: none */
    skive_value *next_feature, *next_example; /* of a loss on two values each: the later ones */
    skive_value *indices;          /* i64 [n]: the samples' numbers in the data set; NULL unless the loss needs them */
    int64_t samples;               /* of the data set */
    struct skv_memories *memories; /* of the run; see skv_term_memory */
    bool partly; /* class labels of -1 are of samples without one, which do not count but for the mean's number */
    bool rest;   /* the term is of samples without a label alone */
    double label_smoothing, temperature;
    bool sigmoid;                     /* each score by itself, not a softmax over all */
    bool blank_last;                  /* of sequences: the last class is the blank */
    const skv_head *head;             /* of sequences: says how long each is */
    bool binary;                      /* the logits are (0, z) of one score z for two classes */
    const skv_option_values *options; /* of the loss; NULL: its defaults */
    const skv_target_scale *scale;    /* of "mse": what differences are divided by; NULL: 1 */
    const double *class_weights;      /* of class labels, [n_classes]; NULL: 1 */
    int64_t n_classes;
    const int64_t *known; /* [n_known] classes that the teacher knows and has scores for; NULL: all */
    int64_t n_known;
    skive_value *counts; /* [n] how much the teacher's answer to each sample counts; NULL: 1 */
    const char *who;     /* the loss, for messages */
    const char *name;    /* unique in the objective: parameters of the term's own are called NAME.something */
    uint64_t seed;       /* for their first numbers */
} skv_loss_args;

/* Which values of model and teacher belong together. */
typedef enum skv_pairing {
    SKV_PAIR_NONE,
    SKV_PAIR_STAGES,   /* the last maps of each size */
    SKV_PAIR_MIDDLE,   /* of those pairs the middle one */
    SKV_PAIR_DEEPEST,  /* of those pairs the last one */
    SKV_PAIR_LAST,     /* what the last layer reads */
    SKV_PAIR_STEPS,    /* hidden states of Transformer blocks and of recurrent layers */
    SKV_PAIR_ATTENTION /* scores of attention, before the softmax */
} skv_pairing;

typedef struct skv_loss {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    bool needs_teacher;  /* a teacher's scores */
    bool needs_features; /* a value of the model, and one of a teacher, by name */
    bool own;            /* two values of the model itself: the one that a term names, and another or its scores */
    bool needs_indices;  /* the samples' numbers */
    bool on_output;      /* compares what the model gives out; otherwise the logits */
    bool raw;            /* of those: with the targets as they are, never standardised */
    const char *kind;    /* what it makes of the output (skive/output.h), "embedding"; NULL: scores or values */
    bool weighs;         /* knows weights of the classes */
    bool partly;         /* knows samples without a label; of losses on labels and of terms that use them */
    /* Of teaching terms (terms.inc): */
    double weight;     /* beside the other terms, where none is given; 0: 1 */
    skv_pairing pairs; /* the values that belong together where none are named */
    bool mixes;        /* several teachers are combined as probabilities at its temperature, otherwise as scores */
    bool two;          /* two values each are compared: those of a pair and those of the next */
    bool part;         /* teachers that know a part of the classes (args->known) can be learnt from */
    /* A scalar, mean over the batch. Trainable parameters that it adds to the graph are trained along and are not part
     * of the model. NULL with the builder's status set. */
    skive_value *(*build)(skv_builder *b, const skv_loss_args *args);
} skv_loss;
/* The targets in the shape of the logits: class labels one-hot. `smoothing` spreads that share over `among` answers
 * (0: as many as there are classes). */
skive_value *skv_loss_target(skv_builder *b, const skv_loss_args *a, double smoothing, int64_t among);
/* The axis of the scores that numbers the classes: 1, or the last where labels of places leave that one over. -1 with
 * the builder's status set. */
int skv_loss_class_axis(skv_builder *b, const skv_loss_args *a);
/* Of labels of places [n][places]: 1 where the label counts and 0 where it is -1; *labels without the -1. NULL where
 * all count. */
skive_value *skv_loss_counted(skv_builder *b, const skv_loss_args *a, skive_value **labels);
skive_value *skv_loss_mean(skv_builder *b, skive_value *losses, skive_value *counted); /* over those that count */
/* Losses of samples [n] or [n][...] times the weights of their classes. */
skive_value *skv_weight_samples(skv_builder *b, const skv_loss_args *a, skive_value *losses);
/* A trainable parameter of the term's own: NAME.what, normal numbers of mean 0 and this deviation. */
skive_value *skv_term_parameter(skv_builder *b, const skv_loss_args *a, const char *what, int rank, const int64_t *dims,
                                double deviation);
/* What an option says of class weights: [classes], freed by skv_free; NULL where all are 1. Tells them in a note.
 * Errors: ARGUMENT. */
skive_status skv_class_weights(skive_context *ctx, const char *text, const skive_dataset *set, double **out);
/* What an option of the loss says. */
double skv_loss_number(const skv_loss_args *a, const skv_option *o);
/* Output minus target, in the shape of the output; divided by the scale, if there is one. For losses on_output. `who`
 * is the loss, for messages. NULL with the builder's status set. */
skive_value *skv_loss_aim(skv_builder *b, const skv_loss_args *a, const char *who); /* the target, in that shape */
skive_value *skv_loss_difference(skv_builder *b, const skv_loss_args *a, const char *who);
skive_value *skv_loss_output(const skv_loss_args *a); /* what the model gives out */
/* For losses on the labels of an embedding [n][width]: rows of length 1 if `normalise`, and which pairs of samples have
 * one class, as numbers [n][n]. */
skive_status skv_loss_embedding(skv_builder *b, const skv_loss_args *a, const char *who, bool normalise,
                                skive_value **rows, skive_value **same);
/* The loss of a text form, "cross-entropy:gamma=2", and its options. Errors: ARGUMENT. */
skive_status skv_loss_pick(skive_context *ctx, const char *text, const skv_loss **loss, skv_option_values *values);
size_t skv_loss_count(void);
const skv_loss *skv_loss_at(size_t i);
const char *skv_loss_name(size_t i);
const skv_loss *skv_loss_find(const char *name);
extern const skv_family skv_loss_family;

/* ---- teaching terms: the records of terms.inc ---- */

/* Losses between a model and a teacher. */
typedef skv_loss skv_teaching;
size_t skv_teaching_count(void);
const skv_teaching *skv_teaching_at(size_t i);
const char *skv_teaching_name(size_t i);
const skv_teaching *skv_teaching_find(const char *name);
extern const skv_family skv_teaching_family;

/* Numbers that a term keeps from step to step: after each step the parameter becomes `next`. */
typedef struct skv_memory {
    skive_value *parameter, *next;
} skv_memory;
enum { SKV_MEMORIES_MOST = 32 };
typedef struct skv_memories {
    skv_memory items[SKV_MEMORIES_MOST];
    size_t n;
} skv_memories;

/* ---- terms ---- */

/* A loss, its weight, and the values that it is bound to. */
typedef struct skv_term {
    const skv_loss *loss;       /* NULL: the one that options->loss names, or that fits the head */
    const char *text;           /* its text form with options, "huber:delta=2"; NULL: the defaults */
    double weight;              /* of the sum; 1 */
    const skv_schedule *course; /* factor on the weight as the run goes on; NULL: it stays */
    size_t teacher;             /* which of the objective's teachers; SKV_ALL_TEACHERS: all of them, combined */
    const char *feature;        /* name of a value of the model; NULL: none. Several, or patterns, with '+' between */
    const char *example;        /* of the teacher */
    bool pairs;                 /* the values are found by the loss's `pairs` instead */
    double temperature;         /* 1 */
    bool rest;                  /* of samples without a label alone; a loss that knows them */
    double from, until;         /* part of the run in which it counts; until 0: to the end */
} skv_term;
#define SKV_ALL_TEACHERS SIZE_MAX
bool skv_term_changes(const skv_term *t); /* does its weight change in the run? */
double skv_term_factor(const skv_term *t, const skive_train_options *o, double epoch); /* on its weight */

/* Parses "hint:teacher=a,student=b,weight=1" (terms.inc). `temperature` is for those that give none. The names that the
 * term points to are in *store. `alone`: the part of the run that it has for itself, 0: none. Errors: ARGUMENT. */
typedef struct skv_term_text {
    char text[512], feature[256], example[256];
    skv_option_values values;
} skv_term_text;
skive_status skv_term_parse(skive_context *ctx, const char *text, double temperature, skv_term_text *store,
                            skv_term *out, double *alone);

/* Which output of which teacher teaches what. */
typedef struct skv_teacher_head {
    const char *task;   /* a target of the data, or an output of the student; NULL: the only one that is trained */
    const char *output; /* of the teacher */
    size_t teacher;
} skv_teacher_head;

/* A model that teaches. Its nodes are merged into the training graph, frozen and in inference form. */
typedef struct skv_teacher {
    const skive_graph *graph;      /* only read */
    const skive_graph *student;    /* its metadata say what its input is */
    double weight;                 /* among several; 0: an equal share of what the others leave */
    const char *name;              /* for messages: a file; NULL: "teacher" with its number */
    const skv_teacher_head *heads; /* [n_heads] of all teachers; n_heads 0: outputs are found by name and fit */
    size_t n_heads;
    bool part;      /* it may know a part of the classes */
    char **classes; /* [n_classes] then: the names of its scores; NULL: those of its metadata */
    int64_t n_classes;
} skv_teacher;

typedef struct skv_objective {
    const skv_term *terms; /* summed in this order */
    size_t n_terms;
    const skv_teacher *teachers;
    size_t n_teachers;
    const char *combine; /* how several teachers become one (combines.inc); NULL: mean */
    bool partly;         /* some samples have no label: -1 */
    const char *cache;   /* file for their answers (answers.h); NULL: none */
    int64_t views;       /* what augmentation draws repeats after so many epochs; 0: it does not */
    const char *view;    /* of the samples, that teachers see: "same" as the student, "own", "plain"; NULL: same */
} skv_objective;
/* The names of the views. */
const char *skv_teacher_view_name(size_t i);
/* Teachers whose answers are computed beside the training graph: a graph of their own. */
typedef struct skv_apart {
    skive_graph *graph; /* inputs as the student's; NULL: they are in the training graph */
    skive_value **to;   /* [n] the input of the training graph for each of its outputs */
    size_t n;
} skv_apart;
/* Are scores all that the terms ask of teachers, and do they ask? */
bool skv_objective_asks_scores(const skv_objective *o);
/* The loss on the labels alone. */
extern const skv_objective skv_objective_labels;
/* The loss that the options name, or the one that fits the head: cross-entropy for classes, binary cross-entropy for
 * sigmoids, mse for values. */
const skv_loss *skv_loss_for(const skive_train_options *o, const skv_head *head);
/* Losses that are bound to what they need. Errors: ARGUMENT. */
skive_status skv_objective_check(skive_context *ctx, const skv_objective *o);
/* All that decides it but the model, for the key of a checkpoint. */
void skv_objective_settings(const skv_objective *o, skv_text *out);
/* Of that what decides the teachers' scores beside the teachers: their outputs and classes. */
void skv_teachers_settings(const skv_objective *o, skv_text *out);

/* The values of the training graph that an objective is built on. */
typedef struct skv_loss_site {
    skive_value *const *inputs;    /* [feeds->n] */
    const struct skv_feeds *feeds; /* from the samples to those */
    skive_value *labels, *indices;
    skive_value *logits; /* skv_head_logits; of the task VALUES the output */
    const skv_head *head;
    const skv_targets *targets;
    const skv_target_scale *scale; /* of the targets of a regression; NULL: they are taken as they are */
    const double *class_weights;   /* [targets->info.classes], or NULL */
    const skive_train_options *options;
    const skv_loss *loss;             /* on these labels; NULL: as options->loss, or the one that fits the head */
    const char *loss_text;            /* its text form with options */
    double weight;                    /* of all losses on this output */
    bool partly;                      /* some samples have no label */
    const struct skv_goals *goals;    /* all outputs that are trained; NULL: this is the only one */
    const struct skv_loss_site *more; /* the sites of the others, in the order of the goals */
    size_t n_more;
    skv_memories *memories; /* of the terms; filled when they are built */
    skv_apart *apart;       /* filled where teachers can be apart; NULL: they are in the graph */
} skv_loss_site;
/* A scalar, or NULL with the builder's status set. course[i] gets the input (a scalar) of the factor on term i, NULL
 * where it stays; [n_terms] */
skive_value *skv_objective_build(skv_builder *b, const skv_objective *o, const skv_loss_site *at, skive_value **course);

/* ---- teachers ---- */

/* Checks a teacher's form. Errors: ARGUMENT. */
skive_status skv_teacher_check(skive_context *ctx, const skv_teacher *t);
/* alpha * the divergence from the teacher + (1 - alpha) * the loss on the labels: two terms. */
void skv_soft_labels_terms(double alpha, double temperature, skv_term terms[2]);

/* A teacher that was merged into the training graph. */
typedef struct skv_merged_teacher {
    skv_head head;       /* with values of the training graph */
    skive_value *scores; /* its logits; of the task VALUES its output; NULL: it does not teach this output */
    skive_value **more;  /* [site->n_more] the same for the other outputs; freed by skv_free */
    skive_value *answer; /* what it says at the first output that it teaches */
    int64_t *known;      /* [n_known] classes of the scores; NULL: all; freed by skv_free */
    int64_t n_known;
    char prefix[24];     /* of the names of its values there */
    uint32_t first, end; /* numbers of its values there */
    int64_t *classes;    /* while it is merged: its number of each class of the data; NULL: the same */
} skv_merged_teacher;
/* Has each head a task, and each output that is trained, and each teacher, a head? Errors: NOT_FOUND (no such task),
 * ARGUMENT. */
skive_status skv_teacher_heads_check(skive_context *ctx, const skv_teacher *teachers, size_t n,
                                     const skv_loss_site *at);
/* The output of teacher `index` that teaches goal `k`; head->value NULL: none does. Errors: those of skv_head_at. */
skive_status skv_teacher_head_find(skive_context *ctx, const skive_graph *teacher, const skv_teacher *t, size_t index,
                                   const skv_loss_site *at, size_t k, skv_head *head);
/* Merges teacher `index` into the builder's graph. Without `asked`, no term asks for its scores, which need not be
 * those of the student's classes. */
void skv_teacher_merge(skv_builder *b, const skv_teacher *t, size_t index, const skv_loss_site *at, bool asked,
                       skv_merged_teacher *out);
/* A copy of a teacher whose images have another size than the data's, with a Resize before its input; *out NULL where
 * nothing is to be done. A note tells it. */
skive_status skv_teacher_resize(skive_context *ctx, const skive_graph *teacher, const skive_dataset_info *info,
                                skive_graph **out);
/* The student's inputs as the teacher takes them: [teacher_feeds->n], freed by skv_free; the feeds are freed by the
 * caller. NULL with the builder's status set. */
skive_value **skv_teacher_inputs(skv_builder *b, const skv_teacher *teacher, const skv_loss_site *at,
                                 struct skv_feeds *teacher_feeds);

#endif
