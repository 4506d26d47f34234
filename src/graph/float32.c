/* Graphs that compute in float16, bfloat16 or double compute in float32 instead: a node that takes such numbers, called
 * others here, gets them as float32, where its record says that it then gives float32 in their place. Casts stay at the
 * borders. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "graph/op.h"
#include "graph/shared.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

typedef struct widening widening;
struct widening {
    skive_graph *g;
    const skv_float32_options *o;
    const widening *parent; /* of a body: of the graph around it */
    skive_value **wide;     /* by number of the value: what it is in float32; NULL: nothing yet */
    uint32_t room;
    skive_value **backs; /* the results that are cast back */
    size_t n_backs, backs_room, changed;
    int64_t *beyond; /* numbers out of float32's range */
};

static bool is_other(const skv_float32_options *o, const skive_value *v) {
    return v &&
           (v->type.dtype == SKIVE_F16 || v->type.dtype == SKIVE_BF16 || (o->doubles && v->type.dtype == SKIVE_F64));
}

static skive_status note_wide(widening *w, const skive_value *v, skive_value *wide) {
    if (v->id >= w->room) {
        const uint32_t room = 2 * w->g->n_values + 16;
        SKV_TRY(skv_grow(w->g->ctx, &w->wide, w->room, room, sizeof(skive_value *)));
        memset(w->wide + w->room, 0, (room - w->room) * sizeof(skive_value *));
        w->room = room;
    }
    w->wide[v->id] = wide;
    return SKIVE_OK;
}

static skive_value *known(const widening *w, const skive_value *v) { return v->id < w->room ? w->wide[v->id] : NULL; }

/* A captured value is captured as it is in float32 around the body, if it is there. */
static skive_status capture_wide(widening *w, const skive_value *v, skive_value **out) {
    skive_value *around = w->parent && v->outer->graph == w->parent->g ? known(w->parent, v->outer) : NULL;
    const char *name;
    *out = NULL;
    if (!around) return SKIVE_OK;
    SKV_TRY(skv_graph_unique_name(w->g, around->name, &name));
    SKV_TRY(skv_graph_new_value(w->g, name, out));
    (*out)->outer = around;
    (*out)->type = around->type;
    return SKIVE_OK;
}

static skive_status widen(widening *w, skive_value *v, skive_value **out) {
    *out = known(w, v);
    if (*out) return SKIVE_OK;
    if (v->outer) SKV_TRY(capture_wide(w, v, out));
    if (!*out) {
        skv_builder b = skv_build(w->g);
        *out = skv_emit(&b, "Cast", SKV_IN(v), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
        SKV_TRY(b.status);
    }
    return note_wide(w, v, *out);
}

/* Does the node give float32 where it gave others, and otherwise what it gave, when it gets float32? A cast to 16 bits
 * rounds, which is what it is there for. */
static skive_status may_widen(const widening *w, const skive_node *n, bool *may) {
    skive_context *ctx = w->g->ctx;
    skive_type *types = NULL, *out = NULL;
    const skive_type **in = NULL;
    const skive_tensor **constant = NULL;
    bool any = false;
    skive_status status;
    *may = false;
    for (uint32_t i = 0; i < n->n_inputs; i++) any = any || is_other(w->o, n->inputs[i]);
    if (!any || !n->op || !n->op->infer || skv_node_has_subgraph(n) || skv_node_is(n, SKV_OP_CAST) ||
        (!w->o->store && skv_node_is(n, SKV_OP_CAST_LIKE)))
        return SKIVE_OK;
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] && w->o->keep && w->o->keep(w->o->user, n->outputs[i])) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(ctx, n->n_inputs + 1, sizeof *types, &types));
    SKV_GO(status, done, skv_alloc_array(ctx, n->n_inputs + 1, sizeof *in, &in));
    SKV_GO(status, done, skv_alloc_array(ctx, n->n_inputs + 1, sizeof *constant, &constant));
    SKV_GO(status, done, skv_alloc_array(ctx, n->n_outputs + 1, sizeof *out, &out));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        if (!v) continue;
        types[i] = v->type;
        in[i] = &types[i];
        if (is_other(w->o, v))
            types[i].dtype = SKIVE_F32;
        else
            constant[i] = skv_value_tensor(v);
    }
    if (skv_op_infer(ctx, n, in, constant, out) == SKIVE_ERR_MEMORY) {
        status = SKIVE_ERR_MEMORY;
        goto done;
    }
    *may = true;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_value *v = n->outputs[i];
        if (v && out[i].dtype != (is_other(w->o, v) ? SKIVE_F32 : v->type.dtype)) *may = false;
    }
