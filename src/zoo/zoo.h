/* The zoo record, and the building blocks architectures are made of. All of it stands on the public builder. */
#ifndef SKV_ZOO_H
#define SKV_ZOO_H

#include <skive/build.h>
#include <skive/zoo.h>

#include "base/option.h"

typedef struct skv_zoo_env {
    skive_context *ctx;
    skive_builder b;
    const skive_zoo_options *options;
    const skv_option_values *values; /* of the record's options */
    double width;                    /* the option of this name; 1 where there is none */
    int64_t vocabulary;              /* number of different tokens; 0: samples are numbers */
    uint64_t stream;                 /* counts parameters: each has its own random numbers */
} skv_zoo_env;

typedef struct skv_zoo {
    const char *name, *brief;
    const skv_option *options;
    size_t n_options;
    int sample_rank;         /* 3: images [c][h][w]; 0: any */
    bool takes_tokens;       /* samples may be sequences of tokens, [length] of integers */
    const char *output;      /* name of the output; NULL: "logits" */
    const char *output_kind; /* what it contains, where that is not seen (graph/meta_keys.h); NULL: nothing is said */
    skive_zoo_options usual; /* sizes of the samples that it was published for, or is mostly used with */
    skive_value *(*build)(skv_zoo_env *e, skive_value *input); /* gives the output */
} skv_zoo;

/* `.usual` of images, and of sequences of tokens */
#define SKV_ZOO_IMAGES(c, h, w, n) \
    { .rank = 3, .dims = {(c), (h), (w)}, .classes = (n) }
#define SKV_ZOO_TOKENS(length, of, n) \
    { .rank = 1, .dims = {(length)}, .classes = (n), .vocabulary = (of) }

extern const skv_family skv_zoo_family;
extern const skv_option skv_zoo_width_options[1];
/* Rows that several tables have. */
#define SKV_ZOO_WIDTH                                                                       \
    {                                                                                       \
        .name = "width", .type = SKV_OPTION_REAL, .most = 64, .above = true, .fallback = 1, \
        .brief = "factor on the number of channels of each layer"                           \
    }
#define SKV_ZOO_COUNT(name_, least_, most_, fallback_, brief_)                                                    \
    {                                                                                                             \
        .name = (name_), .type = SKV_OPTION_INTEGER, .least = (least_), .most = (most_), .fallback = (fallback_), \
        .brief = (brief_)                                                                                         \
    }
#define SKV_ZOO_DROPOUT(fallback_)                                                                     \
    {                                                                                                  \
        .name = "dropout", .type = SKV_OPTION_REAL, .most = 1, .below = true, .fallback = (fallback_), \
        .brief = "fraction of values that training drops"                                              \
    }
#define SKV_ZOO_VOCABULARY SKV_ZOO_COUNT("vocabulary", 0, 1e8, 0, "number of different tokens; 0: as the data say")
#define SKV_ZOO_PADDING \
    SKV_ZOO_COUNT("padding", -1, 1e8, 0, "the token that fills up short samples, which is not looked at; -1: none")

