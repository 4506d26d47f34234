/* audio: sounds in one sub-folder per class, as `folder` has images. Only the list of files is kept; sounds are read
 * and their features computed when they are asked for. All headers are read once when the set is opened, so that rates
 * and lengths are known before any work. */
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "data/audio/sound.h"
#include "graph/graph.h"
#include "graph/meta_keys.h"

typedef struct rate_change {
    int rate;
    skv_resampler *resampler;
} rate_change;

typedef struct audio {
    skv_folder_files of;
    skv_sound_settings settings;
    skv_mel *mel; /* NULL: the samples themselves */
    rate_change *changes;
    size_t n_changes;
} audio;

static const rate_change *change_of(const audio *a, int rate) {
    for (size_t i = 0; i < a->n_changes; i++) {
        if (a->changes[i].rate == rate) return &a->changes[i];
    }
    return NULL;
}

/* ---- reading ---- */

/* The sound as [samples] at the rate of the set. */
static skive_status read_wave(skive_context *ctx, const audio *a, size_t index, float *out) {
    const int64_t samples = a->settings.samples;
    float *in = NULL;
    char *path = NULL;
    int64_t count = 0;
    skv_sound_head head;
    skive_status status;
    SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", a->of.parts.root, a->of.files.names[index]));
    SKV_GO(status, done, skv_sound_head_read(ctx, path, &head));
    const rate_change *change = change_of(a, head.rate);
    if (!change && head.rate != a->settings.rate) {
        status = skv_fail_at(ctx, SKIVE_ERR_DATA, path, "%s: its rate was changed to %d Hz while it was in use", path,
                             head.rate);
        goto done;
    }
    const int64_t most = change ? skv_resampler_needs(change->resampler, samples) : samples;
    SKV_GO(status, done, skv_sound_read(ctx, path, most, &in, &count, &head));
    int64_t have = change ? skv_resampler_count(change->resampler, count) : count;
    if (have > samples) have = samples;
    if (change)
        SKV_GO(status, done, skv_resampler_run(ctx, change->resampler, in, count, out, have));
    else
        memcpy(out, in, (size_t)have * sizeof *out);
    memset(out + have, 0, (size_t)(samples - have) * sizeof *out);
done:
    skv_free(ctx, in);
    skv_free(ctx, path);
    return status;
}

static skive_status load_audio(skive_context *ctx, const skive_dataset *ds, size_t index, void *x) {
    const audio *a = ds->state;
    float *wave = NULL;
    void *scratch = NULL;
    if (!a->mel) return skv_folder_bad(ctx, read_wave(ctx, a, index, x));
    skive_status status;
    SKV_TRY(skv_alloc_array(ctx, (size_t)a->settings.samples, sizeof *wave, &wave));
    SKV_GO(status, done, skv_alloc(ctx, skv_mel_scratch(a->mel), &scratch));
    SKV_GO(status, done, skv_folder_bad(ctx, read_wave(ctx, a, index, wave)));
    skv_mel_run(a->mel, wave, scratch, x);
done:
    skv_free(ctx, wave);
    skv_free(ctx, scratch);
    return status;
}

/* ---- rates, channels and lengths of the sounds ---- */

typedef struct survey {
    size_t other_rate, mixed, shorter, longer;
    size_t first_other, first_mixed, first_shorter, first_longer; /* indices */
    int rate;                                                     /* of the first of another rate */
} survey;

static void count(size_t *n, size_t *first, size_t index) {
    if ((*n)++ == 0) *first = index;
}

static void count_head(survey *s, const skv_sound_settings *set, const skv_sound_head *h, size_t i) {
    const int64_t length = h->rate == set->rate ? h->frames : (h->frames * set->rate + h->rate - 1) / h->rate;
    if (h->rate != set->rate && s->other_rate == 0) s->rate = h->rate;
    if (h->rate != set->rate) count(&s->other_rate, &s->first_other, i);
    if (h->channels > 1) count(&s->mixed, &s->first_mixed, i);
    if (length < set->samples) count(&s->shorter, &s->first_shorter, i);
    if (length > set->samples) count(&s->longer, &s->first_longer, i);
}

static skive_status add_change(skive_context *ctx, audio *a, int rate) {
    skv_resampler *r = NULL;
    if (rate == a->settings.rate || change_of(a, rate)) return SKIVE_OK;
    SKV_TRY(skv_resampler_create(ctx, rate, (int)a->settings.rate, &r));
    const skive_status status = skv_grow(ctx, &a->changes, a->n_changes, a->n_changes + 1, sizeof *a->changes);
    if (status != SKIVE_OK) {
        skv_resampler_free(r);
        return status;
    }
    a->changes[a->n_changes++] = (rate_change){rate, r};
    return SKIVE_OK;
}

static void tell_part(skv_text *t, size_t n, const char *first, const char *one, const char *many) {
    if (n) skv_text_add(t, "%s%zu (the first is %s) %s", t->length ? ", " : "", n, first, n == 1 ? one : many);
}

static void tell_survey(skive_context *ctx, const audio *a, const survey *s) {
    char *const *names = a->of.files.names;
    char rates[96];
    skv_text t;
    skv_text_init(&t, ctx);
    if (s->other_rate) {
        (void)snprintf(rates, sizeof rates, "of %d Hz) %s converted to %lld Hz", s->rate,
                       s->other_rate == 1 ? "is" : "are", (long long)a->settings.rate);
        skv_text_add(&t, "%zu (the first is %s %s", s->other_rate, names[s->first_other], rates);
    }
    tell_part(&t, s->mixed, names[s->first_mixed], "has several channels, which are averaged",
              "have several channels, which are averaged");
    tell_part(&t, s->shorter, names[s->first_shorter], "is shorter and is followed by silence",
              "are shorter and are followed by silence");
    tell_part(&t, s->longer, names[s->first_longer], "is longer and is cut at the end",
              "are longer and are cut at the end");
    if (t.length && t.status == SKIVE_OK)
        skv_note(ctx, "%s: of %zu sounds, which become samples of %g s, %s", a->of.parts.root, a->of.files.count,
                 a->settings.seconds, t.data);
    skv_text_free(&t);
}

