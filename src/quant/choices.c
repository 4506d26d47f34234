/* The grids that options choose for single weights. */
#include <string.h>

#include "quant/gridded.h"
#include "quant/quant.h"

const char *skv_quant_choice(const skive_quantize_options *o, const char *parameter) {
    for (size_t i = 0; i < o->n_choices; i++)
        if (strcmp(o->choices[i].parameter, parameter) == 0) return o->choices[i].grid;
    return NULL;
}

/* Weights of two graphs, one behind the other. */
typedef struct weight_list {
    skv_weight *items[2];
    size_t n[2];
} weight_list;

static const skv_weight *find(const weight_list *l, const char *name) {
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < l->n[k]; i++)
            if (strcmp(l->items[k][i].value->name, name) == 0) return &l->items[k][i];
    return NULL;
}

static skive_status no_such_weight(skive_context *ctx, const char *name, const weight_list *l) {
    const char **names = NULL;
    size_t n = 0;
    SKV_TRY(skv_alloc_array(ctx, l->n[0] + l->n[1] + 1, sizeof(const char *), &names));
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < l->n[k]; i++) names[n++] = l->items[k][i].value->name;
    const char *near = skive_nearest_name(name, names, n);
    skv_free(ctx, names);
    return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name, "a grid is chosen for '%s', but no weight has this name%s%s%s",
                       name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

skive_status skv_quant_check_choices(skive_context *ctx, const skive_graph *g, const skive_graph *rest,
                                     const skive_quantize_options *o) {
    weight_list l = {0};
    if (o->n_choices == 0) return SKIVE_OK;
    skive_status status = skv_weights(ctx, g, &l.items[0], &l.n[0]);
    if (status == SKIVE_OK && rest) status = skv_weights(ctx, rest, &l.items[1], &l.n[1]);
    for (size_t i = 0; i < o->n_choices && status == SKIVE_OK; i++) {
        const skive_quantize_choice *c = &o->choices[i];
        const skv_weight *w = find(&l, c->parameter);
        skv_quantizer q;
        if (!w) status = no_such_weight(ctx, c->parameter, &l);
        if (w && !rest && skv_weight_in_body(w))
            status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, c->parameter,
                                 "a grid is chosen for '%s', but " SKV_IN_A_BODY "whose ranges samples alone tell "
                                 "(--data)",
                                 c->parameter);
        if (status != SKIVE_OK || strcmp(c->grid, "f32") == 0) continue;
        status = skv_quantizer_parse(ctx, c->grid, &q);
        if (status == SKIVE_OK) status = skv_gridded_check(ctx, c->grid, &q);
    }
    skv_free(ctx, l.items[0]);
    skv_free(ctx, l.items[1]);
    return status;
}
