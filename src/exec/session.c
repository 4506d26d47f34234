/* Sessions. The graph is split while it runs: the nodes whose shapes are known form a plan, the nodes that end it are
 * run one by one, and the rest is a graph whose inputs are the values computed so far. Each such stage is cached by the
 * types of its inputs. */
#include <skive/session.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/plan.h"
#include "exec/session_body.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "passes/pass.h"
#include "tensor/tensor.h"

enum { DEFAULT_PLANS = 64 };
#define NO_VALUE UINT32_MAX

/* A node that runs separately. */
typedef struct stop {
    const skive_node *node; /* of the stage's graph */
    uint32_t *in_ids, *out_ids;
    const skive_tensor **in;
    skive_tensor *out;
    skv_session_body **bodies; /* by attribute */
    uint32_t **captured_ids;   /* of each body */
} stop;

typedef struct stage {
    struct stage *other; /* the same stage with inputs of other types */
    struct stage *next;  /* the possible next stages, by the types of the outputs of the stops */
    skive_graph *graph;  /* what remains to be computed here; all inputs have known types */
    skive_graph *rest;   /* the rest after the plan and the stops; NULL: nothing */
    uint32_t *input_ids;
    skive_plan *plan; /* NULL: no node could be planned */
    skive_exec *exec;
    uint32_t *plan_in_ids, *plan_out_ids;
    stop *stops;
    size_t n_stops;
    bool unfused; /* for inputs that contain NaN or infinity */
} stage;

struct skive_session {
    skive_context *ctx;
    skive_session_options options;
    const skv_session_watch *watch; /* NULL: nothing is looked at */
    skive_graph *graph;
    skive_tensor *values; /* by value id of `graph`: the values available during a run */
    bool *owned;          /* else a view of a plan's arena or of a caller's input */
    uint32_t capacity;    /* of both */
    stage *first;
    size_t n_places;
    bool unfused; /* the inputs of this run contain NaN or infinity */
};

skive_session_options skive_session_options_default(void) {
    return (skive_session_options){.size = sizeof(skive_session_options), .max_plans = DEFAULT_PLANS};
}

/* ---- stages ---- */

static void free_stop(skive_context *ctx, stop *s) {
    for (uint32_t a = 0; s->bodies && a < s->node->n_attrs; a++) skv_session_body_free(s->bodies[a]);
    for (uint32_t a = 0; s->captured_ids && a < s->node->n_attrs; a++) skv_free(ctx, s->captured_ids[a]);
    skv_free(ctx, s->bodies);
    skv_free(ctx, s->captured_ids);
    skv_free(ctx, s->in_ids);
    skv_free(ctx, s->out_ids);
    skv_free(ctx, s->in);
    skv_free(ctx, s->out);
}

static void free_stages(skive_session *s, stage *p) {
    while (p) {
        stage *other = p->other;
        free_stages(s, p->next);
        for (size_t i = 0; i < p->n_stops; i++) free_stop(s->ctx, &p->stops[i]);
        skv_free(s->ctx, p->stops);
        skive_exec_free(p->exec);
        skive_plan_free(p->plan);
        skv_free(s->ctx, p->input_ids);
        skv_free(s->ctx, p->plan_in_ids);
        skv_free(s->ctx, p->plan_out_ids);
        skive_graph_free(p->graph);
        skive_graph_free(p->rest);
        skv_free(s->ctx, p);
        s->n_places--;
        p = other;
    }
}

/* The index under which a run stores a value. Values keep their names when the graph is split; values created by passes
 * are new to the session's graph and are added to it. */
static skive_status id_of(skive_session *s, const char *name, uint32_t *out) {
    skive_value *v = skive_graph_find_value(s->graph, name);
    if (!v) {
        SKV_TRY(skv_graph_new_value(s->graph, name, &v));
        if (v->id >= s->capacity) {
            const uint32_t capacity = v->id * 2 + 16;
            SKV_TRY(skv_grow(s->ctx, &s->values, v->id, capacity, sizeof *s->values));
            SKV_TRY(skv_grow(s->ctx, &s->owned, v->id, capacity, sizeof *s->owned));
            s->capacity = capacity;
        }
        s->values[v->id] = (skive_tensor){0};
        s->owned[v->id] = false;
    }
    *out = v->id;
    return SKIVE_OK;
}

