/* From a graph to a plan: a private copy gets concrete shapes, the passes simplify and fuse it, then kernels are chosen
 * and memory is laid out. */
#include "exec/plan.h"

#include <stdlib.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "graph/shared.h"
#include "graph/unknown.h"
#include "graph/weights.h"

skive_plan_options skive_plan_options_default(void) { return (skive_plan_options){.size = sizeof(skive_plan_options)}; }

/* Concrete dimensions for one graph input. */
static skive_status bind_input(skive_context *ctx, skive_value *v, const skive_plan_options *o) {
    const skive_shape_binding *b = NULL;
    for (size_t i = 0; i < o->n_shapes; i++) {
        if (strcmp(o->shapes[i].input, v->name) == 0) b = &o->shapes[i];
    }
    skive_type *t = &v->type;
    if (b) {
        if (t->rank >= 0 && t->rank != b->rank) {
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name,
                               "input '%s' has rank %d, but a shape of rank %d was given", v->name, t->rank, b->rank);
        }
        for (int d = 0; d < b->rank; d++) {
            if (b->dims[d] < 0 || (t->rank >= 0 && t->dims[d].size >= 0 && t->dims[d].size != b->dims[d])) {
                return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name,
                                   "input '%s', dimension %d: the model has %lld, but %lld was given", v->name, d,
                                   t->rank >= 0 ? (long long)t->dims[d].size : -1LL, (long long)b->dims[d]);
            }
        }
        *t = skive_type_make(t->dtype, b->rank, b->dims);
    }
    if (t->dtype == SKIVE_DTYPE_NONE || t->rank < 0) {
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name, "input '%s' has no known %s; give its shape", v->name,
                           t->rank < 0 ? "shape" : "element type");
    }
    if (t->rank > 0 && t->dims[0].size < 0) t->dims[0] = (skive_dim){o->batch > 0 ? o->batch : 1, NULL};
    for (int d = 0; d < t->rank; d++) {
        if (t->dims[d].size < 0) {
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name,
                               "input '%s', dimension %d (%s) is unknown; give its shape", v->name, d,
                               t->dims[d].symbol ? t->dims[d].symbol : "unnamed");
        }
    }
    return SKIVE_OK;
}

skive_status skv_plan_bind_inputs(skive_context *ctx, skive_graph *g, const skive_plan_options *o) {
    for (size_t i = 0; i < o->n_shapes; i++) {
        const skive_value *v = skive_graph_find_value(g, o->shapes[i].input);
        if (!v || !v->is_input) {
            return skv_fail_no_input(ctx, SKIVE_ERR_ARGUMENT, g, o->shapes[i].input);
        }
    }
    for (size_t i = 0; i < g->n_inputs; i++) SKV_TRY(bind_input(ctx, g->inputs[i], o));
    /* Declared types of inner values may contain the old symbols; inference with the new inputs replaces them. */
    for (size_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (!v || !v->producer || !v->producer->op) continue;
        for (int d = 0; d < v->type.rank; d++) v->type.dims[d] = (skive_dim){-1, NULL};
    }
    return SKIVE_OK;
}

bool skv_plan_holds(const skive_node *n) {
    if (!n->op || !n->op->run || n->op->size_outputs || skv_node_has_subgraph(n)) return false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const skive_value *v = n->outputs[o];
        if (v && (v->type.dtype == SKIVE_DTYPE_NONE || !skv_type_is_static(&v->type))) return false;
    }
    return true;
}

const char *skv_plan_why_not(const skive_node *n) {
    return skv_node_has_subgraph(n) ? "its control flow depends on data" : "its output shape depends on data";
}

static skive_status refuse_unsupported(skive_context *ctx, const skive_graph *g) {
    char *missing = NULL;
    SKV_TRY(skive_graph_unsupported(g, &missing));
    skive_status status = SKIVE_OK;
    if (missing && missing[0]) status = SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "unsupported operators: %s", missing);
    skive_string_free(ctx, missing);
    return status;
}

typedef struct keep_set {
    const char **names; /* sorted */
    size_t n;
} keep_set;

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool is_kept(const void *user, const skive_value *v) {
    const keep_set *k = user;
    return k->n && bsearch(&v->name, k->names, k->n, sizeof *k->names, by_name);
}

