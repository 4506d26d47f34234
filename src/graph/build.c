/* Adding values and nodes. Everything that may fail is done first; then the new piece is linked in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/internal.h"
#include "graph/op.h"

/* ---- uses ---- */

skive_status skv_use_reserve(skive_value *v, uint32_t more) {
    if (v->n_uses + more <= v->uses_capacity) return SKIVE_OK;
    uint32_t capacity = v->uses_capacity ? v->uses_capacity * 2 : 2;
    while (capacity < v->n_uses + more) capacity *= 2;
    SKV_TRY(skv_grow(v->graph->ctx, &v->uses, v->uses_capacity, capacity, sizeof *v->uses));
    v->uses_capacity = capacity;
    return SKIVE_OK;
}

void skv_use_add(skive_value *v, skive_node *n, int index) {
    n->uses_at[index] = v->n_uses;
    v->uses[v->n_uses++] = (skv_use){n, index};
}

void skv_use_remove(skive_value *v, const skive_node *n, int index) {
    const uint32_t at = n->uses_at[index];
    const skv_use last = v->uses[--v->n_uses];
    v->uses[at] = last;
    last.node->uses_at[last.index] = at;
}

/* ---- values ---- */

skive_status skv_graph_unique_name(skive_graph *g, const char *base, const char **out) {
    char name[256];
    if (!base || !base[0]) base = "v";
    if (strlen(base) < sizeof name - 16 && !skv_names_find(g->name_index, base) && base[0] != '\0' &&
        strcmp(base, "v") != 0) {
        return skv_arena_strdup(g->arena, base, out);
    }
    do {
        snprintf(name, sizeof name, "%.*s_%u", skv_utf8_prefix(base, 230), base, g->next_name++);
    } while (skv_names_find(g->name_index, name));
    return skv_arena_strdup(g->arena, name, out);
}

skive_status skv_graph_new_value(skive_graph *g, const char *name, skive_value **out) {
    skive_value *v = NULL;
    *out = NULL;
    if (name && name[0] && skv_names_find(g->name_index, name)) {
        return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, name, "the name '%s' is already used by another value", name);
    }
    SKV_TRY(skv_arena_alloc(g->arena, sizeof *v, &v));
    if (name && name[0]) {
        SKV_TRY(skv_arena_strdup(g->arena, name, &v->name));
    } else {
        SKV_TRY(skv_graph_unique_name(g, "v", &v->name));
    }
    SKV_TRY(skv_reserve(g->ctx, &g->values, g->n_values, &g->values_capacity, sizeof *g->values));
    SKV_TRY(skv_names_reserve(g->ctx, g->name_index));
    v->graph = g;
    v->type.rank = -1;
    v->id = g->n_values;
    g->values[g->n_values++] = v;
    skv_names_insert(g->name_index, v);
    *out = v;
    return SKIVE_OK;
}

static skive_type type_of_tensor(const skive_tensor *t) { return skive_type_make(t->dtype, t->rank, t->dims); }

skive_status skv_graph_new_param(skive_graph *g, const char *name, skv_storage *storage, skive_value **out) {
    SKV_TRY(skv_graph_new_value(g, name, out));
    (*out)->storage = storage;
    (*out)->type = type_of_tensor(&storage->tensor);
    return SKIVE_OK;
}

skive_status skive_graph_add_input(skive_graph *g, const char *name, const skive_type *type, skive_value **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, type", g, type);
    skive_type own = *type;
    skive_value *v = NULL;
    for (int d = 0; d < own.rank; d++) {
        if (own.dims[d].symbol) SKV_TRY(skv_arena_strdup(g->arena, own.dims[d].symbol, &own.dims[d].symbol));
    }
    SKV_TRY(skv_reserve(g->ctx, &g->inputs, g->n_inputs, &g->inputs_capacity, sizeof(skive_value *)));
    SKV_TRY(skv_graph_new_value(g, name, &v));
    v->type = own;
    v->is_input = true;
    g->inputs[g->n_inputs++] = v;
    if (out) *out = v;
    return SKIVE_OK;
}