static skive_status ids_of(skive_session *s, skive_value *const *values, size_t n, uint32_t **out) {
    SKV_TRY(skv_alloc_array(s->ctx, n + 1, sizeof **out, out));
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = NO_VALUE;
        if (values[i]) SKV_TRY(id_of(s, values[i]->name, &(*out)[i]));
    }
    return SKIVE_OK;
}

static bool same_type(const skive_type *t, const skive_tensor *x) {
    if (t->dtype != x->dtype || t->rank != x->rank) return false;
    for (int d = 0; d < t->rank; d++)
        if (t->dims[d].size != x->dims[d]) return false;
    return true;
}

static bool fits(const skive_session *s, const stage *p) {
    if (p->unfused != s->unfused) return false;
    for (uint32_t i = 0; i < p->graph->n_inputs; i++)
        if (!same_type(&p->graph->inputs[i]->type, &s->values[p->input_ids[i]])) return false;
    return true;
}

/* Declared types of inner values may contain the symbols that now have sizes; inference computes them again. */
static void take_types(const skive_session *s, stage *p) {
    for (uint32_t i = 0; i < p->graph->n_inputs; i++) {
        const skive_tensor *x = &s->values[p->input_ids[i]];
        p->graph->inputs[i]->type = skive_type_make(x->dtype, x->rank, x->dims);
    }
    for (uint32_t i = 0; i < p->graph->n_values; i++) {
        skive_type *t = &p->graph->values[i]->type;
        if (!p->graph->values[i]->producer) continue;
        for (int d = 0; d < t->rank; d++) t->dims[d] = (skive_dim){-1, NULL};
    }
}

/* By node id: is part of the plan; is computed after the plan and the stops of this stage have run. */
typedef struct sorting {
    bool *planned, *done;
    bool all_there;
} sorting;

static void see_source(void *user, skive_value *v) {
    sorting *x = user;
    if (v->producer && !x->planned[v->producer->id]) x->all_there = false;
}

static skive_status add_stop(skive_session *s, stage *p, const skive_node *n) {
    stop *x = &p->stops[p->n_stops++];
    x->node = n;
    SKV_TRY(ids_of(s, n->inputs, n->n_inputs, &x->in_ids));
    SKV_TRY(ids_of(s, n->outputs, n->n_outputs, &x->out_ids));
    SKV_TRY(skv_alloc_array(s->ctx, (size_t)n->n_inputs + 1, sizeof *x->in, &x->in));
    SKV_TRY(skv_alloc_array(s->ctx, (size_t)n->n_outputs + 1, sizeof *x->out, &x->out));
    SKV_TRY(skv_alloc_array(s->ctx, (size_t)n->n_attrs + 1, sizeof(skv_session_body *), &x->bodies));
    SKV_TRY(skv_alloc_array(s->ctx, (size_t)n->n_attrs + 1, sizeof(uint32_t *), &x->captured_ids));
    for (uint32_t a = 0; a < n->n_attrs; a++) {
        if (!n->attrs[a].graph) continue;
        SKV_TRY(skv_session_body_create(s->ctx, n->attrs[a].graph, &s->options, s->watch, &x->bodies[a]));
        SKV_TRY(ids_of(s, x->bodies[a]->captured, x->bodies[a]->n_captured, &x->captured_ids[a]));
    }
    return SKIVE_OK;
}

static skive_status sort_nodes(skive_session *s, stage *p, sorting *x, size_t *n_planned) {
    const skive_graph *g = p->graph;
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    SKV_GO(status, done, skv_alloc_array(s->ctx, (size_t)g->n_nodes + 1, sizeof *p->stops, &p->stops));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        x->all_there = true;
        skv_node_reads(order[i], see_source, x);
        if (!x->all_there) continue;
        x->done[order[i]->id] = true;
        if (skv_plan_holds(order[i])) {
            x->planned[order[i]->id] = true;
            ++*n_planned;
        } else {
            SKV_GO(status, done, add_stop(s, p, order[i]));
        }
    }
