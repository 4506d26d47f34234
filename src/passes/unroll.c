/* Control flow written out; see unroll.h. */
#include "passes/unroll.h"

#include <stdio.h>
#include <string.h>

#include "graph/op.h"
#include "graph/weights.h"
#include "passes/pass.h"
#include "tensor/tensor.h"

enum { MOST_NODES = 50000, NAME = 256 };

typedef struct unrolling {
    skive_context *ctx;
    skive_graph *g;
    skv_text done, left;
} unrolling;

static const skive_graph *body_of(const skive_node *n, const char *attribute) {
    const skv_attr *a = skv_node_attr(n, attribute);
    return a ? a->graph : NULL;
}

/* ---- parameters of bodies ---- */

typedef void (*see_parameter)(void *user, skive_value *v, const char *name);

typedef struct naming {
    const skive_graph *top;
    const char **given;
    size_t n;
    see_parameter see;
    void *user;
} naming;

static bool is_taken(const naming *c, const char *name) {
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->given[i], name) == 0) return true;
    return skive_graph_find_value(c->top, name) != NULL;
}

/* Shows the parameters of all bodies, each with the name that it gets: its own, unless that is taken. The names are the
 * same for a graph and its copies. */
static skive_status name_parameters(naming *c, const skive_graph *g) {
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++) {
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++) {
            skive_graph *body = g->nodes[i]->attrs[a].graph;
            for (uint32_t k = 0; body && k < body->n_values; k++) {
                skive_value *v = body->values[k];
                char name[NAME];
                if (!v->storage) continue;
                (void)snprintf(name, sizeof name, "%.*s", skv_utf8_prefix(v->name, NAME - 32), v->name);
                if (is_taken(c, name))
                    (void)snprintf(name, sizeof name, "%.*s.body%zu", skv_utf8_prefix(v->name, NAME - 32), v->name,
                                   c->n);
                SKV_TRY(skv_grow(c->top->ctx, &c->given, c->n, c->n + 1, sizeof *c->given));
                c->given[c->n++] = v->name;
                c->see(c->user, v, name);
            }
            if (body) SKV_TRY(name_parameters(c, body));
        }
    }
    return SKIVE_OK;
}

static skive_status see_parameters(const skive_graph *g, see_parameter see, void *user) {
    naming c = {.top = g, .see = see, .user = user};
    const skive_status status = name_parameters(&c, g);
    skv_free(g->ctx, c.given);
    return status;
}

/* What stands for a value of the whole graph in a body; in between, too. */
static skive_status alias_in(skive_graph *g, skive_value *of, skive_value **out) {
    skive_value *around;
    *out = of;
    if (g == of->graph) return SKIVE_OK;
    SKV_TRY(alias_in(g->parent, of, &around));
    SKV_TRY(skv_graph_new_value(g, NULL, out));
    (*out)->type = of->type;
    (*out)->outer = around;
    return SKIVE_OK;
}

typedef struct hoisting {
    skive_graph *top;
    skive_status status;
} hoisting;

static void hoist(void *user, skive_value *v, const char *name) {
    hoisting *h = user;
    skive_value *p = NULL, *around = NULL;
    const char *unique = NULL;
    if (h->status == SKIVE_OK) h->status = skv_graph_unique_name(h->top, name, &unique);
    if (h->status == SKIVE_OK) h->status = skv_graph_new_value(h->top, unique, &p);
    if (h->status != SKIVE_OK) return;
    p->type = v->type;
    p->storage = skv_storage_retain(v->storage);
    p->trainable = v->trainable;
    p->keeps_zeros = v->keeps_zeros;
    h->status = alias_in(v->graph->parent, p, &around);
    if (h->status != SKIVE_OK) return;
    skv_storage_release(v->storage);
    v->storage = NULL;
    v->outer = around;
}

/* Called while names are given, which go by the values as they are: all at once. */
static skive_status hoist_all(skive_graph *g) {
    hoisting h = {.top = g, .status = SKIVE_OK};
    SKV_TRY(see_parameters(g, hoist, &h));
    return h.status;
}

