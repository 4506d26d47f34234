/* The input of a model: layout, scale and normalisation of the samples that it takes. These settings are kept in the
 * model's metadata ("skive.input.layout", "skive.input.scale", "skive.input.mean", "skive.input.std"; of a model with
 * several inputs "skive.input.mean:NAME" and so on) and written with it; evaluation, training, distillation, pruning,
 * sharing and quantization read it there.
 *
 * * Samples are brought to the input axis by axis: [c][h][w] to [h][w][c] and back, axes of size 1 added or removed,
 * images flattened for an input [N, features], values converted to the input's element type. Samples that do not fit
 * in one of these ways are an error. */
#ifndef SKIVE_INPUT_H
#define SKIVE_INPUT_H

#include <skive/data.h>
#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For a model with several inputs each setting may be given for one of them by name, several separated by semicolons:
 * "image=imagenet;table=data". A word without a name is for all inputs that it can concern, a number for the only input
 * of floats. */
typedef struct skive_input_options {
    size_t size; /* sizeof(skive_input_options) */
    /* "nchw" (channels after the batch) or "nhwc" (channels last), for inputs of any rank; "auto": remove the setting.
     * NULL: leave it unchanged. Without a setting, the layout is derived from the nodes that read the input, then from
     * its dimensions (an axis of 1, 3 or 4). */
    const char *layout;
    /* Numbers "0.49,0.48,0.45", one for all or one per channel (per column of tables); "imagenet"; "data": measured on
     * the training samples of the set; "none". If only the mean is given, the deviation is 1, or that of "imagenet" or
     * "data" if these are named; if only the deviation is given, the mean is 0. "none" for the mean alone means "none"
     * for both. */
    const char *mean, *std;
    /* The factor by which a stored value is multiplied before that: a number, "1/255", or "none". Without a setting,
     * 8-bit samples are divided by 255, unless the input has an integer type, and others are used unchanged. */
    const char *scale;
} skive_input_options;
SKIVE_API skive_input_options skive_input_options_default(void);

/* Stores the options in the model's metadata. `set` is the data set to be used: needed for "data", and used to check
 * the numbers against its channels; may be NULL otherwise. Errors: ARGUMENT (names the option; not as many numbers as
 * channels), DATA (the set does not fit the input), as skive_dataset_statistics. */
SKIVE_API skive_status skive_model_set_input(skive_context *ctx, skive_graph *graph, const skive_dataset *set,
                                             const skive_input_options *options);

/* Describes in one line how samples of the set become the model's input: layout, scale, normalisation and the source of
 * these settings. *out is freed by skive_string_free. Errors: DATA (they do not match), MEMORY. */
SKIVE_API skive_status skive_model_input_text(skive_context *ctx, const skive_graph *graph, const skive_dataset *set,
                                              char **out);

/* Describes what the model's metadata say about the data that samples of an input are made of: columns of a table,
 * tokens of a text, features of sounds. *out is NULL if they say nothing, and else freed by skive_string_free. Errors:
 * ARGUMENT (no such input), FORMAT (the metadata are damaged), MEMORY. */
SKIVE_API skive_status skive_model_recipe_text(skive_context *ctx, const struct skive_graph *graph, size_t input,
                                               char **out);

/* Channels, height and width of the images that the model takes, from its input alone; 0 where the input leaves them
 * open. All 0 if the input is not an image. */
SKIVE_API void skive_model_input_image(const skive_graph *graph, int64_t *channels, int64_t *height, int64_t *width);

/* Puts the features of sounds that a model takes (metadata "skive.input.sound") into its graph, with the scale and the
 * normalisation of its input: the input then takes the samples of a sound, [N, samples], and the metadata say so. Only
 * standard ONNX operators are used, among them STFT of opset 17. The model's results stay the same up to rounding.
 * Errors: ARGUMENT (not such a model, or one that takes samples already), DATA (the features do not fit the input),
 * FORMAT (the metadata are damaged), UNSUPPORTED (the input is not of float32), MEMORY; the graph is then unchanged. */
SKIVE_API skive_status skive_model_features_in_graph(skive_context *ctx, skive_graph *graph);

/* Normalisation of the first input as numbers. A model without it takes samples unchanged (8-bit ones divided by
 * 255). Free the result of reading with skive_normalization_free. */
SKIVE_API skive_status skive_model_set_normalization(skive_graph *graph, const skive_normalization *normalization);
SKIVE_API skive_status skive_model_normalization(const skive_graph *graph, skive_normalization *out);

#ifdef __cplusplus
}
#endif
#endif
