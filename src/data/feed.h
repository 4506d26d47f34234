/* The feed: how the samples of a data set become a model's inputs. The inputs of the set are matched with those of
 * the model by name, then by type and shape where only one fits; in each pair axes are matched by their meaning, not
 * by the number of values: channels first or last, optional axes of size 1, images flattened for a model of features.
 * Scale and normalisation are those of the model's metadata. All code that reads a data set for a model creates its
 * loader here. */
#ifndef SKV_FEED_H
#define SKV_FEED_H

#include <skive/exec.h>
#include <skive/input.h>

#include "data/data.h"
#include "graph/graph.h"

typedef enum skv_feed_order {
    SKV_FEED_SAME,    /* values keep their order */
    SKV_FEED_TO_LAST, /* samples [c][...] for an input [...][c] */
    SKV_FEED_TO_FIRST /* samples [...][c] for an input [c][...] */
} skv_feed_order;

typedef enum skv_feed_match {
    SKV_FEED_ONLY,    /* there is one input on both sides */
    SKV_FEED_BY_NAME, /* both have the same name */
    SKV_FEED_BY_SHAPE /* no other fits */
} skv_feed_match;

typedef struct skv_feed {
    skive_context *ctx;
    const char *input;  /* name, the graph's */
    size_t index, part; /* of the model's inputs, of the data set's */
    const char *from;   /* the data set's name of it, or NULL */
    skv_feed_match match;
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

/* One for each input of the model, in their order. */
typedef struct skv_feeds {
    skive_context *ctx;
    size_t n;
    skv_feed *items;
    skv_text left; /* names of the set's inputs that the model does not take, or empty */
} skv_feeds;

/* Errors: DATA with both shapes if samples and input do not match, with both lists if it is not clear which input takes
 * what; MEMORY. */
skive_status skv_feeds_make(skive_context *ctx, const skive_graph *g, const skive_dataset_info *info, skv_feeds *out);
void skv_feeds_free(skv_feeds *feeds);
/* A note for each input with layout, scale, normalisation and their source; another if images have no normalisation.
 * `who`: "model". */
void skv_feeds_tell(const skv_feeds *feeds, const char *who);
/* Sets the inputs' open dimensions, except the batch, to the sizes of the data. */
void skv_feeds_bind(const skv_feeds *feeds, skive_graph *g);
/* A loader whose batches are [count][feed dims] of the types of the model's inputs. `options`' normalisation is not
 * used. */
skive_status skv_feeds_loader(skive_context *ctx, const skv_feeds *feeds, const skive_dataset *set,
                              const skive_loader_options *options, skive_loader **out);
/* Shapes of the model's inputs for `batch` samples; [n], freed by skv_free. */
skive_status skv_feeds_shapes(const skv_feeds *feeds, int64_t batch, skive_shape_binding **out);

/* How one input of a set becomes input `index` of the model. `info` describes that input. */
skive_status skv_feed_make(skive_context *ctx, const skive_graph *g, size_t index, const skive_dataset_info *info,
                           skv_feed *out);
void skv_feed_free(skv_feed *feed);
void skv_feed_describe(const skv_feed *feed, skv_text *t);
void skv_feed_tell(const skv_feed *feed, const char *who);
/* The information about a set as if it had only its input `part`. */
skive_dataset_info skv_info_of_input(const skive_dataset_info *info, size_t part);

/* Copies the batch into the input of a plan, which may have more rows than the batch. Errors: DATA, with both
 * shapes. */
skive_status skv_feed_copy(skive_context *ctx, const char *name, const skive_tensor *batch, const skive_tensor *input);

/* "none", a number, or a fraction such as 1/255. */
bool skv_parse_scale(const char *text, double *out);

/* Mean and standard deviation along one axis of the samples; axis -1: over all values. */
skive_status skv_dataset_statistics_of(skive_context *ctx, const skive_dataset *ds, int axis, skive_normalization *out);
/* The metadata of an input (a key of meta_keys.h); of a model with several inputs the key ends in ":NAME". */
const char *skv_input_meta(const skive_graph *g, size_t index, const char *key);
skive_status skv_input_set_meta(skive_graph *g, size_t index, const char *key, const char *value);
skive_status skv_input_set_normalization(skive_graph *g, size_t index, const skive_normalization *n);
skive_status skv_input_normalization(const skive_graph *g, size_t index, skive_normalization *out);
/* Channels, height and width of the images that the input takes, as skive_model_input_image. */
void skv_input_image(const skive_graph *g, size_t index, int64_t *channels, int64_t *height, int64_t *width);
/* The input of this name; without one, or if there is none of that name, the first with images, or the first. */
size_t skv_input_for(const skive_graph *g, const char *name);
/* The recipe (SKV_META_INPUT_SOUND ...) for the input of this name, or the model's only one; NULL: none. */
const char *skv_recipe_in_model(const skive_graph *g, const char *input, const char *key);
/* Keeps in the model's metadata what the samples of its inputs were made by. */
skive_status skv_input_keep_recipes(skive_context *ctx, skive_graph *g, const skive_dataset *set);
/* The channel axis of an input (from option, metadata, the nodes that read it, its dimensions): 0 is the first after
 * the batch; -1: unknown. */
int skv_input_channel_axis(const skive_graph *g, size_t index);
/* By dimensions alone: the first or last axis is 1, 3 or 4, and the other is not. -1: undecided. */
int skv_channel_axis_of(int rank, const int64_t *dims);
/* "[3, 16, 16]", with "?" for open dimensions */
const char *skv_shape_text(int rank, const int64_t *dims, char *buffer, size_t size);

#endif