static void take_back(void *user, skive_value *v, const char *name) {
    const skive_graph *from = user;
    const skive_value *t = skive_graph_find_value(from, name);
    if (!t || !t->storage || t->type.dtype != v->type.dtype ||
        skive_tensor_bytes(&t->storage->tensor) != skive_tensor_bytes(&v->storage->tensor))
        return;
    skv_storage *old = v->storage;
    v->storage = skv_storage_retain(t->storage);
    v->keeps_zeros = t->keeps_zeros;
    skv_storage_release(old);
}

void skv_unroll_take_back(skive_graph *model, const skive_graph *unrolled) {
    union {
        const skive_graph *in;
        skive_graph *out;
    } from = {.in = unrolled};
    (void)see_parameters(model, take_back, from.out);
}

/* ---- the nodes ---- */

static skive_status leave(unrolling *u, const skive_node *n, const char *why) {
    skv_text_add(&u->left, "%s'%s' (%s): %s", u->left.length ? "; " : "", n->name, n->op_type, why);
    return u->left.status;
}

/* What reads old[i] reads fresh[i], which gets its name; the node goes. */
static skive_status take_place(unrolling *u, skive_node *n, skive_value *const *fresh) {
    const char *names[SKV_OP_MAX_IO] = {NULL};
    const uint32_t count = n->n_outputs;
    for (uint32_t o = 0; o < count; o++) {
        if (!n->outputs[o] || !fresh[o]) continue;
        names[o] = n->outputs[o]->name;
        SKV_TRY(skv_value_replace_uses(n->outputs[o], fresh[o], true));
    }
    SKV_TRY(skv_graph_remove_node(n));
    for (uint32_t o = 0; o < count; o++)
        if (names[o]) SKV_TRY(skv_value_rename(fresh[o], names[o]));
    return skv_graph_infer_nested(u->g);
}

/* May they be of one shape? *open counts the axes of which it is not known yet. */
static bool may_be_one_shape(const skive_type *a, const skive_type *b, int *open) {
    *open = 0;
    if (a->dtype != b->dtype || a->rank < 0 || a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++) {
        const skive_dim *x = &a->dims[d], *y = &b->dims[d];
        if (x->size >= 0 && y->size >= 0 && x->size != y->size) return false;
        const bool same = x->size >= 0 ? y->size >= 0 : x->symbol && y->symbol && strcmp(x->symbol, y->symbol) == 0;
        *open += !same;
    }
    return true;
}

static skive_status both_branches(unrolling *u, skive_node *n) {
    const skive_graph *body[2] = {body_of(n, "then_branch"), body_of(n, "else_branch")};
    int open[SKV_OP_MAX_IO] = {0};
    skive_value **map[2] = {NULL, NULL}, *y[SKV_OP_MAX_IO] = {NULL}, *condition = n->inputs[0];
    skv_builder b = skv_build(u->g);
    skive_status status = SKIVE_OK;
    for (int k = 0; k < 2; k++)
        if (!body[k] || body[k]->n_inputs || body[k]->n_outputs != n->n_outputs)
            return leave(u, n, "its branches are not complete");
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        char was[160], is[160], why[400];
        const skive_type *a = &body[0]->outputs[o]->type, *c = &body[1]->outputs[o]->type;
        /* With one open axis the numbers of elements tell, which ReshapeLike compares when they are known. */
        if (may_be_one_shape(a, c, &open[o]) && open[o] <= 1) continue;
        skv_type_text(a, was, sizeof was);
        skv_type_text(c, is, sizeof is);
        (void)snprintf(why, sizeof why, "its branches give %s and %s, which are not known to be of one shape", was, is);
        return leave(u, n, why);
    }
    for (int k = 0; status == SKIVE_OK && k < 2; k++) status = skv_graph_merge(u->g, body[k], NULL, NULL, &map[k]);
    if (condition->type.rank == 1) condition = skv_emit(&b, "Squeeze", SKV_IN(condition), SKV_NONE);
    if (status == SKIVE_OK) status = skive_graph_infer(u->g);
    for (uint32_t o = 0; status == SKIVE_OK && o < n->n_outputs; o++) {
        skive_value *yes = map[0][body[0]->outputs[o]->id], *no = map[1][body[1]->outputs[o]->id];
        if (open[o]) no = skv_emit(&b, "ReshapeLike", SKV_IN(no, yes), SKV_NONE);
        y[o] = skv_emit(&b, "Where", SKV_IN(condition, yes, no), SKV_NONE);
    }
    skv_free(u->ctx, map[0]);
    skv_free(u->ctx, map[1]);
    SKV_TRY(status);
    SKV_TRY(b.status);
    skv_text_add(&u->done, "%s'%s' (If) as both branches, of which its condition picks one", u->done.length ? "; " : "",
                 n->name);
    return take_place(u, n, y);
}