/* Behind the reason why only a session runs a model. */
#define SKV_IN_PARTS_ONLY                                                                                           \
    "; such a model is not measured layer by layer: skive run, eval, compare, bench and quantize without a budget " \
    "take it"

skive_status skv_plan_refuse_flow(skive_context *ctx, const skive_node *n) {
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                       "node '%s' (%s): what is computed depends on data" SKV_IN_PARTS_ONLY, n->name, n->op_type);
}

static skive_status refuse_shape(skive_context *ctx, const skive_value *v) {
    char text[160];
    if (v->producer && v->producer->op && v->producer->op->flow) return skv_plan_refuse_flow(ctx, v->producer);
    skv_type_text(&v->type, text, sizeof text);
    if (!v->producer)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name, "the shape of '%s' (%s) is open", v->name, text);
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name,
                       "node '%s' (%s): the shape of '%s' (%s) depends on data" SKV_IN_PARTS_ONLY, v->producer->name,
                       v->producer->op_type, v->name, text);
}

static skive_status all_static(skive_context *ctx, const skive_graph *g) {
    for (size_t i = 0; i < g->n_values; i++) {
        const skive_value *v = g->values[i];
        if (!v || (!v->producer && !v->is_input) || (v->n_uses == 0 && v->output_uses == 0)) continue;
        if (v->type.dtype == SKIVE_DTYPE_NONE || !skv_type_is_static(&v->type)) return refuse_shape(ctx, v);
    }
    return SKIVE_OK;
}

/* May the parameter stay coded? It must be used only as the weight of products, whose kernels decide, and no pass may
 * need its values: folding a BatchNormalization into it is worth more than keeping it small. */
static bool stays_coded(const skive_value *v) {
    if (v->output_uses > 0) return false;
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const skive_node *n = v->uses[i].node;
        if (skv_input_role(n, (size_t)v->uses[i].index) != SKV_ROLE_WEIGHT || v->type.rank < 2) return false;
        const skive_value *y = n->outputs[0];
        for (uint32_t k = 0; k < y->n_uses; k++) {
            if (skv_node_is(y->uses[k].node, SKV_OP_BATCH_NORMALIZATION)) return false;
        }
    }
    return v->n_uses > 0;
}

skive_status skv_graph_decode(skive_graph *g, bool all) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (v && skv_value_coded(v) && (all || !stays_coded(v))) SKV_TRY(skv_storage_make_unique(g->ctx, &v->storage));
    }
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++) {
        for (uint32_t k = 0; k < g->nodes[i]->n_attrs; k++) {
            if (g->nodes[i]->attrs[k].graph) SKV_TRY(skv_graph_decode(g->nodes[i]->attrs[k].graph, true));
        }
    }
    return SKIVE_OK;
}

/* What the option asks for, or the model itself. */
static skive_status choose_multipliers(const skive_plan *p, const skive_plan_options *o, bool *fixed) {
    const char *form = skv_graph_multipliers(p->graph);
    skv_text t;
    const bool asks = form && (strcmp(form, "fixed") == 0 || strcmp(form, "shift") == 0);
    *fixed = !o->training && (o->fixed_multipliers || asks);
    if (!form || asks || strcmp(form, "float") == 0) return SKIVE_OK;
    skv_text_init(&t, p->ctx);
    skv_text_add(&t, "the metadata entry %s says '%s'; there are fixed, shift and float, and %s is used",
                 SKV_META_MULTIPLIERS, form, *fixed ? "fixed" : "float");
    return skv_text_note_once(&t);
}

static skive_status simplify(skive_plan *p, const skive_plan_options *o) {
    keep_set keep = {NULL, o->n_keep};
    const skv_pass_env env = {.ctx = p->ctx, .keep = is_kept, .keep_user = &keep, .training = o->training};
    unsigned when = SKV_PASS_CLEAN | (o->training ? 0 : SKV_PASS_FLOW);
    bool fixed;
    if (!o->training) when |= SKV_PASS_INTEGER;
    SKV_TRY(choose_multipliers(p, o, &fixed));
    if (fixed) when |= SKV_PASS_FIXED;
    if (!o->no_fusion && !o->reference) when |= o->training ? SKV_PASS_TRAINING : SKV_PASS_INFERENCE | SKV_PASS_EXECUTE;
    size_t changes = 0;
    SKV_TRY(skv_arena_array(p->arena, o->n_keep, sizeof *keep.names, &keep.names));
    for (size_t i = 0; i < o->n_keep; i++) keep.names[i] = o->keep[i];
    if (o->n_keep) qsort(keep.names, o->n_keep, sizeof *keep.names, by_name);
    /* Before the passes, because some of them read weights. */
    if (!o->training) SKV_TRY(skv_shared_inflate_all(p->graph));
    SKV_TRY(skive_graph_infer(p->graph));
    SKV_TRY(skv_passes_run(&env, p->graph, when, &changes));
    SKV_TRY(skive_graph_infer(p->graph));
    return all_static(p->ctx, p->graph);
}

