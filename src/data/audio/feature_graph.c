/* The features of sounds as nodes of the model, so that it takes the samples themselves. Only standard operators are
 * used: Pad, STFT (opset 17), ReduceSum, Sqrt, MatMul, Log. The window is continued by zeros up to the length of the
 * Fourier transform, and the sound by as many, which gives the frames of feature_mel.c. */
#include <string.h>

#include <skive/input.h>

#include "data/feed.h"
#include "data/audio/sound.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"

typedef struct job {
    skive_context *ctx;
    skive_graph *g; /* the copy that is changed */
    skv_builder b;
    skv_sound_settings settings;
    skv_mel *mel;
} job;

static skive_value *floats(job *j, int rank, const int64_t *dims, const double *values) {
    skv_storage *s = NULL;
    if (j->b.status != SKIVE_OK) return NULL;
    j->b.status = skv_storage_create(j->ctx, SKIVE_F32, rank, dims, &s);
    if (j->b.status != SKIVE_OK) return NULL;
    float *to = s->tensor.data;
    const int64_t n = skive_tensor_count(&s->tensor);
    for (int64_t i = 0; i < n; i++) to[i] = (float)values[i];
    return skv_emit_param(&j->b, NULL, s);
}

/* [rows][columns] becomes [columns][rows]. */
static skive_value *turned(job *j, int64_t rows, int64_t columns, const double *values) {
    const int64_t dims[2] = {columns, rows};
    double *t = NULL;
    if (j->b.status != SKIVE_OK) return NULL;
    j->b.status = skv_alloc_array(j->ctx, (size_t)(rows * columns), sizeof *t, &t);
    if (j->b.status != SKIVE_OK) return NULL;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++) t[c * rows + r] = values[r * columns + c];
    }
    skive_value *v = floats(j, 2, dims, t);
    skv_free(j->ctx, t);
    return v;
}

/* [N][samples] -> [N][frames][bins], magnitudes or their squares */
static skive_value *spectrum(job *j, skive_value *wave) {
    const skv_mel *m = j->mel;
    skv_builder *b = &j->b;
    const int64_t n = (int64_t)m->fft.n, more = n - (int64_t)m->frame;
    double *window = NULL;
    skive_value *x = wave;
    if (more > 0) x = skv_emit(b, "Pad", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){0, 0, 0, more}, 4)), SKV_NONE);
    x = skv_emit(b, "Unsqueeze", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){2}, 1)), SKV_NONE);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(j->ctx, m->fft.n, sizeof *window, &window);
    if (b->status != SKIVE_OK) return NULL;
    memcpy(window, m->window, m->frame * sizeof *window);
    skive_value *w = floats(j, 1, &n, window);
    skv_free(j->ctx, window);
    skive_value *step = skv_emit_scalar(b, SKIVE_I64, (double)m->hop),
                *length = skv_emit_scalar(b, SKIVE_I64, (double)n);
    /* The default, written out: the shape inference of the onnx package takes it for 0. */
    x = skv_emit(b, "STFT", SKV_IN(x, step, w, length), SKV_ATTRS(SKV_INT("onesided", 1)));
    x = skv_emit(b, "Mul", SKV_IN(x, x), SKV_NONE);
    x = skv_emit(b, "ReduceSum", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){3}, 1)),
                 SKV_ATTRS(SKV_INT("keepdims", 0)));
    return m->setup.power == 1 ? skv_emit(b, "Sqrt", SKV_IN(x), SKV_NONE) : x;
}

