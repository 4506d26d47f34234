/* The measured costs of a graph's nodes, and of one node with other numbers of channels: single-node graphs, looked up
 * in the table by their keys, the missing ones planned and measured together. */
#include <stdio.h>
#include <string.h>

#include "exec/plan.h"
#include "graph/linear.h"
#include "tensor/tensor.h"
#include "tune/costs.h"

/* Plans in memory, and the bytes of their weights above which no more are added. */
enum { AT_ONCE = 24, BYTES_AT_ONCE = 16 << 20 };

/* ---- many single-node graphs ---- */

typedef struct wanted {
    skive_graph *graph; /* one node; freed once it is measured */
    char *key;
    skive_plan *plan;
    skive_cost_time *time;
} wanted;

static void forget(skive_context *ctx, wanted *w) {
    skive_plan_free(w->plan);
    skive_graph_free(w->graph);
    skv_free(ctx, w->key);
    *w = (wanted){.time = w->time};
}

static void name_kernel(const skive_plan *plan, skive_cost_time *time) {
    for (size_t i = 0; i < skive_plan_step_count(plan); i++) {
        skive_plan_step s;
        skive_plan_step_get(plan, i, &s);
        if (!s.is_reorder) (void)snprintf(time->kernel, sizeof time->kernel, "%s", s.kernel);
    }
}

/* The plan is for one node as it is: nothing is fused, and integer nodes have been absorbed before. */
static skive_status plan_one(skive_context *ctx, const skive_graph *g, int threads, skive_plan **out) {
    skive_plan_options o = skive_plan_options_default();
    o.threads = threads;
    o.no_fusion = true;
    return skive_plan_create(ctx, g, &o, out);
}

/* Measures the pending ones and enters them. */
static skive_status measure(skive_costs *c, wanted *pending, size_t n) {
    const skive_plan *plans[AT_ONCE] = {NULL};
    skive_cost_time times[AT_ONCE] = {0};
    double reorders[AT_ONCE] = {0};
    for (size_t i = 0; i < n; i++) plans[i] = pending[i].plan;
    SKV_TRY(c->measure(c->measure_user, c->ctx, plans, n, times, reorders));
    for (size_t i = 0; i < n; i++) {
        name_kernel(pending[i].plan, &times[i]);
        times[i].cached = false;
        *pending[i].time = times[i];
        SKV_TRY(skv_costs_enter(c, pending[i].key, &times[i], true));
    }
    return SKIVE_OK;
}

static skive_status measure_whole(skive_costs *c, const skive_plan *plan, skive_cost_report *r) {
    skive_cost_time time = {0};
    SKV_TRY(c->measure(c->measure_user, c->ctx, &plan, 1, &time, &r->reorders));
    r->whole = time.seconds + r->reorders;
    r->whole_spread = time.spread;
    return SKIVE_OK;
}

/* Makes the i-th single-node graph. */
typedef skive_status (*make_fn)(void *user, size_t i, skive_graph **out);

typedef struct batch {
    skive_costs *costs;
    make_fn make;
    void *user;
    int threads;
    size_t n;
    skive_cost_time *times;
    wanted pending[AT_ONCE];
    size_t n_pending, bytes; /* of their weights */
} batch;

static skive_status flush(batch *b) {
    skive_status status = SKIVE_OK;
    if (b->n_pending) status = measure(b->costs, b->pending, b->n_pending);
    for (size_t i = 0; i < b->n_pending; i++) forget(b->costs->ctx, &b->pending[i]);
    b->n_pending = b->bytes = 0;
    return status;
}

/* A plan packs weights, and so has them once more. */
static size_t weight_bytes(const skive_graph *g) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const skive_tensor *t = skv_value_tensor(g->values[i]);
        if (t) bytes += skive_tensor_bytes(t);
    }
    return bytes;
}

/* Two equal nodes of one batch are measured once. */
static bool is_pending(batch *b, const char *key) {
    for (size_t i = 0; i < b->n_pending; i++)
        if (strcmp(b->pending[i].key, key) == 0) return true;
    return false;
}

