/* Decodes the compact encoding to a graph. The bytes are not trusted: every number is checked against its valid range,
 * and the finished graph against the rules of graphs. */
#include <stdio.h>
#include <string.h>

#include "graph/op.h"
#include "pack/file.h"
#include "pack/pack.h"
#include "tensor/tensor.h"

enum { NODE_MAX = 1 << 16 }; /* inputs, outputs, attributes */

typedef struct frame {
    const struct frame *outer;
    skive_graph *g;
    skive_value **values; /* by number */
    size_t n, capacity;
    size_t first_param, n_params, next_param;
} frame;

typedef struct graph_reader {
    skive_context *ctx;
    skv_reader *in, *names;
    const skive_pack_load_options *limits;
    const skv_param_source *params;
    size_t n_nodes; /* so far */
    int depth;
} graph_reader;

static skive_status read_graph(graph_reader *r, const frame *outer, skive_graph **out);

#define BROKEN(r, ...) SKV_FAIL((r)->ctx, SKIVE_ERR_FORMAT, __VA_ARGS__)

/* A count of items of at least `each` bytes, which must fit into the remaining bytes. */
static skive_status read_count(graph_reader *r, const char *what, size_t each, size_t *out) {
    const uint64_t n = skv_read_varint(r->in);
    *out = 0;
    if (r->in->failed || (each && n > skv_read_left(r->in) / each) || n > SIZE_MAX / 64)
        return BROKEN(r, "the graph claims %llu %s, more than its bytes can contain", (unsigned long long)n, what);
    *out = (size_t)n;
    return SKIVE_OK;
}

static skive_status read_text(graph_reader *r, skv_reader *in, const char **out, size_t *length) {
    const uint64_t n = skv_read_varint(in);
    *out = NULL;
    *length = 0;
    const uint8_t *bytes = in->failed || n > skv_read_left(in) ? NULL : skv_read_bytes(in, (size_t)n);
    if (!bytes) return BROKEN(r, "a string of the graph is truncated");
    *out = (const char *)bytes;
    *length = (size_t)n;
    return SKIVE_OK;
}

static skive_status read_text_to(graph_reader *r, skv_arena *arena, const char **out) {
    const char *text = NULL;
    size_t n = 0;
    SKV_TRY(read_text(r, r->in, &text, &n));
    if (memchr(text, 0, n)) return BROKEN(r, "a name of the graph contains a zero byte");
    return skv_arena_strndup(arena, text, n, out);
}

static skive_status add_value(graph_reader *r, frame *f, skive_value *v) {
    if (f->n == f->capacity) {
        const size_t larger = f->capacity ? f->capacity * 2 : 64;
        SKV_TRY(skv_grow(r->ctx, &f->values, f->capacity, larger, sizeof(skive_value *)));
        f->capacity = larger;
    }
    f->values[f->n++] = v;
    return SKIVE_OK;
}

/* ---- types ---- */

static skive_status read_type(graph_reader *r, skv_arena *arena, skive_type *t) {
    const unsigned dtype = skv_read_u8(r->in), rank = skv_read_u8(r->in);
    *t = (skive_type){.dtype = (skive_dtype)dtype, .rank = (int)rank - 1};
    if (r->in->failed || rank > SKIVE_MAX_RANK + 1 || (dtype && !skv_dtype_valid(t->dtype)))
        return BROKEN(r, "a value of the graph has element type %u and %d dimensions", dtype, (int)rank - 1);
    for (int d = 0; d < t->rank; d++) {
        const uint64_t size = skv_read_varint(r->in);
        t->dims[d] = (skive_dim){-1, NULL};
        if (size == 1) SKV_TRY(read_text_to(r, arena, &t->dims[d].symbol));
        if (size > 1 + (uint64_t)INT64_MAX) return BROKEN(r, "a dimension is too large");
        if (size > 1) t->dims[d].size = (int64_t)(size - 2);
    }
    return r->in->failed ? BROKEN(r, "a type is truncated") : SKIVE_OK;
}