skive_status skive_graph_add_parameter(skive_graph *g, const char *name, const skive_tensor *tensor,
                                       skive_value **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, tensor", g, tensor);
    skv_storage *storage = NULL;
    skive_value *v = NULL;
    SKV_TRY(skv_storage_from_tensor(g->ctx, tensor, &storage));
    const skive_status status = skv_graph_new_param(g, name, storage, &v);
    if (status != SKIVE_OK) skv_storage_release(storage);
    if (status == SKIVE_OK && out) *out = v;
    return status;
}

skive_status skive_graph_add_output(skive_graph *g, skive_value *v) {
    SKV_NEED(g ? g->ctx : NULL, "graph, value", g, v);
    if (!v || v->graph != g) return SKV_FAIL(g->ctx, SKIVE_ERR_ARGUMENT, "an output must be a value of the same graph");
    SKV_TRY(skv_reserve(g->ctx, &g->outputs, g->n_outputs, &g->outputs_capacity, sizeof(skive_value *)));
    g->outputs[g->n_outputs++] = v;
    v->output_uses++;
    return SKIVE_OK;
}

/* ---- nodes ---- */

static bool node_name_taken(const skive_graph *g, const char *name) { return skive_graph_find_node(g, name) != NULL; }

/* Names that are made up later must not be ones that a file gave, such as Shape_1687. */
static void number_behind(skive_graph *g, const char *name) {
    const char *underscore = strrchr(name, '_');
    const size_t digits = underscore ? strspn(underscore + 1, "0123456789") : 0;
    if (digits < 1 || digits > 8 || underscore[1 + digits] != '\0') return;
    const uint32_t number = (uint32_t)strtoul(underscore + 1, NULL, 10);
    if (number >= g->next_name) g->next_name = number + 1;
}

void skv_node_take_name(skive_node *n, const char *name) {
    number_behind(n->graph, name);
    skv_names_remove(n->graph->node_index, n);
    n->name = name;
    skv_names_insert(n->graph->node_index, n);
}

static skive_status name_node(skive_graph *g, const char *op, const char *name, const char **out) {
    char made[192];
    if (name && name[0]) {
        if (node_name_taken(g, name)) {
            return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, name, "the name '%s' is already used by another node", name);
        }
        number_behind(g, name);
        return skv_arena_strdup(g->arena, name, out);
    }
    do {
        snprintf(made, sizeof made, "%.*s_%u", skv_utf8_prefix(op, 150), op, g->next_name++);
    } while (node_name_taken(g, made));
    return skv_arena_strdup(g->arena, made, out);
}

static skive_status check_values(skive_graph *g, const char *op, skive_value *const *inputs, size_t n_inputs,
                                 skive_value *const *outputs, size_t n_outputs) {
    for (size_t i = 0; i < n_inputs; i++) {
        if (inputs[i] && inputs[i]->graph != g) {
            return SKV_FAIL(g->ctx, SKIVE_ERR_ARGUMENT, "input %zu of a new %s node belongs to another graph", i, op);
        }
    }
    for (size_t i = 0; i < n_outputs; i++) {
        const skive_value *v = outputs[i];
        if (!v) continue;
        if (v->graph != g || v->producer || v->storage || v->is_input || v->outer) {
            return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, v->name, "value '%s' is already defined elsewhere", v->name);
        }
    }
    return SKIVE_OK;
}

/* Room for the uses of all inputs. A value may stand in several places, so each is counted at once, and taken back. */
static skive_status reserve_uses(skive_value *const *inputs, size_t n) {
    skive_status status = SKIVE_OK;
    size_t counted = 0;
    for (; counted < n; counted++) {
        if (!inputs[counted]) continue;
        status = skv_use_reserve(inputs[counted], 1);
        if (status != SKIVE_OK) break;
        inputs[counted]->n_uses++;
    }
    while (counted-- > 0) {
        if (inputs[counted]) inputs[counted]->n_uses--;
    }
    return status;
}

