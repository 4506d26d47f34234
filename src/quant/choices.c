/* The grids that options choose for single weights. */
#include <string.h>

#include "quant/gridded.h"
#include "quant/quant.h"

const char *skv_quant_choice(const skive_quantize_options *o, const char *parameter) {
    for (size_t i = 0; i < o->n_choices; i++)
        if (strcmp(o->choices[i].parameter, parameter) == 0) return o->choices[i].grid;
    return NULL;
}

static skive_status no_such_weight(skive_context *ctx, const char *name, const skv_weight *weights, size_t n) {
    const char **names = NULL;
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof(const char *), &names));
    for (size_t i = 0; i < n; i++) names[i] = weights[i].value->name;
    const char *near = skive_nearest_name(name, names, n);
    skv_free(ctx, names);
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name, "a grid is chosen for '%s', but no weight has this name%s%s%s",
                       name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

skive_status skv_quant_check_choices(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o) {
    skv_weight *weights = NULL;
    size_t n = 0;
    if (o->n_choices == 0) return SKIVE_OK;
    SKV_TRY(skv_weights(ctx, g, &weights, &n));
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < o->n_choices && status == SKIVE_OK; i++) {
        const skive_quantize_choice *c = &o->choices[i];
        skv_quantizer q;
        size_t k = 0;
        while (k < n && strcmp(weights[k].value->name, c->parameter) != 0) k++;
        if (k == n) status = no_such_weight(ctx, c->parameter, weights, n);
        if (k < n && skv_weight_in_body(&weights[k]))
            status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, c->parameter,
                                 "a grid is chosen for '%s', but " SKV_IN_A_BODY "which static quantization leaves in "
                                 "float",
                                 c->parameter);
        if (status != SKIVE_OK || strcmp(c->grid, "f32") == 0) continue;
        status = skv_quantizer_parse(ctx, c->grid, &q);
        if (status == SKIVE_OK) status = skv_gridded_check(ctx, c->grid, &q);
    }
    skv_free(ctx, weights);
    return status;
}