done:
    skv_free(ctx, types);
    skv_free(ctx, (void *)in);
    skv_free(ctx, (void *)constant);
    skv_free(ctx, out);
    return status;
}

/* The value is float32; whoever read it reads it cast back. */
static skive_status cast_back(widening *w, skive_value *v, skive_dtype dtype, bool outputs_too) {
    skv_builder b = skv_build(w->g);
    skive_value *back = skv_emit(&b, "Cast", SKV_IN(v), SKV_ATTRS(SKV_INT("to", dtype)));
    SKV_TRY(b.status);
    skive_node *cast = back->producer;
    SKV_TRY(skv_value_replace_uses(v, back, outputs_too));
    SKV_TRY(skv_node_set_input(cast, 0, v));
    SKV_TRY(note_wide(w, back, v));
    if (w->n_backs == w->backs_room) {
        SKV_TRY(skv_grow(w->g->ctx, &w->backs, w->n_backs, 2 * w->n_backs + 16, sizeof(skive_value *)));
        w->backs_room = 2 * w->n_backs + 16;
    }
    w->backs[w->n_backs++] = back;
    return SKIVE_OK;
}

static skive_status widen_inputs(widening *w, skive_node *n) {
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        skive_value *wide;
        if (!is_other(w->o, n->inputs[i])) continue;
        SKV_TRY(widen(w, n->inputs[i], &wide));
        SKV_TRY(skv_node_set_input(n, i, wide));
    }
    return SKIVE_OK;
}

static skive_status widen_outputs(widening *w, skive_node *n) {
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        skive_value *v = n->outputs[i];
        if (!is_other(w->o, v)) continue;
        const skive_dtype dtype = v->type.dtype;
        v->type.dtype = SKIVE_F32;
        SKV_TRY(cast_back(w, v, dtype, true));
    }
    return SKIVE_OK;
}

/* Is the value there only for readers that stay as they are: control flow, which passes on what it is given, and nodes
 * whose type is an attribute? */
static skive_status is_border(const widening *w, const skive_value *v, bool *is) {
    *is = !(v->output_uses > 0 && !w->parent);
    for (uint32_t i = 0; *is && i < v->n_uses; i++) {
        const skive_node *n = v->uses[i].node;
        bool may = skv_node_is(n, SKV_OP_CAST);
        if (!may) SKV_TRY(may_widen(w, n, &may));
        *is = !may;
    }
    return SKIVE_OK;
}

/* In a graph that becomes float32 for good: a cast that gives others gives float32, unless it is there for readers that
 * want them; one from others to float32 that is there already is what others are in float32. */
static skive_status widen_cast(widening *w, skive_node *n) {
    skive_value *x = n->inputs[0], *y = n->outputs[0];
    bool stays = false;
    if (!x || !y) return SKIVE_OK;
    if (is_other(w->o, y)) {
        if (!is_other(w->o, x)) SKV_TRY(is_border(w, y, &stays));
        if (stays) return SKIVE_OK;
        SKV_TRY(widen_inputs(w, n));
        SKV_TRY(skv_node_set_attr(n, &SKV_INT("to", SKIVE_F32)));
        w->changed++;
        return widen_outputs(w, n);
    }
    if (!is_other(w->o, x) || x->storage) return SKIVE_OK; /* a weight that is stored so */
    if (known(w, x)) {
        w->changed++;
        return widen_inputs(w, n);
    }
    return y->type.dtype == SKIVE_F32 ? note_wide(w, x, y) : SKIVE_OK;
}

static skive_status widen_node(widening *w, skive_node *n) {
    bool may;
    if (w->o->store && skv_node_is(n, SKV_OP_CAST)) return widen_cast(w, n);
    SKV_TRY(may_widen(w, n, &may));
    if (!may) return SKIVE_OK;
    SKV_TRY(widen_inputs(w, n));
    w->changed++;
    return widen_outputs(w, n);
}

/* Results that are cast back for nobody go; where somebody reads them, they have the name, unless the value is known by
 * it outside. Last first, so that what only they read goes too. */