static skive_value *number(skv_builder *b, int rank, skive_dtype dtype, double x) {
    skive_value *v = skv_emit_scalar(b, dtype, x);
    if (rank != 1) return v;
    return skv_emit(b, "Reshape", SKV_IN(v, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
}

/* One round of a body: its outputs become values of the graph. */
static skive_status round_of(unrolling *u, const skive_graph *body, skive_value *const *in, skive_value **out) {
    skive_value **map = NULL;
    SKV_TRY(skv_graph_merge(u->g, body, NULL, in, &map));
    for (uint32_t o = 0; o < body->n_outputs; o++) out[o] = map[body->outputs[o]->id];
    skv_free(u->ctx, map);
    return SKIVE_OK;
}

/* The entries of all rounds along a new axis. */
static skive_value *stacked(skv_builder *b, skive_value *const *entry, size_t n, int64_t axis, bool backward) {
    skive_value **parts = NULL, *y = NULL;
    if (b->status == SKIVE_OK) b->status = skv_alloc_array(b->graph->ctx, n + 1, sizeof *parts, &parts);
    skive_value *axes = skv_emit_ints(b, &axis, 1);
    for (size_t i = 0; b->status == SKIVE_OK && i < n; i++)
        parts[i] = skv_emit(b, "Unsqueeze", SKV_IN(entry[backward ? n - 1 - i : i], axes), SKV_NONE);
    if (b->status == SKIVE_OK) y = skv_emit(b, "Concat", (skv_in_list){parts, n}, SKV_ATTRS(SKV_INT("axis", axis)));
    skv_free(b->graph->ctx, parts);
    return y;
}

static bool too_many(const skive_graph *body, int64_t rounds) {
    return rounds > MOST_NODES || rounds * ((int64_t)body->n_nodes + 1) > MOST_NODES;
}

/* The condition of a Loop: 1 and 0 where it is constant, -1 where it is the one that the round began with, -2 where it
 * is computed. */
static int condition_of(skive_value *v, const skive_graph *body) {
    while (v && skv_node_is(v->producer, SKV_OP_IDENTITY)) v = v->producer->inputs[0];
    if (body && v == body->inputs[1]) return -1;
    const skive_tensor *t = skv_value_tensor(skv_value_source(v));
    return t && skive_tensor_count(t) == 1 ? skive_tensor_get(t, 0) != 0 : -2;
}

static skive_status all_rounds(unrolling *u, skive_node *n) {
    const skive_graph *body = body_of(n, "body");
    const skive_tensor *trips = skv_value_tensor(skv_node_in(n, 0));
    const size_t carried = n->n_inputs > 2 ? n->n_inputs - 2 : 0;
    skive_value *in[SKV_OP_MAX_IO], *out[SKV_OP_MAX_IO], *y[SKV_OP_MAX_IO] = {NULL}, **entries = NULL;
    skv_builder b = skv_build(u->g);
    if (!body || body->n_inputs != carried + 2 || body->n_outputs != n->n_outputs + 1 || n->n_outputs < carried)
        return leave(u, n, "its body is not complete");
    const int first = skv_node_in(n, 1) ? condition_of(n->inputs[1], NULL) : 1;
    const int later = condition_of(body->outputs[0], body);
    if (!trips || skive_tensor_count(trips) != 1 || first < 0 || (later != -1 && later != 1))
        return leave(u, n, "the number of its rounds depends on data");
    const int64_t given = (int64_t)skive_tensor_get(trips, 0), rounds = first == 0 || given < 0 ? 0 : given;
    const size_t scans = n->n_outputs - carried;
    if (too_many(body, rounds)) return leave(u, n, "written out, its rounds would be too many nodes");
    if (rounds == 0 && scans) return leave(u, n, "it has no round");
    SKV_TRY(skv_alloc_array(u->ctx, (size_t)rounds * scans + 1, sizeof(skive_value *), &entries));
    for (size_t i = 0; i < carried; i++) in[2 + i] = n->inputs[2 + i];
    skive_status status = SKIVE_OK;
    in[1] = number(&b, body->inputs[1]->type.rank, SKIVE_BOOL, 1);
    for (int64_t t = 0; status == SKIVE_OK && t < rounds; t++) {
        in[0] = number(&b, body->inputs[0]->type.rank, SKIVE_I64, (double)t);
        status = b.status == SKIVE_OK ? round_of(u, body, in, out) : b.status;
        for (size_t i = 0; status == SKIVE_OK && i < carried; i++) in[2 + i] = out[1 + i];
        for (size_t k = 0; status == SKIVE_OK && k < scans; k++)
            entries[k * (size_t)rounds + (size_t)t] = out[1 + carried + k];
    }
    if (status == SKIVE_OK) status = skive_graph_infer(u->g);
    for (size_t i = 0; status == SKIVE_OK && i < carried; i++)
        y[i] = skv_emit(&b, "Identity", SKV_IN(in[2 + i]), SKV_NONE);
    for (size_t k = 0; status == SKIVE_OK && k < scans; k++)
        y[carried + k] = stacked(&b, entries + k * (size_t)rounds, (size_t)rounds, 0, false);
    skv_free(u->ctx, entries);
    SKV_TRY(status);
    SKV_TRY(b.status);
    skv_text_add(&u->done, "%s'%s' (Loop) as %lld rounds", u->done.length ? "; " : "", n->name, (long long)rounds);
    return take_place(u, n, y);
}

static int64_t entry_of(const skive_node *n, const char *name, size_t i) {
    size_t count;
    const int64_t *list = skv_attr_ints(n, name, &count);
    return i < count ? list[i] : 0;
}

static skive_status all_steps(unrolling *u, skive_node *n) {
    const skive_graph *body = body_of(n, "body");
    const int64_t scanned = skv_attr_int(n, "num_scan_inputs", 0);
    skive_value *in[SKV_OP_MAX_IO], *out[SKV_OP_MAX_IO], *y[SKV_OP_MAX_IO] = {NULL}, **entries = NULL;
    skv_builder b = skv_build(u->g);
    int64_t steps = -1;
    if (!body || scanned < 1 || scanned > (int64_t)n->n_inputs || body->n_inputs != n->n_inputs ||
        body->n_outputs != n->n_outputs || (int64_t)n->n_outputs + scanned < (int64_t)n->n_inputs)
        return leave(u, n, "its body is not complete");
    const size_t states = n->n_inputs - (size_t)scanned, outputs = n->n_outputs - states;
    for (size_t i = 0; i < (size_t)scanned; i++) {
        const skive_type *t = &n->inputs[states + i]->type;
        const int64_t axis = t->rank > 0 ? skv_axis(entry_of(n, "scan_input_axes", i), t->rank) : -1;
        if (axis < 0 || t->dims[axis].size < 1) return leave(u, n, "its length is not known before a run");
        steps = t->dims[axis].size;
    }
    if (too_many(body, steps)) return leave(u, n, "written out, its steps would be too many nodes");
    SKV_TRY(skv_alloc_array(u->ctx, (size_t)steps * outputs + 1, sizeof(skive_value *), &entries));
    for (size_t i = 0; i < states; i++) in[i] = n->inputs[i];
    skive_status status = SKIVE_OK;
    for (int64_t t = 0; status == SKIVE_OK && t < steps; t++) {
        for (size_t i = 0; i < (size_t)scanned; i++) {
            skive_value *x = n->inputs[states + i];
            const bool backward = entry_of(n, "scan_input_directions", i) != 0;
            const int64_t axis = skv_axis(entry_of(n, "scan_input_axes", i), x->type.rank);
            skive_value *at = skv_emit_scalar(&b, SKIVE_I64, (double)(backward ? steps - 1 - t : t));
            in[states + i] = skv_emit(&b, "Gather", SKV_IN(x, at), SKV_ATTRS(SKV_INT("axis", axis)));
        }
        status = b.status == SKIVE_OK ? round_of(u, body, in, out) : b.status;
        for (size_t i = 0; status == SKIVE_OK && i < states; i++) in[i] = out[i];
        for (size_t k = 0; status == SKIVE_OK && k < outputs; k++)
            entries[k * (size_t)steps + (size_t)t] = out[states + k];
    }
    if (status == SKIVE_OK) status = skive_graph_infer(u->g);
    for (size_t i = 0; status == SKIVE_OK && i < states; i++) y[i] = skv_emit(&b, "Identity", SKV_IN(in[i]), SKV_NONE);
    for (size_t k = 0; status == SKIVE_OK && k < outputs; k++) {
        const int rank = entries[k * (size_t)steps]->type.rank;
        const int64_t axis = rank >= 0 ? skv_axis(entry_of(n, "scan_output_axes", k), rank + 1) : -1;
        if (axis < 0)
            status = skv_fail_at(u->ctx, SKIVE_ERR_SHAPE, n->name,
                                 "node '%s': the rank of scan output %zu is not known", n->name, k);
        else
            y[states + k] = stacked(&b, entries + k * (size_t)steps, (size_t)steps, axis,
                                    entry_of(n, "scan_output_directions", k) != 0);
    }
    skv_free(u->ctx, entries);
    SKV_TRY(status);
    SKV_TRY(b.status);
    skv_text_add(&u->done, "%s'%s' (Scan) as %lld steps", u->done.length ? "; " : "", n->name, (long long)steps);
    return take_place(u, n, y);
}

/* Nodes that come out of a body join the list, and are looked at in their turn. */
static skive_status unroll_nodes(unrolling *u) {
    skive_graph *g = u->g;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_node *n = g->nodes[i];
        if (n->removed || !skv_node_has_subgraph(n)) continue;
        if (n->n_inputs > SKV_OP_MAX_IO || n->n_outputs + 1 > SKV_OP_MAX_IO)
            SKV_TRY(leave(u, n, "it has too many inputs or outputs"));
        else if (skv_node_is(n, SKV_OP_IF))
            SKV_TRY(both_branches(u, n));
        else if (skv_node_is(n, SKV_OP_LOOP))
            SKV_TRY(all_rounds(u, n));
        else if (skv_node_is(n, SKV_OP_SCAN))
            SKV_TRY(all_steps(u, n));
    }
    return SKIVE_OK;
}

skive_status skv_unroll(skive_graph *g, char **done, char **left) {
    const skv_pass_env env = {.ctx = g->ctx, .training = true};
    unrolling u = {.ctx = g->ctx, .g = g};
    size_t changes = 0;
    skive_status status;
    *done = *left = NULL;
    skv_text_init(&u.done, g->ctx);
    skv_text_init(&u.left, g->ctx);
    SKV_GO(status, failed, hoist_all(g));
    SKV_GO(status, failed, skv_graph_infer_nested(g));
    SKV_GO(status, failed, skv_pass_run(skv_pass_find("fold-constants"), &env, g, &changes));
    SKV_GO(status, failed, skv_pass_run(skv_pass_find("plain-shapes"), &env, g, &changes));
    SKV_GO(status, failed, skv_pass_run(skv_pass_find("fold-if"), &env, g, &changes));
    skv_graph_hold(g);
    status = unroll_nodes(&u);
    skv_graph_settle(g);
    if (status != SKIVE_OK) goto failed;
    (void)skv_graph_sweep(g);
    SKV_GO(status, failed, skive_graph_infer(g));
    SKV_GO(status, failed, skive_graph_check(g));
    SKV_GO(status, failed, u.done.status);
    SKV_GO(status, failed, u.left.status);
    *done = u.done.data;
    *left = u.left.data;
    return SKIVE_OK;
failed:
    skv_text_free(&u.done);
    skv_text_free(&u.left);
    return status;
}
