/* The building blocks: each adds nodes and freshly initialised trainable parameters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "zoo/zoo.h"

int64_t skv_zoo_scaled(const skv_zoo_env *e, int64_t channels) {
    const int64_t n = (int64_t)lround((double)channels * e->width);
    return n > 1 ? n : 1;
}

int64_t skv_zoo_channels(const skive_value *x) { return x && x->type.rank > 1 ? x->type.dims[1].size : 0; }

typedef enum fill_kind { FILL_HE, FILL_ZERO, FILL_ONE, FILL_UNIFORM } fill_kind; /* UNIFORM: within 1 / sqrt(fan_in) */

static void fill(skv_zoo_env *e, skive_tensor *t, fill_kind kind, int64_t fan_in) {
    float *data = t->data;
    const int64_t n = skive_tensor_count(t);
    const double each = 1.0 / (double)(fan_in > 0 ? fan_in : 1), deviation = sqrt(2.0 * each), bound = sqrt(each);
    for (int64_t i = 0; i < n; i++) {
        if (kind == FILL_HE) {
            data[i] = (float)(deviation * skv_rng_normal(e->options->seed, e->stream, (uint64_t)i));
        } else if (kind == FILL_UNIFORM) {
            data[i] = (float)(bound * (2 * skv_rng_uniform(e->options->seed, e->stream, (uint64_t)i) - 1));
        } else {
            data[i] = kind == FILL_ONE ? 1.0f : 0.0f;
        }
    }
    e->stream++;
}

static skive_value *param(skv_zoo_env *e, const char *layer, const char *suffix, int rank, const int64_t *dims,
                          fill_kind kind, int64_t fan_in, bool trainable) {
    char name[128];
    skv_storage *storage = NULL;
    if (e->b.status != SKIVE_OK) return NULL;
    e->b.status = skv_storage_create(e->ctx, SKIVE_F32, rank, dims, &storage);
    if (e->b.status != SKIVE_OK) return NULL;
    fill(e, &storage->tensor, kind, fan_in);
    snprintf(name, sizeof name, "%s.%s", layer, suffix);
    skive_value *v = skv_emit_param(&e->b, name, storage);
    if (v) v->trainable = trainable;
    return v;
}

/* A layer's node carries the layer's name. */
static skive_value *emit(skv_zoo_env *e, const char *layer, const char *op, skv_in_list in, skv_attr_list attrs) {
    e->b.prefix = layer;
    skive_value *out = skv_emit(&e->b, op, in, attrs);
    e->b.prefix = NULL;
    return out;
}

skive_value *skv_zoo_conv2d(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c) {
    const int64_t groups = c.groups > 0 ? c.groups : 1, in = skv_zoo_channels(x) / groups;
    const int64_t kernel[] = {c.kernel, c.kernel}, strides[] = {c.stride, c.stride},
                  pads[] = {c.pad, c.pad, c.pad, c.pad};
    skive_value *w = param(e, name, "weight", 4, (const int64_t[]){c.out, in, c.kernel, c.kernel}, FILL_HE,
                           in * c.kernel * c.kernel, true);
    skive_value *b = c.bias ? param(e, name, "bias", 1, &c.out, FILL_ZERO, 0, true) : NULL;
    const skv_attr_list attrs = SKV_ATTRS(SKV_INTS("kernel_shape", kernel, 2), SKV_INTS("strides", strides, 2),
                                          SKV_INTS("pads", pads, 4), SKV_INT("group", groups));
    return c.bias ? emit(e, name, "Conv", SKV_IN(x, w, b), attrs) : emit(e, name, "Conv", SKV_IN(x, w), attrs);
}

skive_value *skv_zoo_batchnorm(skv_zoo_env *e, const char *name, skive_value *x) {
    const int64_t c = skv_zoo_channels(x);
    skive_value *scale = param(e, name, "weight", 1, &c, FILL_ONE, 0, true);
    skive_value *bias = param(e, name, "bias", 1, &c, FILL_ZERO, 0, true);
    skive_value *mean = param(e, name, "running_mean", 1, &c, FILL_ZERO, 0, false);
    skive_value *variance = param(e, name, "running_var", 1, &c, FILL_ONE, 0, false);
    return emit(e, name, "BatchNormalization", SKV_IN(x, scale, bias, mean, variance),
                SKV_ATTRS(SKV_FLT("epsilon", 1e-5), SKV_FLT("momentum", 0.9)));
}

