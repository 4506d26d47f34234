/* Channel coupling. Every (value, axis, index) that an op relates to another is an element; related elements are joined
 * (union-find); an element that must stay fixes all it is joined with. What is left, with a parameter in it, is a
 * removable channel. */
#include <string.h>

#include "graph/internal.h"
#include "graph/op.h"

typedef struct slot { /* an axis of a value */
    int64_t first;    /* its first element; -1: none made yet */
    int64_t length;
} slot;

struct skv_couple {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_node *node;
    slot *slots;      /* [value id][SKIVE_MAX_RANK] */
    uint32_t *parent; /* [elements] */
    const char **why; /* [elements] at a root: why fixed, NULL when free */
    size_t n, capacity;
    skive_status status;
};

struct skive_coupling {
    skive_context *ctx;
    const skive_graph *graph;
    skv_couple work;             /* slots, parents and reasons stay for why_fixed */
    skive_channel_slice *slices; /* of all removable channels, one after another */
    size_t *first;               /* [n + 1] */
    int *family;                 /* [n] */
    bool *has_param;             /* [elements] at a root */
    size_t n;
};

static uint32_t find(const skv_couple *c, uint32_t e) {
    while (c->parent[e] != e) e = c->parent[e] = c->parent[c->parent[e]];
    return e;
}

static void join(skv_couple *c, uint32_t a, uint32_t b) {
    a = find(c, a);
    b = find(c, b);
    if (a == b) return;
    if (a > b) {
        const uint32_t t = a;
        a = b;
        b = t;
    }
    c->parent[b] = a;
    if (!c->why[a]) c->why[a] = c->why[b];
}

static skive_status make_elements(skv_couple *c, slot *s) {
    const size_t need = c->n + (size_t)s->length;
    if (need > UINT32_MAX / 2) return SKV_FAIL(c->ctx, SKIVE_ERR_LIMIT, "the model has too many channels");
    if (need > c->capacity) {
        size_t capacity = c->capacity ? c->capacity * 2 : 1024;
        while (capacity < need) capacity *= 2;
        SKV_TRY(skv_grow(c->ctx, &c->parent, c->capacity, capacity, sizeof *c->parent));
        SKV_TRY(skv_grow(c->ctx, &c->why, c->capacity, capacity, sizeof *c->why));
        c->capacity = capacity;
    }
    s->first = (int64_t)c->n;
    for (int64_t i = 0; i < s->length; i++) c->parent[c->n + (size_t)i] = (uint32_t)c->n + (uint32_t)i;
    c->n = need;
    return SKIVE_OK;
}