skive_status skv_graph_new_node(skive_graph *g, const char *op, const char *domain, const char *name,
                                skive_value *const *inputs, size_t n_inputs, skive_value *const *outputs,
                                size_t n_outputs, skive_node **out) {
    skive_node *n = NULL;
    if (out) *out = NULL;
    SKV_TRY(check_values(g, op, inputs, n_inputs, outputs, n_outputs));
    SKV_TRY(skv_arena_alloc(g->arena, sizeof *n, &n));
    n->kind = skv_op_find_kind(op, domain);
    n->op = skv_op_of(n->kind);
    SKV_TRY(name_node(g, op, name, &n->name));
    SKV_TRY(skv_arena_strdup(g->arena, op, &n->op_type));
    SKV_TRY(skv_arena_strdup(g->arena, domain ? domain : n->op ? n->op->domain : "", &n->domain));
    SKV_TRY(skv_arena_array(g->arena, n_inputs + 1, sizeof *n->inputs, &n->inputs));
    SKV_TRY(skv_arena_array(g->arena, n_inputs + 1, sizeof *n->uses_at, &n->uses_at));
    SKV_TRY(skv_arena_array(g->arena, n_outputs + 1, sizeof *n->outputs, &n->outputs));
    SKV_TRY(skv_names_reserve(g->ctx, g->node_index));
    SKV_TRY(reserve_uses(inputs, n_inputs));
    SKV_TRY(skv_reserve(g->ctx, &g->nodes, g->n_nodes, &g->nodes_capacity, sizeof *g->nodes));
    n->graph = g;
    n->n_inputs = (uint32_t)n_inputs;
    n->n_outputs = (uint32_t)n_outputs;
    for (size_t i = 0; i < n_inputs; i++) {
        n->inputs[i] = inputs[i];
        if (inputs[i]) skv_use_add(inputs[i], n, (int)i);
    }
    for (size_t i = 0; i < n_outputs; i++) {
        n->outputs[i] = outputs[i];
        if (!outputs[i]) continue;
        outputs[i]->producer = n;
        outputs[i]->producer_index = (int)i;
    }
    n->id = g->n_nodes;
    g->nodes[g->n_nodes++] = n;
    skv_names_insert(g->node_index, n);
    if (out) *out = n;
    return SKIVE_OK;
}

/* Values made for a node that then failed. */
static void drop_values(skive_value **values, size_t n) {
    for (size_t i = n; i-- > 0;) {
        if (values[i]) skv_graph_remove_value(values[i]);
    }
}

skive_status skive_graph_add_node(skive_graph *g, const char *op, const char *name, skive_value *const *inputs,
                                  size_t n_inputs, size_t n_outputs, skive_node **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, op, inputs", g, op, inputs || !n_inputs);
    skive_value **values = NULL;
    skive_status status;
    SKV_TRY(skv_alloc_array(g->ctx, n_outputs + 1, sizeof *values, &values));
    for (size_t i = 0; i < n_outputs; i++) SKV_GO(status, done, skv_graph_new_value(g, NULL, &values[i]));
    status = skv_graph_new_node(g, op, NULL, name, inputs, n_inputs, values, n_outputs, out);
done:
    if (status != SKIVE_OK) drop_values(values, n_outputs);
    skv_free(g->ctx, values);
    return status;
}

/* ---- the builder ---- */

static skive_status infer_fresh(skive_node *n, skive_value **out, size_t n_out) {
    const skive_type **in = NULL;
    const skive_tensor **constant = NULL;
    skive_type *types = NULL;
    skive_context *ctx = n->graph->ctx;
    skive_status status;
    if (!n->op || !n->op->infer) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n->n_inputs + 1, sizeof *in, &in));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n->n_inputs + 1, sizeof *constant, &constant));
    SKV_GO(status, done, skv_alloc_array(ctx, n_out + 1, sizeof *types, &types));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        in[i] = n->inputs[i] ? &n->inputs[i]->type : NULL;
        constant[i] = skv_value_tensor(n->inputs[i]);
    }
    SKV_GO(status, done, skv_op_infer(ctx, n, in, constant, types));
    for (size_t i = 0; i < n_out; i++) {
        if (out[i]) out[i]->type = types[i];
    }
