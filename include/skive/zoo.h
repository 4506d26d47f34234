/* Built-in architectures, built as graphs with freshly initialised trainable parameters. */
#ifndef SKIVE_ZOO_H
#define SKIVE_ZOO_H

#include <skive/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Builds an architecture. `spec` is a name with an optional width multiplier and options: "lenet5", "lenet5:0.5",
 * "resnet20", "mlp:300,100". The graph has one float input "input" [N, sample dims] and one output "logits" [N,
 * classes]. Same seed, same bits. Errors: NOT_FOUND (lists the names), ARGUMENT, SHAPE (sample too small for the
 * network). */
typedef struct skive_zoo_options {
    size_t size;
    int rank;                     /* of one sample, without the batch */
    int64_t dims[SKIVE_MAX_RANK]; /* [c][h][w] or [features] */
    int64_t classes;
    uint64_t seed;
} skive_zoo_options;
SKIVE_API skive_zoo_options skive_zoo_options_default(void); /* 1x28x28, 10 classes, seed 1 */
SKIVE_API skive_status skive_zoo_build(skive_context *ctx, const char *spec, const skive_zoo_options *options,
                                       skive_graph **out);
SKIVE_API size_t skive_zoo_count(void);
SKIVE_API const char *skive_zoo_name(size_t index);
SKIVE_API const char *skive_zoo_brief(size_t index);

#ifdef __cplusplus
}
#endif
#endif
