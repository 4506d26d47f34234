/* The input settings in a model's metadata, so that the model itself determines how samples become its input. */
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "data/recipe.h"
#include "graph/meta_keys.h"
#include "graph/unknown.h"
#include "tensor/tensor.h"

/* ---- normalisation ---- */

skive_status skv_input_set_normalization(skive_graph *g, size_t index, const skive_normalization *n) {
    if (n->channels == 0) {
        SKV_TRY(skv_input_set_meta(g, index, SKV_META_INPUT_MEAN, NULL));
        return skv_input_set_meta(g, index, SKV_META_INPUT_STD, NULL);
    }
    if (!skv_normalization_valid(n))
        return SKV_FAIL(g->ctx, SKIVE_ERR_ARGUMENT, "normalisation: means must be finite and deviations positive");
    skv_text mean, std;
    skv_text_init(&mean, g->ctx);
    skv_text_init(&std, g->ctx);
    skv_put_numbers(&mean, n->channels, n->mean);
    skv_put_numbers(&std, n->channels, n->std);
    skive_status status = mean.status != SKIVE_OK ? mean.status : std.status;
    if (status == SKIVE_OK) status = skv_input_set_meta(g, index, SKV_META_INPUT_MEAN, mean.data);
    if (status == SKIVE_OK) status = skv_input_set_meta(g, index, SKV_META_INPUT_STD, std.data);
    skv_text_free(&mean);
    skv_text_free(&std);
    return status;
}

skive_status skive_model_set_normalization(skive_graph *g, const skive_normalization *n) {
    SKV_NEED(g ? g->ctx : NULL, "graph, normalization", g, n);
    return skv_input_set_normalization(g, 0, n);
}

skive_status skive_model_normalization(const skive_graph *g, skive_normalization *out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    return skv_input_normalization(g, 0, out);
}

skive_status skv_input_normalization(const skive_graph *g, size_t index, skive_normalization *out) {
    const char *mean = skv_input_meta(g, index, SKV_META_INPUT_MEAN),
               *std = skv_input_meta(g, index, SKV_META_INPUT_STD);
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
        "%s '%.*s': give a number, numbers separated by commas (one per channel), imagenet, data or none", name,
        skv_utf8_prefix(text, 60), text);
}

/* Measured on the training samples of one input, whatever part of the set is given. */
static skive_status measure(skive_context *ctx, const skive_dataset *set, size_t part, int axis,
                            skive_normalization *out) {
    skive_dataset *train = NULL;
    skive_dataset_options o = set->options;
    if (set->split != SKIVE_SPLIT_TEST) return skv_dataset_statistics_of(ctx, skv_dataset_input(set, part), axis, out);
    o.split = SKIVE_SPLIT_TRAIN_FULL;
    o.limit = 0;
    SKV_TRY(skive_dataset_open(ctx, set->spec, &o, &train));
    const skive_status status = skv_dataset_statistics_of(ctx, skv_dataset_input(train, part), axis, out);
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

static skive_status set_figures(skive_context *ctx, skive_graph *g, size_t index, const skive_dataset *set,
                                figures *f) {
    skive_normalization data = {0}, n = {0};
    skive_dataset_info info;
    skv_feeds feeds = {0};
    const skv_feed *feed = NULL;
    skive_status status = SKIVE_OK;
    for (int k = 0; k < 2; k++) { /* a missing one follows the other if that is a name */
        if (f[k].source == ABSENT && f[1 - k].source != NUMBERS) f[k].source = f[1 - k].source;
    }
    const bool measured = f[0].source == DATA || f[1].source == DATA;
    SKV_TRY(skv_input_set_normalization(g, index, &n));
    if (f[0].source <= NONE && f[1].source <= NONE) { /* explicitly none, which differs from unspecified */
        SKV_TRY(skv_input_set_meta(g, index, SKV_META_INPUT_MEAN, "none"));
        return skv_input_set_meta(g, index, SKV_META_INPUT_STD, "none");
    }
    if (measured && !set)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--mean", "--mean data needs a data set to measure it on");
    if (set) {
        skive_dataset_get_info(set, &info);
        SKV_TRY(skv_feeds_make(ctx, g, &info, &feeds));
        feed = &feeds.items[index];
    }
    if (measured && feed)
        SKV_GO(status, done,
               measure(ctx, set, feed->part,
                       feed->channel_axis >= 0  ? feed->channel_axis
                       : feed->sample_rank == 1 ? 0
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
        n.mean[c] = figure(&f[0], &data, 0, c, unit_of(feed, f[0].source));
        n.std[c] = figure(&f[1], &data, 1, c, unit_of(feed, f[1].source));
    }
    if (!skv_normalization_valid(&n)) {
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--std", "--std: standard deviations must be above 0");
        goto done;
    }
    status = skv_input_set_normalization(g, index, &n);
done:
    skive_normalization_free(ctx, &n);
    skive_normalization_free(ctx, &data);
    skv_feeds_free(&feeds);
    return status;
}

static skive_status set_layout(skive_context *ctx, skive_graph *g, size_t index, const char *layout) {
    static const char *const names[][2] = {{"nchw", "nchw"}, {"ncl", "nchw"}, {"ncdhw", "nchw"},
                                           {"nhwc", "nhwc"}, {"nlc", "nhwc"}, {"ndhwc", "nhwc"}};
    if (strcmp(layout, "auto") == 0) return skv_input_set_meta(g, index, SKV_META_INPUT_LAYOUT, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(layout, names[i][0]) == 0) return skv_input_set_meta(g, index, SKV_META_INPUT_LAYOUT, names[i][1]);
    }
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--layout",
                       "--layout '%s': give nchw (channels after the batch), nhwc (channels last) or auto", layout);
}

