/* What a training would change, without any. */
#include <string.h>

#include "graph/shared.h"
#include "graph/weights.h"
#include "tensor/tensor.h"
#include "train/recast.h"
#include "train/train.h"

void skive_train_scope_free(skive_context *ctx, skive_train_scope *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_parameters; i++) skv_free(ctx, s->parameters[i].name);
    skv_free(ctx, s->parameters);
    *s = (skive_train_scope){0};
}

static const char *why(const skive_value *v, skv_role role) {
    if (v->trainable) return NULL;
    if (role == SKV_ROLE_STATISTIC) return "a statistic, which follows the data by itself";
    return skv_role_is_learned(role) ? "frozen, or of an operator without a gradient" : "a constant";
}

static skive_status add(skive_context *ctx, const skive_value *v, skv_role role, skive_train_scope *s) {
    const skive_value *weight = skv_shared_weight_of(v);
    skive_train_parameter *p = &s->parameters[s->n_parameters];
    *p = (skive_train_parameter){.role = skv_role_name(role),
                                 .count = skv_type_count(&v->type),
                                 .trained = v->trainable,
                                 .decays = v->trainable && skv_role_decays(role),
                                 .why = why(v, role)};
    SKV_TRY(skv_strdup(ctx, weight ? weight->name : v->name, &p->name));
    s->n_parameters++;
    *(v->trainable ? &s->trained : &s->kept) += p->count;
    return SKIVE_OK;
}

skive_status skive_train_scope_of(skive_context *ctx, const skive_graph *graph, const skive_train_options *options,
                                  skive_train_scope *out) {
    SKV_NEED(ctx, "ctx, graph, scope", ctx, graph, out);
    skive_train_options o = skive_train_options_default();
    skive_train_scope s = {0};
    skive_graph *g = NULL;
    skv_role *roles = NULL;
    skive_status status;
    *out = s;
    SKV_TRY(skv_train_options_take(ctx, options, &o));
    SKV_TRY(skive_graph_copy(ctx, graph, &g));
    SKV_GO(status, done, skv_graph_for_methods(g));
    for (size_t i = 0; i < skv_recast_count(); i++) {
        const skv_recast *recast = skv_recast_at(i); /* weights in bodies are trained in such a form */
        if (!recast->other_nodes || !recast->asked(g)) continue;
        SKV_GO(status, done, skv_params_mark_trainable(g));
        SKV_GO(status, done, recast->to(g));
    }
    SKV_GO(status, done, skv_params_choose(g, &o, NULL, 0));
    SKV_GO(status, done, skv_graph_roles(ctx, g, &roles));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *s.parameters, &s.parameters));
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        /* Lone numbers are parts of formulas. */
        if (!v->storage || !skv_dtype_is_float(v->type.dtype) || (!v->trainable && skv_type_count(&v->type) < 2))
            continue;
        SKV_GO(status, done, add(ctx, v, roles[i], &s));
    }
done:
    skv_free(ctx, roles);
    skive_graph_free(g);
    if (status == SKIVE_OK)
        *out = s;
    else
        skive_train_scope_free(ctx, &s);
    return status;
}
