/* color: brightness, contrast, saturation and hue change by random amounts, in random order, as in torchvision's
 * ColorJitter. */
#include <string.h>

#include "data/augment/image_ops.h"

enum { BRIGHTNESS, CONTRAST, SATURATION, HUE, CHANGES };

static void change(int which, double amount, const int64_t dims[3], const float *in, float *out) {
    switch (which) {
    case BRIGHTNESS: skv_image_brightness(dims, 1 + amount, in, out); break;
    case CONTRAST: skv_image_contrast(dims, 1 + amount, in, out); break;
    case SATURATION: skv_image_saturation(dims, 1 + amount, in, out); break;
    default: skv_image_hue(dims, amount, in, out); break;
    }
}

static bool color(const skv_augment *a, const float *in, float *out) {
    static const char *const names[CHANGES] = {"brightness", "contrast", "saturation", "hue"};
    int order[CHANGES] = {BRIGHTNESS, CONTRAST, SATURATION, HUE};
    const float *from = in;
    for (int i = CHANGES - 1; i > 0; i--) { /* Fisher-Yates */
        const int64_t j = skv_draw_below(a->draw, i + 1);
        const int swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < CHANGES; i++) {
        const double most = skv_option_real(a->options, names[order[i]]);
        const double amount = skv_draw_between(a->draw, -most, most);
        if (most == 0 || (order[i] >= SATURATION && a->dims[0] != 3)) continue;
        float *to = from == out ? a->scratch : out;
        change(order[i], amount, a->dims, from, to);
        from = to;
    }
    if (from == a->scratch) memcpy(out, from, (size_t)(a->dims[0] * a->dims[1] * a->dims[2]) * sizeof *out);
    return from != in;
}

/* The defaults are for images of either kind; who asks for what has no effect hears of it. */
static skive_status check(skive_context *ctx, const skv_option_values *o, const int64_t dims[3]) {
    static const char *const names[] = {"saturation", "hue"};
    for (size_t i = 0; i < SKV_LENGTH(names) && dims[0] != 3; i++) {
        if (skv_option_given(o, names[i]) && skv_option_real(o, names[i]) > 0)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "transforms",
                               "transform 'color': %s needs three channels, but the samples have %lld", names[i],
                               (long long)dims[0]);
    }
    return SKIVE_OK;
}

static const skv_option options[] = {
    {.name = "brightness", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.4, .brief = "factor of 1 - B to 1 + B"},
    {.name = "contrast", .type = SKV_OPTION_REAL, .most = 1, .fallback = 0.4, .brief = "factor of 1 - C to 1 + C"},
    {.name = "saturation",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.4,
     .brief = "factor of 1 - S to 1 + S; images in colour only"},
    {.name = "hue",
     .type = SKV_OPTION_REAL,
     .most = 0.5,
     .fallback = 0.1,
     .brief = "part of the circle of colours in either direction; images in colour only"},
};

const skv_transform skv_transform_color = {
    .name = "color",
    .syntax = "color[:BRIGHTNESS][,contrast=CONTRAST][,saturation=SATURATION][,hue=HUE]",
    .brief = "other brightness, contrast, saturation and hue",
    SKV_OPTIONS(options),
    .on = SKV_ON_IMAGE,
    .unit = true,
    .scratch = 1,
    .check = check,
    .apply = color,
};
