/* A data set as the source of a probe: a copy of the model that takes so many samples a run, with a loss on their
 * labels. */
#ifndef SKV_PROBE_SOURCE_H
#define SKV_PROBE_SOURCE_H

#include "data/feed.h"
#include "probe/probe.h"
#include "train/head/head.h"

typedef struct skv_source_options {
    int64_t batch;   /* samples a run, at most as many as the set has */
    int64_t batches; /* runs at most; 0: as many as the set fills */
    uint64_t seed;   /* of the order of the samples */
    bool with_loss;  /* otherwise labels are not needed */
    /* BatchNormalization takes the statistics of the batch and Dropout is live, as in training; otherwise both are as
     * in inference, so that a sample's gradient does not depend on its neighbours. */
    bool training;
    const char *loss; /* losses.inc; NULL: the one that fits the model's head */
} skv_source_options;

typedef struct skv_source {
    skive_context *ctx;
    skive_graph *graph; /* for skv_probe_setup; values have the model's names */
    const char *loss;   /* name of the loss in it, or NULL */
    int64_t batch, batches;
    skv_feeds feeds;
    skv_targets targets;
    skive_loader *loader;
    size_t labels; /* index of the graph input */
} skv_source;

/* Errors: DATA (the model's input, or its answer, does not fit the samples; no samples; a set without labels where the
 * loss needs them), ARGUMENT (no such loss; one that needs more than labels), SHAPE (the model cannot take so many
 * samples a run). */
skive_status skv_source_open(skive_context *ctx, const skive_graph *model, skive_dataset *set,
                             const skv_source_options *o, skv_source *out);
void skv_source_close(skv_source *s); /* also of one that was not opened */
/* Begins anew: the same batches again. */
skive_status skv_source_rewind(void *source);
/* A skv_probe_feed_fn; `user` is the source. */
skive_status skv_source_feed(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs);

/* Opens the probe over the items, runs it over all batches of the source. *probe is freed by the caller. */
skive_status skv_source_probe(skv_source *s, const skv_probe_item *items, size_t n, const char *what,
                              skv_probe **probe);

#endif