static skive_status read_types(graph_reader *r, const frame *f) {
    size_t n;
    SKV_TRY(read_count(r, "types", 3, &n));
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = skv_read_varint(r->in);
        skive_type t;
        SKV_TRY(read_type(r, f->g->arena, &t));
        if (at >= f->n || f->values[at]->storage || f->values[at]->is_input)
            return BROKEN(r, "a type is given for value %llu, which may not have one", (unsigned long long)at);
        f->values[at]->type = t;
    }
    return SKIVE_OK;
}

/* ---- values ---- */

static skive_status read_inputs(graph_reader *r, frame *f) {
    size_t n;
    SKV_TRY(read_count(r, "inputs", 2, &n));
    for (size_t i = 0; i < n; i++) {
        char name[32];
        skive_type t;
        skive_value *v = NULL;
        SKV_TRY(read_type(r, f->g->arena, &t));
        if (n == 1)
            snprintf(name, sizeof name, "input");
        else
            snprintf(name, sizeof name, "input_%zu", i + 1);
        SKV_TRY(skive_graph_add_input(f->g, name, &t, &v));
        SKV_TRY(add_value(r, f, v));
    }
    return SKIVE_OK;
}

static skive_status read_captured(graph_reader *r, frame *f) {
    size_t n;
    SKV_TRY(read_count(r, "captured values", 1, &n));
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = skv_read_varint(r->in);
        skive_value *v = NULL;
        if (!f->outer || at >= f->outer->n)
            return BROKEN(r, "a subgraph captures value %llu, which does not exist", (unsigned long long)at);
        SKV_TRY(skv_graph_new_value(f->g, NULL, &v));
        v->outer = f->outer->values[at];
        v->type = v->outer->type;
        SKV_TRY(add_value(r, f, v));
    }
    return SKIVE_OK;
}

static skive_status read_params(graph_reader *r, frame *f) {
    SKV_TRY(read_count(r, "parameters", 0, &f->n_params));
    f->first_param = f->next_param = f->n;
    for (size_t i = 0; i < f->n_params; i++) {
        char name[32];
        skive_value *v = NULL;
        snprintf(name, sizeof name, "parameter_%zu", i + 1);
        SKV_TRY(r->params->next(r->params->user, f->g, name, &v));
        SKV_TRY(add_value(r, f, v));
    }
    return SKIVE_OK;
}

static skive_status read_reference(graph_reader *r, frame *f, skive_value **out) {
    const uint64_t code = skv_read_varint(r->in);
    *out = NULL;
    if (code == 0) return SKIVE_OK;
    if (code == 1 && f->next_param < f->first_param + f->n_params) {
        *out = f->values[f->next_param++];
        return SKIVE_OK;
    }
    if (code == 1 || code - 2 >= f->n) return BROKEN(r, "a node refers to a value that does not exist");
    *out = f->values[f->n - 1 - (size_t)(code - 2)];
    return SKIVE_OK;
}

/* ---- nodes ---- */

