/* Local functions: a call becomes the function's nodes, before the graph is built.
 *
 * Names of a function's body are local: its inputs and outputs become those of the call, all others are prefixed with
 * the call's name, in subgraphs too. An attribute that refers to one of the call takes its value, or is omitted if the
 * call has none. Everything created here lives in the source's arena. */
#include <string.h>

#include "onnx/onnx_import.h"

#define MAX_CALL_DEPTH 32

typedef struct expander {
    skv_onnx_source *source;
    const Onnx__ModelProto *model;
    size_t nodes, calls;
} expander;

typedef struct env { /* the names of one call */
    const Onnx__FunctionProto *function;
    const Onnx__NodeProto *call;
    const char *prefix;
} env;

static skive_status expand_graph(expander *x, Onnx__GraphProto *g, int depth);
static skive_status copy_graph(expander *x, const env *e, const Onnx__GraphProto *from, Onnx__GraphProto **out);

static void *duplicate(expander *x, const void *from, size_t size) {
    void *copy;
    if (skv_arena_alloc(x->source->arena, size ? size : 1, &copy) != SKIVE_OK) return NULL;
    if (size) memcpy(copy, from, size);
    return copy;
}
#define DUPLICATE(x, to, from, size)           \
    do {                                       \
        (to) = duplicate((x), (from), (size)); \
        if (!(to)) return SKIVE_ERR_MEMORY;    \
    } while (0)

static const Onnx__FunctionProto *find_function(const expander *x, const Onnx__NodeProto *n) {
    for (size_t i = 0; i < x->model->n_functions; i++) {
        const Onnx__FunctionProto *f = x->model->functions[i];
        bool same_domain = skv_onnx_standard(f->domain) ? skv_onnx_standard(n->domain)
                                                        : n->domain && strcmp(f->domain, n->domain) == 0;
        if (same_domain && strcmp(skv_onnx_text(f->name), skv_onnx_text(n->op_type)) == 0) return f;
    }
    return NULL;
}

/* ---- copying with the names of a call ---- */

static skive_status rename_value(expander *x, const env *e, char **name) {
    const char *own = skv_onnx_text(*name), *with = NULL;
    if (!*own) return SKIVE_OK;
    for (size_t i = 0; i < e->function->n_output && !with; i++) {
        if (strcmp(e->function->output[i], own) == 0 && i < e->call->n_output && *e->call->output[i])
            with = e->call->output[i];
    }
    for (size_t i = 0; i < e->function->n_input; i++) {
        if (strcmp(e->function->input[i], own) == 0) with = i < e->call->n_input ? e->call->input[i] : "";
    }
    if (with) {
        DUPLICATE(x, *name, with, strlen(with) + 1);
        return SKIVE_OK;
    }
    size_t prefix = strlen(e->prefix), length = strlen(own);
    char *joined;
    SKV_TRY(skv_arena_alloc(x->source->arena, prefix + length + 2, &joined));
    memcpy(joined, e->prefix, prefix);
    joined[prefix] = '/';
    memcpy(joined + prefix + 1, own, length + 1);
    *name = joined;
    return SKIVE_OK;
}

static skive_status rename_list(expander *x, const env *e, char ***names, size_t n) {
    DUPLICATE(x, *names, *names, n * sizeof **names);
    for (size_t i = 0; i < n; i++) SKV_TRY(rename_value(x, e, &(*names)[i]));
    return SKIVE_OK;
}

/* *out is NULL if the attribute refers to one that the call does not have. */
static skive_status copy_attribute(expander *x, const env *e, const Onnx__AttributeProto *from,
                                   Onnx__AttributeProto **out) {
    *out = NULL;
    if (from->ref_attr_name && *from->ref_attr_name) {
        for (size_t i = 0; i < e->call->n_attribute; i++) {
            if (strcmp(skv_onnx_text(e->call->attribute[i]->name), from->ref_attr_name) != 0) continue;
            DUPLICATE(x, *out, e->call->attribute[i], sizeof **out);
            (*out)->name = from->name;
        }
        return SKIVE_OK;
    }
    DUPLICATE(x, *out, from, sizeof **out);
    return from->g ? copy_graph(x, e, from->g, &(*out)->g) : SKIVE_OK;
}