int64_t skv_zoo_scaled(const skv_zoo_env *e, int64_t channels); /* channels * width, at least 1 */
/* The multiple of 8 nearest to x, not below 0.9 x (Howard et al.'s code) */
int64_t skv_zoo_by_eight(double x);
int64_t skv_zoo_dim(const skive_value *x, int axis); /* its size; 0 when x is NULL or it is open */
int64_t skv_zoo_channels(const skive_value *x);      /* dimension 1 */
/* Fails with SHAPE; the result is NULL. */
skive_value *skv_zoo_refuse(skv_zoo_env *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- nodes ---- skv_zoo_op(e, "Concat", SKV_ZOO_IN(x, y), SKV_ZOO_WITH(skive_attribute_int("axis", 1))) */

typedef struct skv_zoo_in {
    skive_value *const *values;
    size_t n;
} skv_zoo_in;
typedef struct skv_zoo_with {
    const skive_attribute *attributes;
    size_t n;
} skv_zoo_with;
#define SKV_ZOO_IN(...) \
    ((skv_zoo_in){(skive_value *const[]){__VA_ARGS__}, sizeof((skive_value *const[]){__VA_ARGS__}) / sizeof(void *)})
#define SKV_ZOO_WITH(...)                                   \
    ((skv_zoo_with){(const skive_attribute[]){__VA_ARGS__}, \
                    sizeof((const skive_attribute[]){__VA_ARGS__}) / sizeof(skive_attribute)})
#define SKV_ZOO_PLAIN ((skv_zoo_with){NULL, 0})
/* An attribute that is a list of integers. */
#define SKV_ZOO_LIST(name, ...)                                  \
    skive_attribute_ints((name), (const int64_t[]){__VA_ARGS__}, \
                         sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
/* A constant list of integers. */
#define SKV_ZOO_INTS(e, ...) \
    skive_build_ints(&(e)->b, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

skive_value *skv_zoo_op(skv_zoo_env *e, const char *op, skv_zoo_in in, skv_zoo_with with);
/* The node carries the layer's name. */
skive_value *skv_zoo_layer(skv_zoo_env *e, const char *layer, const char *op, skv_zoo_in in, skv_zoo_with with);

/* ---- parameters ---- "<layer>.<suffix>" ---- */

typedef enum skv_zoo_fill {
    SKV_ZOO_ZERO,
    SKV_ZOO_ONE,
    SKV_ZOO_HE,      /* normal of variance 2 / fan (He et al. 2015) */
    SKV_ZOO_UNIFORM, /* within 1 / sqrt(fan), as PyTorch's layers */
    SKV_ZOO_GLOROT,  /* uniform within sqrt(6 / fan), fan the sum of inputs and outputs (Glorot & Bengio 2010) */
    SKV_ZOO_NORMAL,  /* normal of a deviation of 0.02 (BERT, ViT) */
    SKV_ZOO_UNIT     /* normal of a deviation of 1 (PyTorch's tables) */
} skv_zoo_fill;
skive_value *skv_zoo_param(skv_zoo_env *e, const char *layer, const char *suffix, int rank, const int64_t *dims,
                           skv_zoo_fill fill, int64_t fan, bool trainable);

/* ---- layers of images ---- weights He-normal by the number of inputs, biases zero ---- */

typedef struct skv_zoo_conv {
    int64_t out, kernel, stride, pad, groups; /* groups 0: 1; stride 0: 1 */
    bool bias;
    int64_t kernel_w, stride_w; /* 0: as the height */
    bool same;                  /* padded so that the output has size / stride, rounded up (TensorFlow's SAME) */
    bool by_outputs;            /* the variance of the weights by the number of outputs */
} skv_zoo_conv;
skive_value *skv_zoo_conv2d(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c);
skive_value *skv_zoo_batchnorm(skv_zoo_env *e, const char *name, skive_value *x);
skive_value *skv_zoo_relu(skv_zoo_env *e, skive_value *x);
skive_value *skv_zoo_silu(skv_zoo_env *e, skive_value *x); /* x sigmoid(x) */
skive_value *skv_zoo_conv_bn(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c);
skive_value *skv_zoo_conv_bn_relu(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c);
skive_value *skv_zoo_maxpool(skv_zoo_env *e, skive_value *x, int64_t kernel, int64_t stride, int64_t pad);
skive_value *skv_zoo_flatten(skv_zoo_env *e, skive_value *x);
skive_value *skv_zoo_linear(skv_zoo_env *e, const char *name, skive_value *x, int64_t out);
skive_value *skv_zoo_global_pool(skv_zoo_env *e, skive_value *x); /* and flattened */
skive_value *skv_zoo_dropout(skv_zoo_env *e, skive_value *x);     /* by the option "dropout"; 0: no node */

/* ---- layers of sequences ---- [N][steps][features] ---- */

/* The samples as sequences: tokens [N][steps] looked up in a table of `width`, drawn by `fill`; [N][steps][features] as
 * it is; images [N][c][h][w] as h steps of what stands in a row. *valid is [N][steps], 1 where there is a token and 0
 * where there is padding; NULL if nothing is padding. */
skive_value *skv_zoo_sequence(skv_zoo_env *e, skive_value *x, int64_t width, skv_zoo_fill fill, skive_value **valid);
/* x over the last axis: [..., in] to [..., out] */
skive_value *skv_zoo_project(skv_zoo_env *e, const char *name, skive_value *x, int64_t out);
skive_value *skv_zoo_layernorm(skv_zoo_env *e, const char *name, skive_value *x);
/* The mean over the steps, of those that are valid: [N][features] */
skive_value *skv_zoo_mean(skv_zoo_env *e, skive_value *x, skive_value *valid);

/* Layers of LSTM or GRU (`op`), each over the results of the one before. The last states [N][directions * hidden],
 * or with `every` those of all steps [N][steps][directions * hidden]. Weights uniform within 1 / sqrt(hidden),
 * biases zero, an LSTM's forget gate with a bias of 1 (Jozefowicz et al. 2015). */
typedef struct skv_zoo_cells {
    const char *op, *name; /* of more than one layer "<name>1", "<name>2" ... */
    int64_t hidden, layers;
    bool both, every; /* both directions */
} skv_zoo_cells;
skive_value *skv_zoo_recurrent(skv_zoo_env *e, skive_value *x, skive_value *valid, skv_zoo_cells c);

/* An encoder block (Vaswani et al. 2017) with attention written out and a GELU between its two layers. Matrices
 * Glorot-uniform, biases zero. `bias` [N][1][1][steps] is added to what attention weighs; NULL: nothing. */
typedef struct skv_zoo_block {
    int64_t heads, hidden;
    bool norm_after; /* after each sum, as published; otherwise before each branch (Xiong et al. 2020) */
} skv_zoo_block;
skive_value *skv_zoo_encoder_block(skv_zoo_env *e, const char *name, skive_value *x, skive_value *bias,
                                   skv_zoo_block block);
skive_value *skv_zoo_gelu(skv_zoo_env *e, skive_value *x); /* x / 2 (1 + erf(x / sqrt 2)) */

#endif
