/* A Transformer encoder that classifies (Vaswani et al. 2017; normalised before each branch, Xiong et al. 2020): tokens
 * from a table, or steps of numbers through a layer; positions added; blocks; the mean over the steps. Tables are
 * normal with a deviation of 0.02 (BERT, Devlin et al. 2019). */
#include <math.h>
#include <stdio.h>

#include "zoo/zoo.h"

static const char *const positions[] = {"learned", "sinusoidal", "none"}, *const norms[] = {"before", "after"};
static const char *position_at(size_t i) { return i < SKV_LENGTH(positions) ? positions[i] : NULL; }
static const char *norm_at(size_t i) { return i < SKV_LENGTH(norms) ? norms[i] : NULL; }

static const skv_option options[] = {
    SKV_ZOO_COUNT("dim", 1, 65536, 128, "width of the blocks"),
    SKV_ZOO_COUNT("depth", 1, 200, 2, "number of blocks"),
    SKV_ZOO_COUNT("heads", 1, 1024, 4, "heads of attention; they share dim"),
    SKV_ZOO_COUNT("hidden", 0, 1e6, 0, "width between a block's two layers; 0: four times dim"),
    {.name = "positions",
     .type = SKV_OPTION_CHOICE,
     .text = "learned",
     .choices = position_at,
     .brief = "what is added to tell positions apart"},
    {.name = "norm",
     .type = SKV_OPTION_CHOICE,
     .text = "before",
     .choices = norm_at,
     .brief = "normalisation before each branch, or after each sum as published"},
    SKV_ZOO_DROPOUT(0),
    SKV_ZOO_VOCABULARY,
    SKV_ZOO_PADDING,
};

/* Sines and cosines in turn, of wavelengths from 2 pi to 10000 * 2 pi. */
static skive_value *waves(skv_zoo_env *e, int64_t steps, int64_t dim) {
    skive_tensor t = {0};
    if (e->b.status != SKIVE_OK) return NULL;
    e->b.status = skive_tensor_create(e->ctx, SKIVE_F32, 2, (const int64_t[]){steps, dim}, &t);
    if (e->b.status != SKIVE_OK) return NULL;
    for (int64_t p = 0; p < steps; p++) {
        for (int64_t i = 0; i < dim; i++) {
            const double angle = (double)p / pow(10000, (double)(i / 2 * 2) / (double)dim);
            ((float *)t.data)[p * dim + i] = (float)(i % 2 ? cos(angle) : sin(angle));
        }
    }
    skive_value *v = skive_build_parameter(&e->b, "positions", &t, false);
    skive_tensor_free(e->ctx, &t);
    return v;
}

static skive_value *placed(skv_zoo_env *e, skive_value *x, int64_t dim) {
    const int64_t steps = skv_zoo_dim(x, 1);
    const char *kind = skv_option_text(e->values, "positions");
    if (kind[0] == 'n') return x;
    skive_value *at = kind[0] == 's' ? waves(e, steps, dim)
                                     : skv_zoo_param(e, "positions", "weight", 2, (const int64_t[]){steps, dim},
                                                     SKV_ZOO_NORMAL, 0, true);
    return skv_zoo_op(e, "Add", SKV_ZOO_IN(x, at), SKV_ZOO_PLAIN);
}

/* 0 where attention may look, and so little elsewhere that nothing is left after the softmax. */
static skive_value *bias_of(skv_zoo_env *e, skive_value *valid) {
    if (!valid) return NULL;
    skive_value *x = skv_zoo_op(e, "Sub", SKV_ZOO_IN(valid, skive_build_number(&e->b, 1)), SKV_ZOO_PLAIN);
    x = skv_zoo_op(e, "Mul", SKV_ZOO_IN(x, skive_build_number(&e->b, 1e9)), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Unsqueeze", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 1, 2)), SKV_ZOO_PLAIN);
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const int64_t dim = skv_option_integer(e->values, "dim"), depth = skv_option_integer(e->values, "depth"),
                  hidden = skv_option_integer(e->values, "hidden");
    const skv_zoo_block block = {.heads = skv_option_integer(e->values, "heads"),
                                 .hidden = hidden > 0 ? hidden : 4 * dim,
                                 .norm_after = skv_option_text(e->values, "norm")[0] == 'a'};
    char name[32];
    skive_value *valid;
    if (dim % block.heads)
        return skv_zoo_refuse(e, "dim=%lld cannot be shared by heads=%lld", (long long)dim, (long long)block.heads);
    x = skv_zoo_sequence(e, x, dim, SKV_ZOO_NORMAL, &valid);
    if (!e->vocabulary) x = skv_zoo_project(e, "embedding", x, dim);
    x = skv_zoo_dropout(e, placed(e, x, dim));
    skive_value *bias = bias_of(e, valid);
    for (int64_t i = 1; i <= depth; i++) {
        snprintf(name, sizeof name, "block%lld", (long long)i);
        x = skv_zoo_encoder_block(e, name, x, bias, block);
    }
    if (!block.norm_after) x = skv_zoo_layernorm(e, "norm", x);
    return skv_zoo_linear(e, "fc", skv_zoo_mean(e, x, valid), e->options->classes);
}

const skv_zoo skv_zoo_transformer = {
    .name = "transformer",
    .brief = "Transformer encoder over tokens or the rows of a sample",
    SKV_OPTIONS(options),
    .takes_tokens = true,
    .usual = SKV_ZOO_TOKENS(128, 10000, 2),
    .build = build,
};
