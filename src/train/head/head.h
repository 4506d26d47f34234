/* The head of a model: which of its outputs is the answer, what that means, and where its logits are. Losses, teachers
 * and metrics are built on it; nothing else looks at graph->outputs to learn what a model says. */
#ifndef SKV_HEAD_H
#define SKV_HEAD_H

#include <skive/output.h>

#include "graph/graph.h"

/* What the samples of a set ask for. */
typedef enum skv_target_kind {
    SKV_TARGET_CLASSES,  /* class labels */
    SKV_TARGET_ONE_HOT,  /* floats: a single 1 among zeros in each sample, at least two numbers */
    SKV_TARGET_ZERO_ONE, /* floats: all 0 or 1 */
    SKV_TARGET_NUMBERS   /* any other floats */
} skv_target_kind;
typedef struct skv_targets {
    skive_dataset_info info;
    skv_target_kind kind;
    bool by_order; /* classes count by their order instead of their names */
    bool shares;   /* floats all within 0 to 1, which may be shares of classes */
    int64_t size;  /* classes, or floats a target */
} skv_targets;
/* Reads float targets until the form is clear. */
skive_status skv_targets_of(skive_context *ctx, const skive_dataset *set, skv_targets *out);

typedef struct skv_head {
    size_t output;      /* index of the graph's output */
    skive_value *value; /* that output */
    skive_output_kind kind;
    const char *from;    /* operator that tells the kind, "metadata", or NULL: assumed */
    skive_value *before; /* the value whose softmax or sigmoid the output is; NULL: no such node */
    int before_axis;     /* the axis of the classes in `before` */
    int64_t scores;      /* numbers a sample, -1 when the graph does not know */
    skive_task task;
    skive_value *lengths; /* of sequences: the value [N] that says how many frames each sample has; NULL: none */
    int64_t every;        /* frames of a step */
} skv_head;

/* Finds the head. `targets` NULL: no data to choose an output by; of several it is the one that the metadata name or
 * the only one that is a softmax or sigmoid. Values are those of `g`. Errors: NOT_FOUND, DATA; see skive_model_output.
 * */
skive_status skv_head_find(skive_context *ctx, const skive_graph *g, const skv_targets *targets, skv_head *out);

/* Of labels of places the axis that numbers the classes: 1, or the last; -1 where the type fits neither way. */
int skv_head_place_axis(const skv_targets *targets, const skive_type *type);
/* The same for output `index`, whatever the metadata name. */
skive_status skv_head_at(skive_context *ctx, const skive_graph *g, const skv_targets *targets, size_t index,
                         skv_head *out);
/* How well output `index` fits: 2: it has just the numbers asked for; 1: it may have; 0: not. */
int skv_head_fit(const skive_graph *g, const skv_targets *targets, size_t index);
/* Are two outputs the same answer, such as logits and their softmax? */
bool skv_head_same(const skive_graph *g, uint32_t a, uint32_t b);
/* "'a' float32[N,10], 'b' float32[N,1]" */
void skv_head_list(const skive_graph *g, char *text, size_t size);

/* The score from which on a sample with one score is of class 1, or has the label. */
float skv_output_threshold(skive_output_kind kind);
/* Once a plan says how many numbers a sample has. */
void skv_head_settle(skv_head *head, const skv_targets *targets, int64_t scores);
/* Writes the kind of one of several outputs into the metadata. */
skive_status skv_head_set_kind(skive_graph *g, const skive_value *output, skive_output_kind kind);
skive_output_info skv_head_info(const skv_head *head);

/* Do numbers of one sample in the two shapes stand for the same, place by place? Axes of 1 do not matter, and a flat
 * row may be any shape; [8,8,3] and [3,8,8] are not the same though they are as many. */
bool skv_same_places(const int64_t *a, int rank_a, const int64_t *b, int rank_b);

/* Walks back from an output through what only moves or rounds its numbers to the node that makes them probabilities.
 * Sets kind, from, before and before_axis; kind LOGITS and before NULL where there is none. */
void skv_head_walk(skive_value *output, int64_t scores, skv_head *out);

/* The axis of `t` that numbers a sample's scores: the only one but the batch's (`batch_axis`) that is not 1; the last
 * where all are
 * 1; -1 when there are several. */
int skv_score_axis(const skive_type *t, int batch_axis);

/* The head's logits as [N, scores] in the graph being built: what is before the softmax or sigmoid where there is such
 * a node, otherwise computed from the output. Binary scores z become the pair (0, z), whose softmax is sigmoid(z), so
 * that a loss for classes is right for them. NULL with the builder's status set on failure. */
skive_value *skv_head_logits(skv_builder *b, const skv_head *head);

/* For losses: sigmoids taken one by one instead of a softmax over all? */
static inline bool skv_head_is_sigmoid(const skv_head *h) {
    return h->task != SKIVE_TASK_BINARY && (h->kind == SKIVE_OUTPUT_SIGMOID || h->kind == SKIVE_OUTPUT_SIGMOID_LOGITS);
}
/* "'p', probabilities (Softmax)" */
const char *skv_head_text(const skv_head *head, char *buffer, size_t size);
/* Notes of what was concluded from the data: labels from targets of 0 and 1, classes from one-hot targets or from one
 * score. */
void skv_head_tell_assumed(skive_context *ctx, const skv_targets *targets, const skv_head *head);
/* Sets `lengths` and `every` of the head of a sequence. Errors: NOT_FOUND, DATA. */
skive_status skv_head_take_lengths(skive_context *ctx, const skive_graph *g, skv_head *h);
/* Are the sequences of this target such as ctc takes: classes without the blank, and -1 only behind them? Other tasks, and
 * fewer than one class, are not looked at. Errors: DATA, with the sample. */
skive_status skv_sequences_check(skive_context *ctx, const skive_dataset *set, size_t target, const skv_head *head,
                                 int64_t classes);
/* The lengths as int64 [N], for the loss and for figures. NULL where there are none, or with the builder's status set.
 * */
skive_value *skv_head_lengths(skv_builder *b, const skv_head *head);
/* A note where there was a choice or a node that is not plain scores: which output is used, and as what. `who`:
 * "model", "teacher". */
void skv_head_tell(skive_context *ctx, const char *who, const skive_graph *g, const skv_head *head);

#endif
