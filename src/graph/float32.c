/* Graphs that compute in float16, bfloat16 or double compute in float32 instead: a node that takes such numbers, called
 * others here, gets them as float32, where its record says that it then gives float32 in their place. Casts stay at the
 * borders. */
#include <string.h>

#include "graph/op.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

typedef struct widening {
    skive_graph *g;
    const skv_float32_options *o;
    skive_value **wide; /* by number of the value: what it is in float32; NULL: nothing yet */
    uint32_t room;
    skive_value **backs; /* the results that are cast back */
    size_t n_backs, changed;
} widening;

static bool is_other(const widening *w, const skive_value *v) {
    return v &&
           (v->type.dtype == SKIVE_F16 || v->type.dtype == SKIVE_BF16 || (w->o->doubles && v->type.dtype == SKIVE_F64));
}

static skive_status note_wide(widening *w, const skive_value *v, skive_value *wide) {
    if (v->graph != w->g) return SKIVE_OK; /* captured: each reader has its own */
    if (v->id >= w->room) {
        const uint32_t room = 2 * w->g->n_values + 16;
        SKV_TRY(skv_grow(w->g->ctx, &w->wide, w->room, room, sizeof(skive_value *)));
        memset(w->wide + w->room, 0, (room - w->room) * sizeof(skive_value *));
        w->room = room;
    }
    w->wide[v->id] = wide;
    return SKIVE_OK;
}

/* The parameter's numbers as float32, stored. */
static skive_status store_wide(const widening *w, skive_value *v, skive_value **out) {
    skive_context *ctx = w->g->ctx;
    const char *name;
    skv_storage *storage = NULL;
    skive_tensor t = {0};
    SKV_TRY(skv_graph_unique_name(w->g, v->name, &name));
    SKV_TRY(skv_tensor_convert(ctx, skv_value_tensor(v), SKIVE_F32, &t));
    skive_status status = skv_storage_from_tensor(ctx, &t, &storage);
    skive_tensor_free(ctx, &t);
    if (status == SKIVE_OK) status = skv_graph_new_param(w->g, name, storage, out);
    if (status != SKIVE_OK) {
        skv_storage_release(storage);
        return status;
    }
    (*out)->trainable = v->trainable;
    (*out)->keeps_zeros = v->keeps_zeros;
    return SKIVE_OK;
}

static skive_status widen(widening *w, skive_value *v, skive_value **out) {
    *out = v->graph == w->g && v->id < w->room ? w->wide[v->id] : NULL;
    if (*out) return SKIVE_OK;
    if (w->o->store && v->graph == w->g && skv_value_is_param(v) && skv_value_tensor(v)) {
        SKV_TRY(store_wide(w, v, out));
    } else {
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
    for (uint32_t i = 0; i < n->n_inputs; i++) any = any || is_other(w, n->inputs[i]);
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
        if (is_other(w, v))
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
        if (v && out[i].dtype != (is_other(w, v) ? SKIVE_F32 : v->type.dtype)) *may = false;
    }
done:
    skv_free(ctx, types);
    skv_free(ctx, (void *)in);
    skv_free(ctx, (void *)constant);
    skv_free(ctx, out);
    return status;
}

/* The result is float32; whoever read it reads it cast back. */
static skive_status cast_back(widening *w, skive_value *v, skive_dtype dtype) {
    skv_builder b = skv_build(w->g);
    skive_value *back = skv_emit(&b, "Cast", SKV_IN(v), SKV_ATTRS(SKV_INT("to", dtype)));
    SKV_TRY(b.status);
    skive_node *cast = back->producer;
    SKV_TRY(skv_value_replace_uses(v, back, true));
    SKV_TRY(skv_node_set_input(cast, 0, v));
    SKV_TRY(note_wide(w, back, v));
    SKV_TRY(skv_grow(w->g->ctx, &w->backs, w->n_backs, w->n_backs + 1, sizeof(skive_value *)));
    w->backs[w->n_backs++] = back;
    return SKIVE_OK;
}

static skive_status widen_inputs(widening *w, skive_node *n) {
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        skive_value *wide;
        if (!is_other(w, n->inputs[i])) continue;
        SKV_TRY(widen(w, n->inputs[i], &wide));
        SKV_TRY(skv_node_set_input(n, i, wide));
    }
    return SKIVE_OK;
}

static skive_status widen_outputs(widening *w, skive_node *n) {
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        skive_value *v = n->outputs[i];
        if (!is_other(w, v)) continue;
        const skive_dtype dtype = v->type.dtype;
        v->type.dtype = SKIVE_F32;
        SKV_TRY(cast_back(w, v, dtype));
    }
    return SKIVE_OK;
}

static skive_status widen_node(widening *w, skive_node *n) {
    bool may;
    if (w->o->store && skv_node_is(n, SKV_OP_CAST)) {
        if (n->inputs[0] && n->inputs[0]->storage && n->outputs[0]->type.dtype == SKIVE_F32)
            return SKIVE_OK; /* a weight that is stored so */
        SKV_TRY(widen_inputs(w, n));
        if (!is_other(w, n->outputs[0])) return SKIVE_OK;
        SKV_TRY(skv_node_set_attr(n, &SKV_INT("to", SKIVE_F32)));
    } else {
        SKV_TRY(may_widen(w, n, &may));
        if (!may) return SKIVE_OK;
        SKV_TRY(widen_inputs(w, n));
    }
    w->changed++;
    return widen_outputs(w, n);
}

/* Results that are cast back for nobody; and where somebody reads them, they have the name. Last first, so that what
 * only they read goes too. */
