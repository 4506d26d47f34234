/* Channel coupling: the relations. Every (value, axis, index) that an op relates to another is an element; elements
 * that only go together are joined (union-find); where an axis is read as outer x inner indices, the products say so.
 * An element that must stay is fixed. couple_units.c finds the removable channels. */
#include <string.h>

#include "graph/couple.h"
#include "graph/weights.h"

uint32_t skv_couple_find(const skv_couple *c, uint32_t e) {
    while (c->parent[e] != e) e = c->parent[e] = c->parent[c->parent[e]];
    return e;
}

uint32_t skv_couple_number(const skv_couple *c, const skive_value *v) {
    while (v->outer && v->graph != c->graph) v = v->outer;
    for (uint32_t i = 0; v->graph != c->graph && i < c->n_graphs; i++)
        if (c->graphs[i].graph == v->graph) return c->graphs[i].first + v->id;
    /* a value of a copy of the graph has the same number */
    return !v->graph->parent && v->id < c->graph->n_values ? v->id : UINT32_MAX;
}

static void join(skv_couple *c, uint32_t a, uint32_t b) {
    a = skv_couple_find(c, a);
    b = skv_couple_find(c, b);
    if (a == b) return;
    if (a > b) {
        const uint32_t t = a;
        a = b;
        b = t;
    }
    c->parent[b] = a;
    if (!c->fixed[a].why) c->fixed[a] = c->fixed[b];
    if (!c->mix[a]) c->mix[a] = c->mix[b];
}

static skive_status make_elements(skv_couple *c, skv_elements *s) {
    const size_t need = c->n + (size_t)s->length;
    if (need > UINT32_MAX / 2) return SKV_FAIL(c->ctx, SKIVE_ERR_LIMIT, "the model has too many channels");
    if (need > c->capacity) {
        size_t capacity = c->capacity ? c->capacity * 2 : 1024;
        while (capacity < need) capacity *= 2;
        uint32_t *parent = NULL;
        skv_fixed *fixed = NULL;
        const char **mix = NULL;
        skive_status status;
        SKV_GO(status, fail, skv_alloc_array(c->ctx, capacity, sizeof *parent, &parent));
        SKV_GO(status, fail, skv_alloc_array(c->ctx, capacity, sizeof *fixed, &fixed));
        SKV_GO(status, fail, skv_alloc_array(c->ctx, capacity, sizeof *mix, &mix));
        if (c->n) memcpy(parent, c->parent, c->n * sizeof *parent);
        if (c->n) memcpy(fixed, c->fixed, c->n * sizeof *fixed);
        if (c->n) memcpy(mix, c->mix, c->n * sizeof *mix);
        skv_free(c->ctx, c->parent);
        skv_free(c->ctx, c->fixed);
        skv_free(c->ctx, c->mix);
        c->parent = parent;
        c->fixed = fixed;
        c->mix = mix;
        c->capacity = capacity;
        goto grown;
    fail:
        skv_free(c->ctx, parent);
        skv_free(c->ctx, fixed);
        skv_free(c->ctx, mix);
        return status;
    }
grown:
    s->first = (int64_t)c->n;
    for (int64_t i = 0; i < s->length; i++) c->parent[c->n + (size_t)i] = (uint32_t)c->n + (uint32_t)i;
    c->n = need;
    return SKIVE_OK;
}

/* The axis' elements; NULL when its length is not known or the work has failed. */
static skv_elements *slot_of(skv_couple *c, const skive_value *v, int axis) {
    if (c->status != SKIVE_OK || !v || axis < 0 || axis >= v->type.rank || v->type.dims[axis].size < 0) return NULL;
    const uint32_t number = skv_couple_number(c, v);
    if (number == UINT32_MAX) return NULL;
    skv_elements *s = skv_couple_slot(c, number, axis);
    if (s->first >= 0) return s;
    s->length = v->type.dims[axis].size;
    c->status = make_elements(c, s);
    return c->status == SKIVE_OK ? s : NULL;
}