/* The axis' elements; NULL when its length is not known or the work has failed. */
static slot *slot_of(skv_couple *c, const skive_value *v, int axis) {
    if (c->status != SKIVE_OK || !v || axis < 0 || axis >= v->type.rank || v->type.dims[axis].size < 0) return NULL;
    slot *s = &c->slots[(size_t)v->id * SKIVE_MAX_RANK + (size_t)axis];
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

const skive_node *skv_couple_node(const skv_couple *c) { return c->node; }

const skive_type *skv_couple_type(const skv_couple *c, skv_slot s) {
    const skive_value *v = value_of(c, s);
    return v ? &v->type : NULL;
}

void skv_couple_range(skv_couple *c, skv_slot a, int64_t a_first, skv_slot b, int64_t b_first, int64_t n,
                      int64_t b_repeat) {
    const slot *x = slot_of(c, value_of(c, a), a.axis), *y = slot_of(c, value_of(c, b), b.axis);
    if (!x || !y || n < 0 || b_repeat < 1) return;
    if (a_first < 0 || b_first < 0 || a_first + n > x->length || b_first + n * b_repeat > y->length) return;
    for (int64_t k = 0; k < n; k++) {
        for (int64_t r = 0; r < b_repeat; r++) {
            join(c, (uint32_t)(x->first + a_first + k), (uint32_t)(y->first + b_first + k * b_repeat + r));
        }
    }
}

void skv_couple_same(skv_couple *c, skv_slot a, skv_slot b) {
    const skive_type *t = skv_couple_type(c, a);
    if (t && a.axis >= 0 && a.axis < t->rank && t->dims[a.axis].size >= 0) {
        skv_couple_range(c, a, 0, b, 0, t->dims[a.axis].size, 1);
    }
}

static void fix_axis(skv_couple *c, const skive_value *v, int axis, const char *why) {
    const slot *s = slot_of(c, v, axis);
    for (int64_t i = 0; s && i < s->length; i++) {
        const uint32_t root = find(c, (uint32_t)(s->first + i));
        if (!c->why[root]) c->why[root] = why;
    }
}

void skv_couple_fix(skv_couple *c, skv_slot s, const char *why) { fix_axis(c, value_of(c, s), s.axis, why); }

static void fix_value(skv_couple *c, const skive_value *v, const char *why) {
    for (int axis = 0; v && axis < v->type.rank; axis++) fix_axis(c, v, axis, why);
}

static skive_status relate(skv_couple *c) {
    const skive_graph *g = c->graph;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = c->node = g->nodes[i];
        if (n->op && n->op->couple) {
            n->op->couple(c);
            continue;
        }
        const char *why = n->op ? n->op->name : "skive does not know the operator";
        for (uint32_t k = 0; k < n->n_inputs; k++) fix_value(c, n->inputs[k], why);
        for (uint32_t k = 0; k < n->n_outputs; k++) fix_value(c, n->outputs[k], why);
    }
    for (uint32_t i = 0; i < g->n_inputs; i++) fix_value(c, g->inputs[i], "it is an input of the model");
    for (uint32_t i = 0; i < g->n_outputs; i++) fix_value(c, g->outputs[i], "it is an output of the model");
    return c->status;
}

/* For each element of each axis of each value. */
typedef void (*element_fn)(skive_coupling *k, const skive_value *v, int axis, int64_t index, uint32_t root, void *user);
static void each_element(skive_coupling *k, element_fn fn, void *user) {
    for (uint32_t id = 0; id < k->graph->n_values; id++) {
        const skive_value *v = k->graph->values[id];
        for (int axis = 0; axis < v->type.rank; axis++) {
            const slot *s = &k->work.slots[(size_t)id * SKIVE_MAX_RANK + (size_t)axis];
            if (s->first < 0) continue;
            for (int64_t i = 0; i < s->length; i++) fn(k, v, axis, i, find(&k->work, (uint32_t)(s->first + i)), user);
        }
    }
}

static void mark_param(skive_coupling *k, const skive_value *v, int axis, int64_t index, uint32_t root, void *user) {
    (void)axis;
    (void)index;
    (void)user;
    if (v->storage) k->has_param[root] = true;
}

typedef struct gather {
    uint32_t *channel;   /* [elements] at a root: number of the channel + 1, 0: not removable */
    size_t *count;       /* [channel] */
    uint64_t *signature; /* [channel] */
} gather;

static void count_slice(skive_coupling *k, const skive_value *v, int axis, int64_t index, uint32_t root, void *user) {
    gather *g = user;
    (void)k;
    (void)index;
    if (!g->channel[root]) return;
    const uint32_t which[2] = {v->id, (uint32_t)axis};
    const uint32_t channel = g->channel[root] - 1;
    g->count[channel]++;
    g->signature[channel] = skv_hash64(which, sizeof which, g->signature[channel]);
}

static void store_slice(skive_coupling *k, const skive_value *v, int axis, int64_t index, uint32_t root, void *user) {
    gather *g = user;
    if (!g->channel[root]) return;
    const uint32_t channel = g->channel[root] - 1;
    k->slices[k->first[channel] + g->count[channel]++] = (skive_channel_slice){v, axis, index};
}

/* Channels with the same signature are a family, numbered in order of appearance. */
static void number_families(skive_coupling *k, const uint64_t *signature) {
    int families = 0;
    for (size_t i = 0; i < k->n; i++) {
        k->family[i] = -1;
        /* A family's channels mostly follow one another. */
        for (size_t j = i; j-- > 0 && k->family[i] < 0;) {
            if (signature[j] == signature[i]) k->family[i] = k->family[j];
        }
        if (k->family[i] < 0) k->family[i] = families++;
    }
}