static skive_status settle_backs(widening *w) {
    for (size_t i = w->n_backs; i-- > 0;) {
        skive_value *back = w->backs[i], *v = back->producer->inputs[0];
        const char *name = v->name, *spare;
        if (!skv_value_is_read(back)) {
            SKV_TRY(skv_graph_remove_node(back->producer));
        } else if (!v->output_uses && v->producer) {
            SKV_TRY(skv_graph_unique_name(w->g, name, &spare));
            SKV_TRY(skv_value_rename(v, spare));
            SKV_TRY(skv_value_rename(back, name));
        }
    }
    return SKIVE_OK;
}

/* ---- inputs, outputs and parameters of a graph that is float32 for good ---- */

static skive_status widen_input(widening *w, skive_value *x) {
    const skive_dtype dtype = x->type.dtype;
    skive_value *wide = x->id < w->room ? w->wide[x->id] : NULL;
    const bool others = x->n_uses > (wide ? 1 : 0) || x->output_uses > 0 || skv_value_is_captured(x);
    x->type.dtype = SKIVE_F32;
    if (others) SKV_TRY(cast_back(w, x, dtype));
    if (!wide) return SKIVE_OK;
    SKV_TRY(skv_value_replace_uses(wide, x, true));
    return skv_graph_remove_node(wide->producer);
}

static skive_status widen_output(widening *w, uint32_t index) {
    skive_value *y = w->g->outputs[index], *wide;
    const char *name = y->name, *spare;
    const bool made = y->id < w->room && w->wide[y->id] && w->wide[y->id]->producer;
    if (!made && (!y->producer || y->output_uses > 1)) return SKIVE_OK; /* a value that only passes through */
    SKV_TRY(widen(w, y, &wide));
    w->g->outputs[index] = wide;
    y->output_uses--;
    wide->output_uses++;
    if (made && y->producer->inputs[0] == wide) return SKIVE_OK; /* which has the name */
    SKV_TRY(skv_graph_unique_name(w->g, name, &spare));
    SKV_TRY(skv_value_rename(y, spare));
    return skv_value_rename(wide, name);
}

/* A parameter that is float32 now has the name it had. */
static skive_status settle_parameters(widening *w, uint32_t n) {
    for (uint32_t i = 0; i < n && i < w->room; i++) {
        skive_value *v = w->g->values[i], *wide = w->wide[i];
        if (!wide || !wide->storage || skv_value_is_read(v)) continue;
        const char *name = v->name, *spare;
        SKV_TRY(skv_graph_unique_name(w->g, name, &spare));
        SKV_TRY(skv_value_rename(v, spare));
        SKV_TRY(skv_value_rename(wide, name));
    }
    return SKIVE_OK;
}

static skive_status run(skive_graph *g, const skv_float32_options *o, size_t *changed, bool outermost) {
    widening w = {.g = g, .o = o};
    skive_node **order = NULL;
    const uint32_t n_values = g->n_values, n_nodes = g->n_nodes;
    skive_status status;
    skv_graph_hold(g);
    SKV_GO(status, done, skv_graph_topo(g, &order));
    for (uint32_t i = 0; i < n_nodes; i++) {
        for (uint32_t k = 0; g->nests && k < order[i]->n_attrs; k++)
            if (order[i]->attrs[k].graph) SKV_GO(status, done, run(order[i]->attrs[k].graph, o, changed, false));
        SKV_GO(status, done, widen_node(&w, order[i]));
    }
    if (outermost && o->store) {
        for (uint32_t i = 0; i < g->n_outputs; i++)
            if (is_other(&w, g->outputs[i])) SKV_GO(status, done, widen_output(&w, i));
        for (uint32_t i = 0; i < g->n_inputs; i++)
            if (is_other(&w, g->inputs[i])) SKV_GO(status, done, widen_input(&w, g->inputs[i]));
        SKV_GO(status, done, settle_parameters(&w, n_values));
    }
    status = settle_backs(&w);
done:
    *changed += w.changed;
    skv_graph_settle(g);
    skv_free(g->ctx, order);
    skv_free(g->ctx, (void *)w.wide);
    skv_free(g->ctx, (void *)w.backs);
    return status;
}

skive_status skv_graph_float32(skive_graph *g, const skv_float32_options *o, size_t *changed) {
    *changed = 0;
    return run(g, o, changed, true);
}

static bool has_others(const skive_graph *g, const char **what) {
    const widening w = {.o = &(skv_float32_options){.doubles = true}};
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (!is_other(&w, v) || v->n_uses == 0) continue;
        for (uint32_t k = 0; k < v->n_uses; k++) { /* weights that are stored so and cast are float32 to the rest */
            if (skv_node_is(v->uses[k].node, SKV_OP_CAST)) continue;
            *what = skive_dtype_name(v->type.dtype);
            return true;
        }
    }
    return false;
}

skive_status skive_graph_to_float32(skive_graph *graph) {
    static const skv_float32_options options = {.doubles = true, .store = true};
    SKV_NEED(graph ? graph->ctx : NULL, "graph", graph);
    skive_graph *copy = NULL;
    const char *what;
    size_t changed;
    if (!has_others(graph, &what)) return SKIVE_OK;
    SKV_TRY(skive_graph_copy(graph->ctx, graph, &copy));
    skive_status status = skv_graph_float32(copy, &options, &changed);
    if (status == SKIVE_OK) {
        (void)skv_graph_sweep(copy);
        status = skive_graph_infer(copy);
    }
    if (status == SKIVE_OK && changed) {
        skv_note(graph->ctx,
                 "the model computes in %s (%zu nodes): it is float32 from here on, its inputs and outputs too", what,
                 changed);
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
