/* Lists of transforms: parsing, and application to a sample. The random numbers of a transform come from Philox with
 * (sample, epoch and position in the list) as the counter, so they depend on nothing else. */
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

SKV_FAMILY(transform, transforms, "transform")

static skive_status parse_one(skive_context *ctx, const char *text, size_t length, skv_transform_list *list) {
    char one[SKV_OPTION_TEXT_ROOM];
    skv_option_values values;
    size_t index;
    if (length >= sizeof one) return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms", "a transform is too long");
    memcpy(one, text, length);
    one[length] = '\0';
    SKV_TRY(skv_family_pick(ctx, &skv_transform_family, "transforms", one, &index, &values));
    if (list->count == SKV_MAX_TRANSFORMS) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms", "more than %d transforms", (int)SKV_MAX_TRANSFORMS);
    }
    list->items[list->count].transform = transforms[index];
    list->items[list->count].amount = values.values[0].number;
    list->count++;
    return SKIVE_OK;
}

/* The comma behind an item: what follows with a '=' before any ':' is one more option of the same transform. */
static const char *item_end(const char *from) {
    const char *comma = strchr(from, ',');
    while (comma && comma[1 + strcspn(comma + 1, ":,=")] == '=') comma = strchr(comma + 1, ',');
    return comma ? comma : from + strlen(from);
}

skive_status skv_transforms_parse(skive_context *ctx, const char *text, skv_transform_list *out) {
    *out = (skv_transform_list){0};
    if (!text || !*text) return SKIVE_OK;
    for (const char *from = text;;) {
        const char *end = item_end(from);
        SKV_TRY(parse_one(ctx, from, (size_t)(end - from), out));
        if (!*end) return SKIVE_OK;
        from = end + 1;
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
