/* The building blocks of networks of sequences: tokens and rows as steps, recurrent layers, means over steps. */
#include <stdio.h>
#include <string.h>

#include "zoo/zoo.h"

/* Samples [h][w] are h steps already; of [c][h][w] a step is what stands in a row. */
static skive_value *rows_as_steps(skv_zoo_env *e, skive_value *x) {
    if (e->options->rank == 2) return x;
    x = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 2, 1, 3)));
    return skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, 0, -1)), SKV_ZOO_PLAIN);
}

/* 1 where the token is not padding. */
static skive_value *validity(skv_zoo_env *e, skive_value *tokens, int64_t padding) {
    skive_value *pad = SKV_ZOO_INTS(e, padding);
    skive_value *is = skv_zoo_op(e, "Equal", SKV_ZOO_IN(tokens, pad), SKV_ZOO_PLAIN);
    skive_value *is_not = skv_zoo_op(e, "Not", SKV_ZOO_IN(is), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Cast", SKV_ZOO_IN(is_not), SKV_ZOO_WITH(skive_attribute_int("to", SKIVE_F32)));
}

skive_value *skv_zoo_sequence(skv_zoo_env *e, skive_value *x, int64_t width, skv_zoo_fill fill, skive_value **valid) {
    const int rank = e->options->rank;
    *valid = NULL;
    if (e->vocabulary > 0) {
        const int64_t padding = skv_option_integer(e->values, "padding");
        if (padding >= e->vocabulary)
            return skv_zoo_refuse(e, "padding=%lld is no token: there are %lld, counted from 0", (long long)padding,
                                  (long long)e->vocabulary);
        if (padding >= 0) *valid = validity(e, x, padding);
        skive_value *table =
            skv_zoo_param(e, "embedding", "weight", 2, (const int64_t[]){e->vocabulary, width}, fill, 0, true);
        return skv_zoo_layer(e, "embedding", "Gather", SKV_ZOO_IN(table, x), SKV_ZOO_PLAIN);
    }
    if (rank != 2 && rank != 3)
        return skv_zoo_refuse(e,
                              "needs samples of rank 2 or 3, but the data has rank %d; if its samples are sequences "
                              "of tokens, say how many different ones there are (vocabulary=N)",
                              rank);
    return rows_as_steps(e, x);
}

skive_value *skv_zoo_project(skv_zoo_env *e, const char *name, skive_value *x, int64_t out) {
    char sum[80];
    const int64_t in = skv_zoo_dim(x, x ? skive_value_type(x)->rank - 1 : 0);
    snprintf(sum, sizeof sum, "%s.add", name);
    skive_value *w = skv_zoo_param(e, name, "weight", 2, (const int64_t[]){in, out}, SKV_ZOO_GLOROT, in + out, true);
    skive_value *b = skv_zoo_param(e, name, "bias", 1, &out, SKV_ZOO_ZERO, 0, true);
    skive_value *y = skv_zoo_layer(e, name, "MatMul", SKV_ZOO_IN(x, w), SKV_ZOO_PLAIN);
    return skv_zoo_layer(e, sum, "Add", SKV_ZOO_IN(y, b), SKV_ZOO_PLAIN);
}

skive_value *skv_zoo_layernorm(skv_zoo_env *e, const char *name, skive_value *x) {
    const int64_t n = skv_zoo_dim(x, x ? skive_value_type(x)->rank - 1 : 0);
    skive_value *scale = skv_zoo_param(e, name, "weight", 1, &n, SKV_ZOO_ONE, 0, true);
    skive_value *shift = skv_zoo_param(e, name, "bias", 1, &n, SKV_ZOO_ZERO, 0, true);
    return skv_zoo_layer(e, name, "LayerNormalization", SKV_ZOO_IN(x, scale, shift),
                         SKV_ZOO_WITH(skive_attribute_int("axis", -1), skive_attribute_float("epsilon", 1e-5)));
}

static skive_value *sum_over(skv_zoo_env *e, skive_value *x, int64_t axis, bool keep) {
    return skv_zoo_op(e, "ReduceSum", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, axis)),
                      SKV_ZOO_WITH(skive_attribute_int("keepdims", keep)));
}

/* How many steps are valid, at least 1: [N][1]. */
static skive_value *count_valid(skv_zoo_env *e, skive_value *valid) {
    skive_value *one = skive_build_number(&e->b, 1);
    return skv_zoo_op(e, "Max", SKV_ZOO_IN(sum_over(e, valid, 1, true), one), SKV_ZOO_PLAIN);
}

