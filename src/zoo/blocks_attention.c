/* The encoder block of Transformers. Attention is written out in operators that every runtime has; plans fuse it. */
#include <math.h>
#include <stdio.h>

#include "zoo/zoo.h"

skive_value *skv_zoo_gelu(skv_zoo_env *e, skive_value *x) {
    skive_value *y = skv_zoo_op(e, "Div", SKV_ZOO_IN(x, skive_build_number(&e->b, sqrt(2))), SKV_ZOO_PLAIN);
    y = skv_zoo_op(e, "Erf", SKV_ZOO_IN(y), SKV_ZOO_PLAIN);
    y = skv_zoo_op(e, "Add", SKV_ZOO_IN(y, skive_build_number(&e->b, 1)), SKV_ZOO_PLAIN);
    y = skv_zoo_op(e, "Mul", SKV_ZOO_IN(x, y), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Mul", SKV_ZOO_IN(y, skive_build_number(&e->b, 0.5)), SKV_ZOO_PLAIN);
}

static skive_value *projected(skv_zoo_env *e, const char *block, const char *part, skive_value *x, int64_t out) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", block, part);
    return skv_zoo_project(e, name, x, out);
}

/* [N][steps][width] as [N][heads][steps][width / heads], or with the last two axes exchanged. */
static skive_value *heads_of(skv_zoo_env *e, skive_value *x, int64_t heads, bool exchanged) {
    x = skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, 0, heads, -1)), SKV_ZOO_PLAIN);
    return exchanged ? skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 2, 3, 1)))
                     : skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 2, 1, 3)));
}

static skive_value *attention(skv_zoo_env *e, const char *block, skive_value *x, skive_value *bias, int64_t heads) {
    const int64_t width = skv_zoo_dim(x, 2);
    skive_value *q = heads_of(e, projected(e, block, "attention.query", x, width), heads, false);
    skive_value *k = heads_of(e, projected(e, block, "attention.key", x, width), heads, true);
    skive_value *v = heads_of(e, projected(e, block, "attention.value", x, width), heads, false);
    skive_value *scale = skive_build_number(&e->b, sqrt((double)heads / (double)(width ? width : 1)));
    skive_value *w = skv_zoo_op(e, "MatMul", SKV_ZOO_IN(q, k), SKV_ZOO_PLAIN);
    w = skv_zoo_op(e, "Mul", SKV_ZOO_IN(w, scale), SKV_ZOO_PLAIN);
    if (bias) w = skv_zoo_op(e, "Add", SKV_ZOO_IN(w, bias), SKV_ZOO_PLAIN);
    w = skv_zoo_op(e, "Softmax", SKV_ZOO_IN(w), SKV_ZOO_WITH(skive_attribute_int("axis", -1)));
    skive_value *y = skv_zoo_op(e, "MatMul", SKV_ZOO_IN(w, v), SKV_ZOO_PLAIN);
    y = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(y), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 2, 1, 3)));
    y = skv_zoo_op(e, "Reshape", SKV_ZOO_IN(y, SKV_ZOO_INTS(e, 0, 0, width)), SKV_ZOO_PLAIN);
    return projected(e, block, "attention.output", y, width);
}

static skive_value *between(skv_zoo_env *e, const char *block, skive_value *x, int64_t hidden) {
    const int64_t width = skv_zoo_dim(x, 2);
    return projected(e, block, "mlp.2", skv_zoo_gelu(e, projected(e, block, "mlp.1", x, hidden)), width);
}

static skive_value *joined(skv_zoo_env *e, skive_value *x, skive_value *y) {
    return skv_zoo_op(e, "Add", SKV_ZOO_IN(x, skv_zoo_dropout(e, y)), SKV_ZOO_PLAIN);
}

skive_value *skv_zoo_encoder_block(skv_zoo_env *e, const char *name, skive_value *x, skive_value *bias,
                                   skv_zoo_block block) {
    char first[64], second[64];
    snprintf(first, sizeof first, "%s.norm1", name);
    snprintf(second, sizeof second, "%s.norm2", name);
    if (block.norm_after) {
        x = skv_zoo_layernorm(e, first, joined(e, x, attention(e, name, x, bias, block.heads)));
        return skv_zoo_layernorm(e, second, joined(e, x, between(e, name, x, block.hidden)));
    }
    x = joined(e, x, attention(e, name, skv_zoo_layernorm(e, first, x), bias, block.heads));
    return joined(e, x, between(e, name, skv_zoo_layernorm(e, second, x), block.hidden));
}