static double read_f64(skv_reader *in) {
    const uint64_t bits = __builtin_bswap64(skv_read_varint(in));
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static skive_status set_tensor(graph_reader *r, skive_node *n, const char *name) {
    skv_record record;
    skv_storage *storage = NULL;
    SKV_TRY(skv_record_read(r->ctx, r->in, r->limits->max_tensor_bytes, &record));
    if (record.is_alias) return BROKEN(r, "an attribute refers to a parameter");
    skive_status status = skv_record_to_storage(r->ctx, &record, false, &storage);
    if (status == SKIVE_OK) status = skv_node_set_tensor_attr(n, name, storage);
    skv_storage_release(storage);
    skv_coded_free(r->ctx, &record.coded);
    return status;
}

static skive_status set_graph(graph_reader *r, const frame *f, skive_node *n, const char *name) {
    skive_graph *sub = NULL;
    SKV_TRY(read_graph(r, f, &sub));
    const skive_status status = skv_node_set_graph_attr(n, name, sub);
    if (status != SKIVE_OK) skive_graph_free(sub);
    return status;
}

static skive_status set_list(graph_reader *r, skv_arena *arena, skive_node *n, const char *name, skv_attr_type type) {
    skv_attr_init init = {.name = name, .type = type};
    SKV_TRY(read_count(r, "elements of an attribute", 1, &init.n));
    int64_t *ints = NULL;
    double *floats = NULL;
    const char **strings = NULL;
    SKV_TRY(skv_arena_array(arena, init.n + 1, sizeof *ints, &ints));
    SKV_TRY(skv_arena_array(arena, init.n + 1, sizeof *floats, &floats));
    SKV_TRY(skv_arena_array(arena, init.n + 1, sizeof *strings, &strings));
    for (size_t i = 0; i < init.n; i++) {
        if (type == SKV_ATTR_INTS) ints[i] = skv_read_signed(r->in);
        if (type == SKV_ATTR_FLOATS) floats[i] = read_f64(r->in);
        if (type == SKV_ATTR_STRINGS) SKV_TRY(read_text_to(r, arena, &strings[i]));
    }
    init.ints = ints;
    init.floats = floats;
    init.strings = strings;
    return skv_node_set_attr(n, &init);
}

static skive_status set_string(graph_reader *r, skive_node *n, const char *name) {
    skv_attr_init init = {.name = name, .type = SKV_ATTR_STRING};
    SKV_TRY(read_text(r, r->in, &init.s, &init.n));
    if (init.n == 0) init.s = ""; /* a length of 0 would mean: up to the NUL, which the file does not have */
    return skv_node_set_attr(n, &init);
}

static skive_status read_attr(graph_reader *r, const frame *f, skive_node *n) {
    const uint64_t head = skv_read_varint(r->in);
    const skv_attr_type type = (skv_attr_type)((head & 7u) + SKV_ATTR_INT);
    const char *name = head / 8 <= UINT16_MAX ? skv_attr_of_code((unsigned)(head / 8)) : NULL;
    skv_arena *arena = f->g->arena;
    if (head / 8 == 0) SKV_TRY(read_text_to(r, arena, &name));
    if (!name)
        return SKV_FAIL(r->ctx, SKIVE_ERR_UNSUPPORTED, "an attribute has a kind of a newer version of the format");
    if (!*name || skv_node_attr(n, name)) return BROKEN(r, "attribute '%s' occurs twice or has no name", name);
    switch (type) {
    case SKV_ATTR_INT: return skv_node_set_attr(n, &SKV_INT(name, skv_read_signed(r->in)));
    case SKV_ATTR_FLOAT: return skv_node_set_attr(n, &SKV_FLT(name, read_f64(r->in)));
    case SKV_ATTR_STRING: return set_string(r, n, name);
    case SKV_ATTR_TENSOR: return set_tensor(r, n, name);
    case SKV_ATTR_GRAPH: return set_graph(r, f, n, name);
    case SKV_ATTR_INTS:
    case SKV_ATTR_FLOATS:
    case SKV_ATTR_STRINGS: break;
    }
    return set_list(r, arena, n, name, type);
}

typedef struct node_head {
    const char *op, *domain;
    size_t n_in, n_attrs, n_out;
    bool spelled; /* a flag for each output tells whether it is present */
} node_head;

static skive_status read_head(graph_reader *r, const frame *f, node_head *h) {
    const uint64_t code = skv_read_varint(r->in);
    *h = (node_head){.op = code <= UINT16_MAX ? skv_op_of_code((unsigned)code) : NULL, .domain = ""};
    if (code == 0) {
        SKV_TRY(read_text_to(r, f->g->arena, &h->domain));
        SKV_TRY(read_text_to(r, f->g->arena, &h->op));
    }
    if (!h->op) return SKV_FAIL(r->ctx, SKIVE_ERR_UNSUPPORTED, "an operator is from a newer version of the format");
    const unsigned counts = skv_read_u8(r->in);
    h->n_in = counts & 7u;
    h->n_attrs = counts >> 3 & 7u;
    h->n_out = counts >> 6;
    if (h->n_in == 7) {
        h->spelled = true;
        SKV_TRY(read_count(r, "inputs of a node", 1, &h->n_in));
        SKV_TRY(read_count(r, "attributes of a node", 1, &h->n_attrs));
        SKV_TRY(read_count(r, "outputs of a node", 1, &h->n_out));
    }
    if (!*h->op || h->n_in > NODE_MAX || h->n_attrs > NODE_MAX || h->n_out > NODE_MAX)
        return BROKEN(r, "a node has no operator or more than %d inputs, outputs or attributes", NODE_MAX);
    return SKIVE_OK;
}

static skive_status read_node(graph_reader *r, frame *f) {
    node_head h;
    skive_value **values = NULL;
    skive_node *n = NULL;
    if (++r->n_nodes > r->limits->max_nodes)
        return SKV_FAIL(r->ctx, SKIVE_ERR_LIMIT, "more than %zu nodes (option max_nodes)", r->limits->max_nodes);
    if (skv_arena_bytes(f->g->arena) > r->limits->max_memory)
        return SKV_FAIL(r->ctx, SKIVE_ERR_LIMIT, "the graph needs more than %zu bytes (option max_memory)",
                        r->limits->max_memory);
    SKV_TRY(read_head(r, f, &h));
    SKV_TRY(skv_arena_array(f->g->arena, h.n_in + h.n_out + 1, sizeof *values, &values));
    bool *present = NULL;
    SKV_TRY(skv_arena_array(f->g->arena, h.n_out + 1, sizeof *present, &present));
    for (size_t i = 0; i < h.n_out; i++) present[i] = !h.spelled || skv_read_u8(r->in) != 0;
    for (size_t i = 0; i < h.n_in; i++) SKV_TRY(read_reference(r, f, &values[i]));
    for (size_t i = 0; i < h.n_out; i++) {
        if (present[i]) SKV_TRY(skv_graph_new_value(f->g, NULL, &values[h.n_in + i]));
    }
    SKV_TRY(skv_graph_new_node(f->g, h.op, h.domain, NULL, values, h.n_in, values + h.n_in, h.n_out, &n));
    for (size_t i = 0; i < h.n_attrs; i++) SKV_TRY(read_attr(r, f, n));
    for (size_t i = 0; i < h.n_out; i++) {
        if (present[i]) SKV_TRY(add_value(r, f, values[h.n_in + i]));
    }
    return SKIVE_OK;
}

static skive_status read_outputs(graph_reader *r, frame *f) {
    size_t n;
    SKV_TRY(read_count(r, "outputs", 1, &n));
    for (size_t i = 0; i < n; i++) {
        const uint64_t back = skv_read_varint(r->in);
        if (back >= f->n) return BROKEN(r, "an output of the graph does not exist");
        SKV_TRY(skive_graph_add_output(f->g, f->values[f->n - 1 - (size_t)back]));
    }
    return SKIVE_OK;
}

/* ---- names ---- */

static skive_status next_name(graph_reader *r, skive_graph *g, const char **out) {
    const char *text = NULL;
    size_t n = 0;
    SKV_TRY(read_text(r, r->names, &text, &n));
    if (memchr(text, 0, n)) return BROKEN(r, "a name contains a zero byte");
    return skv_arena_strndup(g->arena, text, n, out);
}

static skive_status read_names(graph_reader *r, const frame *f) {
    const char *name = NULL;
    SKV_TRY(next_name(r, f->g, &f->g->name));
    /* Generated names first, so that they do not collide with names in the file. */
    for (size_t i = 0; i < f->n; i++) {
        char made[40];
        snprintf(made, sizeof made, "\x01%zu", i);
        SKV_TRY(skv_value_rename(f->values[i], made));
    }
    for (size_t i = 0; i < f->n; i++) {
        SKV_TRY(next_name(r, f->g, &name));
        if (*name) SKV_TRY(skv_value_rename(f->values[i], name));
    }
    for (uint32_t i = 0; i < f->g->n_nodes; i++) {
        SKV_TRY(next_name(r, f->g, &name));
        if (*name) skv_node_take_name(f->g->nodes[i], name);
    }
    return SKIVE_OK;
}

void skv_nameless_output(uint32_t i, uint32_t n, char name[SKV_OUTPUT_NAME]) {
    if (n == 1)
        snprintf(name, SKV_OUTPUT_NAME, "output");
    else
        snprintf(name, SKV_OUTPUT_NAME, "output_%u", i + 1);
}

static skive_status name_outputs(const frame *f) {
    for (uint32_t i = 0; i < f->g->n_outputs; i++) {
        char name[SKV_OUTPUT_NAME];
        if (f->g->outputs[i]->is_input) continue;
        skv_nameless_output(i, f->g->n_outputs, name);
        if (!skive_graph_find_value(f->g, name)) SKV_TRY(skv_value_rename(f->g->outputs[i], name));
    }
    return SKIVE_OK;
}

/* ---- graphs ---- */

static skive_status read_frame(graph_reader *r, frame *f) {
    const uint64_t opset = skv_read_varint(r->in);
    size_t n_nodes;
    if (opset > 1000) return BROKEN(r, "operator set version %llu", (unsigned long long)opset);
    f->g->opset = (int)opset;
    SKV_TRY(read_inputs(r, f));
    SKV_TRY(read_captured(r, f));
    SKV_TRY(read_params(r, f));
    SKV_TRY(read_count(r, "nodes", 2, &n_nodes));
    for (size_t i = 0; i < n_nodes; i++) SKV_TRY(read_node(r, f));
    SKV_TRY(read_outputs(r, f));
    SKV_TRY(read_types(r, f));
    return r->names ? read_names(r, f) : name_outputs(f);
}

static skive_status read_graph(graph_reader *r, const frame *outer, skive_graph **out) {
    frame f = {.outer = outer};
    *out = NULL;
    if (++r->depth > r->limits->max_depth)
        return SKV_FAIL(r->ctx, SKIVE_ERR_LIMIT, "graphs are nested deeper than %d (option max_depth)",
                        r->limits->max_depth);
    SKV_TRY(skive_graph_create(r->ctx, "", &f.g));
    f.g->parent = outer ? outer->g : NULL;
    skive_status status = read_frame(r, &f);
    if (status == SKIVE_OK && r->in->failed) status = BROKEN(r, "the graph is truncated");
    skv_free(r->ctx, f.values);
    r->depth--;
    if (status != SKIVE_OK) {
        skive_graph_free(f.g);
        return status;
    }
    *out = f.g;
    return SKIVE_OK;
}

skive_status skv_graph_read(skive_context *ctx, skv_reader *graph, skv_reader *names,
                            const skive_pack_load_options *limits, const skv_param_source *params, skive_graph **out) {
    graph_reader r = {.ctx = ctx, .in = graph, .names = names, .limits = limits, .params = params};
    skive_graph *g = NULL;
    SKV_TRY(read_graph(&r, NULL, &g));
    skive_status status = SKIVE_OK;
    if (graph->at != graph->end) status = BROKEN(&r, "bytes follow the end of the graph");
    if (status == SKIVE_OK && names && names->at != names->end) status = BROKEN(&r, "there are more names than values");
    if (status == SKIVE_OK) status = skive_graph_check(g);
    if (status == SKIVE_OK) status = skive_graph_infer(g);
    if (status == SKIVE_OK) skv_graph_spread_types(g);
    if (status != SKIVE_OK) {
        skive_graph_free(g);
        return status;
    }
    *out = g;
    return SKIVE_OK;
}
