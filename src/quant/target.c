/* The list of targets, and what of the options they take. */
#include "quant/target.h"

#include <string.h>

#define SKV_KIND    quant_target
#define SKV_ARRAY   all
#define SKV_RECORDS "quant/targets.inc"
#include "base/records.h"

const skv_quant_target *skv_quant_target_of(const skive_quantize_options *o) {
    return o->target ? skv_quant_target_find(o->target) : NULL;
}

static bool takes(const char *const *list, const char *grid) {
    for (size_t i = 0; i < SKV_TARGET_GRIDS && list[i]; i++)
        if (strcmp(list[i], grid) == 0) return true;
    return false;
}

static skive_status refuse(skive_context *ctx, const skv_quant_target *t, const char *what, const char *grid,
                           const char *const *list) {
    skv_text text;
    skv_text_init(&text, ctx);
    for (size_t i = 0; i < SKV_TARGET_GRIDS && list[i]; i++) skv_text_add(&text, "%s%s", i ? ", " : "", list[i]);
    SKV_TRY(text.status);
    const skive_status status =
        skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, what, "%s does not take %s on the grid '%s'; it takes %s", t->name,
                    what, grid, text.data);
    skv_text_free(&text);
    return status;
}

bool skv_quant_target_takes_weights(const skive_quantize_options *o, const char *grid) {
    const skv_quant_target *t = skv_quant_target_of(o);
    return !t || strcmp(grid, "f32") == 0 || takes(t->weights, grid);
}

skive_status skv_quant_target_take_weights(skive_context *ctx, const skive_quantize_options *o, const char *grid) {
    const skv_quant_target *t = skv_quant_target_of(o);
    return skv_quant_target_takes_weights(o, grid) ? SKIVE_OK : refuse(ctx, t, "weights", grid, t->weights);
}

skive_status skv_quant_target_take(skive_context *ctx, skive_quantize_options *o) {
    const skv_quant_target *t = skv_quant_target_of(o);
    if (!t) return SKIVE_OK;
    if (!o->activations || (strcmp(o->activations, "uint8") == 0 && !takes(t->activations, "uint8"))) {
        o->activations = t->activations[0];
        skv_note(ctx, "activations are on the grid %s, which %s takes", o->activations, t->name);
    }
    if (!takes(t->activations, o->activations)) return refuse(ctx, t, "activations", o->activations, t->activations);
    if (o->weights && !takes(t->weights, o->weights)) return refuse(ctx, t, "weights", o->weights, t->weights);
    for (size_t i = 0; i < o->n_choices; i++) SKV_TRY(skv_quant_target_take_weights(ctx, o, o->choices[i].grid));
    if (t->of_int8 && strstr(o->activations, "int8") && (!o->weights || strncmp(o->weights, "int8", 4) == 0))
        skv_note(ctx, "%s", t->of_int8);
    /* The range of int8 without -128 is that of no grid given. */
    if (o->weights && strcmp(o->weights, "int8") == 0) o->weights = NULL;
    return SKIVE_OK;
}

const char *skv_quant_target_why_not(const skive_quantize_options *o, const skive_node *n) {
    const skv_quant_target *t = skv_quant_target_of(o);
    const skive_value *x = skv_node_in(n, 0);
    const bool of_images =
        SKV_NODE_IS_ANY(n, SKV_OP_CONV, SKV_OP_AVERAGE_POOL, SKV_OP_GLOBAL_AVERAGE_POOL) && x && x->type.rank != 4;
    if (t && t->images_only && of_images) return t->left;
    return NULL;
}

bool skv_quant_target_per_tensor(const skive_quantize_options *o, const skive_node *n) {
    const skv_quant_target *t = skv_quant_target_of(o);
    return t && t->products_per_tensor && SKV_NODE_IS_ANY(n, SKV_OP_GEMM, SKV_OP_MAT_MUL);
}
