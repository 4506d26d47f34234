/* The output of a model: which output is used, and what it contains.
 *
 * Networks end in different ways: in scores that a softmax would turn into probabilities (logits), in the probabilities
 * themselves (Softmax, as in Keras and most published models), in their logarithms (LogSoftmax), in one sigmoid per
 * score, or in values (regression). Losses, distillation and metrics need to know which. It is derived from the nodes
 * before the output; if they do not determine it, logits are assumed. A model may state it in its metadata:
 *
 *     skive.output.name    of several outputs, the one to use
 *     skive.output.kind    logits, probabilities, log-probabilities, sigmoid, sigmoid-logits, values, embedding, ctc,
 *                          ctc-last or detections
 *     skive.output.lengths, skive.output.lengths.every
 *                          of sequences, the value that says how many frames each sample has, and frames of a step
 *
 * Metadata take precedence over the nodes. Every function that trains, evaluates or compares models uses it. */
#ifndef SKIVE_OUTPUT_H
#define SKIVE_OUTPUT_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum skive_output_kind {
    SKIVE_OUTPUT_LOGITS,            /* scores of mutually exclusive classes, before a softmax */
    SKIVE_OUTPUT_PROBABILITIES,     /* after a softmax over the classes */
    SKIVE_OUTPUT_LOG_PROBABILITIES, /* the logarithms of those */
    SKIVE_OUTPUT_SIGMOID, /* independent probabilities: one score for two classes, or several labels per sample */
    SKIVE_OUTPUT_SIGMOID_LOGITS, /* the same before the sigmoid */
    SKIVE_OUTPUT_VALUES,         /* values (regression) */
    SKIVE_OUTPUT_EMBEDDING,      /* a vector that is near those of the same class */
    SKIVE_OUTPUT_CTC,            /* scores [n][steps][classes] of a sequence; class 0 is the blank */
    SKIVE_OUTPUT_CTC_LAST,       /* the same; the last class is the blank */
    SKIVE_OUTPUT_DETECTIONS      /* [n][boxes][6]: x1, y1, x2, y2, score, class; a class below 0: no box */
} skive_output_kind;

SKIVE_API const char *skive_output_kind_name(skive_output_kind kind); /* "log-probabilities"; NULL past the last */

/* The task, which follows from the labels or targets of the data and from the kind of the output. */
typedef enum skive_task {
    SKIVE_TASK_CLASSES,   /* one of several classes, one score per class; one-hot float targets are class labels */
    SKIVE_TASK_BINARY,    /* one of two classes, by the score of class 1 */
    SKIVE_TASK_LABELS,    /* any number of labels per sample (float targets of 0 and 1), each with its own sigmoid */
    SKIVE_TASK_VALUES,    /* regression */
    SKIVE_TASK_EMBEDDING, /* class labels, of an embedding */
    SKIVE_TASK_SEQUENCES, /* of ctc: targets [n][places], numbers of classes filled up with -1 */
    SKIVE_TASK_BOXES,     /* of detections: targets [n][boxes][5]: x1, y1, x2, y2, class; a class below 0: no box */
    SKIVE_TASK_PLACES     /* a class for each place (pixel): scores [n][classes][places] or [n][places][classes] */
} skive_task;

/* Writes the metadata: the name of the output to use and its kind, a name of skive_output_kind_name. NULL leaves the
 * entry unchanged, "" removes it. Errors: NOT_FOUND (no such output, or no such kind: the message lists the valid
 * ones). */
SKIVE_API skive_status skive_model_set_output(skive_graph *graph, const char *output, const char *kind);

/* Sequences (kind ctc) of different lengths: `name` is the value [N] of the model, an input, an output or one inside,
 * that says how many frames each sample has, and a step of the output is of `every` frames (at least 1). Only the first
 * lengths / every steps, rounded up, count in the loss, in its gradients and in the figures of evaluations. If the
 * model has no value of this name, it gets an input of int64 [N], which no node reads and which data sets give by name;
 * a note tells it. `name` NULL or "": all steps count again. Errors: ARGUMENT (every), DATA (a parameter, or not one
 * number a sample). */
SKIVE_API skive_status skive_model_set_lengths(skive_graph *graph, const char *name, int64_t every);

typedef struct skive_output_info {
    size_t index;     /* of the graph's outputs */
    const char *name; /* borrowed from the graph */
    skive_output_kind kind;
    const char *from; /* operator of the node that determines the kind, "metadata", or NULL if it is assumed */
    int64_t scores;   /* values per sample; -1 if known only from a run */
} skive_output_info;

/* Determines which output of `graph` is used for the samples of `dataset` (NULL: no data to choose by), and its kind.
 * Of several outputs it is the one that the metadata name, or the only one with as many values per sample as the data
 * have classes or targets; without data, the only one that is a softmax or sigmoid. Errors: NOT_FOUND (the metadata
 * names no output), DATA (several outputs fit, or none: the message lists them with their shapes). */
SKIVE_API skive_status skive_model_output(const skive_graph *graph, const skive_dataset *dataset,
                                          skive_output_info *out);

/* Names of the classes, in the order of the scores, in the metadata ("skive.classes"); n 0 removes them. Training on a
 * set whose classes have names stores them; sets of named classes are matched with them (skive/data.h). Errors:
 * ARGUMENT, MEMORY. */
SKIVE_API skive_status skive_model_set_class_names(skive_graph *graph, const char *const *names, int64_t n);
/* Reads them, also from what other programs write (metadata "names", "classes", "class_names", "labels" or "id2label":
 * a list, a table by number, or one name per line), if there are as many as the model has scores. *names is NULL when
 * there are none, and freed by skive_class_names_free. Errors: MEMORY. */
SKIVE_API skive_status skive_model_class_names(skive_context *ctx, const skive_graph *graph, char ***names, int64_t *n);
SKIVE_API void skive_class_names_free(skive_context *ctx, char **names, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