static const skive_value *value_of(const skv_couple *c, skv_slot s) {
    const skive_node *n = c->node;
    const uint32_t count = s.is_output ? n->n_outputs : n->n_inputs;
    if (s.index < 0 || (uint32_t)s.index >= count) return NULL;
    return s.is_output ? n->outputs[s.index] : n->inputs[s.index];
}

/* The elements of an axis of a value of the node, or of a factor (index -1). */
static const skv_elements *elements_of(skv_couple *c, skv_slot s) {
    if (s.index >= 0) {
        skv_elements *e = slot_of(c, value_of(c, s), s.axis);
        if (e) e->node = c->visit;
        return e;
    }
    return c->status == SKIVE_OK && s.axis >= 0 && (uint32_t)s.axis < c->n_factors ? &c->factors[s.axis] : NULL;
}

const skive_node *skv_couple_node(const skv_couple *c) { return c->node; }

const skive_type *skv_couple_type(const skv_couple *c, skv_slot s) {
    const skive_value *v = value_of(c, s);
    return v ? &v->type : NULL;
}

int64_t skv_couple_length(const skv_couple *c, skv_slot s) {
    if (s.index < 0) return s.axis >= 0 && (uint32_t)s.axis < c->n_factors ? c->factors[s.axis].length : -1;
    const skive_type *t = skv_couple_type(c, s);
    return t && s.axis >= 0 && s.axis < t->rank ? t->dims[s.axis].size : -1;
}

void skv_couple_range(skv_couple *c, skv_slot a, int64_t a_first, skv_slot b, int64_t b_first, int64_t n,
                      int64_t b_repeat) {
    const skv_elements *x = elements_of(c, a), *y = elements_of(c, b);
    if (!x || !y || n < 0 || b_repeat < 1) return;
    if (a_first < 0 || b_first < 0 || a_first + n > x->length || b_first + n * b_repeat > y->length) return;
    for (int64_t k = 0; k < n; k++) {
        for (int64_t r = 0; r < b_repeat; r++) {
            join(c, (uint32_t)(x->first + a_first + k), (uint32_t)(y->first + b_first + k * b_repeat + r));
        }
    }
}

void skv_couple_same(skv_couple *c, skv_slot a, skv_slot b) {
    const int64_t n = skv_couple_length(c, a);
    if (n >= 0 && n == skv_couple_length(c, b)) skv_couple_range(c, a, 0, b, 0, n, 1);
}

skv_slot skv_couple_factor(skv_couple *c, int64_t length) {
    const skv_slot none = {false, -1, -1};
    if (c->status != SKIVE_OK || length < 0) return none;
    c->status = skv_reserve(c->ctx, &c->factors, c->n_factors, &c->factors_capacity, sizeof *c->factors);
    if (c->status != SKIVE_OK) return none;
    skv_elements *s = &c->factors[c->n_factors];
    *s = (skv_elements){.first = -1, .length = length};
    c->status = make_elements(c, s);
    return c->status == SKIVE_OK ? (skv_slot){false, -1, (int)c->n_factors++} : none;
}

void skv_couple_product(skv_couple *c, skv_slot whole, int64_t first, skv_slot outer, skv_slot inner) {
    const skv_elements *w = elements_of(c, whole), *o = elements_of(c, outer), *i = elements_of(c, inner);
    if (!w || !o || !i || first < 0) return;
    int64_t n;
    if (!skv_mul_i64(o->length, i->length, &n) || n > w->length - first) return;
    if (i->length == 1) {
        skv_couple_range(c, outer, 0, whole, first, o->length, 1);
    } else if (o->length == 1) {
        skv_couple_range(c, inner, 0, whole, first, i->length, 1);
    } else if (n > 0) {
        const skv_product p = {.whole = w->first + first,
                               .outer = o->first,
                               .inner = i->first,
                               .n_outer = o->length,
                               .n_inner = i->length};
        c->status = skv_reserve(c->ctx, &c->products, c->n_products, &c->products_capacity, sizeof p);
        if (c->status == SKIVE_OK) c->products[c->n_products++] = p;
    }
}