static skive_status copy_node(expander *x, const env *e, const Onnx__NodeProto *from, Onnx__NodeProto **out) {
    Onnx__NodeProto *n;
    if (++x->nodes > x->source->options.max_nodes ||
        skv_arena_bytes(x->source->arena) > x->source->options.max_memory) {
        return skv_fail_at(x->source->ctx, SKIVE_ERR_LIMIT, skv_onnx_text(e->function->name),
                           "expanding function %s exceeds the limit of nodes or memory (options max_nodes, max_memory)",
                           skv_onnx_text(e->function->name));
    }
    DUPLICATE(x, n, from, sizeof *n);
    SKV_TRY(rename_list(x, e, &n->input, n->n_input));
    SKV_TRY(rename_list(x, e, &n->output, n->n_output));
    SKV_TRY(rename_value(x, e, &n->name));
    SKV_TRY(skv_arena_array(x->source->arena, n->n_attribute, sizeof *n->attribute, &n->attribute));
    n->n_attribute = 0;
    for (size_t i = 0; i < from->n_attribute; i++) {
        Onnx__AttributeProto *a;
        SKV_TRY(copy_attribute(x, e, from->attribute[i], &a));
        if (a) n->attribute[n->n_attribute++] = a;
    }
    *out = n;
    return SKIVE_OK;
}

static skive_status copy_infos(expander *x, const env *e, Onnx__ValueInfoProto ***list, size_t n) {
    DUPLICATE(x, *list, *list, n * sizeof **list);
    for (size_t i = 0; i < n; i++) {
        DUPLICATE(x, (*list)[i], (*list)[i], sizeof ***list);
        SKV_TRY(rename_value(x, e, &(*list)[i]->name));
    }
    return SKIVE_OK;
}

static skive_status copy_graph(expander *x, const env *e, const Onnx__GraphProto *from, Onnx__GraphProto **out) {
    Onnx__GraphProto *g;
    DUPLICATE(x, g, from, sizeof *g);
    DUPLICATE(x, g->node, from->node, g->n_node * sizeof *g->node);
    for (size_t i = 0; i < g->n_node; i++) SKV_TRY(copy_node(x, e, from->node[i], &g->node[i]));
    DUPLICATE(x, g->initializer, from->initializer, g->n_initializer * sizeof *g->initializer);
    for (size_t i = 0; i < g->n_initializer; i++) {
        DUPLICATE(x, g->initializer[i], from->initializer[i], sizeof **g->initializer);
        SKV_TRY(rename_value(x, e, &g->initializer[i]->name));
    }
    DUPLICATE(x, g->sparse_initializer, from->sparse_initializer,
              g->n_sparse_initializer * sizeof *g->sparse_initializer);
    for (size_t i = 0; i < g->n_sparse_initializer; i++) {
        DUPLICATE(x, g->sparse_initializer[i], from->sparse_initializer[i], sizeof **g->sparse_initializer);
        if (!g->sparse_initializer[i]->values) continue;
        DUPLICATE(x, g->sparse_initializer[i]->values, g->sparse_initializer[i]->values, sizeof(Onnx__TensorProto));
        SKV_TRY(rename_value(x, e, &g->sparse_initializer[i]->values->name));
    }
    SKV_TRY(copy_infos(x, e, &g->input, g->n_input));
    SKV_TRY(copy_infos(x, e, &g->output, g->n_output));
    SKV_TRY(copy_infos(x, e, &g->value_info, g->n_value_info));
    *out = g;
    return SKIVE_OK;
}

/* ---- expanding ---- */

typedef struct node_list {
    Onnx__NodeProto **items;
    size_t n, capacity;
} node_list;

static skive_status append(expander *x, node_list *list, Onnx__NodeProto *node) {
    if (list->n == list->capacity) {
        size_t larger = list->capacity ? list->capacity * 2 : 64;
        Onnx__NodeProto **items;
        SKV_TRY(skv_arena_array(x->source->arena, larger, sizeof *items, &items));
        if (list->n) memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = larger;
    }
    list->items[list->n++] = node;
    return SKIVE_OK;
}

static skive_status expand_node(expander *x, Onnx__NodeProto *node, int depth, node_list *list);

