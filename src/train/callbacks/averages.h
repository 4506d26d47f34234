/* Averages of what is trained, and putting them in its place for a while. What is averaged are the numbers that the
 * optimizer changes; what the graph sees of them is made by the rules, so that an average of weights on a number grid
 * is on the grid too. */
#ifndef SKV_TRAIN_AVERAGES_H
#define SKV_TRAIN_AVERAGES_H

#include "train/fit.h"

typedef struct skv_averages {
    skive_context *ctx;
    float *weights, *statistics; /* the averages: [n_weights], [n_statistics] */
    float *kept[2];              /* what is trained, while the averages are in its place */
    int64_t n_weights, n_statistics;
    int64_t count; /* how often something was added */
} skv_averages;
/* All zero. skv_averages_free in any case. */
skive_status skv_averages_start(skive_context *ctx, skv_trainer *t, skv_averages *a);
void skv_averages_free(skv_averages *a);
/* Averages become `share` of themselves and 1 - share of what is trained now; the first time, that alone. The trained
 * weights must not be replaced at the time. */
void skv_averages_add(skv_averages *a, skv_trainer *t, double share, bool statistics);
skive_status skv_averages_show(skv_averages *a, skv_trainer *t, bool on);
/* `owner`: whose they are in a checkpoint. */
skive_status skv_averages_states(skv_averages *a, skv_states *s, const char *owner);

/* Statistics of the trainer's weights as they are now, [skv_trainer_statistics]: the mean of those of `batches` batches
 * of the epoch that ended, or of as many as it has. */
skive_status skv_statistics_renewed(const skv_watch *w, int64_t batches, float *statistics);

#endif
