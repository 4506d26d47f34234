/* The input settings in a model's metadata, so that the model itself determines how samples become its input. */
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "data/recipe.h"
#include "graph/meta_keys.h"

/* ---- normalisation ---- */

skive_status skive_model_set_normalization(skive_graph *g, const skive_normalization *n) {
    SKV_NEED(g ? g->ctx : NULL, "graph, normalization", g, n);
    if (n->channels == 0) {
        SKV_TRY(skive_graph_set_meta(g, SKV_META_INPUT_MEAN, NULL));
        return skive_graph_set_meta(g, SKV_META_INPUT_STD, NULL);
    }
    if (!skv_normalization_valid(n))
        return SKV_FAIL(g->ctx, SKIVE_ERR_ARGUMENT, "normalisation: means must be finite and deviations positive");
    skv_text mean, std;
    skv_text_init(&mean, g->ctx);
    skv_text_init(&std, g->ctx);
    skv_put_numbers(&mean, n->channels, n->mean);
    skv_put_numbers(&std, n->channels, n->std);
    skive_status status = mean.status != SKIVE_OK ? mean.status : std.status;
    if (status == SKIVE_OK) status = skive_graph_set_meta(g, SKV_META_INPUT_MEAN, mean.data);
    if (status == SKIVE_OK) status = skive_graph_set_meta(g, SKV_META_INPUT_STD, std.data);
    skv_text_free(&mean);
    skv_text_free(&std);
    return status;
}

skive_status skive_model_normalization(const skive_graph *g, skive_normalization *out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    const char *mean = skive_graph_meta(g, SKV_META_INPUT_MEAN), *std = skive_graph_meta(g, SKV_META_INPUT_STD);
    char *text = NULL;
    *out = (skive_normalization){0};
    if (!mean && !std) return SKIVE_OK;
    if (mean && std && strcmp(mean, "none") == 0 && strcmp(std, "none") == 0) return SKIVE_OK;
    if (!mean || !std) {
        return skv_fail_at(g->ctx, SKIVE_ERR_FORMAT, SKV_META_INPUT_MEAN,
                           "the model's metadata entries %s and %s are not a valid normalisation", SKV_META_INPUT_MEAN,
                           SKV_META_INPUT_STD);
    }
    SKV_TRY(skv_asprintf(g->ctx, &text, "%s;%s", mean, std));
    const skive_status status = skive_normalization_parse(g->ctx, text, out);
    skv_free(g->ctx, text);
    return status;
}

/* ---- options ---- */

skive_input_options skive_input_options_default(void) {
    return (skive_input_options){.size = sizeof(skive_input_options)};
}

bool skv_parse_scale(const char *text, double *out) {
    const char *slash = strchr(text, '/');
    double below = 1;
    *out = 1;
    if (strcmp(text, "none") == 0) return true;
    if (!skv_parse_number(text, slash ? (size_t)(slash - text) : strlen(text), out)) return false;
    if (slash && !skv_parse_number(slash + 1, strlen(slash + 1), &below)) return false;
    if (below == 0 || *out / below == 0) return false;
    *out /= below;
    return true;
}

typedef enum source { ABSENT, NONE, IMAGENET, DATA, NUMBERS } source;

typedef struct figures {
    source source;
    int64_t n;
    float *values; /* owned */
} figures;

static const float imagenet[2][3] = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};

static skive_status read_figures(skive_context *ctx, const char *name, const char *text, figures *f) {
    bool good = true;
    *f = (figures){.source = !text                           ? ABSENT
                             : strcmp(text, "none") == 0     ? NONE
                             : strcmp(text, "imagenet") == 0 ? IMAGENET
                             : strcmp(text, "data") == 0     ? DATA
                                                             : NUMBERS};
    if (f->source != NUMBERS) return SKIVE_OK;
    SKV_TRY(skv_parse_numbers(ctx, text, strlen(text), SKIVE_MAX_CHANNELS, &f->n, &f->values, &good));
    if (good) return SKIVE_OK;
    return skv_fail_at(
        ctx, SKIVE_ERR_ARGUMENT, name,
        "%s '%.60s': give a number, numbers separated by commas (one per channel), imagenet, data or none", name, text);
}

