/* The building blocks of networks of images: each adds nodes and freshly initialised trainable parameters. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "zoo/zoo.h"

int64_t skv_zoo_scaled(const skv_zoo_env *e, int64_t channels) {
    const int64_t n = (int64_t)lround((double)channels * e->width);
    return n > 1 ? n : 1;
}

int64_t skv_zoo_by_eight(double x) {
    const int64_t near = (int64_t)(x + 4) / 8 * 8, n = near < 8 ? 8 : near;
    return (double)n < 0.9 * x ? n + 8 : n;
}

int64_t skv_zoo_dim(const skive_value *x, int axis) {
    const skive_type *t = x ? skive_value_type(x) : NULL;
    return t && axis < t->rank && t->dims[axis].size > 0 ? t->dims[axis].size : 0;
}

int64_t skv_zoo_channels(const skive_value *x) { return skv_zoo_dim(x, 1); }

skive_value *skv_zoo_refuse(skv_zoo_env *e, const char *format, ...) {
    char text[300];
    va_list list;
    if (e->b.status != SKIVE_OK) return NULL;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    e->b.status = SKV_FAIL(e->ctx, SKIVE_ERR_SHAPE, "%s", text);
    return NULL;
}

/* ---- nodes and parameters ---- */

skive_value *skv_zoo_layer(skv_zoo_env *e, const char *layer, const char *op, skv_zoo_in in, skv_zoo_with with) {
    return skive_build_node(&e->b, op, layer, in.values, in.n, with.attributes, with.n, NULL, 1);
}

skive_value *skv_zoo_op(skv_zoo_env *e, const char *op, skv_zoo_in in, skv_zoo_with with) {
    return skv_zoo_layer(e, NULL, op, in, with);
}

static void fill_with(skv_zoo_env *e, skive_tensor *t, skv_zoo_fill kind, int64_t fan) {
    const int64_t n = skive_tensor_count(t);
    const uint64_t seed = e->options->seed, stream = e->stream++;
    const double each = 1.0 / (double)(fan > 0 ? fan : 1);
    const double bound = sqrt(kind == SKV_ZOO_GLOROT ? 6.0 * each : each);
    const double deviation = kind == SKV_ZOO_HE ? sqrt(2.0 * each) : kind == SKV_ZOO_NORMAL ? 0.02 : 1.0;
    float *data = t->data;
    for (int64_t i = 0; i < n && !e->options->blank; i++) { /* a new tensor is full of zeros */
        switch (kind) {
        case SKV_ZOO_HE:
        case SKV_ZOO_NORMAL:
        case SKV_ZOO_UNIT: data[i] = (float)(deviation * skv_rng_normal(seed, stream, (uint64_t)i)); break;
        case SKV_ZOO_UNIFORM:
        case SKV_ZOO_GLOROT: data[i] = (float)(bound * (2 * skv_rng_uniform(seed, stream, (uint64_t)i) - 1)); break;
        case SKV_ZOO_ONE: data[i] = 1; break;
        case SKV_ZOO_ZERO: data[i] = 0; break;
        }
    }
}

skive_value *skv_zoo_param(skv_zoo_env *e, const char *layer, const char *suffix, int rank, const int64_t *dims,
                           skv_zoo_fill fill, int64_t fan, bool trainable) {
    char name[128];
    skive_tensor t = {0};
    if (e->b.status != SKIVE_OK) return NULL;
    e->b.status = skive_tensor_create(e->ctx, SKIVE_F32, rank, dims, &t);
    if (e->b.status != SKIVE_OK) return NULL;
    fill_with(e, &t, fill, fan);
    snprintf(name, sizeof name, "%s.%s", layer, suffix);
    skive_value *v = skive_build_parameter(&e->b, name, &t, trainable);
    skive_tensor_free(e->ctx, &t);
    return v;
}

/* ---- convolutions ---- */

/* What SAME adds before and after an axis. */
static void pads_of(int64_t size, int64_t kernel, int64_t stride, int64_t *before, int64_t *after) {
    const int64_t steps = (size + stride - 1) / stride, all = (steps - 1) * stride + kernel - size;
    *before = all > 0 ? all / 2 : 0;
    *after = all > 0 ? all - *before : 0;
}