done:
    skv_free(s->ctx, order);
    return status;
}

static bool is_watched(const skive_session *s, const char *name) {
    return s->watch && s->watch->wants(s->watch->user, name);
}

static skive_status keep_watched(const skive_session *s, skive_graph *part) {
    for (uint32_t i = 0; s->watch && i < part->n_values; i++) {
        skive_value *v = part->values[i];
        if (v->producer && !v->output_uses && is_watched(s, v->name)) SKV_TRY(skive_graph_add_output(part, v));
    }
    return SKIVE_OK;
}

static skive_status show_watched(const skive_session *s, uint32_t id) {
    const char *name = id == NO_VALUE ? NULL : s->graph->values[id]->name;
    return name && is_watched(s, name) ? s->watch->see(s->watch->user, name, &s->values[id]) : SKIVE_OK;
}

static skive_status make_plan(skive_session *s, stage *p, const bool *planned) {
    skive_plan_options o = skive_plan_options_default();
    skive_graph *part = NULL;
    skive_status status;
    o.threads = s->options.threads;
    o.no_fusion = s->options.no_fusion || s->unfused;
    o.reference = s->options.reference;
    SKV_GO(status, done, skv_graph_extract(s->ctx, p->graph, planned, &part));
    SKV_GO(status, done, keep_watched(s, part));
    SKV_GO(status, done, skive_plan_create(s->ctx, part, &o, &p->plan));
    SKV_GO(status, done, skive_exec_create(s->ctx, p->plan, &p->exec));
    SKV_GO(status, done, ids_of(s, part->inputs, part->n_inputs, &p->plan_in_ids));
    SKV_GO(status, done, ids_of(s, part->outputs, part->n_outputs, &p->plan_out_ids));
done:
    skive_graph_free(part);
    return status;
}

static skive_status make_rest(skive_session *s, stage *p, bool *done, size_t n_done) {
    if (n_done == p->graph->n_nodes) return SKIVE_OK;
    for (uint32_t i = 0; i < p->graph->n_nodes; i++) done[i] = !done[i];
    return skv_graph_extract(s->ctx, p->graph, done, &p->rest);
}

/* With known shapes, conditions on shapes are constant, and control flow that depends on them is removed. */
static skive_status simplify(skive_session *s, stage *p) {
    const skv_pass_env env = {.ctx = s->ctx};
    size_t changes = 0;
    SKV_TRY(skive_graph_infer(p->graph));
    if (s->options.no_fusion || s->options.reference) return SKIVE_OK;
    SKV_TRY(skv_passes_run(&env, p->graph, SKV_PASS_CLEAN | SKV_PASS_FLOW, &changes));
    return changes ? skive_graph_infer(p->graph) : SKIVE_OK;
}

static skive_status fill_stage(skive_session *s, stage *p, const skive_graph *graph) {
    sorting x = {0};
    size_t n_planned = 0;
    skive_status status;
    p->unfused = s->unfused;
    SKV_GO(status, done, skive_graph_copy(s->ctx, graph, &p->graph));
    SKV_GO(status, done, ids_of(s, p->graph->inputs, p->graph->n_inputs, &p->input_ids));
    take_types(s, p);
    SKV_GO(status, done, simplify(s, p));
    SKV_GO(status, done, skv_alloc_array(s->ctx, (size_t)p->graph->n_nodes + 1, sizeof(bool), &x.planned));
    SKV_GO(status, done, skv_alloc_array(s->ctx, (size_t)p->graph->n_nodes + 1, sizeof(bool), &x.done));
    SKV_GO(status, done, sort_nodes(s, p, &x, &n_planned));
    if (n_planned) SKV_GO(status, done, make_plan(s, p, x.planned));
    SKV_GO(status, done, make_rest(s, p, x.done, n_planned + p->n_stops));
done:
    skv_free(s->ctx, x.planned);
    skv_free(s->ctx, x.done);
    return status;
}

