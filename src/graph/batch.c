/* Binding the batch: types of all values at two batches are held against each other, node by node. */
#include "graph/batch.h"

#include <stdio.h>
#include <string.h>

#include "graph/batch_rebind.h"

/* Primes that hardly any layer has as a width, and small enough for the limits of shapes. */
enum { PROBE = 127, OTHER_PROBE = 113, MAX_TRIES = 400 };

int64_t skv_graph_fixed_batch(const skive_graph *g) {
    const skive_type *t = g->n_inputs ? &g->inputs[0]->type : NULL;
    return t && t->rank > 0 && t->dims[0].size >= 0 ? t->dims[0].size : -1;
}

/* Declared types of inner values tell of the old batch. */
static void forget_inner(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (!v->producer || !v->producer->op) continue;
        for (int d = 0; d < v->type.rank; d++) v->type.dims[d] = (skive_dim){-1, NULL};
    }
}

/* ---- an open batch ---- */

static bool same_symbol(const skive_dim *d, const char *symbol) {
    return d->size < 0 && d->symbol && symbol && strcmp(d->symbol, symbol) == 0;
}

static void bind_open(skive_graph *g, int64_t batch) {
    const skive_type *first = &g->inputs[0]->type;
    char symbol[256] = "";
    if (first->dims[0].symbol) (void)snprintf(symbol, sizeof symbol, "%s", first->dims[0].symbol);
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        skive_type *t = &g->inputs[i]->type;
        for (int d = 0; d < t->rank; d++) {
            if ((d == 0 && t->dims[0].size < 0) || same_symbol(&t->dims[d], symbol))
                t->dims[d] = (skive_dim){batch, NULL};
        }
    }
    forget_inner(g);
}

/* ---- a fixed one ---- */

skive_status skv_rebind_grow(skv_rebind *r) {
    const uint32_t n = r->g->n_values;
    SKV_TRY(skv_inference_grow(r->x));
    if (n <= r->capacity) return SKIVE_OK;
    skive_context *ctx = r->g->ctx;
    int *axis = NULL;
    int64_t *outer = NULL;
    SKV_TRY(skv_alloc_array(ctx, 2 * (size_t)n, sizeof *axis, &axis));
    const skive_status status = skv_alloc_array(ctx, 2 * (size_t)n, sizeof *outer, &outer);
    if (status != SKIVE_OK) {
        skv_free(ctx, axis);
        return status;
    }
    for (uint32_t i = 0; i < 2 * n; i++) {
        axis[i] = i < r->capacity ? r->axis[i] : -1;
        outer[i] = i < r->capacity ? r->outer[i] : 1;
    }
    skv_free(ctx, r->axis);
    skv_free(ctx, r->outer);
    r->axis = axis;
    r->outer = outer;
    r->capacity = 2 * n;
    return SKIVE_OK;
}

/* The only axis that differs, if it differs as the samples do. -1: none differs; -2: something else changed. */
static int axis_that_grew(const skv_rebind *r, const skive_type *a, const skive_type *b) {
    int found = -1;
    if (a->rank != b->rank) return -2;
    for (int d = 0; d < a->rank; d++) {
        const int64_t before = a->dims[d].size, now = b->dims[d].size;
        if (before == now) continue;
        if (found >= 0 || before < 0 || now < 0 || before % r->was != 0 || before / r->was * r->batch != now) return -2;
        found = d;
    }
    return found;
}

static bool reads_samples(const skv_rebind *r, const skive_node *n) {
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] && r->axis[n->inputs[i]->id] >= 0) return true;
    }
    return false;
}

/* How many runs over the samples axis `d` of an output has: as many as that of the input it comes from. */
static int64_t runs_of(const skv_rebind *r, const skive_node *n, int64_t size) {
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        if (!v || r->axis[v->id] < 0 || r->outer[v->id] == 1) continue;
        if (r->x->types[v->id].dims[r->axis[v->id]].size == size) return r->outer[v->id];
    }
    return 1;
}

