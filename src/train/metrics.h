/* What an evaluation counts: fed a row of output and its target at a time, in any order. */
#ifndef SKV_METRICS_H
#define SKV_METRICS_H

#include <skive/eval.h>

#include "train/head.h"

typedef struct skv_metrics {
    skive_context *ctx;
    skive_eval_report *r;
    const skv_targets *targets;
    const skv_head *head;
    int64_t scores; /* numbers a sample */
    double loss_sum, squares, absolutes;
    double *first;      /* [targets] of VALUES: the first target, from which sums are counted */
    double *sums[4];    /* [targets] each: target, its square, squared error, absolute error */
    int64_t *counts[3]; /* [classes] or [labels] each: true and predicted, predicted, true */
    float *kept;        /* [n][scores] of BINARY, two classes and LABELS, for the areas; NULL: too many to keep */
    uint8_t *truth;     /* [n][labels] */
    int64_t labels;     /* columns of kept and truth */
    bool not_shares;    /* of logits: some row is not numbers of 0 and more that sum to 1 */
    int64_t zeros;      /* true classes that were given probability 0 */
} skv_metrics;

/* `scores` are those of the output as it is; the report's arrays are made here. Errors: MEMORY. */
skive_status skv_metrics_start(skv_metrics *m);
/* Sample `index`: its output and its class (labelled sets) or target. */
void skv_metrics_add(skv_metrics *m, size_t index, const float *row, int64_t label, const float *target);
/* The figures of the report. Errors: MEMORY. */
skive_status skv_metrics_finish(skv_metrics *m);
void skv_metrics_free(skv_metrics *m);
/* For the progress line: what was reached so far, "accuracy 91.20 %". */
const char *skv_metrics_text(const skv_metrics *m, int64_t seen, char *buffer, size_t size);

/* Area under the ROC curve: the chance that a positive has a higher score than a negative, ties counted half (Hanley &
 * McNeil 1982); and average precision, the sum of precision times the gain of recall over falling scores, equal ones
 * taken together. NaN where there is no positive or no negative. Element i of a column is at [i * stride]. */
skive_status skv_ranking(skive_context *ctx, const float *scores, const uint8_t *truth, int64_t n, int64_t stride,
                         double *auc, double *average_precision);

#endif
