/* Attributes of nodes. */
#include <string.h>

#include "graph/internal.h"

const skv_attr *skv_node_attr(const skive_node *n, const char *name) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, name) == 0) return &n->attrs[i];
    }
    return NULL;
}

int64_t skv_attr_int(const skive_node *n, const char *name, int64_t fallback) {
    const skv_attr *a = skv_node_attr(n, name);
    return a && a->type == SKV_ATTR_INT ? a->i : fallback;
}

double skv_attr_float(const skive_node *n, const char *name, double fallback) {
    const skv_attr *a = skv_node_attr(n, name);
    return a && a->type == SKV_ATTR_FLOAT ? a->f : fallback;
}

const char *skv_attr_string(const skive_node *n, const char *name, const char *fallback) {
    const skv_attr *a = skv_node_attr(n, name);
    return a && a->type == SKV_ATTR_STRING ? a->s : fallback;
}

const int64_t *skv_attr_ints(const skive_node *n, const char *name, size_t *count) {
    const skv_attr *a = skv_node_attr(n, name);
    const bool found = a && a->type == SKV_ATTR_INTS;
    *count = found ? a->n : 0;
    return found ? a->ints : NULL;
}

void skv_attr_release(skv_attr *a) {
    skv_storage_release(a->tensor);
    skive_graph_free(a->graph);
    a->tensor = NULL;
    a->graph = NULL;
}

/* Room for one more; the old array stays in the arena. */
static skive_status slot_for(skive_node *n, const char *name, skv_attr **out) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, name) != 0) continue;
        *out = &n->attrs[i];
        return SKIVE_OK;
    }
    skv_attr *bigger = NULL;
    SKV_TRY(skv_arena_array(n->graph->arena, (size_t)n->n_attrs + 1, sizeof *bigger, &bigger));
    if (n->n_attrs) memcpy(bigger, n->attrs, n->n_attrs * sizeof *bigger);
    n->attrs = bigger;
    *out = &bigger[n->n_attrs];
    return SKIVE_OK;
}

static skive_status put(skive_node *n, const skv_attr *value) {
    skv_attr *slot = NULL;
    skv_attr fresh = *value;
    SKV_TRY(skv_arena_strdup(n->graph->arena, value->name, &fresh.name));
    SKV_TRY(slot_for(n, value->name, &slot));
    if (slot == &n->attrs[n->n_attrs]) {
        n->n_attrs++;
    } else {
        skv_attr_release(slot);
    }
    *slot = fresh;
    return SKIVE_OK;
}

static skive_status copy_bytes(skv_arena *arena, const void *from, size_t n, size_t size, void *out_pointer) {
    void *copy = NULL;
    SKV_TRY(skv_arena_array(arena, n + 1, size, &copy));
    if (n) memcpy(copy, from, n * size);
    memcpy(out_pointer, &copy, sizeof copy);
    return SKIVE_OK;
}

static skive_status copy_strings(skv_arena *arena, const char *const *from, size_t n, const char *const **to) {
    const char **strings = NULL;
    SKV_TRY(skv_arena_array(arena, n + 1, sizeof *strings, &strings));
    for (size_t i = 0; i < n; i++) SKV_TRY(skv_arena_strdup(arena, from[i], &strings[i]));
    *to = strings;
    return SKIVE_OK;
}

/* Rounded to float32, as a file has it: a model that is read back gives the same bits. */
static skive_status copy_floats(skv_arena *arena, const double *from, size_t n, const double **to) {
    double *floats = NULL;
    SKV_TRY(skv_arena_array(arena, n + 1, sizeof *floats, &floats));
    for (size_t i = 0; i < n; i++) floats[i] = (double)(float)from[i];
    *to = floats;
    return SKIVE_OK;
}

static skive_status set_listed_tensor(skive_node *n, const skv_attr_init *x) {
    const int64_t count = (int64_t)x->n;
    skv_storage *s = NULL;
    SKV_TRY(skv_storage_create(n->graph->ctx, (skive_dtype)x->i, 1, &count, &s));
    for (int64_t k = 0; k < count; k++) skive_tensor_set(&s->tensor, k, x->floats[k]);
    const skive_status status = skv_node_set_tensor_attr(n, x->name, s);
    skv_storage_release(s);
    return status;
}

