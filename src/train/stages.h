/* Images and regularisation that grow together (progressive learning, Tan & Le 2021): a run has stages; in the first
 * the network sees small images, its dropout is weak and transforms are left out often, in the last everything is
 * whole. */
#ifndef SKV_STAGES_H
#define SKV_STAGES_H

#include <skive/train.h>

#include "data/feed.h"

typedef struct skv_stages {
    int64_t n; /* 0: the run has no stages */
    double size, strength, until;
    int epochs;
    size_t feed; /* of the images */
    int axis;    /* of their height in the model's input; that of the width follows */
    int64_t height, width;
} skv_stages;

/* By the option `progressive`. Errors: ARGUMENT, DATA (the model takes no images). */
skive_status skv_stages_find(skive_context *ctx, const skive_train_options *o, const skive_graph *model,
                             const skv_feeds *feeds, skv_stages *out);
/* What can be known to be wrong from the option alone. Errors: ARGUMENT. */
skive_status skv_stages_check(skive_context *ctx, const skive_train_options *o);
/* The stage of an epoch, from 0; n - 1 is the last. */
int64_t skv_stages_at(const skv_stages *s, int epoch);
/* How strong dropout is, and how often a transform is applied, beside the last stage: 1 there. */
double skv_stages_strength(const skv_stages *s, int64_t stage);
/* A copy of the model that makes its images smaller first, with dropout as strong as in the stage. It shares the
 * parameters. Errors: UNSUPPORTED, naming the node: the network is for images of one size. */
skive_status skv_stages_model(skive_context *ctx, const skv_stages *s, int64_t stage, const skive_graph *model,
                              const skv_feeds *feeds, skive_graph **out);
/* Notes sizes and epochs. */
void skv_stages_tell(skive_context *ctx, const skv_stages *s);

#endif