static skive_status collect(skive_coupling *k) {
    gather g = {0};
    const size_t elements = k->work.n + 1;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(k->ctx, elements, sizeof *k->has_param, &k->has_param));
    SKV_GO(status, done, skv_alloc_array(k->ctx, elements, sizeof *g.channel, &g.channel));
    each_element(k, mark_param, NULL);
    for (uint32_t e = 0; e < k->work.n; e++) {
        if (find(&k->work, e) == e && k->has_param[e] && !k->work.why[e]) g.channel[e] = (uint32_t)++k->n;
    }
    SKV_GO(status, done, skv_alloc_array(k->ctx, k->n + 1, sizeof *g.count, &g.count));
    SKV_GO(status, done, skv_alloc_array(k->ctx, k->n + 1, sizeof *g.signature, &g.signature));
    SKV_GO(status, done, skv_alloc_array(k->ctx, k->n + 1, sizeof *k->first, &k->first));
    SKV_GO(status, done, skv_alloc_array(k->ctx, k->n + 1, sizeof *k->family, &k->family));
    each_element(k, count_slice, &g);
    for (size_t i = 0; i < k->n; i++) {
        k->first[i + 1] = k->first[i] + g.count[i];
        g.count[i] = 0;
    }
    SKV_GO(status, done, skv_alloc_array(k->ctx, k->first[k->n] + 1, sizeof *k->slices, &k->slices));
    each_element(k, store_slice, &g);
    number_families(k, g.signature);
done:
    skv_free(k->ctx, g.channel);
    skv_free(k->ctx, g.count);
    skv_free(k->ctx, g.signature);
    return status;
}

skive_status skive_coupling_create(const skive_graph *g, skive_coupling **out) {
    SKV_NEED(g ? g->ctx : NULL, "graph, out", g, out);
    skive_coupling *k = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(g->ctx, 1, sizeof *k, &k));
    k->ctx = g->ctx;
    k->graph = g;
    k->work = (skv_couple){.ctx = g->ctx, .graph = g};
    SKV_GO(status, fail,
           skv_alloc_array(g->ctx, (size_t)g->n_values * SKIVE_MAX_RANK + 1, sizeof(slot), &k->work.slots));
    for (size_t i = 0; i < (size_t)g->n_values * SKIVE_MAX_RANK; i++) k->work.slots[i].first = -1;
    SKV_GO(status, fail, relate(&k->work));
    SKV_GO(status, fail, collect(k));
    *out = k;
    return SKIVE_OK;
fail:
    skive_coupling_free(k);
    return status;
}

void skive_coupling_free(skive_coupling *k) {
    if (!k) return;
    skv_free(k->ctx, k->work.slots);
    skv_free(k->ctx, k->work.parent);
    skv_free(k->ctx, k->work.why);
    skv_free(k->ctx, k->slices);
    skv_free(k->ctx, k->first);
    skv_free(k->ctx, k->family);
    skv_free(k->ctx, k->has_param);
    skv_free(k->ctx, k);
}

size_t skive_coupling_count(const skive_coupling *k) { return k ? k->n : 0; }

void skive_coupling_get(const skive_coupling *k, size_t i, const skive_channel_slice **slices, size_t *n, int *family) {
    const bool there = k && i < k->n;
    if (slices) *slices = there ? &k->slices[k->first[i]] : NULL;
    if (n) *n = there ? k->first[i + 1] - k->first[i] : 0;
    if (family) *family = there ? k->family[i] : -1;
}

const char *skive_coupling_why_fixed(const skive_coupling *k, const skive_value *v, int axis, int64_t index) {
    if (!k || !v) return "there is no such value";
    if (axis < 0 || axis >= v->type.rank) return "there is no such axis";
    const slot *s = &k->work.slots[(size_t)v->id * SKIVE_MAX_RANK + (size_t)axis];
    if (s->first < 0) return "no operator couples this axis to anything";
    if (index < 0 || index >= s->length) return "there is no such index";
    const uint32_t root = find(&k->work, (uint32_t)(s->first + index));
    if (k->work.why[root]) return k->work.why[root];
    return k->has_param[root] ? NULL : "no parameter is coupled to it";
}