static skive_status set_scale(skive_context *ctx, skive_graph *g, size_t index, const char *scale) {
    double value;
    if (skv_parse_scale(scale, &value)) return skv_input_set_meta(g, index, SKV_META_INPUT_SCALE, scale);
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "--scale",
                       "--scale '%s': give a factor for the samples, a fraction such as 1/255, or none", scale);
}

static skive_status set_one(skive_context *ctx, skive_graph *g, size_t index, const skive_dataset *set,
                            const skive_input_options *o) {
    figures f[2] = {{.source = ABSENT}, {.source = ABSENT}};
    skive_status status;
    if (o->layout) SKV_TRY(set_layout(ctx, g, index, o->layout));
    if (o->scale) SKV_TRY(set_scale(ctx, g, index, o->scale));
    SKV_GO(status, done, read_figures(ctx, "--mean", o->mean, &f[0]));
    SKV_GO(status, done, read_figures(ctx, "--std", o->std, &f[1]));
    if (o->mean || o->std) status = set_figures(ctx, g, index, set, f);
done:
    skv_free(ctx, f[0].values);
    skv_free(ctx, f[1].values);
    return status;
}

/* ---- one setting for each of several inputs: "image=0.5;table=data" ---- */

static bool is_for_floats(const skive_graph *g, size_t i) { return skv_dtype_is_float(g->inputs[i]->type.dtype); }

/* The input that an item "NAME=VALUE" names; n_inputs: none. *value: what stands behind the name. */
static size_t input_of(const skive_graph *g, const char *item, size_t length, const char **value) {
    for (size_t i = 0; i < g->n_inputs; i++) {
        const size_t n = strlen(g->inputs[i]->name);
        if (n >= length || item[n] != '=' || strncmp(item, g->inputs[i]->name, n) != 0) continue;
        *value = item + n + 1;
        return i;
    }
    *value = item;
    return g->n_inputs;
}

