/* What a model's output means: which output is the answer, and in what form it is given.
 *
 * Networks end in different ways: in plain scores that a softmax would turn into probabilities (logits), in those
 * probabilities themselves (Softmax, as Keras and most published models do), in their logarithms (LogSoftmax), in one
 * sigmoid a score, or in numbers that stand for themselves (regression). Losses, distillation and metrics need to know
 * which. It is read from the nodes in front of the output; where they do not tell, plain scores are assumed. A model
 * may say it in its metadata:
 *
 *     skive.output.name    of several outputs, the one that is the answer
 *     skive.output.kind    logits, probabilities, log-probabilities, sigmoid, sigmoid-logits or values
 *
 * Metadata goes before what the nodes say. Every function that trains, evaluates or compares models uses it. */
#ifndef SKIVE_OUTPUT_H
#define SKIVE_OUTPUT_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum skive_output_kind {
    SKIVE_OUTPUT_LOGITS,            /* scores of classes that exclude one another, before a softmax */
    SKIVE_OUTPUT_PROBABILITIES,     /* behind a softmax over the classes */
    SKIVE_OUTPUT_LOG_PROBABILITIES, /* the logarithms of those */
    SKIVE_OUTPUT_SIGMOID, /* probabilities each by itself: one score for two classes, or several labels a sample */
    SKIVE_OUTPUT_SIGMOID_LOGITS, /* the same before the sigmoid */
    SKIVE_OUTPUT_VALUES          /* numbers that stand for themselves */
} skive_output_kind;

SKIVE_API const char *skive_output_kind_name(skive_output_kind kind); /* "log-probabilities"; NULL past the last */

/* What is learned and measured, which follows from the data's labels or targets and from what the output means. */
typedef enum skive_task {
    SKIVE_TASK_CLASSES, /* one of several classes, by a score each; one-hot float targets are class labels */
    SKIVE_TASK_BINARY,  /* one of two classes, by one score, that of class 1 */
    SKIVE_TASK_LABELS,  /* any number of labels a sample (float targets of 0 and 1), each by a sigmoid of its own */
    SKIVE_TASK_VALUES   /* regression */
} skive_task;

/* Writes the metadata: the name of the output to use and what it means, by a name of skive_output_kind_name. NULL
 * leaves that entry as it is, "" removes it. Errors: NOT_FOUND (no such output, or no such kind: the message lists
 * those there are). */
SKIVE_API skive_status skive_model_set_output(skive_graph *graph, const char *output, const char *kind);

typedef struct skive_output_info {
    size_t index;     /* of the graph's outputs */
    const char *name; /* borrowed from the graph */
    skive_output_kind kind;
    const char *from; /* operator of the node that tells the kind, "metadata", or NULL: it is assumed */
    int64_t scores;   /* numbers a sample; -1 when only a run tells */
} skive_output_info;

/* Which output of `graph` answers for the samples of `dataset` (NULL: no data is there to choose by), and what it is.
 * Of several outputs it is the one the metadata names, or the only one with as many numbers a sample as the data have
 * classes or targets; without data, the only one that is a softmax or sigmoid. Errors: NOT_FOUND (the metadata names
 * no output), DATA (several outputs fit, or none: the message lists them with their shapes). */
SKIVE_API skive_status skive_model_output(const skive_graph *graph, const skive_dataset *dataset,
                                          skive_output_info *out);

/* Names of the classes, in the order of the scores, in the metadata ("skive.classes"); n 0 removes them. Training on a
 * set whose classes have names stores them; sets of named classes are matched with them (skive/data.h). Errors:
 * ARGUMENT, MEMORY. */
SKIVE_API skive_status skive_model_set_class_names(skive_graph *graph, const char *const *names, int64_t n);
/* Reads them, also from what other programs write (metadata "names", "classes", "class_names", "labels" or "id2label":
 * a list, a table by number, or a name a line), where there are as many as the model gives scores. *names is NULL when
 * there are none, and freed by skive_class_names_free. Errors: MEMORY. */
SKIVE_API skive_status skive_model_class_names(skive_context *ctx, const skive_graph *graph, char ***names, int64_t *n);
SKIVE_API void skive_class_names_free(skive_context *ctx, char **names, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
