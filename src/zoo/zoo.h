/* The zoo record, and the building blocks architectures are made of. */
#ifndef SKV_ZOO_H
#define SKV_ZOO_H

#include <skive/zoo.h>

#include "base/option.h"
#include "graph/graph.h"

typedef struct skv_zoo_env {
    skive_context *ctx;
    skv_builder b;
    const skive_zoo_options *options;
    const skv_option_values *values; /* of the record's options */
    double width;                    /* the option of this name; 1 where there is none */
    uint64_t stream;                 /* counts parameters: each has its own random numbers */
} skv_zoo_env;

typedef struct skv_zoo {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    int sample_rank;                                           /* 3: images [c][h][w]; 0: any, flattened */
    skive_value *(*build)(skv_zoo_env *e, skive_value *input); /* gives the logits */
} skv_zoo;

extern const skv_family skv_zoo_family;
extern const skv_option skv_zoo_width_options[1];

int64_t skv_zoo_scaled(const skv_zoo_env *e, int64_t channels); /* channels * width, at least 1 */
int64_t skv_zoo_channels(const skive_value *x);                 /* dimension 1; 0 when x is NULL */

/* Each names its parameters "<name>.weight", ".bias" ... Weights: He-normal (He et al. 2015), biases zero. */
typedef struct skv_zoo_conv {
    int64_t out, kernel, stride, pad, groups; /* groups 0: 1 */
    bool bias;
} skv_zoo_conv;
skive_value *skv_zoo_conv2d(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c);
skive_value *skv_zoo_batchnorm(skv_zoo_env *e, const char *name, skive_value *x);
skive_value *skv_zoo_relu(skv_zoo_env *e, skive_value *x);
skive_value *skv_zoo_conv_bn_relu(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c);
skive_value *skv_zoo_maxpool(skv_zoo_env *e, skive_value *x, int64_t kernel, int64_t stride, int64_t pad);
skive_value *skv_zoo_flatten(skv_zoo_env *e, skive_value *x);
skive_value *skv_zoo_linear(skv_zoo_env *e, const char *name, skive_value *x, int64_t out);
/* LSTM or GRU over a sample's rows (images: over all channels of a row); the last state [N][hidden]. Weights uniform
 * within
 * 1 / sqrt(hidden), the LSTM's forget gate with a bias of 1 (Jozefowicz et al. 2015). */
skive_value *skv_zoo_recurrent(skv_zoo_env *e, const char *op, const char *name, skive_value *x, int64_t hidden);
skive_value *skv_zoo_global_pool(skv_zoo_env *e, skive_value *x); /* and flattened */

#endif