static skive_status settle_backs(widening *w) {
    for (size_t i = w->n_backs; i-- > 0;) {
        skive_value *back = w->backs[i], *v = back->producer->inputs[0];
        if (!skv_value_is_read(back))
            SKV_TRY(skv_graph_remove_node(back->producer));
        else if (!v->output_uses && v->producer)
            SKV_TRY(skv_value_take_name(back, v));
    }
    return SKIVE_OK;
}

/* ---- inputs, outputs and parameters of a graph that is float32 for good ---- */

/* What a method has stored with 16 bits: all read it cast to float32. */
static bool is_stored_so(const skive_value *v) {
    if (v->output_uses > 0 || skv_value_is_captured(v)) return false;
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const skive_node *n = v->uses[i].node;
        if (!skv_node_is(n, SKV_OP_CAST) || n->outputs[0]->type.dtype != SKIVE_F32) return false;
    }
    return true;
}

/* Numbers of double beyond float32's range become its largest, and those that would vanish its smallest: a mask of
 * -1e308 is one of -3e38, and a divisor of 1e-60 is not 0. */
static float nearest(double x, int64_t *beyond) {
    const float y = (float)x;
    if (isinf(y) && !isinf(x)) {
        ++*beyond;
        return x < 0 ? -FLT_MAX : FLT_MAX;
    }
    if (y == 0 && x != 0) {
        ++*beyond;
        return x < 0 ? -FLT_MIN : FLT_MIN;
    }
    return y;
}

static skive_status store_wide(widening *w, skive_value *v) {
    skive_context *ctx = w->g->ctx;
    skv_storage *storage = NULL;
    skive_tensor t = {0};
    const skive_tensor *old = skv_value_tensor(v);
    if (old->dtype == SKIVE_F64) {
        SKV_TRY(skive_tensor_create(ctx, SKIVE_F32, old->rank, old->dims, &t));
        const double *from = old->data;
        for (int64_t i = 0, n = skive_tensor_count(old); i < n; i++) ((float *)t.data)[i] = nearest(from[i], w->beyond);
    } else {
        SKV_TRY(skv_tensor_convert(ctx, old, SKIVE_F32, &t));
    }
    skive_status status = skv_storage_from_tensor(ctx, &t, &storage);
    skive_tensor_free(ctx, &t);
    if (status == SKIVE_OK) status = skv_value_set_storage(v, storage);
    if (status != SKIVE_OK) skv_storage_release(storage);
    return status;
}

/* Before any node: inputs of the outermost graph, and parameters of every graph, are float32, and what reads them reads
 * them cast back; nodes that are widened then read them as they are. */
static skive_status widen_sources(widening *w) {
    const uint32_t n = w->g->n_values;
    for (uint32_t i = 0; i < n; i++) {
        skive_value *v = w->g->values[i];
        const skive_dtype dtype = v->type.dtype;
        if (!is_other(w->o, v) || v->producer || v->outer) continue;
        if (v->is_input ? w->parent != NULL : !skv_value_is_param(v) || !skv_value_tensor(v) || is_stored_so(v))
            continue;
        if (v->is_input)
            v->type.dtype = SKIVE_F32;
        else
            SKV_TRY(store_wide(w, v));
        w->changed++;
        if (v->n_uses > 0 || skv_value_is_captured(v)) SKV_TRY(cast_back(w, v, dtype, false));
    }
    return SKIVE_OK;
}

static skive_status widen_output(widening *w, uint32_t index) {
    skive_value *y = w->g->outputs[index], *wide;
    SKV_TRY(widen(w, y, &wide));
    const bool made = skv_node_is(y->producer, SKV_OP_CAST) && y->producer->inputs[0] == wide; /* which has the name */
    w->g->outputs[index] = wide;
    y->output_uses--;
    wide->output_uses++;
    w->changed++;
    return made ? SKIVE_OK : skv_value_take_name(wide, y);
}