/* A word such as "none", "data" or "nhwc" is for all inputs that it can concern; numbers are for the only one. */
static skive_status check_unnamed(skive_context *ctx, const skive_graph *g, const char *option, const char *item,
                                  size_t length) {
    size_t floats = 0;
    const bool word = length > 0 && strchr("0123456789-+.", item[0]) == NULL &&
                      !(length == 8 && strncmp(item, "imagenet", length) == 0);
    for (size_t i = 0; i < g->n_inputs; i++) floats += is_for_floats(g, i);
    if (memchr(item, '=', length)) {
        char *name = NULL;
        SKV_TRY(skv_strdup_n(ctx, item, (size_t)((const char *)memchr(item, '=', length) - item), &name));
        const skive_status status = skv_fail_no_input(ctx, SKIVE_ERR_NOT_FOUND, g, name);
        skv_free(ctx, name);
        return status;
    }
    if (word || floats == 1) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, option,
                       "%s '%.*s': the model has %u inputs; say for which one: %s NAME=%.*s", option,
                       skv_utf8_prefix(item, 60), item, g->n_inputs, option, skv_utf8_prefix(item, 60), item);
}

/* What an option says of input `index`; *out is NULL or freed by skv_free. */
static skive_status pick(skive_context *ctx, const skive_graph *g, const char *option, const char *text, size_t index,
                         bool concerns, char **out) {
    *out = NULL;
    if (!text || g->n_inputs == 0) return SKIVE_OK;
    for (const char *at = text; *at;) {
        const size_t length = strcspn(at, ";");
        const char *value;
        const size_t i = input_of(g, at, length, &value);
        const bool mine = i == index || (i == g->n_inputs && concerns && !*out);
        if (i == g->n_inputs && g->n_inputs > 1) SKV_TRY(check_unnamed(ctx, g, option, at, length));
        if (mine) {
            skv_free(ctx, *out);
            *out = NULL;
            SKV_TRY(skv_strdup_n(ctx, value, length - (size_t)(value - at), out));
        }
        at += length + (at[length] == ';');
    }
    return SKIVE_OK;
}

static skive_status set_input(skive_context *ctx, skive_graph *g, size_t index, const skive_dataset *set,
                              const skive_input_options *o) {
    const bool floats = g->n_inputs <= 1 || is_for_floats(g, index);
    const bool planes = g->n_inputs <= 1 || g->inputs[index]->type.rank >= 3;
    skive_input_options mine = *o;
    char *layout = NULL, *mean = NULL, *std = NULL, *scale = NULL;
    skive_status status;
    SKV_GO(status, done, pick(ctx, g, "--layout", o->layout, index, planes, &layout));
    SKV_GO(status, done, pick(ctx, g, "--mean", o->mean, index, floats, &mean));
    SKV_GO(status, done, pick(ctx, g, "--std", o->std, index, floats, &std));
    SKV_GO(status, done, pick(ctx, g, "--scale", o->scale, index, floats, &scale));
    mine.layout = layout;
    mine.mean = mean;
    mine.std = std;
    mine.scale = scale;
    status = set_one(ctx, g, index, set, &mine);
done:
    skv_free(ctx, layout);
    skv_free(ctx, mean);
    skv_free(ctx, std);
    skv_free(ctx, scale);
    return status;
}

static skive_status set_all(skive_context *ctx, skive_graph *g, const skive_dataset *set,
                            const skive_input_options *o) {
    skive_dataset_info info;
    skv_feeds feeds;
    for (size_t i = 0; i < g->n_inputs; i++) SKV_TRY(set_input(ctx, g, i, set, o));
    if (!set) return SKIVE_OK;
    skive_dataset_get_info(set, &info);
    SKV_TRY(skv_feeds_make(ctx, g, &info, &feeds));
    skv_feeds_free(&feeds);
    return SKIVE_OK;
}

/* The recipe of one input; of several inputs with recipes of the same kind each is kept under its name. */
static skive_status keep_recipe(skive_context *ctx, skive_graph *g, size_t index, const skive_dataset *part,
                                bool alone) {
    const char *stored = skv_recipe_in_model(g, g->inputs[index]->name, part->recipe_key);
    if (stored && strcmp(part->recipe_key, SKV_META_INPUT_SOUND) == 0 && strcmp(stored, part->recipe) != 0)
        skv_note(ctx, "%s: samples are prepared with %s, but the model's metadata say %s", part->spec, part->recipe,
                 stored);
    return alone ? skive_graph_set_meta(g, part->recipe_key, part->recipe)
                 : skv_input_set_meta(g, index, part->recipe_key, part->recipe);
}

