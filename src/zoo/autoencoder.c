/* An autoencoder: the sample through a few numbers, and back. Of layers that are fully connected, by default those
 * of MLPerf Tiny's detector of anomalies in sound (after DCASE 2020): 128, four times, a code of 8, and 128, four
 * times, each with BatchNormalization and ReLU. Or, for images, of convolutions of stride 2 and transposed ones. The
 * output has the shape of the input. */
#include <stdio.h>
#include <stdlib.h>

#include "zoo/zoo.h"

enum { MOST = 32 };

static const char *const kinds[] = {"mlp", "conv"};
static const char *kind_at(size_t i) { return i < SKV_LENGTH(kinds) ? kinds[i] : NULL; }

static const skv_option options[] = {
    {.name = "kind",
     .type = SKV_OPTION_CHOICE,
     .text = "mlp",
     .choices = kind_at,
     .brief = "layers that are fully connected, or convolutions"},
    SKV_ZOO_COUNT("code", 1, 1e6, 8, "numbers (of convolutions: channels) in the middle"),
    {.name = "widths",
     .type = SKV_OPTION_LIST,
     .brief = "widths before the code, and in reverse after it; without: 128,128,128,128, of convolutions 32,64"},
};

static skive_status read_widths(skv_zoo_env *e, bool conv, int64_t out[MOST], int *n) {
    const char *text = skv_option_text(e->values, "widths");
    if (!text) text = conv ? "32,64" : "128,128,128,128";
    *n = 0;
    for (const char *at = text;;) {
        char *end;
        const long width = strtol(at, &end, 10);
        if (end == at || width < 1 || width > 1000000 || (*end && *end != ',') || *n >= MOST)
            return SKV_FAIL(e->ctx, SKIVE_ERR_ARGUMENT, "widths=%s is not a list of up to %d layer widths (128,64)",
                            text, MOST);
        out[(*n)++] = width;
        if (!*end) return SKIVE_OK;
        at = end + 1;
    }
}

static skive_value *dense(skv_zoo_env *e, const char *name, skive_value *x, int64_t out) {
    char bn[40];
    snprintf(bn, sizeof bn, "%s.bn", name);
    return skv_zoo_relu(e, skv_zoo_batchnorm(e, bn, skv_zoo_linear(e, name, x, out)));
}

static skive_value *of_layers(skv_zoo_env *e, skive_value *x, const int64_t *widths, int n) {
    const skive_zoo_options *o = e->options;
    int64_t size = 1, shape[SKIVE_MAX_RANK] = {0};
    char name[24];
    for (int d = 0; d < o->rank; d++) {
        size *= o->dims[d];
        shape[d + 1] = o->dims[d];
    }
    if (o->rank > 1) x = skv_zoo_flatten(e, x);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "encoder%d", i + 1);
        x = dense(e, name, x, widths[i]);
    }
    x = dense(e, "code", x, skv_option_integer(e->values, "code"));
    for (int i = n; i-- > 0;) {
        snprintf(name, sizeof name, "decoder%d", n - i);
        x = dense(e, name, x, widths[i]);
    }
    x = skv_zoo_linear(e, "fc", x, size);
    if (o->rank == 1) return x;
    return skv_zoo_op(e, "Reshape", SKV_ZOO_IN(x, skive_build_ints(&e->b, shape, (size_t)o->rank + 1)), SKV_ZOO_PLAIN);
}

/* Twice the size in both directions. */
static skive_value *doubled(skv_zoo_env *e, const char *name, skive_value *x, int64_t out) {
    const int64_t in = skv_zoo_channels(x);
    skive_value *w = skv_zoo_param(e, name, "weight", 4, (const int64_t[]){in, out, 4, 4}, SKV_ZOO_HE, 4 * in, true);
    skive_value *b = skv_zoo_param(e, name, "bias", 1, &out, SKV_ZOO_ZERO, 0, true);
    return skv_zoo_layer(e, name, "ConvTranspose", SKV_ZOO_IN(x, w, b),
                         SKV_ZOO_WITH(SKV_ZOO_LIST("kernel_shape", 4, 4), SKV_ZOO_LIST("strides", 2, 2),
                                      SKV_ZOO_LIST("pads", 1, 1, 1, 1)));
}

static skive_value *of_convolutions(skv_zoo_env *e, skive_value *x, const int64_t *widths, int n) {
    const skive_zoo_options *o = e->options;
    char name[24], bn[40];
    if (o->rank != 3)
        return skv_zoo_refuse(e, "kind=conv needs images, samples of rank 3, but the data has rank %d", o->rank);
    if (n > 30 || o->dims[1] % (1LL << n) || o->dims[2] % (1LL << n))
        return skv_zoo_refuse(e, "images of %lldx%lld cannot be halved %d times without a rest (widths=)",
                              (long long)o->dims[1], (long long)o->dims[2], n);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "encoder%d", i + 1);
        x = skv_zoo_conv_bn_relu(e, name, x, (skv_zoo_conv){.out = widths[i], .kernel = 3, .stride = 2, .pad = 1});
    }
    x = skv_zoo_conv2d(e, "code", x,
                       (skv_zoo_conv){.out = skv_option_integer(e->values, "code"), .kernel = 1, .bias = true});
    for (int i = n; i-- > 0;) {
        snprintf(name, sizeof name, "decoder%d", n - i);
        snprintf(bn, sizeof bn, "decoder%d.bn", n - i);
        x = skv_zoo_relu(e, skv_zoo_batchnorm(e, bn, doubled(e, name, x, widths[i])));
    }
    return skv_zoo_conv2d(e, "head", x, (skv_zoo_conv){.out = o->dims[0], .kernel = 3, .pad = 1, .bias = true});
}

static skive_value *build(skv_zoo_env *e, skive_value *x) {
    const bool conv = skv_option_text(e->values, "kind")[0] == 'c';
    int64_t widths[MOST];
    int n;
    e->b.status = read_widths(e, conv, widths, &n);
    if (e->b.status != SKIVE_OK) return NULL;
    return conv ? of_convolutions(e, x, widths, n) : of_layers(e, x, widths, n);
}

const skv_zoo skv_zoo_autoencoder = {
    .name = "autoencoder",
    .brief = "the sample through a few numbers and back",
    SKV_OPTIONS(options),
    .output = "reconstruction",
    .output_kind = "values",
    .usual = {.rank = 1, .dims = {640}, .classes = 640},
    .build = build,
};