/* -> [N][1][frames][mels or coefficients] */
static skive_value *features(job *j, skive_value *wave) {
    const skv_mel *m = j->mel;
    skv_builder *b = &j->b;
    skive_value *x = spectrum(j, wave);
    x = skv_emit(b, "MatMul", SKV_IN(x, turned(j, m->setup.mels, (int64_t)m->bins, m->bands)), SKV_NONE);
    x = skv_emit(b, "Add", SKV_IN(x, skv_emit_scalar(b, SKIVE_F32, m->setup.floor)), SKV_NONE);
    x = skv_emit(b, "Log", SKV_IN(x), SKV_NONE);
    if (m->cosines)
        x = skv_emit(b, "MatMul", SKV_IN(x, turned(j, m->setup.coefficients, m->setup.mels, m->cosines)), SKV_NONE);
    return skv_emit(b, "Unsqueeze", SKV_IN(x, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
}

/* Scale and normalisation, as the loader applies them to a sample. */
static skive_value *normalized(job *j, const skv_feed *f, skive_value *x) {
    const skive_normalization *n = &f->normalization;
    const size_t count = (size_t)n->channels;
    skv_builder *b = &j->b;
    int64_t dims[4] = {1, 1, 1, 1};
    double *mean = NULL, *std = NULL;
    if (f->scale_told && f->scale != 1)
        x = skv_emit(b, "Mul", SKV_IN(x, skv_emit_scalar(b, SKIVE_F32, f->scale)), SKV_NONE);
    if (!count || b->status != SKIVE_OK) return x;
    if (count > 1 && f->channel_axis >= 0 && f->sample_dims[f->channel_axis] == n->channels)
        dims[1 + f->channel_axis] = n->channels;
    else if (count > 1)
        memcpy(dims + 1, f->sample_dims, 3 * sizeof *dims); /* a pair for each value */
    b->status = skv_alloc_array(j->ctx, count, sizeof *mean, &mean);
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(j->ctx, count, sizeof *std, &std);
    for (size_t c = 0; b->status == SKIVE_OK && c < count; c++) {
        mean[c] = (double)n->mean[c];
        std[c] = (double)n->std[c];
    }
    x = skv_emit(b, "Sub", SKV_IN(x, floats(j, 4, dims, mean)), SKV_NONE);
    x = skv_emit(b, "Div", SKV_IN(x, floats(j, 4, dims, std)), SKV_NONE);
    skv_free(j->ctx, mean);
    skv_free(j->ctx, std);
    return x;
}

/* The shape of the input that it has now. */
static skive_value *shaped(job *j, const skv_feed *f, skive_value *x) {
    int64_t dims[SKIVE_MAX_RANK] = {0}; /* 0: the batch, as it is */
    memcpy(dims + 1, f->dims, (size_t)f->rank * sizeof *dims);
    return skv_emit(&j->b, "Reshape", SKV_IN(x, skv_emit_ints(&j->b, dims, (size_t)f->rank + 1)), SKV_NONE);
}

static skive_status read_settings(job *j) {
    const char *stored = skive_graph_meta(j->g, SKV_META_INPUT_SOUND);
    skv_option_values none;
    skv_mel_setup setup;
    if (!stored)
        return skv_fail_at(j->ctx, SKIVE_ERR_ARGUMENT, SKV_META_INPUT_SOUND,
                           "the model's metadata have no entry %s: it was not trained on sounds (audio:DIR)",
                           SKV_META_INPUT_SOUND);
    skv_options_default(skv_sound_options, SKV_SOUND_OPTIONS, &none);
    SKV_TRY(skv_sound_settings_make(j->ctx, &none, stored, &j->settings));
    if (!j->settings.feature->setup)
        return skv_fail_at(j->ctx, SKIVE_ERR_ARGUMENT, SKV_META_INPUT_SOUND,
                           "the model takes the samples of sounds already (features=%s)", j->settings.feature->name);
    j->settings.feature->setup(&j->settings.options, &setup);
    return skv_mel_create(j->ctx, j->settings.feature->name, &setup, j->settings.rate, j->settings.samples, &j->mel);
}

static skive_status match_input(job *j, skv_feed *f) {
    const skv_mel *m = j->mel;
    const skive_dataset_info info = {
        .spec = "the model's features",
        .rank = 3,
        .dims = {1, (int64_t)m->frames, m->setup.coefficients ? m->setup.coefficients : m->setup.mels},
        .sample_size = m->frames * (size_t)(m->setup.coefficients ? m->setup.coefficients : m->setup.mels),
        .dtype = SKIVE_F32,
        .channel_axis = 0,
        .preprocessing = skive_graph_meta(j->g, SKV_META_INPUT_SOUND)};
    SKV_TRY(skv_feed_make(j->ctx, j->g, 0, &info, f));
    if (f->dtype == SKIVE_F32) return SKIVE_OK;
    return skv_fail_at(j->ctx, SKIVE_ERR_UNSUPPORTED, f->input,
                       "input '%s' has type %s; features can be computed before a float32 input", f->input,
                       skive_dtype_name(f->dtype));
}

static skive_status set_meta(job *j) {
    skv_text recipe;
    skv_text_init(&recipe, j->ctx);
    skv_text_add(&recipe, "rate=%lld,seconds=", (long long)j->settings.rate);
    skv_text_add_number(&recipe, j->settings.seconds);
    skv_text_add(&recipe, ",features=raw");
    skive_status status = recipe.status;
    if (status == SKIVE_OK) status = skive_graph_set_meta(j->g, SKV_META_INPUT_SOUND, recipe.data);
    skv_text_free(&recipe);
    if (status == SKIVE_OK) status = skive_graph_set_meta(j->g, SKV_META_INPUT_MEAN, "none");
    if (status == SKIVE_OK) status = skive_graph_set_meta(j->g, SKV_META_INPUT_STD, "none");
    if (status == SKIVE_OK) status = skive_graph_set_meta(j->g, SKV_META_INPUT_SCALE, NULL);
    return status == SKIVE_OK ? skive_graph_set_meta(j->g, SKV_META_INPUT_LAYOUT, NULL) : status;
}

static skive_status build(job *j) {
    skive_graph *g = j->g;
    skive_value *old = g->inputs[0], *wave = NULL;
    skive_type type = {.dtype = SKIVE_F32, .rank = 2, .dims = {old->type.dims[0], {j->settings.samples, NULL}}};
    skv_feed feed = {0};
    char *name = NULL, *other = NULL;
    skive_status status;
    SKV_GO(status, done, match_input(j, &feed));
    SKV_GO(status, done, skv_strdup(j->ctx, old->name, &name));
    SKV_GO(status, done, skv_asprintf(j->ctx, &other, "%s.features", name));
    SKV_GO(status, done, skv_value_rename(old, other));
    SKV_GO(status, done, skive_graph_add_input(g, name, &type, &wave));
    j->b = skv_build(g);
    skive_value *x = shaped(j, &feed, normalized(j, &feed, features(j, wave)));
    SKV_GO(status, done, j->b.status);
    SKV_GO(status, done, skv_value_replace_uses(old, x, true));
    SKV_GO(status, done, skv_graph_remove_value(old));
    SKV_GO(status, done, set_meta(j));
    status = skive_graph_infer(g);
done:
    skv_feed_free(&feed);
    skv_free(j->ctx, name);
    skv_free(j->ctx, other);
    return status;
}

skive_status skive_model_features_in_graph(skive_context *ctx, skive_graph *g) {
    SKV_NEED(ctx, "ctx, graph", ctx, g);
    job j = {.ctx = ctx};
    skive_status status;
    if (g->n_inputs != 1)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "features in the graph need a model with one input; this one has %u",
                        g->n_inputs);
    SKV_GO(status, done, skive_graph_copy(ctx, g, &j.g));
    SKV_GO(status, done, read_settings(&j));
    SKV_GO(status, done, build(&j));
    skive_graph_take(g, j.g);
    j.g = NULL;
    skv_note(ctx,
             "the input takes %lld samples at %lld Hz; %s and its normalisation are computed in the model (STFT, "
             "opset 17)",
             (long long)j.settings.samples, (long long)j.settings.rate, j.settings.feature->name);
done:
    skv_mel_free(ctx, j.mel);
    skive_graph_free(j.g);
    return status;
}