static skive_status follow(skv_rebind *r, const skive_node *n, int64_t outer) {
    const bool samples = reads_samples(r, n);
    bool grew = false, known = false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const skive_value *v = n->outputs[o];
        if (!v || v->id >= r->n_old) continue;
        const skive_type *a = &r->old[v->id], *b = &r->x->types[v->id];
        const int axis = axis_that_grew(r, a, b);
        known = known || (b->rank > 0);
        if (axis == -2 && samples) {
            char before[128], now[128];
            skv_type_text(a, before, sizeof before);
            skv_type_text(b, now, sizeof now);
            return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                               "node '%s' (%s): '%s' is %s for %lld sample%s, but %s for %lld", n->name, n->op_type,
                               v->name, before, (long long)r->was, r->was == 1 ? "" : "s", now, (long long)r->batch);
        }
        if (axis < 0) continue;
        grew = true;
        r->axis[v->id] = axis;
        r->outer[v->id] = outer > 0 ? outer : runs_of(r, n, b->dims[axis].size);
    }
    if (!samples || grew || !known || skv_node_is(n, SKV_OP_SHAPE) || skv_node_is(n, SKV_OP_SIZE)) return SKIVE_OK;
    return skv_fail_at(r->g->ctx, SKIVE_ERR_SHAPE, n->name,
                       "node '%s' (%s) joins the samples of a batch or selects one of them", n->name, n->op_type);
}

static skive_status set_inputs(skv_rebind *r) {
    for (uint32_t i = 0; i < r->g->n_inputs; i++) {
        skive_type *t = &r->g->inputs[i]->type;
        if (t->rank > 0 && t->dims[0].size == r->was) t->dims[0] = (skive_dim){r->batch, NULL};
    }
    SKV_TRY(skv_rebind_grow(r)); /* takes the types in */
    for (uint32_t i = 0; i < r->g->n_inputs; i++) {
        const skive_value *v = r->g->inputs[i];
        if (v->type.rank > 0 && r->old[v->id].dims[0].size == r->was) r->axis[v->id] = 0;
    }
    return SKIVE_OK;
}

static skive_status walk(skv_rebind *r, skive_node *const *order, uint32_t n_nodes) {
    for (uint32_t i = 0; i < n_nodes; i++) {
        int64_t outer = 0;
        SKV_TRY(skv_rebind_node(r, order[i], &outer));
        SKV_TRY(skv_inference_node(r->x, order[i]));
        SKV_TRY(follow(r, order[i], outer));
    }
    return SKIVE_OK;
}

/* One reading of all shapes, on a fresh copy. */
static skive_status attempt(skv_rebind *r, const skive_graph *g, int64_t batch, skive_graph **out) {
    skive_context *ctx = g->ctx;
    skv_inference x = {.ctx = ctx};
    skive_node **order = NULL;
    skive_status status;
    *out = NULL;
    r->batch = batch;
    r->x = &x;
    r->at = 0;
    r->g = NULL;
    r->capacity = 0;
    SKV_GO(status, done, skive_graph_copy(ctx, g, &r->g));
    x.graph = r->g;
    forget_inner(r->g);
    SKV_GO(status, done, skv_graph_topo(r->g, &order));
    const uint32_t n_nodes = r->g->n_nodes;
    SKV_GO(status, done, set_inputs(r));
    SKV_GO(status, done, walk(r, order, n_nodes));
    skv_inference_commit(&x);
    *out = r->g;
    r->g = NULL;
done:
    skv_inference_free(&x);
    skv_free(ctx, order);
    skv_free(ctx, r->axis);
    skv_free(ctx, r->outer);
    r->axis = NULL;
    r->outer = NULL;
    skive_graph_free(r->g);
    return status;
}

/* The next reading: the last shape that has another one is read so, those after it anew. */
static bool next_choice(skv_rebind *r) {
    while (r->n_choices > 0) {
        skv_choice *last = &r->choices[r->n_choices - 1];
        if (last->taken + 1 < last->n) {
            last->taken++;
            return true;
        }
        r->n_choices--;
    }
    return false;
}