done:
    skv_free(ctx, in);
    skv_free(ctx, constant);
    skv_free(ctx, types);
    return status;
}

static skive_status emit(skv_builder *b, const char *op, skv_in_list in, skv_attr_list attrs, skive_value **out,
                         size_t n_out, skive_node **node) {
    skive_graph *g = b->graph;
    skive_node *n = NULL;
    char base[192];
    for (size_t i = 0; i < n_out; i++) out[i] = NULL;
    for (size_t i = 0; i < n_out; i++) {
        const char *name = NULL;
        snprintf(base, sizeof base, "%.*s%s%.*s", skv_utf8_prefix(b->prefix ? b->prefix : "", 100),
                 b->prefix ? b->prefix : "", b->prefix ? "." : "", skv_utf8_prefix(op, 60), op);
        SKV_TRY(skv_graph_unique_name(g, base, &name));
        SKV_TRY(skv_graph_new_value(g, name, &out[i]));
    }
    const char *name = b->prefix && !skive_graph_find_node(g, b->prefix) ? b->prefix : NULL;
    SKV_TRY(skv_graph_new_node(g, op, NULL, name, in.values, in.n, out, n_out, &n));
    for (size_t i = 0; i < attrs.n; i++) SKV_TRY(skv_node_set_attr(n, &attrs.attrs[i]));
    *node = n;
    return infer_fresh(n, out, n_out);
}

skive_node *skv_emit_n(skv_builder *b, const char *op, skv_in_list in, skv_attr_list attrs, skive_value **out,
                       size_t n_out) {
    skive_node *n = NULL;
    for (size_t i = 0; i < n_out; i++) out[i] = NULL;
    if (b->status != SKIVE_OK) return NULL;
    b->status = emit(b, op, in, attrs, out, n_out, &n);
    if (b->status == SKIVE_OK) return n;
    if (n) {
        skv_graph_remove_node(n);
    } else {
        drop_values(out, n_out);
    }
    for (size_t i = 0; i < n_out; i++) out[i] = NULL;
    return NULL;
}

skive_value *skv_emit(skv_builder *b, const char *op, skv_in_list in, skv_attr_list attrs) {
    skive_value *out = NULL;
    return skv_emit_n(b, op, in, attrs, &out, 1) ? out : NULL;
}

skive_value *skv_emit_param(skv_builder *b, const char *name, skv_storage *take) {
    skive_value *v = NULL;
    if (b->status == SKIVE_OK) b->status = skv_graph_new_param(b->graph, name, take, &v);
    if (b->status != SKIVE_OK) {
        skv_storage_release(take);
        return NULL;
    }
    return v;
}

skive_value *skv_emit_scalar(skv_builder *b, skive_dtype dtype, double value) {
    skv_storage *s = NULL;
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, dtype, 0, NULL, &s);
    if (b->status != SKIVE_OK) return NULL;
    skive_tensor_set(&s->tensor, 0, value);
    return skv_emit_param(b, NULL, s);
}

skive_value *skv_emit_ints(skv_builder *b, const int64_t *values, size_t n) {
    skv_storage *s = NULL;
    const int64_t dims = (int64_t)n;
    if (b->status != SKIVE_OK) return NULL;
    b->status = skv_storage_create(b->graph->ctx, SKIVE_I64, 1, &dims, &s);
    if (b->status != SKIVE_OK) return NULL;
    if (n) memcpy(s->tensor.data, values, n * sizeof *values);
    return skv_emit_param(b, NULL, s);
}