static skive_status look(skive_context *ctx, audio *a) {
    const skv_name_list *files = &a->of.files;
    skv_progress progress;
    survey s = {0};
    skv_progress_start(&progress, ctx, "scanning sounds", (double)files->count);
    for (size_t i = 0; i < files->count; i++) {
        skv_sound_head head;
        char *path = NULL;
        SKV_TRY(skv_asprintf(ctx, &path, "%s/%s", a->of.parts.root, files->names[i]));
        skive_status status = skv_folder_bad(ctx, skv_sound_head_read(ctx, path, &head));
        skv_free(ctx, path);
        if (status == SKIVE_OK) status = add_change(ctx, a, head.rate);
        if (status != SKIVE_OK) return status;
        count_head(&s, &a->settings, &head, i);
        if (i % 256 == 255) SKV_TRY(skv_progress_at(&progress, (double)(i + 1), "%zu sounds", i + 1));
    }
    tell_survey(ctx, a, &s);
    return SKIVE_OK;
}

/* Decodes all of a sound. */
static skive_status check(skive_context *ctx, const char *path, void *unused) {
    float *samples = NULL;
    int64_t n;
    skv_sound_head head;
    (void)unused;
    const skive_status status = skv_sound_read(ctx, path, INT64_MAX / 8, &samples, &n, &head);
    skv_free(ctx, samples);
    return status;
}

/* ---- opening ---- */

static skive_status decide_shape(skive_context *ctx, skive_dataset *ds) {
    audio *a = ds->state;
    const skive_graph *model = ds->options.model;
    const char *stored = ds->options.preprocessing;
    skv_text recipe;
    if (!stored && model) stored = skv_recipe_in_model(model, ds->options.input, SKV_META_INPUT_SOUND);
    SKV_TRY(skv_sound_settings_make(ctx, ds->values, stored, &a->settings));
    skv_text_init(&recipe, ctx);
    skv_sound_settings_format(&a->settings, &recipe);
    skive_status status = recipe.status;
    if (status == SKIVE_OK) status = skv_strdup(ctx, recipe.data, &ds->recipe);
    skv_text_free(&recipe);
    if (status != SKIVE_OK) return status;
    ds->recipe_key = SKV_META_INPUT_SOUND;
    ds->dtype = SKIVE_F32;
    ds->channel_axis = 0;
    ds->rank = 2;
    ds->dims[0] = 1;
    ds->dims[1] = a->settings.samples;
    if (a->settings.feature->setup) {
        skv_mel_setup setup;
        a->settings.feature->setup(&a->settings.options, &setup);
        SKV_TRY(skv_mel_create(ctx, a->settings.feature->name, &setup, a->settings.rate, a->settings.samples, &a->mel));
        ds->rank = 3;
        ds->dims[1] = (int64_t)a->mel->frames;
        ds->dims[2] = setup.coefficients ? setup.coefficients : setup.mels;
    }
    ds->size = (size_t)(ds->dims[1] * (ds->rank == 3 ? ds->dims[2] : 1));
    ds->content = ds->rank == 3 ? SKV_CONTENT_FEATURES : SKV_CONTENT_WAVE;
    char shape[96];
    const bool by_model = stored && strcmp(stored, ds->recipe) == 0;
    if (by_model && ds->split == SKIVE_SPLIT_VALIDATION) return SKIVE_OK; /* told when the training part was opened */
    skv_note(ctx, "sounds become samples %s: %s%s", skv_shape_text(ds->rank, ds->dims, shape, sizeof shape), ds->recipe,
             by_model ? " (from the model's metadata)" : "");
    return SKIVE_OK;
}

static skive_status open_audio(skive_context *ctx, const char *args, bool test, const skive_dataset_options *options,
                               skive_dataset *ds) {
    audio *a = NULL;
    char *dir = NULL;
    skive_status status;
    (void)test;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *a, &a));
    ds->state = a;
    SKV_GO(status, done, skv_folder_path(ctx, ds->kind, args, &dir));
    SKV_GO(status, done, decide_shape(ctx, ds));
    SKV_GO(status, done, skv_folder_files_find(ctx, &skv_sound_files, dir, options, &a->of, ds));
    if (options->skip_bad) SKV_GO(status, done, skv_folder_skip_bad(ctx, &skv_sound_files, &a->of, check, NULL, ds));
    SKV_GO(status, done, look(ctx, a));
    skv_folder_files_name(&a->of, ds);
done:
    skv_free(ctx, dir);
    return status;
}

static void close_audio(skive_dataset *ds) {
    audio *a = ds->state;
    if (!a) return;
    for (size_t i = 0; i < a->n_changes; i++) skv_resampler_free(a->changes[i].resampler);
    skv_free(ds->ctx, a->changes);
    skv_mel_free(ds->ctx, a->mel);
    skv_folder_files_free(ds->ctx, &a->of);
    skv_free(ds->ctx, a);
}

const skv_dataset_kind skv_dataset_audio = {
    .name = "audio",
    .syntax = "audio:DIR[,features=NAME,...]",
    .brief = "WAV, FLAC or Ogg files in folders as folder: has them, as samples of one length or features of them",
    .options = skv_sound_options,
    .n_options = SKV_SOUND_OPTIONS,
    .needs_args = true,
    .open = open_audio,
    .load = load_audio,
    .close = close_audio,
};
