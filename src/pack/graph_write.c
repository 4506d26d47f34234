/* A graph in its compact encoding.
 *
 * Values are numbered: the graph's inputs, captured values, parameters in the order of their first use, then the
 * outputs of the nodes in topological order. A node refers to the next parameter not yet used, or to a value by its
 * distance. Names are in a separate section; types are written only where inference does not find them. */
#include <string.h>

#include "graph/op.h"
#include "pack/pack.h"
#include "tensor/tensor.h"

enum { UNNUMBERED = 0 }; /* numbers[id]: number + 1 */

typedef struct frame { /* the graph being written, and the enclosing one */
    const struct frame *outer;
    const skive_graph *g;
    skive_node **order;
    uint32_t *numbers;          /* [n_values] */
    const skive_value **values; /* by number */
    uint32_t n, first_param, n_params, next_param;
} frame;

typedef struct writer {
    skive_context *ctx;
    skv_bytes *out, *names;
    skv_param_list *params;
} writer;

static skive_status write_graph(writer *w, const frame *outer, const skive_graph *g);

static bool number(frame *f, const skive_value *v) {
    if (f->numbers[v->id] != UNNUMBERED) return false;
    f->values[f->n++] = v;
    f->numbers[v->id] = f->n;
    return true;
}

static skive_status add_param(writer *w, frame *f, const skive_value *v) {
    skv_param_list *p = w->params;
    if (!number(f, v)) return SKIVE_OK;
    if (p->n == p->capacity) {
        const uint32_t larger = p->capacity ? p->capacity * 2 : 32;
        SKV_TRY(skv_grow(p->ctx, &p->values, p->capacity, larger, sizeof *p->values));
        p->capacity = larger;
    }
    p->values[p->n++] = v;
    f->n_params++;
    return SKIVE_OK;
}

static skive_status number_values(writer *w, frame *f) {
    const skive_graph *g = f->g;
    for (uint32_t i = 0; i < g->n_inputs; i++) number(f, g->inputs[i]);
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (g->values[i]->outer) number(f, g->values[i]);
    }
    f->first_param = f->next_param = f->n;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = f->order[i];
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            if (n->inputs[k] && n->inputs[k]->storage) SKV_TRY(add_param(w, f, n->inputs[k]));
        }
    }
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (g->values[i]->storage) SKV_TRY(add_param(w, f, g->values[i]));
    }
    return SKIVE_OK;
}

/* ---- types ---- */

static void write_type(skv_bytes *out, const skive_type *t) {
    skv_bytes_u8(out, (unsigned)t->dtype);
    skv_bytes_u8(out, (unsigned)(t->rank + 1));
    for (int d = 0; d < t->rank; d++) {
        const skive_dim *dim = &t->dims[d];
        skv_bytes_varint(out, dim->size >= 0 ? (uint64_t)dim->size + 2 : dim->symbol ? 1 : 0);
        if (dim->size < 0 && dim->symbol) skv_bytes_text(out, dim->symbol, strlen(dim->symbol));
    }
}

static bool same_type(const skive_type *a, const skive_type *b) {
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++) {
        const char *x = a->dims[d].symbol, *y = b->dims[d].symbol;
        if (a->dims[d].size != b->dims[d].size || (x != NULL) != (y != NULL)) return false;
        if (a->dims[d].size < 0 && x && strcmp(x, y) != 0) return false;
    }
    return true;
}

/* The graph with the types that inference finds without declared output types; NULL if it fails. */
static skive_status infer_bare(writer *w, const skive_graph *g, skive_graph **out) {
    skive_graph *bare = NULL;
    SKV_TRY(skive_graph_copy(w->ctx, g, &bare));
    for (uint32_t i = 0; i < bare->n_values; i++) {
        if (bare->values[i]->producer) bare->values[i]->type = (skive_type){.dtype = SKIVE_DTYPE_NONE, .rank = -1};
    }
    const skive_status status = skive_graph_infer(bare);
    if (status == SKIVE_ERR_MEMORY || status == SKIVE_OK) {
        *out = status == SKIVE_OK ? bare : NULL;
        if (status != SKIVE_OK) skive_graph_free(bare);
        return status;
    }
    skive_graph_free(bare);
    *out = NULL;
    return SKIVE_OK;
}