static void fix_elements(skv_couple *c, const skv_elements *s, const char *why, const char *by) {
    for (int64_t i = 0; s && i < s->length; i++) {
        const uint32_t root = skv_couple_find(c, (uint32_t)(s->first + i));
        if (!c->fixed[root].why) c->fixed[root] = (skv_fixed){why, by};
    }
}

void skv_couple_fix(skv_couple *c, skv_slot s, const char *why) {
    fix_elements(c, elements_of(c, s), why, c->node->name);
}

void skv_couple_mixes(skv_couple *c, skv_slot s, const char *what) {
    const skv_elements *e = elements_of(c, s);
    for (int64_t i = 0; e && i < e->length; i++) {
        const uint32_t root = skv_couple_find(c, (uint32_t)(e->first + i));
        if (!c->mix[root]) c->mix[root] = what;
    }
}

void skv_couple_free(skv_couple *c, skv_slot s) { (void)elements_of(c, s); }

static void fix_value(skv_couple *c, const skive_value *v, const char *why, const char *by) {
    for (int axis = 0; v && axis < v->type.rank; axis++) fix_elements(c, slot_of(c, v, axis), why, by);
}

/* What the op's record is silent about stays. */
static void fix_rest(skv_couple *c, const skive_value *v) {
    for (int axis = 0; v && axis < v->type.rank; axis++) {
        skv_elements *e = slot_of(c, v, axis);
        if (e && e->node != c->visit) fix_elements(c, e, c->node->op->name, c->node->name);
    }
}

static void fix_read(void *user, skive_value *v) {
    skv_couple *c = user;
    fix_value(c, v, "a subgraph reads it", c->node->name);
}

/* ---- subgraphs ---- */

void skv_couple_body(skv_couple *c, const char *attribute, bool is_output, size_t index, skv_slot whole, int shift) {
    const skv_attr *a = skv_node_attr(c->node, attribute);
    const skive_graph *body = a ? a->graph : NULL;
    if (!body || index >= (is_output ? body->n_outputs : body->n_inputs)) return;
    const skive_value *part = is_output ? body->outputs[index] : body->inputs[index];
    const bool taken = value_of(c, whole) != NULL;
    for (int axis = 0; axis < part->type.rank; axis++) {
        skv_elements *x = slot_of(c, part, axis);
        if (x) x->node = c->visit;
        if (!taken) continue; /* nobody reads it */
        whole.axis = axis + shift;
        const skv_elements *y = elements_of(c, whole);
        if (!x || !y || x->length != y->length) {
            fix_elements(c, x, c->node->op->name, c->node->name);
            fix_elements(c, y, c->node->op->name, c->node->name);
            continue;
        }
        for (int64_t i = 0; i < x->length; i++) join(c, (uint32_t)(x->first + i), (uint32_t)(y->first + i));
    }
}

static void relate_graph(skv_couple *c, const skive_graph *g);

static void relate_bodies(skv_couple *c, const skive_node *n) {
    for (uint32_t a = 0; c->graph->nests && a < n->n_attrs; a++)
        if (n->attrs[a].graph) relate_graph(c, n->attrs[a].graph);
}

/* What the record says nothing of among the inputs and outputs of its subgraphs stays. */
static void fix_bodies(skv_couple *c, const skive_node *n) {
    for (uint32_t a = 0; c->graph->nests && a < n->n_attrs; a++) {
        const skive_graph *body = n->attrs[a].graph;
        for (uint32_t i = 0; body && i < body->n_inputs; i++) fix_rest(c, body->inputs[i]);
        for (uint32_t i = 0; body && i < body->n_outputs; i++) fix_rest(c, body->outputs[i]);
    }
}

