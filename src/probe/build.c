/* The graph that a probe runs: what is read through taps, and the gradients, which become its outputs. */
#include <string.h>

#include <skive/autodiff.h>

#include "probe/probe_inside.h"

static skive_status find(const skv_probe *p, size_t item, skive_value **out) {
    const char *name = p->setup->items[item].value;
    *out = name ? skive_graph_find_value(p->graph, name) : NULL;
    if (!*out)
        return skv_fail_at(p->ctx, SKIVE_ERR_NOT_FOUND, name ? name : "", "the model has no value '%s' to look at",
                           name ? name : "");
    if ((*out)->type.dtype != SKIVE_F32)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, name, "value '%s' is not float32: nothing can be learned of it",
                           name);
    return SKIVE_OK;
}

static skive_status check_item(const skv_probe *p, size_t item, const skive_value *v) {
    const skv_probe_item *it = &p->setup->items[item];
    const bool param = skv_value_is_param(v);
    if (it->of == SKV_OF_VALUE && param)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, v->name, "'%s' is a parameter, the same in each run", v->name);
    if (it->of != SKV_OF_VALUE && !p->setup->loss)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, v->name, "there is no loss that '%s' could have a gradient of",
                           v->name);
    if (it->of == SKV_OF_BOTH && (param || it->reducer->add_slots))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, v->name, "'%s' cannot be looked at beside its gradient: %s",
                           v->name, param ? "it is a parameter" : "the reducer takes one number at a time");
    if (it->axis == SKV_BY_ELEMENT && (!param || !it->reducer->add_slots))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, v->name, "'%s' cannot have a number for each element: %s",
                           v->name, param ? "the reducer has none" : "it is no parameter");
    if (it->axis < SKV_BY_ELEMENT || (v->type.rank >= 0 && it->axis >= v->type.rank))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, v->name, "'%s' has %d axes: there is no axis %d", v->name,
                           v->type.rank, it->axis);
    return SKIVE_OK;
}

static void add_tap(skv_probe *p, size_t item, const skive_value *v) {
    size_t k = 0;
    while (k < p->n_keep && strcmp(p->keep[k], v->name) != 0) k++;
    p->entries[item].keep = k;
    p->entries[item].next = k < p->n_keep ? p->first[k] : SKV_PROBE_NONE;
    p->first[k] = item;
    if (k == p->n_keep) p->keep[p->n_keep++] = v->name;
}

/* Values whose gradients are wanted, each once. */
typedef struct wanted {
    skive_value **values, **gradients;
    size_t n;
} wanted;

static size_t want(wanted *w, skive_value *v) {
    size_t k = 0;
    while (k < w->n && w->values[k] != v) k++;
    w->values[k] = v;
    if (k == w->n) w->n++;
    return k;
}

static skive_status own_parameters(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (v && v->storage && v->type.dtype == SKIVE_F32) SKV_TRY(skv_storage_make_unique(g->ctx, &v->storage));
    }
    return SKIVE_OK;
}

/* A value as an output. Several names may stand for one value, and an output may be an input of the graph: each is read
 * through a node of its own. */
static skive_status add_output(skive_graph *g, skive_value *v, size_t *index) {
    skv_builder b = skv_build(g);
    skive_value *own = skv_emit(&b, "Identity", SKV_IN(v), SKV_NONE);
    SKV_TRY(b.status);
    *index = g->n_outputs;
    return skive_graph_add_output(g, own);
}

/* entries[].gradient is the index among the wanted ones until here, and becomes that of an output. */
static skive_status add_outputs(skv_probe *p, const wanted *w) {
    size_t *outputs = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, 2 * w->n + 1, sizeof *outputs, &outputs));
    for (size_t k = 0; k < w->n; k++) SKV_GO(status, done, add_output(p->copy, w->gradients[k], &outputs[2 * k]));
    for (size_t i = 0; i < p->n; i++) {
        skv_probe_entry *at = &p->entries[i];
        const size_t k = at->gradient;
        if (k == SKV_PROBE_NONE) continue;
        at->gradient = outputs[2 * k];
        if (!skv_probe_of_value(p->setup->items[i].of) || at->param) continue;
        if (!outputs[2 * k + 1]) SKV_GO(status, done, add_output(p->copy, w->values[k], &outputs[2 * k + 1]));
        at->value = outputs[2 * k + 1];
    }
done:
    skv_free(p->ctx, outputs);
    return status;
}

static skive_status add_gradients(skv_probe *p) {
    wanted w = {0};
    skive_graph *g = p->copy;
    skive_value *loss = skive_graph_find_value(g, p->setup->loss);
    skive_status status;
    if (!loss)
        return skv_fail_at(p->ctx, SKIVE_ERR_NOT_FOUND, p->setup->loss, "the graph has no loss '%s'", p->setup->loss);
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n + 1, sizeof(skive_value *), &w.values));
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n + 1, sizeof(skive_value *), &w.gradients));
    for (size_t i = 0; i < p->n; i++) {
        skive_value *v;
        if (p->setup->items[i].of == SKV_OF_VALUE) continue;
        SKV_GO(status, done, find(p, i, &v));
        p->entries[i].gradient = want(&w, v);
        if (!skv_value_is_param(v)) continue;
        v->trainable = true; /* so that no pass folds it into others */
        p->entries[i].param = skv_value_tensor(v)->data;
    }
    SKV_GO(status, done, skive_autodiff(g, loss, w.values, w.n, w.gradients));
    while (g->n_outputs) SKV_GO(status, done, skv_graph_remove_output(g, g->n_outputs - 1));
    SKV_GO(status, done, skive_graph_add_output(g, loss));
    SKV_GO(status, done, add_outputs(p, &w));
    status = skive_graph_infer(g);
done:
    skv_free(p->ctx, w.values);
    skv_free(p->ctx, w.gradients);
    return status;
}

skive_status skv_probe_build(skv_probe *p) {
    p->graph = p->setup->graph;
    if (p->setup->loss || p->setup->own_parameters) {
        SKV_TRY(skive_graph_copy(p->ctx, p->setup->graph, &p->copy));
        p->graph = p->copy;
        if (p->setup->own_parameters) SKV_TRY(own_parameters(p->copy));
    }
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *p->entries, &p->entries));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *p->keep, &p->keep));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *p->first, &p->first));
    for (size_t i = 0; i < p->n; i++) {
        skive_value *v;
        p->entries[i].keep = p->entries[i].next = p->entries[i].gradient = p->entries[i].value = SKV_PROBE_NONE;
        SKV_TRY(find(p, i, &v));
        SKV_TRY(check_item(p, i, v));
        if (p->setup->items[i].of == SKV_OF_VALUE) add_tap(p, i, v);
    }
    return p->setup->loss ? add_gradients(p) : SKIVE_OK;
}
