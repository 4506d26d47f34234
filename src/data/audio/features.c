/* The list of features, and the settings of a set of sounds as text. */
#include <math.h>
#include <string.h>

#include "data/audio/feature_options.h"
#include "graph/meta_keys.h"

static const skv_feature *const features[] = {
#define X(id) &skv_feature_##id,
#include "data/features.inc"
#undef X
};

SKV_FAMILY(feature, features, "feature of sounds")

const skv_feature *skv_feature_at(size_t index) { return index < SKV_LENGTH(features) ? features[index] : NULL; }

/* ---- settings as text ---- */

const skv_option skv_sound_options[SKV_SOUND_OPTIONS] = {
    {.name = "rate",
     .type = SKV_OPTION_INTEGER,
     .least = 1000,
     .most = SKV_SOUND_MAX_RATE,
     .fallback = 16000,
     .unit = "Hz",
     .brief = "sample rate; sounds of other rates are converted"},
    {.name = "seconds",
     .type = SKV_OPTION_REAL,
     .least = 0,
     .above = true,
     .most = 3600,
     .fallback = 1,
     .unit = "s",
     .brief = "length of a sample: shorter sounds are followed by silence, longer ones are cut"},
    {.name = "features",
     .type = SKV_OPTION_CHOICE,
     .choices = feature_name_at,
     .text = "logmel",
     .what = "feature of sounds",
     .brief = "what is computed from the sound"},
    SKV_MEL_OPTIONS,
    SKV_MFCC_OPTIONS,
};
enum { OWN = 3 }; /* the first, of the sound itself; the others are those of the features */

/* One "name=value" of a text. */
typedef struct item {
    const char *name, *value;
    size_t name_length, length; /* of the name, of the value */
} item;

static bool next_item(const char **text, item *out) {
    if (!*text || !**text) return false;
    const char *end = *text + strcspn(*text, ","), *equals = *text + strcspn(*text, "=,");
    *out = (item){.name = *text, .name_length = (size_t)(equals - *text)};
    out->value = *equals == '=' ? equals + 1 : equals;
    out->length = (size_t)(end - out->value);
    *text = *end ? end + 1 : end;
    return true;
}

static bool is_own(const item *i) {
    for (size_t k = 0; k < OWN; k++) {
        if (strlen(skv_sound_options[k].name) == i->name_length &&
            strncmp(skv_sound_options[k].name, i->name, i->name_length) == 0)
            return true;
    }
    return false;
}

static bool find_item(const char *text, const item *wanted, item *out) {
    while (next_item(&text, out)) {
        if (out->name_length == wanted->name_length && strncmp(out->name, wanted->name, wanted->name_length) == 0)
            return true;
    }
    return false;
}

static bool same_value(const item *a, const item *b) {
    return a->length == b->length && strncmp(a->value, b->value, a->length) == 0;
}

/* Adds the items of `text` that are, or are not, settings of the sound itself, and that `other` does not give. */
static void add_items(skv_text *t, const char *text, bool own_ones, const char *other) {
    item i, found;
    while (next_item(&text, &i)) {
        if (is_own(&i) != own_ones || (other && find_item(other, &i, &found))) continue;
        skv_text_add(t, "%s%.*s", t->length ? "," : "", (int)(i.value + i.length - i.name), i.name);
    }
}

static skive_status take(skive_context *ctx, const char *owner, const skv_option_values *v, skv_sound_settings *out) {
    out->rate = skv_option_integer(v, "rate");
    out->seconds = skv_option_real(v, "seconds");
    const double samples = round((double)out->rate * out->seconds);
    if (samples < 1 || samples > SKV_SOUND_MAX_SAMPLES)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, owner, "%s: %g s at %lld Hz are %.0f samples; 1 to %d are possible",
                           owner, out->seconds, (long long)out->rate, samples, (int)SKV_SOUND_MAX_SAMPLES);
    out->samples = (int64_t)samples;
    return SKIVE_OK;
}

static skive_status parse(skive_context *ctx, const char *owner, const char *text, const char *stored,
                          skv_sound_settings *out) {
    const item wanted = {.name = "features", .name_length = 8};
    skv_option_values v;
    skv_text of_sound, of_feature, who;
    item given, before;
    size_t index;
    skive_status status;
    text = text ? text : "";
    stored = stored ? stored : "";
    skv_text_init(&of_sound, ctx);
    skv_text_init(&of_feature, ctx);
    skv_text_init(&who, ctx);
    add_items(&of_sound, text, true, NULL);
    add_items(&of_sound, stored, true, text);
    SKV_GO(status, done, of_sound.status);
    SKV_GO(status, done, skv_options_parse(ctx, owner, skv_sound_options, OWN, of_sound.data, &v));
    SKV_GO(status, done, take(ctx, owner, &v, out));
    SKV_GO(status, done,
           skv_family_pick(ctx, &skv_feature_family, owner, skv_option_text(&v, "features"), &index, NULL));
    out->feature = features[index];
    /* Options of another feature than the stored one have nothing to do with it. */
    const bool same =
        !find_item(text, &wanted, &given) || !find_item(stored, &wanted, &before) || same_value(&given, &before);
    add_items(&of_feature, text, false, NULL);
    if (same) add_items(&of_feature, stored, false, text);
    skv_text_add(&who, "%s: feature '%s'", owner, out->feature->name);
    SKV_GO(status, done, of_feature.status);
    SKV_GO(status, done, who.status);
    SKV_GO(status, done,
           skv_options_parse(ctx, who.data, out->feature->options, out->feature->n_options, of_feature.data,
                             &out->options));
done:
    skv_text_free(&of_sound);
    skv_text_free(&of_feature);
    skv_text_free(&who);
    return status;
}

skive_status skv_sound_settings_make(skive_context *ctx, const skv_option_values *values, const char *stored,
                                     skv_sound_settings *out) {
    skv_option_values given = *values;
    skv_text text;
    for (size_t i = 0; i < given.n; i++) given.values[i].none = !given.values[i].given;
    skv_text_init(&text, ctx);
    skv_options_format(&given, true, &text);
    skive_status status = text.status;
    if (status == SKIVE_OK && stored) { /* what a file says need not be right */
        status = parse(ctx, "the model's metadata entry " SKV_META_INPUT_SOUND, stored, NULL, out);
        if (status == SKIVE_ERR_ARGUMENT) status = SKIVE_ERR_FORMAT;
    }
    if (status == SKIVE_OK) status = parse(ctx, "data set 'audio'", text.data, stored, out);
    skv_text_free(&text);
    return status;
}

void skv_sound_settings_format(const skv_sound_settings *s, skv_text *out) {
    skv_text_add(out, "rate=%lld,seconds=", (long long)s->rate);
    skv_text_add_number(out, s->seconds);
    skv_text_add(out, ",features=%s", s->feature->name);
    if (s->feature->n_options) skv_text_add(out, ",");
    skv_options_format(&s->options, true, out);
}
