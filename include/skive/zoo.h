/* Built-in architectures, built as graphs with freshly initialised trainable parameters. */
#ifndef SKIVE_ZOO_H
#define SKIVE_ZOO_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Builds an architecture. `spec` is a name and, after a colon, options (docs/options.md): "lenet5", "lenet5:0.5",
 * "mlp:300,100", "vit:dim=64,depth=6,heads=4,patch=4". The graph has one input, "input" [N, sample dims] of float32, or
 * "tokens" [N, length] of int64 if there is a vocabulary; and one output, "logits" [N, classes] (of a segmentation
 * [N, classes, h, w]; an autoencoder gives "reconstruction", in the shape of its input). Nodes are standard ONNX
 * operators of opset 17 or older. Same seed, same bits. Errors: NOT_FOUND (lists the names), ARGUMENT, SHAPE (the
 * network does not fit the samples; the message says why). */
typedef struct skive_zoo_options {
    size_t size;
    int rank;                     /* of one sample, without the batch */
    int64_t dims[SKIVE_MAX_RANK]; /* [c][h][w], [steps][features], [features], or [length] of tokens */
    int64_t classes;
    uint64_t seed;
    /* Samples are sequences of tokens: integers from 0 to below this, rank 1. 0: they are numbers. The option
     * "vocabulary" of a network takes precedence */
    int64_t vocabulary;
    bool blank; /* all weights are 0, which takes no time: for a network that is only looked at */
} skive_zoo_options;
SKIVE_API skive_zoo_options skive_zoo_options_default(void); /* 1x28x28, 10 classes, seed 1 */
SKIVE_API skive_status skive_zoo_build(skive_context *ctx, const char *spec, const skive_zoo_options *options,
                                       skive_graph **out);
SKIVE_API size_t skive_zoo_count(void);
SKIVE_API const char *skive_zoo_name(size_t index);
SKIVE_API const char *skive_zoo_brief(size_t index);
/* Samples and classes that the network was published for, or is mostly used with. False if there is no such network. */
SKIVE_API bool skive_zoo_usual(size_t index, skive_zoo_options *out);
/* The options of a network, one a line: "name: what it does (what it may be; default)". "" if it has none or there
 * is no such network. Freed by skive_string_free. */
SKIVE_API skive_status skive_zoo_option_text(skive_context *ctx, size_t index, char **out);
SKIVE_API bool skive_zoo_takes_tokens(size_t index); /* can it read sequences of tokens? */

#ifdef __cplusplus
}
#endif
#endif