static skive_status run(widening *w) {
    skive_graph *g = w->g;
    skive_node **order = NULL;
    const uint32_t n_nodes = g->n_nodes;
    skive_status status;
    skv_graph_hold(g);
    SKV_GO(status, done, skv_graph_topo(g, &order));
    if (w->o->store) SKV_GO(status, done, widen_sources(w));
    for (uint32_t i = 0; i < n_nodes; i++) {
        for (uint32_t k = 0; g->nests && k < order[i]->n_attrs; k++) {
            if (!order[i]->attrs[k].graph) continue;
            widening body = {.g = order[i]->attrs[k].graph, .o = w->o, .parent = w, .beyond = w->beyond};
            skv_graph_take_outer_types(body.g);
            SKV_GO(status, done, run(&body));
            w->changed += body.changed;
        }
        SKV_GO(status, done, widen_node(w, order[i]));
    }
    for (uint32_t i = 0; w->o->store && !w->parent && i < g->n_outputs; i++)
        if (is_other(w->o, g->outputs[i])) SKV_GO(status, done, widen_output(w, i));
    status = settle_backs(w);
done:
    skv_graph_settle(g);
    skv_free(g->ctx, order);
    skv_free(g->ctx, (void *)w->wide);
    skv_free(g->ctx, (void *)w->backs);
    return status;
}

static skive_status float32(skive_graph *g, const skv_float32_options *o, size_t *changed, int64_t *beyond) {
    widening w = {.g = g, .o = o, .beyond = beyond};
    const skive_status status = run(&w);
    *changed = w.changed;
    return status;
}

skive_status skv_graph_float32(skive_graph *g, const skv_float32_options *o, size_t *changed) {
    int64_t beyond = 0;
    bool any = g->nests;
    for (uint32_t i = 0; i < g->n_values && !any; i++) any = is_other(o, g->values[i]);
    *changed = 0;
    return any ? float32(g, o, changed, &beyond) : SKIVE_OK;
}

/* Is anything of this type computed with, taken or given? A double that comes from integers and becomes one again is
 * arithmetic of sizes, which needs its digits: there must be an input, an output or a matrix of doubles. */
static bool has_type(const skive_graph *g, skive_dtype dtype, bool outermost) {
    for (uint32_t i = 0; outermost && i < g->n_inputs; i++)
        if (g->inputs[i]->type.dtype == dtype) return true;
    for (uint32_t i = 0; outermost && i < g->n_outputs; i++)
        if (g->outputs[i]->type.dtype == dtype) return true;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (v->type.dtype != dtype || v->n_uses == 0 || (v->storage && is_stored_so(v))) continue;
        if (dtype != SKIVE_F64 || (v->storage && v->type.rank > 1)) return true;
    }
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_attrs; k++)
            if (g->nodes[i]->attrs[k].graph && has_type(g->nodes[i]->attrs[k].graph, dtype, false)) return true;
    return false;
}

skive_status skive_graph_to_float32(skive_graph *graph) {
    SKV_NEED(graph ? graph->ctx : NULL, "graph", graph);
    const bool doubles = has_type(graph, SKIVE_F64, true);
    const skive_dtype of = doubles                             ? SKIVE_F64
                           : has_type(graph, SKIVE_F16, true)  ? SKIVE_F16
                           : has_type(graph, SKIVE_BF16, true) ? SKIVE_BF16
                                                               : SKIVE_F32;
    if (of == SKIVE_F32) return SKIVE_OK;
    const skv_float32_options options = {.doubles = doubles, .store = true};
    skive_graph *copy = NULL;
    size_t changed = 0;
    int64_t beyond = 0;
    SKV_TRY(skive_graph_copy(graph->ctx, graph, &copy));
    skive_status status = float32(copy, &options, &changed, &beyond);
    if (status == SKIVE_OK) {
        (void)skv_graph_sweep(copy);
        status = skive_graph_infer(copy);
    }
    if (status == SKIVE_OK && changed) {
        skv_note(
            graph->ctx,
            "the model is of %s: it is float32 from here on, its inputs and outputs too, and shares of its size are "
            "of that",
            skive_dtype_name(of));
        if (beyond)
            skv_note(graph->ctx,
                     "%lld number%s of float64 beyond what float32 can hold became the nearest that it can, and not "
                     "infinite or 0",
                     (long long)beyond, beyond == 1 ? "" : "s");
        skive_graph_take(graph, copy);
    } else {
        skive_graph_free(copy);
    }
    return status;
}

skive_status skv_graph_for_methods(skive_graph *g) {
    SKV_TRY(skive_graph_to_float32(g));
    return skive_graph_to_inference(g);
}