static skive_status add(batch *b, size_t i) {
    skive_context *ctx = b->costs->ctx;
    wanted *w = &b->pending[b->n_pending];
    *w = (wanted){.time = &b->times[i]};
    skive_status status = b->make(b->user, i, &w->graph);
    if (status == SKIVE_OK) status = skv_cost_key(w->graph, b->threads, &w->key);
    const skive_cost_time *known = status == SKIVE_OK ? skv_costs_find(b->costs, w->key) : NULL;
    if (status == SKIVE_OK && !known && is_pending(b, w->key)) {
        status = flush(b);
        wanted *first = &b->pending[0];
        if (first != w) { /* flush has emptied the places before */
            *first = *w;
            *w = (wanted){0};
            w = first;
        }
        if (status == SKIVE_OK) known = skv_costs_find(b->costs, w->key);
    }
    if (status == SKIVE_OK && !known) status = plan_one(ctx, w->graph, b->threads, &w->plan);
    if (status != SKIVE_OK || known) {
        if (known) b->times[i] = *known;
        if (known) b->times[i].cached = true;
        forget(ctx, w);
        return status;
    }
    b->bytes += weight_bytes(w->graph);
    return ++b->n_pending == AT_ONCE || b->bytes > BYTES_AT_ONCE ? flush(b) : SKIVE_OK;
}

static skive_status run(batch *b) {
    skv_progress progress;
    skive_status status = SKIVE_OK;
    skv_progress_start(&progress, b->costs->ctx, "measure", (double)b->n);
    for (size_t i = 0; status == SKIVE_OK && i < b->n; i++) {
        status = add(b, i);
        if (status == SKIVE_OK) status = skv_progress_at(&progress, (double)i + 1, "%zu of %zu nodes", i + 1, b->n);
    }
    if (status == SKIVE_OK) status = flush(b);
    for (size_t i = 0; i < b->n_pending; i++) forget(b->costs->ctx, &b->pending[i]);
    return status;
}

/* ---- all nodes of a graph ---- */

typedef struct plan_nodes {
    skive_context *ctx;
    const skive_graph *graph;
    const skive_node **nodes;
    bool *keep;
} plan_nodes;

static skive_status make_node(void *user, size_t i, skive_graph **out) {
    plan_nodes *p = user;
    memset(p->keep, 0, p->graph->n_nodes);
    p->keep[p->nodes[i]->id] = true;
    return skv_graph_extract(p->ctx, p->graph, p->keep, out);
}

void skive_cost_report_free(skive_context *ctx, skive_cost_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_rows; i++) {
        skv_free(ctx, r->rows[i].node);
        skv_free(ctx, r->rows[i].op);
    }
    skv_free(ctx, r->rows);
    *r = (skive_cost_report){0};
}

static skive_status add_row(skive_context *ctx, const skive_node *n, skive_cost_report *r) {
    skive_cost_row *row = &r->rows[r->n_rows++];
    skive_cost cost;
    SKV_TRY(skv_strdup(ctx, n->name, &row->node));
    SKV_TRY(skv_strdup(ctx, n->op_type, &row->op));
    SKV_TRY(skive_node_cost(n, &cost));
    row->macs = cost.macs;
    row->parameter_bytes = cost.parameter_bytes;
    row->activation_bytes = cost.activation_bytes;
    return SKIVE_OK;
}

/* Rows of the plan's steps, and their nodes' numbers in its graph. */
static skive_status list_steps(skive_context *ctx, const skive_plan *plan, uint32_t *ids, skive_cost_report *r) {
    SKV_TRY(skv_alloc_array(ctx, (size_t)plan->n_steps + 1, sizeof *r->rows, &r->rows));
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].is_reorder) continue;
        ids[r->n_rows] = plan->steps[i].node->id;
        SKV_TRY(add_row(ctx, plan->steps[i].node, r));
    }
    return SKIVE_OK;
}

/* Each row's node by itself; `plan` keeps all weights. */
static skive_status measure_nodes(skive_costs *c, const skive_plan *plan, const uint32_t *ids, skive_cost_report *r) {
    skive_context *ctx = c->ctx;
    plan_nodes p = {.ctx = ctx, .graph = plan->graph};
    skive_cost_time *times = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, r->n_rows + 1, sizeof *p.nodes, &p.nodes));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)plan->graph->n_nodes + 1, sizeof *p.keep, &p.keep));
    SKV_GO(status, done, skv_alloc_array(ctx, r->n_rows + 1, sizeof *times, &times));
    for (size_t i = 0; i < r->n_rows; i++) p.nodes[i] = plan->graph->nodes[ids[i]];
    batch b = {.costs = c, .make = make_node, .user = &p, .threads = plan->threads, .n = r->n_rows, .times = times};
    SKV_GO(status, done, run(&b));
    for (size_t i = 0; i < r->n_rows; i++) {
        r->rows[i].time = times[i];
        r->sum += times[i].seconds;
        r->n_cached += times[i].cached;
    }
done:
    skv_free(ctx, p.nodes);
    skv_free(ctx, p.keep);
    skv_free(ctx, times);
    return status;
}