/* Measured on the training samples, whatever part of the set is given. */
static skive_status measure(skive_context *ctx, const skive_dataset *set, int axis, skive_normalization *out) {
    skive_dataset *train = NULL;
    skive_dataset_options o = set->options;
    if (set->split != SKIVE_SPLIT_TEST) return skv_dataset_statistics_of(ctx, set, axis, out);
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    o.limit = 0;
    SKV_TRY(skive_dataset_open(ctx, set->spec, &o, &train));
    const skive_status status = skv_dataset_statistics_of(ctx, train, axis, out);
    skive_dataset_free(train);
    return status;
}

/* Converts figures for images in 0..1, or for samples as they are read, to the units in which they are used. */
static float unit_of(const skv_feed *f, source s) {
    if (!f) return 1;
    if (f->bytes) return (float)(f->scale * 255);
    return s == DATA ? (float)f->scale : 1;
}

static float figure(const figures *f, const skive_normalization *data, int which, int64_t c, float unit) {
    switch (f->source) {
    case IMAGENET: return imagenet[which][c] * unit;
    case DATA: c = data->channels > 1 ? c : 0; return (which ? data->std[c] : data->mean[c]) * unit;
    case NUMBERS: return f->values[f->n > 1 ? c : 0];
    default: return which ? 1 : 0;
    }
}

static int64_t count_of(const figures *f, const skive_normalization *data) {
    return f->source == IMAGENET ? 3 : f->source == DATA ? data->channels : f->source == NUMBERS ? f->n : 1;
}

static skive_status set_figures(skive_context *ctx, skive_graph *g, const skive_dataset *set, figures *f) {
    skive_normalization data = {0}, n = {0};
    skive_dataset_info info;
    skv_feed feed = {0};
    skive_status status = SKIVE_OK;
    for (int k = 0; k < 2; k++) { /* a missing one follows the other if that is a name */
        if (f[k].source == ABSENT && f[1 - k].source != NUMBERS) f[k].source = f[1 - k].source;
    }
    const bool measured = f[0].source == DATA || f[1].source == DATA;
    SKV_TRY(skive_model_set_normalization(g, &n));
    if (f[0].source <= NONE && f[1].source <= NONE) { /* explicitly none, which differs from unspecified */
        SKV_TRY(skive_graph_set_meta(g, SKV_META_INPUT_MEAN, "none"));
        return skive_graph_set_meta(g, SKV_META_INPUT_STD, "none");
    }
    if (measured && !set)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--mean", "--mean data needs a data set to measure it on");
    if (set) {
        skive_dataset_get_info(set, &info);
        SKV_TRY(skv_feed_make(ctx, g, &info, &feed));
    }
    if (measured)
        SKV_GO(status, done,
               measure(ctx, set,
                       feed.channel_axis >= 0 ? feed.channel_axis
                       : info.rank == 1       ? 0
                                              : -1,
                       &data));
    const int64_t means = count_of(&f[0], &data), deviations = count_of(&f[1], &data);
    if (means != deviations && means != 1 && deviations != 1) {
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--mean", "--mean has %lld channels, but --std has %lld",
                             (long long)means, (long long)deviations);
        goto done;
    }
    SKV_GO(status, done, skv_normalization_create(ctx, means > deviations ? means : deviations, &n));
    for (int64_t c = 0; c < n.channels; c++) {
        n.mean[c] = figure(&f[0], &data, 0, c, unit_of(set ? &feed : NULL, f[0].source));
        n.std[c] = figure(&f[1], &data, 1, c, unit_of(set ? &feed : NULL, f[1].source));
    }
    if (!skv_normalization_valid(&n)) {
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--std", "--std: standard deviations must be above 0");
        goto done;
    }
    status = skive_model_set_normalization(g, &n);
done:
    skive_normalization_free(ctx, &n);
    skive_normalization_free(ctx, &data);
    skv_feed_free(&feed);
    return status;
}

static skive_status set_layout(skive_context *ctx, skive_graph *g, const char *layout) {
    static const char *const names[][2] = {{"nchw", "nchw"}, {"ncl", "nchw"}, {"ncdhw", "nchw"},
                                           {"nhwc", "nhwc"}, {"nlc", "nhwc"}, {"ndhwc", "nhwc"}};
    if (strcmp(layout, "auto") == 0) return skive_graph_set_meta(g, SKV_META_INPUT_LAYOUT, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(layout, names[i][0]) == 0) return skive_graph_set_meta(g, SKV_META_INPUT_LAYOUT, names[i][1]);
    }
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--layout",
                       "--layout '%s': give nchw (channels after the batch), nhwc (channels last) or auto", layout);
}