skive_value *skv_zoo_conv2d(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c) {
    const int64_t groups = c.groups > 0 ? c.groups : 1, in = skv_zoo_channels(x) / groups;
    const int64_t kh = c.kernel, kw = c.kernel_w ? c.kernel_w : kh, sh = c.stride > 0 ? c.stride : 1,
                  sw = c.stride_w ? c.stride_w : sh, fan = (c.by_outputs ? c.out / groups : in) * kh * kw;
    int64_t pads[4] = {c.pad, c.pad, c.pad, c.pad};
    if (c.same) {
        pads_of(skv_zoo_dim(x, 2), kh, sh, &pads[0], &pads[2]);
        pads_of(skv_zoo_dim(x, 3), kw, sw, &pads[1], &pads[3]);
    }
    skive_value *w = skv_zoo_param(e, name, "weight", 4, (const int64_t[]){c.out, in, kh, kw}, SKV_ZOO_HE, fan, true);
    skive_value *b = c.bias ? skv_zoo_param(e, name, "bias", 1, &c.out, SKV_ZOO_ZERO, 0, true) : NULL;
    const skv_zoo_with with = SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", kh, kw), SKV_ZOO_LIST("strides", sh, sw),
                                           skive_attribute_ints("pads", pads, 4), skive_attribute_int("group", groups));
    return c.bias ? skv_zoo_layer(e, name, "Conv", SKV_ZOO_IN(x, w, b), with)
                  : skv_zoo_layer(e, name, "Conv", SKV_ZOO_IN(x, w), with);
}

skive_value *skv_zoo_batchnorm(skv_zoo_env *e, const char *name, skive_value *x) {
    const int64_t c = skv_zoo_channels(x);
    skive_value *scale = skv_zoo_param(e, name, "weight", 1, &c, SKV_ZOO_ONE, 0, true);
    skive_value *bias = skv_zoo_param(e, name, "bias", 1, &c, SKV_ZOO_ZERO, 0, true);
    skive_value *mean = skv_zoo_param(e, name, "running_mean", 1, &c, SKV_ZOO_ZERO, 0, false);
    skive_value *variance = skv_zoo_param(e, name, "running_var", 1, &c, SKV_ZOO_ONE, 0, false);
    return skv_zoo_layer(e, name, "BatchNormalization", SKV_ZOO_IN(x, scale, bias, mean, variance),
                         SKV_ZOO_WITH(skive_attribute_float("epsilon", 1e-5), skive_attribute_float("momentum", 0.9)));
}

skive_value *skv_zoo_relu(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_op(e, "Relu", SKV_ZOO_IN(x), SKV_ZOO_PLAIN);
}

skive_value *skv_zoo_silu(skv_zoo_env *e, skive_value *x) {
    skive_value *gate = skv_zoo_op(e, "Sigmoid", SKV_ZOO_IN(x), SKV_ZOO_PLAIN);
    return skv_zoo_op(e, "Mul", SKV_ZOO_IN(x, gate), SKV_ZOO_PLAIN);
}

skive_value *skv_zoo_conv_bn(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c) {
    char bn[120];
    snprintf(bn, sizeof bn, "%s.bn", name);
    return skv_zoo_batchnorm(e, bn, skv_zoo_conv2d(e, name, x, c));
}

skive_value *skv_zoo_conv_bn_relu(skv_zoo_env *e, const char *name, skive_value *x, skv_zoo_conv c) {
    return skv_zoo_relu(e, skv_zoo_conv_bn(e, name, x, c));
}

/* ---- the rest ---- */

skive_value *skv_zoo_maxpool(skv_zoo_env *e, skive_value *x, int64_t kernel, int64_t stride, int64_t pad) {
    return skv_zoo_op(e, "MaxPool", SKV_ZOO_IN(x),
                      SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", kernel, kernel),
                                   SKV_ZOO_LIST("strides", stride, stride), SKV_ZOO_LIST("pads", pad, pad, pad, pad)));
}

skive_value *skv_zoo_flatten(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_op(e, "Flatten", SKV_ZOO_IN(x), SKV_ZOO_WITH(skive_attribute_int("axis", 1)));
}

skive_value *skv_zoo_linear(skv_zoo_env *e, const char *name, skive_value *x, int64_t out) {
    const int64_t in = skv_zoo_channels(x);
    skive_value *w = skv_zoo_param(e, name, "weight", 2, (const int64_t[]){out, in}, SKV_ZOO_HE, in, true);
    skive_value *b = skv_zoo_param(e, name, "bias", 1, &out, SKV_ZOO_ZERO, 0, true);
    return skv_zoo_layer(e, name, "Gemm", SKV_ZOO_IN(x, w, b), SKV_ZOO_WITH(skive_attribute_int("transB", 1)));
}

skive_value *skv_zoo_global_pool(skv_zoo_env *e, skive_value *x) {
    return skv_zoo_flatten(e, skv_zoo_op(e, "GlobalAveragePool", SKV_ZOO_IN(x), SKV_ZOO_PLAIN));
}

skive_value *skv_zoo_dropout(skv_zoo_env *e, skive_value *x) {
    const double ratio = skv_option_real(e->values, "dropout");
    return ratio > 0 ? skv_zoo_op(e, "Dropout", SKV_ZOO_IN(x, skive_build_number(&e->b, ratio)), SKV_ZOO_PLAIN) : x;
}