skive_value *skv_zoo_mean(skv_zoo_env *e, skive_value *x, skive_value *valid) {
    if (!valid) {
        const double steps = (double)skv_zoo_dim(x, 1);
        skive_value *each = skive_build_number(&e->b, steps > 0 ? 1 / steps : 1);
        return skv_zoo_op(e, "Mul", SKV_ZOO_IN(sum_over(e, x, 1, false), each), SKV_ZOO_PLAIN);
    }
    skive_value *mask = skv_zoo_op(e, "Unsqueeze", SKV_ZOO_IN(valid, SKV_ZOO_INTS(e, 2)), SKV_ZOO_PLAIN);
    x = sum_over(e, skv_zoo_op(e, "Mul", SKV_ZOO_IN(x, mask), SKV_ZOO_PLAIN), 1, false);
    return skv_zoo_op(e, "Div", SKV_ZOO_IN(x, count_valid(e, valid)), SKV_ZOO_PLAIN);
}

/* ---- recurrent layers ---- */

/* One layer over x [steps][N][in]: all states [steps][directions][N][hidden] and the last ones
 * [directions][N][hidden]. */
static void cell(skv_zoo_env *e, const skv_zoo_cells *c, const char *name, skive_value *x, skive_value *lengths,
                 skive_value *out[2]) {
    const bool lstm = strcmp(c->op, "LSTM") == 0;
    const int64_t directions = c->both ? 2 : 1, h = c->hidden, gates = (lstm ? 4 : 3) * h, in = skv_zoo_dim(x, 2);
    skive_value *w =
        skv_zoo_param(e, name, "weight", 3, (const int64_t[]){directions, gates, in}, SKV_ZOO_UNIFORM, h, true);
    skive_value *r =
        skv_zoo_param(e, name, "recurrence", 3, (const int64_t[]){directions, gates, h}, SKV_ZOO_UNIFORM, h, true);
    skive_value *b = NULL;
    skive_tensor bias = {0};
    char bias_name[128];
    out[0] = out[1] = NULL;
    if (e->b.status != SKIVE_OK) return;
    e->b.status = skive_tensor_create(e->ctx, SKIVE_F32, 2, (const int64_t[]){directions, 2 * gates}, &bias);
    if (e->b.status != SKIVE_OK) return;
    for (int64_t d = 0; lstm && d < directions; d++) { /* gates in ONNX's order: input, output, forget, cell */
        for (int64_t i = 0; i < h; i++) ((float *)bias.data)[d * 2 * gates + 2 * h + i] = 1;
    }
    snprintf(bias_name, sizeof bias_name, "%s.bias", name);
    b = skive_build_parameter(&e->b, bias_name, &bias, true);
    skive_tensor_free(e->ctx, &bias);
    e->stream++;
    const skive_attribute attributes[] = {skive_attribute_int("hidden_size", h),
                                          skive_attribute_string("direction", c->both ? "bidirectional" : "forward"),
                                          skive_attribute_int("linear_before_reset", 1)};
    skive_value *const inputs[] = {x, w, r, b, lengths};
    (void)skive_build_node(&e->b, c->op, name, inputs, lengths ? 5 : 4, attributes, lstm ? 2 : 3, out, 2);
}

skive_value *skv_zoo_recurrent(skv_zoo_env *e, skive_value *x, skive_value *valid, skv_zoo_cells c) {
    skive_value *lengths = NULL, *out[2] = {NULL};
    char name[48];
    if (valid) {
        skive_value *n = skv_zoo_op(e, "Squeeze", SKV_ZOO_IN(count_valid(e, valid), SKV_ZOO_INTS(e, 1)), SKV_ZOO_PLAIN);
        lengths = skv_zoo_op(e, "Cast", SKV_ZOO_IN(n), SKV_ZOO_WITH(skive_attribute_int("to", SKIVE_I32)));
    }
    x = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 1, 0, 2)));
    for (int64_t layer = 1; layer <= c.layers; layer++) {
        const bool states = layer < c.layers || c.every;
        snprintf(name, sizeof name, c.layers > 1 ? "%s%lld" : "%s", c.name, (long long)layer);
        cell(e, &c, name, x, lengths, out);
        if (!states) break;
        if (!c.both) {
            x = skv_zoo_op(e, "Squeeze", SKV_ZOO_IN(out[0], SKV_ZOO_INTS(e, 1)), SKV_ZOO_PLAIN);
            continue;
        }
        x = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(out[0]), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 0, 2, 1, 3)));
        x = skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, 0, -1)), SKV_ZOO_PLAIN);
    }
    if (c.every) return skv_zoo_op(e, "Transpose", SKV_ZOO_IN(x), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 1, 0, 2)));
    if (!c.both) return skv_zoo_op(e, "Squeeze", SKV_ZOO_IN(out[1], SKV_ZOO_INTS(e, 0)), SKV_ZOO_PLAIN);
    x = skv_zoo_op(e, "Transpose", SKV_ZOO_IN(out[1]), SKV_ZOO_WITH(SKV_ZOO_LIST("perm", 1, 0, 2)));
    return skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, SKV_ZOO_INTS(e, 0, 2 * c.hidden)), SKV_ZOO_PLAIN);
}