/* For a subgraph, the types of all values; for the outermost graph, those that inference does not find, or all if nodes
 * contain graphs, because a reader infers from the outside in. */
static skive_status write_types(writer *w, const frame *f) {
    skive_graph *bare = NULL;
    uint64_t n = 0;
    if (!f->outer && !f->g->nests) SKV_TRY(infer_bare(w, f->g, &bare));
    for (int counting = 1; counting >= 0; counting--) {
        if (!counting) skv_bytes_varint(w->out, n);
        for (uint32_t i = 0; i < f->n; i++) {
            const skive_value *v = f->values[i];
            if (v->storage || v->is_input || (bare && same_type(&v->type, &bare->values[v->id]->type))) continue;
            if (v->type.dtype == SKIVE_DTYPE_NONE && v->type.rank < 0) continue;
            n += (uint64_t)counting;
            if (counting) continue;
            skv_bytes_varint(w->out, i);
            write_type(w->out, &v->type);
        }
    }
    skive_graph_free(bare);
    return w->out->status;
}

/* ---- nodes ---- */

static void write_f64(skv_bytes *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    /* the last bytes of short binary fractions are zero, and a varint drops them after the swap */
    skv_bytes_varint(out, __builtin_bswap64(bits));
}

static void write_attr_value(writer *w, const skv_attr *a) {
    skv_bytes *out = w->out;
    const bool list = a->type == SKV_ATTR_INTS || a->type == SKV_ATTR_FLOATS || a->type == SKV_ATTR_STRINGS;
    if (list) skv_bytes_varint(out, a->n);
    if (a->type == SKV_ATTR_INT) skv_bytes_signed(out, a->i);
    if (a->type == SKV_ATTR_FLOAT) write_f64(out, a->f);
    if (a->type == SKV_ATTR_STRING) skv_bytes_text(out, a->s, a->n);
    for (size_t i = 0; list && i < a->n; i++) {
        if (a->type == SKV_ATTR_INTS) skv_bytes_signed(out, a->ints[i]);
        if (a->type == SKV_ATTR_FLOATS) write_f64(out, a->floats[i]);
        if (a->type == SKV_ATTR_STRINGS) skv_bytes_text(out, a->strings[i], strlen(a->strings[i]));
    }
}

static skive_status write_attr(writer *w, const frame *f, const skv_attr *a) {
    const unsigned code = skv_attr_code(a->name);
    skv_bytes_varint(w->out, (uint64_t)code * 8 + (unsigned)(a->type - SKV_ATTR_INT));
    if (!code) skv_bytes_text(w->out, a->name, strlen(a->name));
    if (a->type == SKV_ATTR_GRAPH) return write_graph(w, f, a->graph);
    if (a->type == SKV_ATTR_TENSOR) {
        const skv_form *form;
        skv_record_sizes sizes;
        return skv_record_write(w->ctx, &a->tensor->tensor, 0, NULL, w->out, &form, &sizes);
    }
    write_attr_value(w, a);
    return w->out->status;
}

/* 0: absent; 1: the next parameter not yet used; otherwise 2 + how many values back. */
static void write_reference(writer *w, frame *f, const skive_value *v) {
    if (!v) {
        skv_bytes_varint(w->out, 0);
        return;
    }
    const uint32_t at = f->numbers[v->id] - 1;
    if (at == f->next_param && at < f->first_param + f->n_params) {
        f->next_param++;
        skv_bytes_varint(w->out, 1);
    } else {
        skv_bytes_varint(w->out, 2 + (uint64_t)(f->n - 1 - at));
    }
}

