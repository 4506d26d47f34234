/* The feed: how a sample of a data set becomes a model's input. Axes are matched by their meaning, not by the number of
 * values: channels first or last, optional axes of size 1, images flattened for a model of features. Scale and
 * normalisation are those of the model's metadata. All code that reads a data set for a model creates its loader
 * here. */
#ifndef SKV_FEED_H
#define SKV_FEED_H

#include <skive/input.h>

#include "data/data.h"
#include "graph/graph.h"

typedef enum skv_feed_order {
    SKV_FEED_SAME,    /* values keep their order */
    SKV_FEED_TO_LAST, /* samples [c][...] for an input [...][c] */
    SKV_FEED_TO_FIRST /* samples [...][c] for an input [c][...] */
} skv_feed_order;

typedef struct skv_feed {
    skive_context *ctx;
    const char *input;         /* name, the graph's */
    skive_dtype dtype, stored; /* of the model's input, of the samples */
    int rank;                  /* of one sample of the model's input, and its dimensions, all known */
    int64_t dims[SKIVE_MAX_RANK];
    int sample_rank; /* as the data have it */
    int64_t sample_dims[SKIVE_MAX_RANK];
    skv_feed_order order;
    bool flattened, assumed;           /* assumed: more than one layout would fit */
    int channel_axis;                  /* channel axis of the samples; -1: none, or unknown */
    bool bytes, images;                /* the samples are 8-bit; they look like images */
    double scale;                      /* a stored value is multiplied by this before normalisation */
    bool scale_named;                  /* set by an option or the metadata */
    bool scale_told;                   /* it is not the default of all data sets */
    bool mean_told;                    /* there is a normalisation, or explicitly none */
    uint8_t mean_from, scale_from;     /* SKV_SAID_BY_FILE ... */
    skive_normalization normalization; /* owned; per channel, per value of a sample, or one for all */
} skv_feed;

/* Errors: DATA with both shapes if samples and input do not match; ARGUMENT (more than one input); MEMORY. */
skive_status skv_feed_make(skive_context *ctx, const skive_graph *g, const skive_dataset_info *info, skv_feed *out);
void skv_feed_free(skv_feed *feed);
/* A note with layout, scale, normalisation and their source; another if images have no normalisation. `who`:
 * "model". */
void skv_feed_tell(const skv_feed *feed, const char *who);
/* Sets the input's open dimensions, except the batch, to the sizes of the data. */
void skv_feed_bind(const skv_feed *feed, skive_graph *g);
/* A loader whose batches are [count][feed dims] of the model's element type. `options`' normalisation is not used. */
skive_status skv_feed_loader(skive_context *ctx, const skv_feed *feed, const skive_dataset *set,
                             const skive_loader_options *options, skive_loader **out);
/* Copies the batch into the input of a plan, which may have more rows than the batch. Errors: DATA, with both
 * shapes. */
skive_status skv_feed_copy(skive_context *ctx, const char *name, const skive_tensor *batch, const skive_tensor *input);

/* "none", a number, or a fraction such as 1/255. */
bool skv_parse_scale(const char *text, double *out);

/* Mean and standard deviation along one axis of the samples; axis -1: over all values. */
skive_status skv_dataset_statistics_of(skive_context *ctx, const skive_dataset *ds, int axis, skive_normalization *out);
/* The channel axis of an input (from option, metadata, the nodes that read it, its dimensions): 0 is the first after
 * the batch; -1: unknown. */
int skv_input_channel_axis(const skive_graph *g);
/* By dimensions alone: the first or last axis is 1, 3 or 4, and the other is not. -1: undecided. */
int skv_channel_axis_of(int rank, const int64_t *dims);
/* "[3, 16, 16]", with "?" for open dimensions */
const char *skv_shape_text(int rank, const int64_t *dims, char *buffer, size_t size);

#endif
