/* Quantizers from their text form. */
#include <stdlib.h>

#include "tensor/grid.h"

const char *skv_grid_fit_name(size_t i) {
    static const char *const names[] = {"usual", "range", "least"};
    return i < SKV_LENGTH(names) ? names[i] : NULL;
}

bool skv_grid_has_option(const skv_grid *grid, const char *name) {
    return skv_option_index(grid->options, grid->n_options, name) < grid->n_options;
}

/* The size of a group, or tensor or channel. */
static skive_status set_group(skive_context *ctx, const char *text, skv_quantizer *q) {
    char *end;
    if (strcmp(text, "tensor") == 0 || strcmp(text, "channel") == 0) {
        q->per = strcmp(text, "tensor") == 0 ? SKV_PER_TENSOR : SKV_PER_CHANNEL;
        return SKIVE_OK;
    }
    const long n = strtol(text, &end, 10);
    if (end == text || *end || n < 2)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "'%.*s' is not tensor, channel or the size of a group (2 or more)",
                        skv_utf8_prefix(text, 200), text);
    q->per = SKV_PER_GROUP;
    q->group = n;
    return SKIVE_OK;
}

static skive_status set_options(skive_context *ctx, const skv_option_values *v, skv_quantizer *q) {
    const skv_grid *g = q->grid;
    if (skv_grid_has_option(g, "group")) SKV_TRY(set_group(ctx, skv_option_text(v, "group"), q));
    if (skv_grid_has_option(g, "asymmetric")) q->asymmetric = skv_option_on(v, "asymmetric");
    if (skv_grid_has_option(g, "narrow")) q->narrow = skv_option_on(v, "narrow");
    if (skv_grid_has_option(g, "power-of-two")) q->power_of_two = skv_option_on(v, "power-of-two");
    if (skv_grid_has_option(g, "levels")) q->high = (int32_t)skv_option_integer(v, "levels") - 1;
    if (skv_grid_has_option(g, "fraction")) q->fraction = (int)skv_option_integer(v, "fraction");
    for (int i = 0; skv_grid_has_option(g, "fit") && skv_grid_fit_name((size_t)i); i++) {
        if (strcmp(skv_option_text(v, "fit"), skv_grid_fit_name((size_t)i)) == 0) q->fit = (skv_grid_fit)i;
    }
    if (q->narrow) q->low = -q->high;
    return SKIVE_OK;
}

skive_status skv_quantizer_parse(skive_context *ctx, const char *text, skv_quantizer *out) {
    skv_option_values v;
    size_t index;
    SKV_TRY(skv_family_pick(ctx, &skv_grid_family, text, text, &index, &v));
    skv_quantizer q = skv_quantizer_of(skv_grid_at(index));
    SKV_TRY(set_options(ctx, &v, &q));
    *out = q;
    return SKIVE_OK;
}
