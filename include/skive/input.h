/* What a model's input is, told to it: layout, scale and normalisation of the samples that it takes. All of it is kept
 * in the model's metadata ("skive.input.layout", "skive.input.scale", "skive.input.mean", "skive.input.std") and
 * written with it; evaluation, training, distillation, pruning, sharing and quantization read it there.
 *
 * Samples are brought to the input axis by axis: [c][h][w] to [h][w][c] and back, axes of one added or taken away,
 * pictures flattened for an input [N, features], values converted to the input's element type. What fits in no such
 * way is an error. */
#ifndef SKIVE_INPUT_H
#define SKIVE_INPUT_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skive_input_options {
    size_t size; /* sizeof(skive_input_options) */
    /* "nchw" (channels behind the batch) or "nhwc" (channels last), of inputs of any rank; "auto": forget what was
     * told. NULL: as it was. Untold, the nodes that read the input tell, then its dimensions (an axis of 1, 3 or 4). */
    const char *layout;
    /* Numbers "0.49,0.48,0.45", one for all or one a channel (a column, of tables); "imagenet"; "data": measured on
     * the training samples of the set; "none". Mean alone: deviation 1, but that of "imagenet" or "data" where these
     * are named; deviation alone: mean 0. "none" for the mean alone is "none" for both. */
    const char *mean, *std;
    /* What a stored value is multiplied by before that: a number, "1/255", or "none". Untold, 8-bit samples are
     * divided by 255, unless the input is of integers, and others are taken as they are. */
    const char *scale;
} skive_input_options;
SKIVE_API skive_input_options skive_input_options_default(void);

/* Stores in the model's metadata what the options say. `set` is the data set it is for: needed by "data", and lets
 * numbers be checked against its channels; may be NULL otherwise. Errors: ARGUMENT (names the option; not as many
 * numbers as channels), DATA (the set does not fit the input), as skive_dataset_statistics. */
SKIVE_API skive_status skive_model_set_input(skive_context *ctx, skive_graph *graph, const skive_dataset *set,
                                             const skive_input_options *options);

/* How samples of the set become the model's input, in a line for people: layout, scale, normalisation and where that
 * is from.
 * *out is freed by skive_string_free. Errors: DATA (they do not fit), MEMORY. */
SKIVE_API skive_status skive_model_input_text(skive_context *ctx, const skive_graph *graph, const skive_dataset *set,
                                              char **out);

/* Channels, height and width of the pictures that the model takes by its input alone, 0 where it leaves them open. All
 * 0 when the input is no picture. */
SKIVE_API void skive_model_input_image(const skive_graph *graph, int64_t *channels, int64_t *height, int64_t *width);

/* Input normalisation as numbers. A model without it takes samples as they are (8-bit ones divided by 255). Free what
 * is read with skive_normalization_free. */
SKIVE_API skive_status skive_model_set_normalization(skive_graph *graph, const skive_normalization *normalization);
SKIVE_API skive_status skive_model_normalization(const skive_graph *graph, skive_normalization *out);

#ifdef __cplusplus
}
#endif
#endif