static skive_status find_stage(skive_session *s, stage **list, const skive_graph *graph, stage **out) {
    for (stage *p = *list; p; p = p->other) {
        if (!fits(s, p)) continue;
        *out = p;
        return SKIVE_OK;
    }
    stage *p = NULL;
    SKV_TRY(skv_alloc_array(s->ctx, 1, sizeof *p, &p));
    s->n_places++;
    const skive_status status = fill_stage(s, p, graph);
    if (status != SKIVE_OK) {
        free_stages(s, p);
        return status;
    }
    p->other = *list;
    *list = p;
    *out = p;
    return SKIVE_OK;
}

/* ---- running ---- */

static skive_status run_plan(skive_session *s, stage *p) {
    for (size_t i = 0; i < skive_plan_input_count(p->plan); i++) {
        skive_tensor view;
        SKV_TRY(skive_exec_input(p->exec, i, &view));
        const size_t bytes = skive_tensor_bytes(&view);
        if (bytes) memcpy(view.data, s->values[p->plan_in_ids[i]].data, bytes);
    }
    SKV_TRY(skive_exec_run(p->exec));
    for (size_t i = 0; i < skive_plan_output_count(p->plan); i++)
        SKV_TRY(skive_exec_output(p->exec, i, &s->values[p->plan_out_ids[i]]));
    for (size_t i = 0; s->watch && i < skive_plan_output_count(p->plan); i++)
        SKV_TRY(show_watched(s, p->plan_out_ids[i]));
    return SKIVE_OK;
}

static skive_status run_flow(skive_session *s, stop *x) {
    for (uint32_t a = 0; a < x->node->n_attrs; a++) {
        skv_session_body *b = x->bodies[a];
        for (size_t i = 0; b && i < b->n_captured; i++) b->inputs[b->body.n_in + i] = s->values[x->captured_ids[a][i]];
    }
    const skv_flow call = {.ctx = s->ctx,
                           .node = x->node,
                           .n_in = x->node->n_inputs,
                           .n_out = x->node->n_outputs,
                           .in = x->in,
                           .out = x->out,
                           .bodies = (skv_body *const *)x->bodies};
    const skive_status status = x->node->op->flow(&call);
    if (status == SKIVE_OK) return status;
    return skv_fail_node(s->ctx, status, x->node);
}

static skive_status run_stop(skive_session *s, stop *x) {
    const skive_node *n = x->node;
    skive_status status;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_value *v = n->inputs[i];
        x->in[i] = !v ? NULL : v->storage ? skv_value_tensor(v) : &s->values[x->in_ids[i]];
    }
    for (uint32_t o = 0; o < n->n_outputs; o++) x->out[o] = (skive_tensor){0};
    if (n->op->flow)
        status = run_flow(s, x);
    else
        status = skv_op_evaluate(s->ctx, n, x->in, n->n_inputs, x->out, n->n_outputs);
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const uint32_t id = x->out_ids[o];
        if (status != SKIVE_OK || id == NO_VALUE) {
            skive_tensor_free(s->ctx, &x->out[o]);
            continue;
        }
        if (s->owned[id]) skive_tensor_free(s->ctx, &s->values[id]); /* an earlier one of that name, no longer used */
        s->values[id] = x->out[o];
        s->owned[id] = true;
        x->out[o] = (skive_tensor){0};
    }
    for (uint32_t o = 0; s->watch && status == SKIVE_OK && o < n->n_outputs; o++)
        status = show_watched(s, x->out_ids[o]);
    return status;
}

static skive_status walk(skive_session *s) {
    stage **list = &s->first;
    const skive_graph *graph = s->graph;
    while (graph) {
        stage *p;
        SKV_TRY(skv_check_interrupt(s->ctx));
        SKV_TRY(find_stage(s, list, graph, &p));
        if (p->plan) SKV_TRY(run_plan(s, p));
        for (size_t i = 0; i < p->n_stops; i++) SKV_TRY(run_stop(s, &p->stops[i]));
        graph = p->rest;
        list = &p->next;
    }
    return SKIVE_OK;
}