static void relate_node(skv_couple *c, const skive_node *n) {
    if (n->op && n->op->couple) {
        relate_bodies(c, n);
        c->node = n;
        c->visit = ++c->n_visits;
        n->op->couple(c);
        for (uint32_t k = 0; k < n->n_inputs; k++) fix_rest(c, n->inputs[k]);
        for (uint32_t k = 0; k < n->n_outputs; k++) fix_rest(c, n->outputs[k]);
        fix_bodies(c, n);
        return;
    }
    const char *why = n->op ? n->op->name : "skive does not know the operator";
    c->node = n;
    for (uint32_t k = 0; k < n->n_inputs; k++) fix_value(c, n->inputs[k], why, n->name);
    for (uint32_t k = 0; k < n->n_outputs; k++) fix_value(c, n->outputs[k], why, n->name);
    if (skv_node_has_subgraph(n)) skv_node_reads(n, fix_read, c);
}

static void relate_graph(skv_couple *c, const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i]->removed) relate_node(c, g->nodes[i]);
    for (uint32_t i = 0; g != c->graph && i < g->n_values; i++)
        if (g->values[i]->storage) fix_value(c, g->values[i], "it is a parameter of a subgraph", g->values[i]->name);
}

static skive_status relate(skv_couple *c) {
    const skive_graph *g = c->graph;
    relate_graph(c, g);
    for (uint32_t i = 0; !c->open && i < g->n_inputs; i++)
        fix_value(c, g->inputs[i], "it is an input of the model", g->inputs[i]->name);
    for (uint32_t i = 0; !c->open && i < g->n_outputs; i++)
        fix_value(c, g->outputs[i], "it is an output of the model", g->outputs[i]->name);
    return c->status;
}

/* The graph, its subgraphs, theirs, and so on. */
static skive_status list_graphs(skv_couple *c, const skive_graph *g) {
    if (c->n_values > UINT32_MAX / 2 - g->n_values)
        return SKV_FAIL(c->ctx, SKIVE_ERR_LIMIT, "the model has too many values");
    SKV_TRY(skv_reserve(c->ctx, &c->graphs, c->n_graphs, &c->graphs_capacity, sizeof *c->graphs));
    c->graphs[c->n_graphs++] = (skv_couple_graph){g, c->n_values};
    c->n_values += g->n_values;
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++)
            if (g->nodes[i]->attrs[a].graph) SKV_TRY(list_graphs(c, g->nodes[i]->attrs[a].graph));
    return SKIVE_OK;
}

static skive_status number_values(skv_couple *c) {
    SKV_TRY(list_graphs(c, c->graph));
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)c->n_values + 1, sizeof *c->values, &c->values));
    for (uint32_t i = 0; i < c->n_graphs; i++)
        for (uint32_t v = 0; v < c->graphs[i].graph->n_values; v++)
            c->values[c->graphs[i].first + v] = c->graphs[i].graph->values[v];
    const size_t slots = (size_t)c->n_values * SKIVE_MAX_RANK;
    SKV_TRY(skv_alloc_array(c->ctx, slots + 1, sizeof *c->slots, &c->slots));
    for (size_t i = 0; i < slots; i++) c->slots[i].first = -1;
    return SKIVE_OK;
}

/* ---- the outside ---- */

static skive_status list_layers(skive_coupling *k) {
    skv_weight *weights = NULL;
    size_t n = 0;
    SKV_TRY(skv_weights(k->ctx, k->graph, &weights, &n));
    const skive_status status = skv_alloc_array(k->ctx, n + 1, sizeof *k->layers, &k->layers);
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        const skv_weight *w = &weights[i];
        skive_coupling_layer l = {
            .value = w->value, .axis = w->view.out_axis, .channels = w->channels, .count = w->view.out};
        if (l.axis < 0) continue;
        for (int64_t c = 0; c < l.count; c++) {
            const char *why = skive_coupling_why_fixed(k, l.value, l.axis, c);
            l.removable += why == NULL;
            if (!why || l.why) continue;
            l.why = why;
            l.by = skive_coupling_fixed_by(k, l.value, l.axis, c);
        }
        k->layers[k->n_layers++] = l;
    }
    skv_free(k->ctx, weights);
    return status;
}

