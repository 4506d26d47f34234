/* What an evaluation counts: fed a row of output and its target at a time, in any order. */
#ifndef SKV_METRICS_H
#define SKV_METRICS_H

#include <skive/eval.h>

#include "train/head/head.h"
#include "train/metric.h"

typedef struct skv_metrics {
    skive_context *ctx;
    skive_eval_report *r;
    const skv_targets *targets;
    const skv_head *head;
    bool all;              /* costly figures too */
    const char *asked;     /* figures with options, as skv_evaluation.metrics; NULL: none */
    const char *named;     /* otherwise those that this list names; NULL: none */
    int64_t scores;        /* numbers a sample */
    int64_t width;         /* of outputs [n][...][width]: classes of a step, numbers of a box */
    skv_scored *s;         /* the report's */
    double squares;        /* of the errors of VALUES */
    bool not_shares;       /* of logits: some row is not numbers of 0 and more that sum to 1 */
    const int64_t *labels; /* of the places of the sample that is added */
    bool classes_last;     /* of labels of places: the scores are [n][places][classes] */
    double *room;          /* of the task */
    bool shares;           /* of sequences: the scores are probabilities */
    int64_t steps;         /* of sequences: those of the sample that is added */
    int64_t impossible;    /* sequences without a loss */
    int64_t zeros;         /* true classes that were given probability 0 */
    int64_t no_shares;     /* samples with probabilities that are none, */
    size_t first_no_share; /* the first of them, */
    double no_share;       /* and its number */
} skv_metrics;

/* How a task that is neither classes, labels nor values is counted; metrics/task_*.c. */
typedef struct skv_task_count {
    skive_status (*start)(skv_metrics *m);
    void (*add)(skv_metrics *m, size_t i, const float *row, int64_t label, const float *target);
    skive_status (*finish)(skv_metrics *m);
} skv_task_count;
extern const skv_task_count skv_count_embedding, skv_count_sequences, skv_count_boxes, skv_count_places;

/* `scores` are those of the output as it is; the report's arrays are made here. Errors: MEMORY. */
skive_status skv_metrics_start(skv_metrics *m);
/* Sample `index`: its output and its class (labelled sets) or target. */
void skv_metrics_add(skv_metrics *m, size_t index, const float *row, int64_t label, const float *target);
/* The figures of the report. Errors: MEMORY. */
skive_status skv_metrics_finish(skv_metrics *m);
/* For the progress line: what was reached so far, "accuracy 91.20 %". */
const char *skv_metrics_text(const skv_metrics *m, int64_t seen, char *buffer, size_t size);

#endif