/* Up to the choice of kernels. */
static skive_status open_plan(skive_context *ctx, const skive_graph *graph, const skive_plan_options *o,
                              skive_plan **out) {
    skive_status status;
    skive_plan *p = NULL;
    skv_arena *arena = NULL;
    *out = NULL;
    SKV_TRY(refuse_unsupported(ctx, graph));
    SKV_TRY(skv_arena_create(ctx, &arena));
    status = skv_arena_alloc(arena, sizeof *p, &p);
    if (status != SKIVE_OK) {
        skv_arena_free(arena);
        return status;
    }
    p->ctx = ctx;
    p->arena = arena;
    p->threads = o->threads > 0 ? o->threads : skv_threads(ctx);
    p->training = o->training;
    p->reference = o->reference;
    p->keep_layout = o->keep_layout;
    SKV_GO(status, fail, skv_arena_create_large(ctx, &p->weights));
    SKV_GO(status, fail, skive_graph_copy(ctx, graph, &p->graph));
    SKV_GO(status, fail, skv_graph_decode(p->graph, o->training || o->reference || o->no_fusion));
    SKV_GO(status, fail, skv_plan_bind_inputs(ctx, p->graph, o));
    SKV_GO(status, fail, simplify(p, o));
    *out = p;
    return SKIVE_OK;
fail:
    skive_plan_free(p);
    return status;
}

static skive_status create(skive_context *ctx, const skive_graph *graph, const skive_plan_options *options,
                           bool keeps_weights, skive_plan **out) {
    skive_plan_options o = skive_plan_options_default();
    skive_plan *p;
    *out = NULL;
    SKV_TRY(skv_options_take(ctx, "skive_plan_options", options, &o, sizeof o));
    SKV_TRY(open_plan(ctx, graph, &o, &p));
    p->keeps_weights = keeps_weights;
    skive_status status = skv_plan_choose(p, o.keep, o.n_keep);
    if (status == SKIVE_OK)
        status = o.training && (o.recompute || o.may_recompute) ? skv_plan_recompute(p, o.recompute, o.reserve)
                                                                : skv_plan_lay_out(p);
    if (status == SKIVE_OK)
        *out = p;
    else
        skive_plan_free(p);
    return status;
}

skive_status skive_plan_create(skive_context *ctx, const skive_graph *graph, const skive_plan_options *options,
                               skive_plan **out) {
    SKV_NEED(ctx, "ctx, graph, out", ctx, graph, out);
    return create(ctx, graph, options, false, out);
}

skive_status skv_plan_keeping(skive_context *ctx, const skive_graph *graph, const skive_plan_options *options,
                              skive_plan **out) {
    return create(ctx, graph, options, true, out);
}

skive_status skv_plan_simplified(skive_context *ctx, const skive_graph *graph, const skive_plan_options *options,
                                 skive_plan **out) {
    skive_plan_options o = skive_plan_options_default();
    *out = NULL;
    SKV_TRY(skv_options_take(ctx, "skive_plan_options", options, &o, sizeof o));
    return open_plan(ctx, graph, &o, out);
}

void skive_plan_free(skive_plan *p) {
    if (!p) return;
    for (uint32_t i = 0; i < p->n_steps; i++) {
        skv_plan_step *s = &p->steps[i];
        if (!s->is_reorder && !s->is_repeated && s->kernel.kernel && s->kernel.kernel->destroy) {
            s->kernel.kernel->destroy(p->ctx, s->kernel.state);
        }
        skv_free(p->ctx, s->declined);
    }
    skv_free(p->ctx, p->steps);
    skv_free(p->ctx, p->slots);
    skv_free(p->ctx, p->taps);
    skive_graph_free(p->graph);
    skv_arena_free(p->weights);
    skv_arena_free(p->arena); /* holds p itself */
}