skive_status skv_input_keep_recipes(skive_context *ctx, skive_graph *g, const skive_dataset *set) {
    const size_t n = skv_dataset_input_count(set);
    skive_dataset_info info;
    skv_feeds feeds;
    skive_status status = SKIVE_OK;
    bool any = false;
    for (size_t i = 0; i < n; i++) any = any || skv_dataset_input(set, i)->recipe;
    if (!any || g->n_inputs == 0) return SKIVE_OK;
    if (n == 1 && g->n_inputs == 1) return keep_recipe(ctx, g, 0, skv_dataset_input(set, 0), true);
    skive_dataset_get_info(set, &info);
    SKV_TRY(skv_feeds_make(ctx, g, &info, &feeds));
    for (size_t i = 0; status == SKIVE_OK && i < feeds.n; i++) {
        const skive_dataset *part = skv_dataset_input(set, feeds.items[i].part);
        size_t same = 0;
        for (size_t k = 0; k < n && part->recipe; k++) {
            const skive_dataset *other = skv_dataset_input(set, k);
            same += other->recipe && strcmp(other->recipe_key, part->recipe_key) == 0;
        }
        if (part->recipe) status = keep_recipe(ctx, g, feeds.items[i].index, part, same == 1);
    }
    skv_feeds_free(&feeds);
    return status;
}

/* "data", for some input at least. */
static bool is_measured(const skive_input_options *o) {
    const char *text = o->mean ? o->mean : o->std;
    const char *at = text ? strstr(text, "data") : NULL;
    return at && (at == text || at[-1] == '=' || at[-1] == ';') && (at[4] == '\0' || at[4] == ';');
}

static const char *const keys[] = {SKV_META_INPUT_LAYOUT, SKV_META_INPUT_SCALE, SKV_META_INPUT_MEAN, SKV_META_INPUT_STD,
                                   SKV_META_INPUT_SOUND,  SKV_META_INPUT_TABLE, SKV_META_INPUT_TEXT};
enum { KEYS = sizeof keys / sizeof keys[0] };

skive_status skive_model_set_input(skive_context *ctx, skive_graph *g, const skive_dataset *set,
                                   const skive_input_options *options) {
    SKV_NEED(ctx, "ctx, graph", ctx, g);
    skive_input_options o = skive_input_options_default();
    const char **before = NULL; /* [inputs][KEYS], in the graph's arena */
    SKV_TRY(skv_options_take(ctx, "skive_input_options", options, &o, sizeof o));
    if (set && g->n_inputs > 0 && skv_dataset_input_count(set) == 1)
        SKV_TRY(skv_recipe_check(ctx, g, 0, skv_dataset_input(set, 0)->recipe));
    if (!o.layout && !o.mean && !o.std && !o.scale) return set ? skv_input_keep_recipes(ctx, g, set) : SKIVE_OK;
    const uint8_t mean_from = g->mean_from, scale_from = g->scale_from;
    const size_t n = (size_t)g->n_inputs * KEYS;
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *before, &before));
    for (size_t k = 0; k < n; k++) before[k] = skv_input_meta(g, k / KEYS, keys[k % KEYS]);
    if (o.mean || o.std) g->mean_from = is_measured(&o) ? SKV_SAID_BY_DATA : SKV_SAID_BY_CALLER;
    if (o.scale) g->scale_from = SKV_SAID_BY_CALLER;
    skive_status status = set_all(ctx, g, set, &o);
    if (status == SKIVE_OK && set) status = skv_input_keep_recipes(ctx, g, set);
    if (status != SKIVE_OK) {
        for (size_t k = 0; k < n; k++) (void)skv_input_set_meta(g, k / KEYS, keys[k % KEYS], before[k]);
        g->mean_from = mean_from;
        g->scale_from = scale_from;
    }
    skv_free(ctx, before);
    return status;
}
