/* The number grids of quantized models. */
#include <stdio.h>
#include <string.h>

#include "quant/gridded.h"
#include "quant/powers.h"
#include "quant/quant.h"
#include "quant/target.h"

skv_quantizer skv_quant_activations(void) {
    skv_quantizer q = skv_quantizer_of(&skv_grid_uint8);
    q.per = SKV_PER_TENSOR;
    q.asymmetric = true;
    return q;
}

skv_quantizer skv_quant_weights(bool per_channel) {
    skv_quantizer q = skv_quantizer_of(&skv_grid_int8);
    q.per = per_channel ? SKV_PER_CHANNEL : SKV_PER_TENSOR;
    q.narrow = true;
    q.low = -q.high;
    q.fit = SKV_FIT_RANGE;
    return q;
}

skive_dtype skv_quant_holder(const skv_quantizer *q) {
    if (skv_dtype_is_float8(q->grid->dtype)) return q->grid->dtype;
    if (!q->grid->uniform) return SKIVE_DTYPE_NONE;
    return q->grid->bits > 8 ? q->grid->dtype : q->low < 0 ? SKIVE_I8 : SKIVE_U8;
}

/* Grids of one scale whose parameters follow from a range: integers, float8 and tables of levels. */
static bool takes_activations(const skv_grid *g) {
    return g->solve_range && g->scaled &&
           (g->table || skv_dtype_is_float8(g->dtype) || (g->uniform && g->dtype != SKIVE_DTYPE_NONE));
}

static const char *activation_names(size_t i) {
    for (size_t k = 0; k < skv_grid_count(); k++)
        if (takes_activations(skv_grid_at(k)) && i-- == 0) return skv_grid_name(k);
    return NULL;
}

/* Unsigned integers have a zero point; signed ones if it is asked for. */
skive_status skv_quant_activation_grid(skive_context *ctx, const char *text, skv_quantizer *q) {
    char name[24];
    /* The parser would list grids that are refused below. */
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text);
    const skv_grid *grid = skv_grid_find(name);
    if (!grid)
        return skv_fail_unknown(ctx, SKIVE_ERR_ARGUMENT, "activations", "grid for activations", name, activation_names);
    if (!takes_activations(grid))
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "activations",
                           "activations cannot be on the grid '%s', whose parameters do not follow from a range of "
                           "numbers: take integers (uint8, int8, uint16, uint4, uint3 ...), f8e4m3, f8e5m2, or "
                           "levels of a table (log2, log2b3, log2h, apot, nf4, f4e2m1)",
                           text);
    SKV_TRY(skv_quantizer_parse(ctx, text, q));
    if (q->per == SKV_PER_GROUP)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "activations",
                           "activations have one scale for each tensor: '%s' asks for one for each group", text);
    q->per = SKV_PER_TENSOR;
    q->asymmetric = q->asymmetric || (grid->uniform && q->low >= 0);
    return SKIVE_OK;
}

bool skv_quant_shifts(const skive_quantize_options *o) { return o->multiplier && strcmp(o->multiplier, "shift") == 0; }

skive_status skv_quant_power(skive_context *ctx, const skive_quantize_options *o, const char *what, skv_quantizer *q) {
    const bool fixed = q->grid == &skv_grid_fixed || q->grid == &skv_grid_fixed16;
    if (!skv_quant_shifts(o) || fixed) return SKIVE_OK;
    q->power_of_two = true;
    if (skv_grid_has_option(q->grid, "power-of-two")) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, what,
                       "multiplication by shifts alone needs scales that are powers of two, and those of the grid '%s' "
                       "are not: take int8, log2 or fixed (tables.md#number-grids), or --multiplier fixed",
                       q->grid->name);
}

skive_status skv_quant_grids(skive_context *ctx, const skive_quantize_options *o, skv_quantizer *weights,
                             skv_quantizer *activations) {
    *weights = skv_quant_weights(o->per_channel);
    *activations = skv_quant_activations();
    if (o->weights) {
        SKV_TRY(skv_quantizer_parse(ctx, o->weights, weights));
        SKV_TRY(skv_gridded_check(ctx, o->weights, weights));
        if (!o->per_channel && weights->per == SKV_PER_GROUP)
            return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "weights",
                               "the grid '%s' has a scale for each group, but one for each tensor is asked for too",
                               o->weights);
        if (!o->per_channel) weights->per = SKV_PER_TENSOR;
    }
    SKV_TRY(skv_quant_power(ctx, o, "weights", weights));
    if (o->activations) SKV_TRY(skv_quant_activation_grid(ctx, o->activations, activations));
    return skv_quant_power(ctx, o, "activations", activations);
}