skive_status skv_coupling_create(const skive_graph *g, bool open, skive_coupling **out) {
    skive_coupling *k = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(g->ctx, 1, sizeof *k, &k));
    k->ctx = g->ctx;
    k->graph = g;
    k->work = (skv_couple){.ctx = g->ctx, .graph = g, .open = open};
    SKV_GO(status, fail, number_values(&k->work));
    SKV_GO(status, fail, relate(&k->work));
    SKV_GO(status, fail, skv_couple_units(k));
    SKV_GO(status, fail, list_layers(k));
    *out = k;
    return SKIVE_OK;
fail:
    skive_coupling_free(k);
    return status;
}

skive_status skive_coupling_create(const skive_graph *g, skive_coupling **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    return skv_coupling_create(g, false, out);
}

void skive_coupling_free(skive_coupling *k) {
    if (!k) return;
    skv_free(k->ctx, k->work.graphs);
    skv_free(k->ctx, k->work.values);
    skv_free(k->ctx, k->work.slots);
    skv_free(k->ctx, k->work.factors);
    skv_free(k->ctx, k->work.products);
    skv_free(k->ctx, k->work.parent);
    skv_free(k->ctx, k->work.fixed);
    skv_free(k->ctx, k->work.mix);
    skv_free(k->ctx, k->slices);
    skv_free(k->ctx, k->first);
    skv_free(k->ctx, k->family);
    skv_free(k->ctx, k->mix);
    skv_free(k->ctx, k->fixed);
    skv_free(k->ctx, k->removable);
    skv_free(k->ctx, k->layers);
    skv_free(k->ctx, k);
}

size_t skive_coupling_count(const skive_coupling *k) { return k ? k->n : 0; }

void skive_coupling_get(const skive_coupling *k, size_t i, const skive_channel_slice **slices, size_t *n, int *family) {
    const bool there = k && i < k->n;
    if (slices) *slices = there ? &k->slices[k->first[i]] : NULL;
    size_t end = there ? k->first[i + 1] : 0;
    while (there && end > k->first[i] && k->slices[end - 1].value->graph != k->graph)
        end--; /* of subgraphs: the last */
    if (n) *n = there ? end - k->first[i] : 0;
    if (family) *family = there ? k->family[i] : -1;
}

const char *skive_coupling_mixes(const skive_coupling *k, size_t i) { return k && i < k->n ? k->mix[i] : NULL; }

static skv_fixed fixed_at(const skive_coupling *k, const skive_value *v, int axis, int64_t index) {
    const uint32_t number = k && v ? skv_couple_number(&k->work, v) : UINT32_MAX;
    if (number == UINT32_MAX) return (skv_fixed){"there is no such value", NULL};
    if (axis < 0 || axis >= v->type.rank) return (skv_fixed){"there is no such axis", NULL};
    const skv_elements *s = skv_couple_slot(&k->work, number, axis);
    if (s->first < 0) return (skv_fixed){"no operator couples this axis to anything", NULL};
    if (index < 0 || index >= s->length) return (skv_fixed){"there is no such index", NULL};
    const uint32_t root = skv_couple_find(&k->work, (uint32_t)(s->first + index));
    if (k->removable[root]) return (skv_fixed){NULL, NULL};
    if (k->work.fixed[root].why) return k->work.fixed[root];
    return k->fixed[root].why ? k->fixed[root] : (skv_fixed){"no parameter is coupled to it", NULL};
}

const char *skive_coupling_why_fixed(const skive_coupling *k, const skive_value *v, int axis, int64_t index) {
    return fixed_at(k, v, axis, index).why;
}

const char *skive_coupling_fixed_by(const skive_coupling *k, const skive_value *v, int axis, int64_t index) {
    return fixed_at(k, v, axis, index).by;
}

size_t skive_coupling_layer_count(const skive_coupling *k) { return k ? k->n_layers : 0; }

bool skive_coupling_layer_get(const skive_coupling *k, size_t i, skive_coupling_layer *out) {
    if (!k || !out || i >= k->n_layers) return false;
    *out = k->layers[i];
    return true;
}