static skive_status search(skv_rebind *r, const skive_graph *g) {
    char why[512], subject[128];
    skive_status status = SKIVE_OK;
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        skive_graph *probe = NULL;
        const skive_status tried = attempt(r, g, r->was == PROBE ? OTHER_PROBE : PROBE, &probe);
        skive_graph_free(probe);
        if (tried == SKIVE_OK || tried == SKIVE_ERR_MEMORY) return tried;
        if (tries == 0) {
            status = tried;
            (void)snprintf(why, sizeof why, "%s", skive_context_message(g->ctx));
            (void)snprintf(subject, sizeof subject, "%s", skive_context_subject(g->ctx));
        }
        if (!next_choice(r)) break;
    }
    /* What the likeliest reading met says most. */
    return skv_fail_at(g->ctx, status, subject, "%s", why);
}

static skive_status rebind(skive_context *ctx, const skive_graph *g, int64_t was, int64_t batch, skive_graph **out) {
    skive_graph *before = NULL;
    skive_type *old = NULL;
    skv_rebind r = {.was = was};
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, g, &before));
    forget_inner(before);
    SKV_GO(status, done, skive_graph_infer(before));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)before->n_values + 1, sizeof *old, &old));
    for (uint32_t i = 0; i < before->n_values; i++) old[i] = before->values[i]->type;
    r.old = old;
    r.n_old = before->n_values;
    SKV_GO(status, done, search(&r, before));
    SKV_GO(status, done, attempt(&r, before, batch, out));
done:
    if (status == SKIVE_ERR_SHAPE)
        status = skv_fail_prefix(
            ctx, status,
            "the model has a fixed batch of %lld sample%s and cannot run %lld (export it with an open batch dimension)",
            (long long)was, was == 1 ? "" : "s", (long long)batch);
    skv_free(ctx, old);
    skv_free(ctx, r.choices);
    skive_graph_free(before);
    return status;
}

/* ---- either ---- */

/* Does the first output have as many rows as there are samples? */
static bool answers_each(const skive_graph *g, int64_t batch) {
    const skive_type *t = g->n_outputs ? &g->outputs[0]->type : NULL;
    if (!t || t->rank < 0) return true;
    for (int d = 0; d < t->rank; d++) {
        if (t->dims[d].size < 0 || (t->dims[d].size > 0 && t->dims[d].size % batch == 0)) return true;
    }
    return false;
}

/* A file may leave the batch of the input open and yet hold shapes for one sample. */
static skive_status bind_or_rebind(skive_context *ctx, const skive_graph *g, int64_t batch, skive_graph **out) {
    skive_graph *one = NULL, *copy = NULL;
    skive_status status;
    SKV_TRY(skive_graph_copy(ctx, g, &copy));
    bind_open(copy, batch);
    status = skive_graph_infer(copy);
    if (status == SKIVE_OK && answers_each(copy, batch)) {
        *out = copy;
        return SKIVE_OK;
    }
    skive_graph_free(copy);
    if (status == SKIVE_ERR_MEMORY) return status;
    SKV_TRY(skive_graph_copy(ctx, g, &one));
    bind_open(one, 1);
    status = rebind(ctx, one, 1, batch, out);
    skive_graph_free(one);
    return status;
}

skive_status skv_graph_bind_batch(skive_context *ctx, const skive_graph *g, int64_t batch, skive_graph **out) {
    const int64_t fixed = skv_graph_fixed_batch(g);
    *out = NULL;
    if (g->n_inputs == 0 || g->inputs[0]->type.rank < 1 || fixed == batch) return skive_graph_copy(ctx, g, out);
    if (fixed == 0)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, g->inputs[0]->name, "input '%s' has no batch axis",
                           g->inputs[0]->name);
    return fixed < 0 ? bind_or_rebind(ctx, g, batch, out) : rebind(ctx, g, fixed, batch, out);
}
