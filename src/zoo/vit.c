/* Vision Transformer (Dosovitskiy et al. 2021); the defaults are ViT-tiny (Touvron et al. 2021): the image in patches,
 * a class token in front, positions added, blocks normalised before each branch, a layer from the class token. Matrices
 * Glorot-uniform, positions and class token normal with a deviation of 0.02. */
#include <stdio.h>

#include "zoo/zoo.h"

static const char *const pools[] = {"token", "mean"};
static const char *pool_at(size_t i) { return i < SKV_LENGTH(pools) ? pools[i] : NULL; }

static const skv_option options[] = {
    SKV_ZOO_COUNT("dim", 1, 65536, 192, "width of the blocks"),
    SKV_ZOO_COUNT("depth", 1, 200, 12, "number of blocks"),
    SKV_ZOO_COUNT("heads", 1, 1024, 3, "heads of attention; they share dim"),
    SKV_ZOO_COUNT("patch", 0, 1024, 0, "pixels on a patch's side; 0: 16, of images under 64 pixels 4"),
    SKV_ZOO_COUNT("hidden", 0, 1e6, 0, "width between a block's two layers; 0: four times dim"),
    {.name = "pool",
     .type = SKV_OPTION_CHOICE,
     .text = "token",
     .choices = pool_at,
     .brief = "what is classified: a token of its own, or the mean of all patches"},
    SKV_ZOO_DROPOUT(0),
};

/* The class token in front of every sample's patches. */
static skive_value *with_token(skv_zoo_env *e, skive_value *input, skive_value *x, int64_t dim) {
    skive_value *token = skv_zoo_param(e, "token", "weight", 3, (const int64_t[]){1, 1, dim}, SKV_ZOO_NORMAL, 0, true);
    skive_value *shape = skv_zoo_op(e, "Shape", SKV_ZOO_IN(input), SKV_ZOO_PLAIN);
    skive_value *n = skv_zoo_op(e, "Gather", SKV_ZOO_IN(shape, SKV_ZOO_INTS(e, 0)), SKV_ZOO_PLAIN);
    shape =
        skv_zoo_op(e, "Concat", SKV_ZOO_IN(n, SKV_ZOO_INTS(e, 1, dim)), SKV_ZOO_WITH(skive_attribute_int("axis", 0)));
    token = skv_zoo_op(e, "Expand", SKV_ZOO_IN(token, shape), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Concat", SKV_ZOO_IN(token, x), SKV_ZOO_WITH(skive_attribute_int("axis", 1)));
}

static skive_value *pooled(skv_zoo_env *e, skive_value *x, bool token) {
    if (!token) return skv_zoo_mean(e, x, NULL);
    x = skv_zoo_op(e, "Slice", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0), SKV_ZOO_INTS(e, 1), SKV_ZOO_INTS(e, 1)),
                   SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Squeeze", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 1)), SKV_ZOO_PLAIN);
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const int64_t dim = skv_option_integer(e->values, "dim"), depth = skv_option_integer(e->values, "depth"),
                  hidden = skv_option_integer(e->values, "hidden"), asked = skv_option_integer(e->values, "patch"),
                  h = e->options->dims[1], w = e->options->dims[2],
                  patch = asked    ? asked
                          : h < 64 ? 4
                                   : 16;
    const bool token = skv_option_text(e->values, "pool")[0] == 't';
    const skv_zoo_block block = {.heads = skv_option_integer(e->values, "heads"),
                                 .hidden = hidden > 0 ? hidden : 4 * dim};
    const int64_t steps = h / patch * (w / patch) + token;
    skive_value *input = x;
    char name[32];
    if (dim % block.heads)
        return skv_zoo_refuse(e, "dim=%lld cannot be shared by heads=%lld", (long long)dim, (long long)block.heads);
    if (h % patch || w % patch)
        return skv_zoo_refuse(e, "images of %lldx%lld cannot be cut into patches of %lld pixels (patch=N)",
                              (long long)h, (long long)w, (long long)patch);
    x = skv_zoo_conv2d(e, "patches", x, (skv_zoo_conv){.out = dim, .kernel = patch, .stride = patch, .bias = true});
    x = skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, dim, -1)), SKV_ZOO_PLAIN);
    x = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 2, 1)));
    if (token) x = with_token(e, input, x, dim);
    skive_value *at =
        skv_zoo_param(e, "positions", "weight", 2, (const int64_t[]){steps, dim}, SKV_ZOO_NORMAL, 0, true);
    x = skv_zoo_dropout(e, skv_zoo_op(e, "Add", SKV_ZOO_IN(x, at), SKV_ZOO_PLAIN));
    for (int64_t i = 1; i <= depth; i++) {
        snprintf(name, sizeof name, "block%lld", (long long)i);
        x = skv_zoo_encoder_block(e, name, x, NULL, block);
    }
    return skv_zoo_linear(e, "fc", pooled(e, skv_zoo_layernorm(e, "norm", x), token), e->options->classes);
}

const skv_zoo skv_zoo_vit = {
    .name = "vit",
    .brief = "Vision Transformer; by default ViT-tiny",
    SKV_OPTIONS(options),
    .sample_rank = 3,
    .usual = SKV_ZOO_IMAGES(3, 224, 224, 1000),
    .build = build,
};