skive_value *skv_zoo_relu(skv_zoo_env *e, skive_value *x) { return skv_emit(&e->b, "Relu", SKV_IN(x), SKV_NONE); }

skive_value *skv_zoo_conv_bn_relu(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c) {
    char bn[120];
    snprintf(bn, sizeof bn, "%s.bn", name);
    return skv_zoo_relu(e, skv_zoo_batchnorm(e, bn, skv_zoo_conv2d(e, name, x, c)));
}

skive_value *skv_zoo_maxpool(skv_zoo_env *e, skive_value *x, int64_t kernel, int64_t stride, int64_t pad) {
    const int64_t k[] = {kernel, kernel}, s[] = {stride, stride}, p[] = {pad, pad, pad, pad};
    return skv_emit(&e->b, "MaxPool", SKV_IN(x),
                    SKV_ATTRS(SKV_INTS("kernel_shape", k, 2), SKV_INTS("strides", s, 2), SKV_INTS("pads", p, 4)));
}

skive_value *skv_zoo_flatten(skv_zoo_env *e, skive_value *x) {
    return skv_emit(&e->b, "Flatten", SKV_IN(x), SKV_ATTRS(SKV_INT("axis", 1)));
}

skive_value *skv_zoo_linear(skv_zoo_env *e, const char *name, skive_value *x, int64_t out) {
    const int64_t in = skv_zoo_channels(x);
    skive_value *w = param(e, name, "weight", 2, (const int64_t[]){out, in}, FILL_HE, in, true);
    skive_value *b = param(e, name, "bias", 1, &out, FILL_ZERO, 0, true);
    return emit(e, name, "Gemm", SKV_IN(x, w, b), SKV_ATTRS(SKV_INT("transB", 1)));
}

skive_value *skv_zoo_global_pool(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_flatten(e, skv_emit(&e->b, "GlobalAveragePool", SKV_IN(x), SKV_NONE));
}

/* Samples [h][w] or [c][h][w] become h steps of what stands in a row. */
static skive_value *rows_as_steps(skv_zoo_env *e, skive_value *x) {
    static const int64_t flat[] = {1, 0, 2}, image[] = {2, 0, 1, 3};
    static const int64_t shape[] = {0, 0, -1};
    if (e->options->rank == 2) return skv_emit(&e->b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", flat, 3)));
    x = skv_emit(&e->b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", image, 4)));
    return skv_emit(&e->b, "Reshape", SKV_IN(x, skv_emit_ints(&e->b, shape, 3)), SKV_NONE);
}

skive_value *skv_zoo_recurrent(skv_zoo_env *e, const char *op, const char *name, skive_value *x, int64_t hidden) {
    const bool lstm = strcmp(op, "LSTM") == 0;
    const int64_t gates = (lstm ? 4 : 3) * hidden, first = 0;
    if (e->options->rank != 2 && e->options->rank != 3) {
        e->b.status =
            SKV_FAIL(e->ctx, SKIVE_ERR_SHAPE,
                     "a recurrent network needs samples of rank 2 or 3, but the data has rank %d", e->options->rank);
        return NULL;
    }
    x = rows_as_steps(e, x);
    const int64_t in = x ? x->type.dims[2].size : 1;
    skive_value *w = param(e, name, "weight", 3, (const int64_t[]){1, gates, in}, FILL_UNIFORM, hidden, true);
    skive_value *r = param(e, name, "recurrence", 3, (const int64_t[]){1, gates, hidden}, FILL_UNIFORM, hidden, true);
    skive_value *b = param(e, name, "bias", 2, (const int64_t[]){1, 2 * gates}, FILL_ZERO, 0, true);
    for (int64_t i = 0; b && lstm && i < hidden; i++) ((float *)b->storage->tensor.data)[2 * hidden + i] = 1;
    const skv_attr_init attrs[] = {SKV_INT("hidden_size", hidden), SKV_INT("linear_before_reset", 1)};
    skive_value *out[2] = {NULL};
    e->b.prefix = name;
    (void)skv_emit_n(&e->b, op, SKV_IN(x, w, r, b), (skv_attr_list){attrs, lstm ? 1 : 2}, out, 2);
    e->b.prefix = NULL;
    return skv_emit(&e->b, "Squeeze", SKV_IN(out[1], skv_emit_ints(&e->b, &first, 1)), SKV_NONE);
}