/* The whole first, and by itself: nodes that are measured alone need weights that its plan has no more, since kernels
 * have packed them, and a graph that is simplified once more has no kernels in memory. */
static skive_status cost_graph(skive_costs *c, const skive_graph *g, const skive_plan_options *options, bool whole,
                               skive_cost_report *r) {
    skive_plan *plan = NULL;
    uint32_t *ids = NULL;
    skive_status status;
    SKV_GO(status, done,
           whole ? skive_plan_create(c->ctx, g, options, &plan) : skv_plan_keeping(c->ctx, g, options, &plan));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)plan->n_steps + 1, sizeof *ids, &ids));
    SKV_GO(status, done, list_steps(c->ctx, plan, ids, r));
    r->threads = plan->threads;
    if (whole) {
        SKV_GO(status, done, measure_whole(c, plan, r));
        skive_plan_free(plan);
        plan = NULL;
        SKV_GO(status, done, skv_plan_simplified(c->ctx, g, options, &plan));
    }
    status = measure_nodes(c, plan, ids, r);
done:
    skive_plan_free(plan);
    skv_free(c->ctx, ids);
    if (status != SKIVE_OK) skive_cost_report_free(c->ctx, r);
    return status;
}

skive_status skive_costs_of_graph(skive_costs *c, const skive_graph *g, const skive_plan_options *options,
                                  skive_cost_report *report) {
    SKV_NEED(c ? c->ctx : NULL, "costs, graph, report", c, g, report);
    *report = (skive_cost_report){0};
    return cost_graph(c, g, options, true, report);
}

skive_status skv_costs_of_nodes(skive_costs *c, const skive_graph *g, const skive_plan_options *options, double *sum) {
    skive_cost_report r = {0};
    SKV_TRY(cost_graph(c, g, options, false, &r));
    *sum = r.sum;
    skive_cost_report_free(c->ctx, &r);
    return SKIVE_OK;
}

/* ---- other numbers of channels ---- */

typedef struct widths {
    skive_context *ctx;
    const skive_graph *one; /* the node by itself, as it is */
    const skive_node *node;
    skv_linear l;
    const skive_cost_width *items;
} widths;

/* The numbers of channels that are meant. A transposed convolution's weight has all inputs and the outputs of one
 * group, a convolution's the inputs of one group and all outputs; the view's sizes are those of the axes. */
typedef struct channels {
    bool transposed, depthwise;
    int64_t in, out;
} channels;

static channels channels_at(const widths *w, const skive_cost_width *x) {
    const skv_weight_view *v = &w->l.view;
    channels c = {.transposed = v->groups > 1 && v->in_axis == 0}; /* without groups there is no difference */
    c.depthwise = v->groups > 1 && !c.transposed && v->in == 1;
    c.in = x->in != -1 ? x->in : c.transposed ? v->in : v->in * v->groups;
    c.out = x->out != -1   ? x->out
            : c.transposed ? v->out * v->groups
            : c.depthwise  ? c.in * (v->out / v->groups)
                           : v->out;
    return c;
}

static skive_status check_width(const widths *w, const skive_cost_width *x) {
    const skv_weight_view *v = &w->l.view;
    const channels c = channels_at(w, x);
    const bool fits =
        c.depthwise ? c.out == c.in * (v->out / v->groups) : c.in % v->groups == 0 && c.out % v->groups == 0;
    if (c.in >= 1 && c.out >= 1 && fits) return SKIVE_OK;
    return skv_fail_at(w->ctx, SKIVE_ERR_ARGUMENT, w->node->name,
                       "node '%s' cannot have %lld input and %lld output channels: numbers must be at least 1 (or -1: "
                       "as it is) and multiples of its %lld groups",
                       w->node->name, (long long)x->in, (long long)x->out, (long long)v->groups);
}

/* Random numbers: as dense as weights are. */
static skive_status resize_parameter(skive_context *ctx, skive_value *v, int axis, int64_t size) {
    skv_storage *s = NULL;
    int64_t dims[SKIVE_MAX_RANK];
    if (axis < 0 || axis >= v->type.rank || v->type.dims[axis].size == size) return SKIVE_OK;
    for (int d = 0; d < v->type.rank; d++) dims[d] = d == axis ? size : v->type.dims[d].size;
    SKV_TRY(skv_storage_create(ctx, v->type.dtype, v->type.rank, dims, &s));
    const int64_t n = skive_tensor_count(&s->tensor);
    for (int64_t i = 0; i < n; i++)
        skive_tensor_set(&s->tensor, i,
                         skv_dtype_is_float(v->type.dtype) ? skv_rng_uniform(3, 0, (uint64_t)i) - 0.5
                                                           : (double)(1 + i % 100));
    const skive_status status = skv_value_set_storage(v, s);
    if (status != SKIVE_OK) skv_storage_release(s);
    return status;
}