static skive_status check_input(const skive_session *s, const skive_value *v, const skive_tensor *x) {
    char wanted[160], given[SKV_DIMS_TEXT + 32];
    if (!skv_dtype_valid(x->dtype))
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, v->name,
                           "the tensor for input '%s' has no known element type (%d)", v->name, (int)x->dtype);
    bool good = v->type.dtype == SKIVE_DTYPE_NONE || v->type.dtype == x->dtype;
    if (!s->options.any_shape) {
        good = good && (v->type.rank < 0 || v->type.rank == x->rank);
        for (int d = 0; good && d < v->type.rank; d++)
            good = v->type.dims[d].size < 0 || v->type.dims[d].size == x->dims[d];
    }
    if (good) return SKIVE_OK;
    skv_type_text(&v->type, wanted, sizeof wanted);
    return skv_fail_at(s->ctx, SKIVE_ERR_SHAPE, v->name, "input '%s' takes %s, not %s", v->name, wanted,
                       skv_tensor_text(x, given, sizeof given));
}

static skive_status copy_outputs(skive_session *s, skive_tensor *outputs) {
    for (uint32_t i = 0; i < s->graph->n_outputs; i++) {
        const skive_value *v = s->graph->outputs[i];
        const uint32_t id = v->id;
        if (s->owned[id] && v->output_uses == 1) { /* handed over */
            outputs[i] = s->values[id];
            s->owned[id] = false;
            continue;
        }
        SKV_TRY(skive_tensor_copy(s->ctx, v->storage ? skv_value_tensor(v) : &s->values[id], &outputs[i]));
    }
    return SKIVE_OK;
}

/* A Relu or Clip fused into a oneDNN convolution turns NaN into a number. The check reads each input once; plans for
 * such inputs are cached beside the others. */
static bool is_finite(const skive_tensor *t) {
    const int64_t n = skive_tensor_count(t);
    const float *x = t->data;
    int strange = 0;
    if (t->dtype != SKIVE_F32 && !skv_dtype_is_float(t->dtype)) return true;
    if (t->dtype == SKIVE_F32) {
        for (int64_t i = 0; i < n; i++) strange |= !(x[i] - x[i] == 0);
        return !strange;
    }
    for (int64_t i = 0; i < n && !strange; i++) strange = !isfinite(skive_tensor_get(t, i));
    return !strange;
}

skive_status skive_session_run(skive_session *s, const skive_tensor *inputs, size_t n_inputs, skive_tensor *outputs,
                               size_t n_outputs) {
    SKV_NEED(s ? s->ctx : NULL, "session, inputs, outputs", s, inputs || !n_inputs, outputs || !n_outputs);
    const skive_graph *g = s->graph;
    if (n_inputs != g->n_inputs || n_outputs != g->n_outputs) {
        return SKV_FAIL(s->ctx, SKIVE_ERR_ARGUMENT,
                        "the model has %u inputs and %u outputs, but %zu and %zu were given", g->n_inputs, g->n_outputs,
                        n_inputs, n_outputs);
    }
    for (size_t i = 0; i < n_outputs; i++) outputs[i] = (skive_tensor){0};
    for (size_t i = 0; i < n_inputs; i++) {
        SKV_TRY(check_input(s, g->inputs[i], &inputs[i]));
        s->values[g->inputs[i]->id] = inputs[i];
    }
    s->unfused = false;
    for (size_t i = 0; i < n_inputs && !s->unfused; i++) s->unfused = !is_finite(&inputs[i]);
    if (s->n_places > s->options.max_plans) {
        free_stages(s, s->first);
        s->first = NULL;
    }
    skive_status status = walk(s);
    if (status == SKIVE_OK) status = copy_outputs(s, outputs);
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (s->owned[i]) skive_tensor_free(s->ctx, &s->values[i]);
        s->owned[i] = false;
        s->values[i] = (skive_tensor){0};
    }
    for (size_t i = 0; status != SKIVE_OK && i < n_outputs; i++) skive_tensor_free(s->ctx, &outputs[i]);
    return status;
}

/* ---- life ---- */

static skive_status refuse_unsupported(skive_context *ctx, const skive_graph *g) {
    char *missing = NULL;
    SKV_TRY(skive_graph_unsupported(g, &missing));
    skive_status status = SKIVE_OK;
    if (missing[0]) status = SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "unsupported operators: %s", missing);
    skive_string_free(ctx, missing);
    return status;
}