static skive_status set_scale(skive_context *ctx, skive_graph *g, const char *scale) {
    double value;
    if (skv_parse_scale(scale, &value)) return skive_graph_set_meta(g, SKV_META_INPUT_SCALE, scale);
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--scale",
                       "--scale '%s': give a factor for the samples, a fraction such as 1/255, or none", scale);
}

static skive_status set_all(skive_context *ctx, skive_graph *g, const skive_dataset *set,
                            const skive_input_options *o) {
    figures f[2] = {{.source = ABSENT}, {.source = ABSENT}};
    skive_dataset_info info;
    skv_feed feed;
    skive_status status;
    if (o->layout) SKV_TRY(set_layout(ctx, g, o->layout));
    if (o->scale) SKV_TRY(set_scale(ctx, g, o->scale));
    SKV_GO(status, done, read_figures(ctx, "--mean", o->mean, &f[0]));
    SKV_GO(status, done, read_figures(ctx, "--std", o->std, &f[1]));
    if (o->mean || o->std) SKV_GO(status, done, set_figures(ctx, g, set, f));
    if (set) {
        skive_dataset_get_info(set, &info);
        SKV_GO(status, done, skv_feed_make(ctx, g, &info, &feed));
        skv_feed_free(&feed);
    }
done:
    skv_free(ctx, f[0].values);
    skv_free(ctx, f[1].values);
    return status;
}

static bool is_measured(const skive_input_options *o) {
    return (o->mean && strcmp(o->mean, "data") == 0) || (!o->mean && o->std && strcmp(o->std, "data") == 0);
}

/* What the set's samples were made by is part of the model from now on. */
static skive_status store_recipe(skive_graph *g, const skive_dataset *set) {
    return set->recipe ? skive_graph_set_meta(g, set->recipe_key, set->recipe) : SKIVE_OK;
}

static void tell_other_recipe(skive_context *ctx, const skive_graph *g, const skive_dataset *set) {
    const char *stored = skive_graph_meta(g, set->recipe_key);
    if (stored && strcmp(set->recipe_key, SKV_META_INPUT_SOUND) == 0 && strcmp(stored, set->recipe) != 0)
        skv_note(ctx, "%s: samples are prepared with %s, but the model's metadata say %s", set->spec, set->recipe,
                 stored);
}

skive_status skive_model_set_input(skive_context *ctx, skive_graph *g, const skive_dataset *set,
                                   const skive_input_options *options) {
    SKV_NEED(ctx, "ctx, graph", ctx, g);
    static const char *const keys[] = {SKV_META_INPUT_LAYOUT, SKV_META_INPUT_SCALE, SKV_META_INPUT_MEAN,
                                       SKV_META_INPUT_STD,    SKV_META_INPUT_SOUND, SKV_META_INPUT_TABLE,
                                       SKV_META_INPUT_TEXT};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    skive_input_options o = skive_input_options_default();
    const char *before[KEYS]; /* in the graph's arena */
    SKV_TRY(skv_options_take(ctx, "skive_input_options", options, &o, sizeof o));
    if (set) SKV_TRY(skv_recipe_check(ctx, g, set->recipe));
    if (set && set->recipe) tell_other_recipe(ctx, g, set);
    if (!o.layout && !o.mean && !o.std && !o.scale) return set ? store_recipe(g, set) : SKIVE_OK;
    const uint8_t mean_from = g->mean_from, scale_from = g->scale_from;
    for (int k = 0; k < KEYS; k++) before[k] = skive_graph_meta(g, keys[k]);
    if (o.mean || o.std) g->mean_from = is_measured(&o) ? SKV_SAID_BY_DATA : SKV_SAID_BY_CALLER;
    if (o.scale) g->scale_from = SKV_SAID_BY_CALLER;
    skive_status status = set ? store_recipe(g, set) : SKIVE_OK;
    if (status == SKIVE_OK) status = set_all(ctx, g, set, &o);
    if (status == SKIVE_OK) return status;
    for (int k = 0; k < KEYS; k++) (void)skive_graph_set_meta(g, keys[k], before[k]);
    g->mean_from = mean_from;
    g->scale_from = scale_from;
    return status;
}