/* An output that is an input needs an Identity between the call's two names. */
static skive_status pass_through(expander *x, const env *e, node_list *list) {
    static char identity[] = "Identity";
    for (size_t o = 0; o < e->function->n_output && o < e->call->n_output; o++) {
        for (size_t i = 0; i < e->function->n_input && i < e->call->n_input; i++) {
            if (strcmp(e->function->output[o], e->function->input[i]) != 0 || !*e->call->output[o]) continue;
            Onnx__NodeProto *node;
            SKV_TRY(skv_arena_alloc(x->source->arena, sizeof *node, &node));
            onnx__node_proto__init(node);
            node->op_type = identity;
            node->n_input = node->n_output = 1;
            node->input = &e->call->input[i];
            node->output = &e->call->output[o];
            SKV_TRY(append(x, list, node));
        }
    }
    return SKIVE_OK;
}

static skive_status expand_call(expander *x, const Onnx__FunctionProto *f, Onnx__NodeProto *call, int depth,
                                node_list *list) {
    skive_context *ctx = x->source->ctx;
    char *prefix;
    const char *base = call->name && *call->name ? call->name : skv_onnx_text(f->name);
    if (depth >= MAX_CALL_DEPTH) {
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, skv_onnx_text(f->name),
                           "function %s: calls itself, or calls are nested deeper than %d", skv_onnx_text(f->name),
                           MAX_CALL_DEPTH);
    }
    SKV_TRY(skv_asprintf(ctx, &prefix, "%s.%zu", base, x->calls++));
    env e = {f, call, NULL};
    skive_status status = skv_arena_strdup(x->source->arena, prefix, &e.prefix);
    skv_free(ctx, prefix);
    SKV_TRY(status);
    SKV_TRY(pass_through(x, &e, list));
    for (size_t i = 0; i < f->n_node; i++) {
        Onnx__NodeProto *node;
        SKV_TRY(copy_node(x, &e, f->node[i], &node));
        SKV_TRY(expand_node(x, node, depth + 1, list));
    }
    return SKIVE_OK;
}

static skive_status expand_node(expander *x, Onnx__NodeProto *node, int depth, node_list *list) {
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (node->attribute[i]->g) SKV_TRY(expand_graph(x, node->attribute[i]->g, depth));
    }
    const Onnx__FunctionProto *f = find_function(x, node);
    return f ? expand_call(x, f, node, depth, list) : append(x, list, node);
}

static skive_status expand_graph(expander *x, Onnx__GraphProto *g, int depth) {
    node_list list = {NULL, 0, 0};
    for (size_t i = 0; i < g->n_node; i++) SKV_TRY(expand_node(x, g->node[i], depth, &list));
    g->node = list.items;
    g->n_node = list.n;
    return SKIVE_OK;
}

/* A body for another version of the operators would be misinterpreted. */
static skive_status check_versions(expander *x, const Onnx__FunctionProto *f) {
    for (size_t i = 0; i < f->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *own = f->opset_import[i];
        if (!skv_onnx_standard(own->domain)) continue;
        for (size_t k = 0; k < x->model->n_opset_import; k++) {
            const Onnx__OperatorSetIdProto *other = x->model->opset_import[k];
            if (!skv_onnx_standard(other->domain) || other->version == own->version) continue;
            return skv_fail_at(x->source->ctx, SKIVE_ERR_UNSUPPORTED, skv_onnx_text(f->name),
                               "function %s uses operator set version %lld, but the model uses %lld",
                               skv_onnx_text(f->name), (long long)own->version, (long long)other->version);
        }
    }
    return SKIVE_OK;
}

skive_status skv_onnx_expand_functions(skv_onnx_source *source, Onnx__ModelProto *model) {
    expander x = {.source = source, .model = model};
    for (size_t i = 0; i < model->n_functions; i++) {
        const Onnx__FunctionProto *f = model->functions[i];
        for (size_t k = 0; k < f->n_input; k++) {
            if (*f->input[k]) continue;
            return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, skv_onnx_text(f->name),
                               "function %s: an input has no name", skv_onnx_text(f->name));
        }
        SKV_TRY(check_versions(&x, f));
    }
    return model->n_functions ? expand_graph(&x, model->graph, 0) : SKIVE_OK;
}