/* Generated names end in numbers that no name of the graph ends in, so that they cannot collide. */
static void raise_made_up_names(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        const char *end = strrchr(g->values[i]->name, '_');
        const unsigned long number = end ? strtoul(end + 1, NULL, 10) : 0;
        if (number >= g->next_name && number < UINT32_MAX / 2) g->next_name = (uint32_t)number + 1;
    }
}

skive_status skv_session_open(skive_context *ctx, const skive_graph *graph, const skive_session_options *options,
                              const skv_session_watch *watch, skive_session **out) {
    skive_session *s = NULL;
    skive_status status;
    *out = NULL;
    skive_session_options o = skive_session_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_session_options", options, &o, sizeof o));
    SKV_TRY(refuse_unsupported(ctx, graph));
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    s->ctx = ctx;
    s->options = o;
    s->watch = watch;
    if (s->options.max_plans == 0) s->options.max_plans = DEFAULT_PLANS;
    SKV_GO(status, fail, skive_graph_copy(ctx, graph, &s->graph));
    SKV_GO(status, fail, skv_graph_decode(s->graph, s->options.reference || s->options.no_fusion));
    (void)skv_graph_sweep(s->graph);
    raise_made_up_names(s->graph);
    s->capacity = s->graph->n_values + 1;
    SKV_GO(status, fail, skv_alloc_array(ctx, s->capacity, sizeof *s->values, &s->values));
    SKV_GO(status, fail, skv_alloc_array(ctx, s->capacity, sizeof(bool), &s->owned));
    *out = s;
    return SKIVE_OK;
fail:
    skive_session_free(s);
    return status;
}

skive_status skive_session_create(skive_context *ctx, const skive_graph *graph, const skive_session_options *options,
                                  skive_session **out) {
    SKV_NEED(ctx, "ctx, graph, out", ctx, graph, out);
    return skv_session_open(ctx, graph, options, NULL, out);
}

void skive_session_free(skive_session *s) {
    if (!s) return;
    skive_context *ctx = s->ctx;
    free_stages(s, s->first);
    skv_free(ctx, s->values);
    skv_free(ctx, s->owned);
    skive_graph_free(s->graph);
    skv_free(ctx, s);
}

static const skive_plan *nth_plan(const stage *p, size_t *index) {
    for (; p; p = p->other) {
        if (p->plan && (*index)-- == 0) return p->plan;
        const skive_plan *below = nth_plan(p->next, index);
        if (below) return below;
    }
    return NULL;
}

const skive_plan *skive_session_plan(const skive_session *s, size_t index) {
    return s ? nth_plan(s->first, &index) : NULL;
}

static const skive_node *nth_stop(const stage *p, size_t *index) {
    for (; p; p = p->other) {
        if (*index < p->n_stops) return p->stops[*index].node;
        *index -= p->n_stops;
        const skive_node *below = nth_stop(p->next, index);
        if (below) return below;
    }
    return NULL;
}

bool skive_session_stop_get(const skive_session *s, size_t index, skive_session_stop *out) {
    const skive_node *n = s && out ? nth_stop(s->first, &index) : NULL;
    if (!n) return false;
    *out = (skive_session_stop){.node = n->name, .op = n->op_type, .why = skv_plan_why_not(n)};
    return true;
}

size_t skive_session_plan_count(const skive_session *s) {
    size_t n = 0;
    while (skive_session_plan(s, n)) n++;
    return n;
}

skive_status skive_graph_run(skive_context *ctx, const skive_graph *g, const skive_tensor *inputs, size_t n_inputs,
                             skive_tensor *outputs, size_t n_outputs) {
    SKV_NEED(ctx, "ctx, graph, inputs, outputs", ctx, g, inputs || !n_inputs, outputs || !n_outputs);
    skive_session *s = NULL;
    SKV_TRY(skive_session_create(ctx, g, NULL, &s));
    const skive_status status = skive_session_run(s, inputs, n_inputs, outputs, n_outputs);
    skive_session_free(s);
    return status;
}