/* The numbers of inputs, attributes and outputs in one byte, if they are small, as in most nodes. */
static void write_counts(skv_bytes *out, const skive_node *n) {
    bool absent = false;
    for (uint32_t i = 0; i < n->n_outputs; i++) absent = absent || !n->outputs[i];
    if (n->n_inputs < 7 && n->n_attrs < 8 && n->n_outputs < 4 && !absent) {
        skv_bytes_u8(out, n->n_inputs | n->n_attrs << 3 | n->n_outputs << 6);
        return;
    }
    skv_bytes_u8(out, 7);
    skv_bytes_varint(out, n->n_inputs);
    skv_bytes_varint(out, n->n_attrs);
    skv_bytes_varint(out, n->n_outputs);
    for (uint32_t i = 0; i < n->n_outputs; i++) skv_bytes_u8(out, n->outputs[i] != NULL);
}

static skive_status write_node(writer *w, frame *f, const skive_node *n) {
    const unsigned code = skv_op_code(n->op_type, n->domain);
    skv_bytes_varint(w->out, code);
    if (!code) {
        skv_bytes_text(w->out, n->domain, strlen(n->domain));
        skv_bytes_text(w->out, n->op_type, strlen(n->op_type));
    }
    write_counts(w->out, n);
    for (uint32_t i = 0; i < n->n_inputs; i++) write_reference(w, f, n->inputs[i]);
    for (uint32_t i = 0; i < n->n_attrs; i++) SKV_TRY(write_attr(w, f, &n->attrs[i]));
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (n->outputs[i]) number(f, n->outputs[i]);
    }
    return w->out->status;
}

static skive_status write_names(writer *w, const frame *f) {
    skv_bytes_text(w->names, f->g->name, strlen(f->g->name));
    for (uint32_t i = 0; i < f->n; i++) skv_bytes_text(w->names, f->values[i]->name, strlen(f->values[i]->name));
    for (uint32_t i = 0; i < f->g->n_nodes; i++) skv_bytes_text(w->names, f->order[i]->name, strlen(f->order[i]->name));
    return w->names->status;
}

static skive_status write_frame(writer *w, frame *f) {
    const skive_graph *g = f->g;
    SKV_TRY(number_values(w, f));
    skv_bytes_varint(w->out, (uint64_t)g->opset);
    skv_bytes_varint(w->out, g->n_inputs);
    for (uint32_t i = 0; i < g->n_inputs; i++) write_type(w->out, &g->inputs[i]->type);
    skv_bytes_varint(w->out, f->first_param - g->n_inputs);
    for (uint32_t i = g->n_inputs; i < f->first_param; i++)
        skv_bytes_varint(w->out, f->outer->numbers[f->values[i]->outer->id] - 1);
    skv_bytes_varint(w->out, f->n_params);
    skv_bytes_varint(w->out, g->n_nodes);
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_TRY(write_node(w, f, f->order[i]));
    skv_bytes_varint(w->out, g->n_outputs);
    for (uint32_t i = 0; i < g->n_outputs; i++) skv_bytes_varint(w->out, f->n - f->numbers[g->outputs[i]->id]);
    SKV_TRY(write_types(w, f));
    return write_names(w, f);
}

static skive_status write_graph(writer *w, const frame *outer, const skive_graph *g) {
    frame f = {.outer = outer, .g = g};
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(g, &f.order));
    SKV_GO(status, done, skv_alloc_array(w->ctx, (size_t)g->n_values + 1, sizeof *f.numbers, &f.numbers));
    SKV_GO(status, done, skv_alloc_array(w->ctx, (size_t)g->n_values + 1, sizeof *f.values, &f.values));
    status = write_frame(w, &f);
done:
    skv_free(w->ctx, f.order);
    skv_free(w->ctx, f.numbers);
    skv_free(w->ctx, f.values);
    return status;
}

skive_status skv_graph_write(skive_context *ctx, const skive_graph *g, skv_bytes *graph, skv_bytes *names,
                             skv_param_list *params) {
    writer w = {ctx, graph, names, params};
    SKV_TRY(skive_graph_check(g));
    return write_graph(&w, NULL, g);
}