skive_status skv_node_set_attr(skive_node *n, const skv_attr_init *x) {
    skv_arena *arena = n->graph->arena;
    if (x->type == SKV_ATTR_TENSOR) return set_listed_tensor(n, x);
    skv_attr a = {.name = x->name, .type = x->type, .i = x->i, .f = (double)(float)x->f, .n = x->n};
    if (x->type == SKV_ATTR_STRING) {
        a.n = x->n ? x->n : strlen(x->s);
        SKV_TRY(skv_arena_strndup(arena, x->s, a.n, &a.s));
    } else if (x->type == SKV_ATTR_INTS) {
        SKV_TRY(copy_bytes(arena, x->ints, x->n, sizeof *x->ints, &a.ints));
    } else if (x->type == SKV_ATTR_FLOATS) {
        SKV_TRY(copy_floats(arena, x->floats, x->n, &a.floats));
    } else if (x->type == SKV_ATTR_STRINGS) {
        SKV_TRY(copy_strings(arena, x->strings, x->n, &a.strings));
    }
    return put(n, &a);
}

skive_status skv_node_set_tensor_attr(skive_node *n, const char *name, skv_storage *storage) {
    const skv_attr a = {.name = name, .type = SKV_ATTR_TENSOR, .tensor = storage};
    SKV_TRY(put(n, &a));
    skv_storage_retain(storage);
    return SKIVE_OK;
}

skive_status skv_node_set_graph_attr(skive_node *n, const char *name, skive_graph *sub) {
    const skv_attr a = {.name = name, .type = SKV_ATTR_GRAPH, .graph = sub};
    SKV_TRY(put(n, &a));
    sub->parent = n->graph;
    n->graph->nests = true;
    return SKIVE_OK;
}

void skv_node_remove_attr(skive_node *n, const char *name) {
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, name) != 0) continue;
        skv_attr_release(&n->attrs[i]);
        n->attrs[i] = n->attrs[--n->n_attrs];
        return;
    }
}

skive_status skive_node_set_int(skive_node *n, const char *name, int64_t value) {
    SKV_NEED(n ? n->graph->ctx : NULL, "node, attribute", n, name);
    return skv_node_set_attr(n, &SKV_INT(name, value));
}

skive_status skive_node_set_float(skive_node *n, const char *name, double value) {
    SKV_NEED(n ? n->graph->ctx : NULL, "node, attribute", n, name);
    return skv_node_set_attr(n, &SKV_FLT(name, value));
}

skive_status skive_node_set_string(skive_node *n, const char *name, const char *value) {
    SKV_NEED(n ? n->graph->ctx : NULL, "node, attribute, value", n, name, value);
    return skv_node_set_attr(n, &SKV_STR(name, value));
}

skive_status skive_node_set_ints(skive_node *n, const char *name, const int64_t *values, size_t count) {
    SKV_NEED(n ? n->graph->ctx : NULL, "node, attribute, values", n, name, values || !count);
    return skv_node_set_attr(n, &SKV_INTS(name, values, count));
}

skive_status skv_attr_copy(skive_graph *g, const skv_attr *from, skive_value *const *map, skv_attr *to) {
    skv_attr a = *from;
    a.tensor = NULL;
    a.graph = NULL;
    SKV_TRY(skv_arena_strdup(g->arena, from->name, &a.name));
    if (from->s) SKV_TRY(skv_arena_strndup(g->arena, from->s, from->n, &a.s));
    if (from->ints) SKV_TRY(copy_bytes(g->arena, from->ints, from->n, sizeof *from->ints, &a.ints));
    if (from->floats) SKV_TRY(copy_bytes(g->arena, from->floats, from->n, sizeof *from->floats, &a.floats));
    if (from->strings) SKV_TRY(copy_strings(g->arena, from->strings, from->n, &a.strings));
    if (from->graph) SKV_TRY(skv_graph_copy_under(g->ctx, from->graph, g, map, &a.graph));
    a.tensor = skv_storage_retain(from->tensor);
    *to = a;
    return SKIVE_OK;
}
