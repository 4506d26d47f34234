/* Lists of transforms: parsing, and application to a sample. The random numbers of a transform come from Philox with
 * (sample, epoch and position in the list) as the counter, so they depend on nothing else. */
#include <math.h>
#include <string.h>

#include "data/data.h"

static const skv_transform *const transforms[] = {
#define X(id) &skv_transform_##id,
#include "data/transforms.inc"
#undef X
};

enum { TRANSFORM_COUNT = sizeof transforms / sizeof transforms[0] };

size_t skive_transform_count(void) { return TRANSFORM_COUNT; }

const char *skive_transform_name(size_t index) { return index < TRANSFORM_COUNT ? transforms[index]->name : NULL; }

const char *skive_transform_syntax(size_t index) { return index < TRANSFORM_COUNT ? transforms[index]->syntax : NULL; }

const char *skive_transform_brief(size_t index) { return index < TRANSFORM_COUNT ? transforms[index]->brief : NULL; }

static skive_status parse_one(skive_context *ctx, const char *text, size_t length, skv_transform_list *list) {
    const char *colon = memchr(text, ':', length);
    size_t name_length = colon ? (size_t)(colon - text) : length;
    int shown = length > 200 ? 200 : (int)length;
    const skv_transform *t = NULL;
    for (size_t i = 0; i < TRANSFORM_COUNT && !t; i++) {
        if (strlen(transforms[i]->name) == name_length && memcmp(transforms[i]->name, text, name_length) == 0) {
            t = transforms[i];
        }
    }
    if (!t) {
        skv_text names;
        skv_text_init(&names, ctx);
        for (size_t i = 0; i < TRANSFORM_COUNT; i++) skv_text_add(&names, "%s%s", i ? ", " : "", transforms[i]->syntax);
        skive_status status = names.status;
        if (status == SKIVE_OK) {
            status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms", "there is no transform '%.*s'; there are %s",
                                 shown, text, names.data);
        }
        skv_text_free(&names);
        return status;
    }
    double amount = t->fallback;
    bool good = colon ? skv_parse_number(colon + 1, length - name_length - 1, &amount) : !isnan(amount);
    if (!good || amount < t->low || amount > t->high || (t->whole && floor(amount) != amount)) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                           "transform '%.*s': expected %s with a %snumber of %g to %g", shown, text, t->syntax,
                           t->whole ? "whole " : "", t->low, t->high);
    }
    if (list->count == SKV_MAX_TRANSFORMS) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms", "more than %d transforms", (int)SKV_MAX_TRANSFORMS);
    }
    list->items[list->count].transform = t;
    list->items[list->count].amount = amount;
    list->count++;
    return SKIVE_OK;
}

skive_status skv_transforms_parse(skive_context *ctx, const char *text, skv_transform_list *out) {
    *out = (skv_transform_list){0};
    if (!text || !*text) return SKIVE_OK;
    for (const char *from = text;;) {
        const char *comma = strchr(from, ',');
        SKV_TRY(parse_one(ctx, from, comma ? (size_t)(comma - from) : strlen(from), out));
        if (!comma) return SKIVE_OK;
        from = comma + 1;
    }
}

float *skv_transforms_run(const skv_transform_list *list, uint64_t seed, uint64_t epoch, uint64_t index,
                          const int64_t dims[3], float *a, float *b) {
    for (int i = 0; i < list->count; i++) {
        uint32_t random[4];
        skv_philox(seed, index, epoch * SKV_MAX_TRANSFORMS + (uint64_t)i, random);
        if (list->items[i].transform->apply(list->items[i].amount, random, dims, a, b)) {
            float *swap = a;
            a = b;
            b = swap;
        }
    }
    return a;
}