static skive_status make_width(void *user, size_t i, skive_graph **out) {
    widths *w = user;
    const skive_cost_width *x = &w->items[i];
    const skv_weight_view *v = &w->l.view;
    skive_graph *g = NULL;
    skive_status status;
    SKV_TRY(skive_graph_copy(w->ctx, w->one, &g));
    skive_node *n = g->nodes[0];
    skive_value *data = n->inputs[v->data], *weight = n->inputs[w->l.weight],
                *bias = w->l.bias >= 0 ? skv_node_in(n, (size_t)w->l.bias) : NULL;
    const channels c = channels_at(w, x);
    data->type.dims[v->data_axis] = (skive_dim){c.in, NULL};
    const int64_t in = c.transposed ? c.in : c.depthwise ? 1 : c.in / v->groups;
    SKV_GO(status, fail, resize_parameter(w->ctx, weight, v->in_axis, in));
    SKV_GO(status, fail, resize_parameter(w->ctx, weight, v->out_axis, c.transposed ? c.out / v->groups : c.out));
    if (bias) SKV_GO(status, fail, resize_parameter(w->ctx, bias, bias->type.rank - 1, c.out));
    if (c.depthwise) SKV_GO(status, fail, skive_node_set_int(n, "group", c.in));
    for (uint32_t k = 0; k < n->n_outputs; k++)
        for (int d = 0; n->outputs[k] && d < n->outputs[k]->type.rank; d++)
            n->outputs[k]->type.dims[d] = (skive_dim){-1, NULL};
    SKV_GO(status, fail, skive_graph_infer(g));
    *out = g;
    return SKIVE_OK;
fail:
    skive_graph_free(g);
    return status;
}

/* Can it be made with other numbers of channels, which only weight, bias and data have? */
static bool is_product(const skive_node *n, skv_linear *l) {
    if (!skv_linear_of(n, l) || l->view.data < 0 || l->view.data_axis < 0 || l->data_turned) return false;
    const skive_value *w = n->inputs[l->weight], *x = skv_node_in(n, (size_t)l->view.data),
                      *b = l->bias >= 0 ? skv_node_in(n, (size_t)l->bias) : NULL;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && n->inputs[i] != x && !skv_value_is_param(n->inputs[i])) return false;
    return x && !x->storage && x->type.rank >= 2 && w->type.rank >= 2 && (!b || b->type.rank >= 1);
}

skive_status skive_costs_of_widths(skive_costs *c, const skive_graph *graph, const char *node,
                                   const skive_plan_options *options, const skive_cost_width *items, size_t n,
                                   skive_cost_time *times) {
    SKV_NEED(c ? c->ctx : NULL, "costs, graph, node, widths, times", c, graph, node, items || !n, times || !n);
    skive_plan_options o = skive_plan_options_default();
    skive_context *ctx = c->ctx;
    skive_graph *bound = NULL, *one = NULL;
    bool *keep = NULL;
    widths w = {.ctx = ctx, .items = items};
    skive_status status;
    SKV_TRY(skv_options_take(ctx, "skive_plan_options", options, &o, sizeof o));
    SKV_TRY(skive_graph_copy(ctx, graph, &bound));
    SKV_GO(status, done, skv_plan_bind_inputs(ctx, bound, &o));
    SKV_GO(status, done, skv_graph_decode(bound, true));
    SKV_GO(status, done, skive_graph_infer(bound));
    const skive_node *found = skive_graph_find_node(bound, node);
    if (!found) {
        status = skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, node, "the model has no node '%s'", node);
        goto done;
    }
    if (!is_product(found, &w.l)) {
        status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, node,
                             "node '%s' (%s) is no convolution or product of computed data with constant weights, such "
                             "as Conv, ConvTranspose, Gemm, MatMul",
                             node, found->op_type);
        goto done;
    }
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)bound->n_nodes + 1, sizeof *keep, &keep));
    keep[found->id] = true;
    SKV_GO(status, done, skv_graph_extract(ctx, bound, keep, &one));
    w.one = one;
    w.node = one->nodes[0];
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, check_width(&w, &items[i]));
    batch b = {.costs = c,
               .make = make_width,
               .user = &w,
               .threads = o.threads > 0 ? o.threads : skv_threads(ctx),
               .n = n,
               .times = times};
    status = run(&b);
done:
    skv_free(ctx, keep);
    skive_graph_free(one);
    skive_graph_free(bound);
    return status;
}
