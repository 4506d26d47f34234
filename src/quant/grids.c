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

/* Unsigned integers have a zero point; signed ones if it is asked for. */
static skive_status activation_grid(skive_context *ctx, const char *text, skv_quantizer *q) {
    char name[24];
    /* The parser would list grids that are refused below. */
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text);
    if (!skv_grid_find(name))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "activations",
                           "activations cannot be on '%s'; there are uint8, int8, uint16, int16, uint4 and int4", text);
    SKV_TRY(skv_quantizer_parse(ctx, text, q));
    if (!q->grid->uniform || q->grid->dtype == SKIVE_DTYPE_NONE || !skv_grid_fills_dtype(q))
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "activations",
                           "activations cannot be on the grid '%s', which QuantizeLinear of ONNX does not have; there "
                           "are uint8, int8, uint16, int16, uint4 and int4",
                           text);
    if (q->per == SKV_PER_GROUP)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "activations",
                           "activations have one scale for each tensor: '%s' asks for one for each group", text);
    q->per = SKV_PER_TENSOR;
    q->asymmetric = q->asymmetric || q->low >= 0;
    return SKIVE_OK;
}

/* Once: searches quantize many times. */
static skive_status tell_narrow(skive_context *ctx, const skive_quantize_options *o, const skv_quantizer *q) {
    skv_text t;
    if (q->grid->bits >= 8 || skv_quant_target_of(o)) return SKIVE_OK;
    skv_text_init(&t, ctx);
    skv_text_add(&t,
                 "activations on the grid %s: onnxruntime refuses such files; for it use --activations uint8 or uint16",
                 q->grid->name);
    return skv_text_note_once(&t);
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
    if (o->activations) SKV_TRY(activation_grid(ctx, o->activations, activations));
    SKV_TRY(skv_quant_power(ctx, o, "activations", activations));
    if (!o->activations) return SKIVE_OK;
    return tell_narrow(ctx, o, activations);
}
