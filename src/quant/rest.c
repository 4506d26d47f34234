/* Static quantization of what depends on data, and of bodies of If, Loop and Scan. No plan holds them: a session runs
 * the float model, and each value that a quantized node reads is given out under a name of its own, in every round of a
 * loop and every run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/plan.h"
#include "exec/session_body.h"
#include "passes/pass.h"
#include "quant/gridded.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

#define WATCHED "skive.watched."
#define MARGIN  0.5 /* dB by which one observer for all values must be better */

static const char unseen[] = "no calibration run took the path that it is on";

/* ---- places ---- */

/* The graph, then its bodies in the order of the nodes: the same list for a graph and its copies. */
static skive_status list_graphs(skive_context *ctx, skive_graph *g, skive_graph ***list, size_t *n) {
    SKV_TRY(skv_grow(ctx, list, *n, *n + 1, sizeof **list));
    (*list)[(*n)++] = g;
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++)
            if (g->nodes[i]->attrs[a].graph) SKV_TRY(list_graphs(ctx, g->nodes[i]->attrs[a].graph, list, n));
    return SKIVE_OK;
}

/* Weights and normalisations become those of one node, as in the part. */
static skive_status fold(skive_context *ctx, skive_graph *g) {
    static const char *const names[] = {"fold-constants", "fold-dequantized", "fold-batchnorm", "plain-products"};
    const skv_pass_env env = {.ctx = ctx};
    for (size_t i = 0; i < SKV_COUNT(names); i++) {
        size_t changes = 0;
        SKV_TRY(skv_pass_run(skv_pass_find(names[i]), &env, g, &changes));
    }
    return SKIVE_OK;
}

static skive_status open_place(skv_quant_rest *r, skive_graph *g, const skv_quantizer *activations,
                               skive_quantize_report *report) {
    SKV_TRY(skv_grow(r->ctx, &r->places, r->n, r->n + 1, sizeof *r->places));
    skv_quant_place *p = &r->places[r->n++];
    *p = (skv_quant_place){.graph = g};
    SKV_TRY(skv_alloc_array(r->ctx, (size_t)g->n_nodes + 1, 1, &p->chosen));
    SKV_TRY(skv_quant_points(r->ctx, g, r->o, p->chosen, &p->points, report));
    p->points.q = *activations;
    SKV_TRY(skv_alloc_array(r->ctx, p->points.n + 1, sizeof *p->range, &p->range));
    SKV_TRY(skv_alloc_array(r->ctx, p->points.n + 1, sizeof *p->choices, &p->choices));
    SKV_TRY(skv_alloc_array(r->ctx, SKV_MOST_RUNS, sizeof *p->points.spoilt, &p->points.spoilt));
    r->n_points += p->points.n;
    return SKIVE_OK;
}

skive_status skv_quant_rest_open(skive_context *ctx, const skive_quantize_options *o, const skv_quant_split *split,
                                 const skv_quantizer *activations, skive_quantize_report *report, skv_quant_rest *out) {
    skv_quant_rest *r = out;
    skive_graph **graphs = NULL;
    size_t n = 0;
    skive_status status;
    *r = (skv_quant_rest){.ctx = ctx, .o = o, .split = split};
    SKV_GO(status, done, skv_quant_split_rest(ctx, split, &r->graph));
    SKV_GO(status, done, list_graphs(ctx, r->graph, &graphs, &n));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, fold(ctx, graphs[i]));
    skv_quant_sweep(r->graph);
    SKV_GO(status, done, skv_graph_infer_nested(r->graph));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, open_place(r, graphs[i], activations, report));
done:
    skv_free(ctx, graphs);
    return status;
}

void skv_quant_rest_free(skv_quant_rest *r) {
    for (size_t i = 0; i < r->n; i++) {
        skv_quant_points_free(r->ctx, &r->places[i].points);
        skv_free(r->ctx, r->places[i].chosen);
        skv_free(r->ctx, r->places[i].range);
        skv_free(r->ctx, r->places[i].choices);
    }
    skv_free(r->ctx, r->places);
    if (r->split) skv_calibration_data_free(r->ctx, r->split->whole, &r->data);
    skive_graph_free(r->graph);
    skive_graph_free(r->quantized);
    *r = (skv_quant_rest){0};
}

skive_status skv_quant_rest_codes(skv_quant_rest *r, const skv_quantizer *weights) {
    for (size_t i = 0; i < r->n; i++) {
        skv_quant_place *p = &r->places[i];
        if (!p->points.weights) SKV_TRY(skv_quant_weights_make(r->ctx, p->graph, r->o, p->chosen, weights, &p->points));
    }
    return SKIVE_OK;
}

void skv_quant_rest_any_grids(skv_quant_rest *r) {
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < r->places[i].points.n; k++) {
            r->places[i].range[k][0] = 0;
            r->places[i].range[k][1] = 255;
        }
        skv_quant_set_grids(&r->places[i].points, r->places[i].range);
    }
}

/* ---- the quantized form ---- */

static skive_status insert_into(const skv_quant_rest *r, skive_graph *target, skive_quantize_report *report) {
    skive_context *ctx = r->ctx;
    skive_graph **graphs = NULL;
    size_t n = 0;
    skive_status status = list_graphs(ctx, target, &graphs, &n);
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        const skv_quant_place *p = &r->places[i];
        skv_points part = {0};
        status = skv_quant_part(ctx, p->graph, p->chosen, &p->points, graphs[i], &part);
        if (status == SKIVE_OK) status = skv_quant_insert(ctx, graphs[i], r->o, p->chosen, &part, report);
        skv_free(ctx, part.items);
    }
    skv_free(ctx, graphs);
    if (status != SKIVE_OK) return status;
    skv_quant_sweep(target);
    return skv_graph_infer_nested(target);
}

skive_status skv_quant_rest_insert(skv_quant_rest *r, skive_quantize_report *report) {
    skive_graph *target = NULL;
    SKV_TRY(skive_graph_copy(r->ctx, r->graph, &target));
    const skive_status status = insert_into(r, target, report);
    if (status != SKIVE_OK) {
        skive_graph_free(target);
        return status;
    }
    r->quantized = target;
    return SKIVE_OK;
}

/* The whole model with the current grids. */
static skive_status make_trial(const skv_quant_rest *r, const skive_graph *part, skive_graph **out) {
    skive_quantize_report scratch = {0};
    skive_graph *rest = NULL;
    skive_status status;
    *out = NULL;
    SKV_GO(status, done, skive_graph_copy(r->ctx, r->graph, &rest));
    SKV_GO(status, done, insert_into(r, rest, &scratch));
    SKV_GO(status, done, skive_graph_copy(r->ctx, part, out));
    status = skv_quant_split_join(r->ctx, r->split, *out, rest);
done:
    skive_quantize_report_free(r->ctx, &scratch);
    skive_graph_free(rest);
    return status;
}

/* ---- observing ---- */

typedef struct observing {
    skv_quant_rest *r;
    skv_point **points; /* by the number in the name */
    size_t n;
    int64_t run;
    bool held;
} observing;

/* Readers of the value read it under a name that no pass takes away. */
static skive_status watch_value(skive_value *v, size_t number) {
    skv_builder b = skv_build(v->graph);
    char name[64];
    const uint32_t before = v->n_uses;
    skive_value *copy = skv_emit(&b, "Identity", SKV_IN(v), SKV_NONE);
    SKV_TRY(b.status);
    (void)snprintf(name, sizeof name, WATCHED "%zu", number);
    SKV_TRY(skv_value_rename(copy, name));
    return skv_value_replace_first_uses(v, before, copy);
}

/* The float model whose watched values have names. */
static skive_status make_watched(observing *o, int bins, skive_graph **out) {
    const skv_quant_rest *r = o->r;
    skive_graph *rest = NULL, **graphs = NULL;
    size_t n = 0;
    skive_status status;
    *out = NULL;
    SKV_GO(status, done, skv_alloc_array(r->ctx, r->n_points + 1, sizeof(skv_point *), &o->points));
    SKV_GO(status, done, skive_graph_copy(r->ctx, r->graph, &rest));
    SKV_GO(status, done, list_graphs(r->ctx, rest, &graphs, &n));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < r->places[i].points.n; k++) {
            skv_point *p = &r->places[i].points.items[k];
            if (p->source != k) continue;
            SKV_GO(status, done, skv_alloc_array(r->ctx, SKV_MOST_RUNS, sizeof *p->runs, &p->runs));
            for (size_t run = 0; run < SKV_MOST_RUNS; run++) p->runs[run] = (skv_extent){1, -1};
            SKV_GO(status, done, skv_histogram_create(r->ctx, bins | SKV_BINS_RELATIVE, &p->seen));
            SKV_GO(status, done, skv_histogram_create(r->ctx, SKV_BINS_RELATIVE, &p->held));
            SKV_GO(status, done, watch_value(graphs[i]->values[p->value->id], o->n));
            o->points[o->n++] = p;
        }
    }
    SKV_GO(status, done, skive_graph_copy(r->ctx, r->split->part, out));
    status = skv_quant_split_join(r->ctx, r->split, *out, rest);
done:
    skv_free(r->ctx, graphs);
    skive_graph_free(rest);
    return status;
}

static bool wants(void *user, const char *name) {
    (void)user;
    return strncmp(name, WATCHED, sizeof WATCHED - 1) == 0;
}

static skive_status see(void *user, const char *name, const skive_tensor *t) {
    const observing *o = user;
    const size_t number = strtoul(name + sizeof WATCHED - 1, NULL, 10), n = (size_t)skive_tensor_count(t);
    if (number >= o->n || n == 0 || t->dtype != SKIVE_F32) return SKIVE_OK;
    skv_point *p = o->points[number];
    skv_histogram *h = o->held ? &p->held : &p->seen;
    h->run = o->run;
    if (!skv_histogram_add(h, t->data, n, 0))
        return skv_fail_at(o->r->ctx, SKIVE_ERR_NUMERIC, p->value->name,
                           "value '%s' was NaN or infinity during calibration", p->value->name);
    if (o->held || o->run >= SKV_MOST_RUNS) return SKIVE_OK;
    skv_extent *e = &p->runs[o->run];
    const bool first = e->low > e->high;
    e->low = first || h->last_low < e->low ? h->last_low : e->low;
    e->high = first || h->last_high > e->high ? h->last_high : e->high;
    return SKIVE_OK;
}

typedef struct stepping {
    skive_context *ctx;
    const skive_graph *model;
    skive_session *session;
    skive_tensor *inputs, *outputs;
} stepping;

/* The inputs as the options bind them. */
static skive_status open_inputs(stepping *s, const skive_quantize_options *o) {
    const skive_plan_options p = skv_quant_plan_options(o);
    skive_graph *bound = NULL;
    SKV_TRY(skive_graph_copy(s->ctx, s->model, &bound));
    skive_status status = skv_plan_bind_inputs(s->ctx, bound, &p);
    for (uint32_t i = 0; status == SKIVE_OK && i < bound->n_inputs; i++) {
        const skive_type *t = &bound->inputs[i]->type;
        int64_t dims[SKIVE_MAX_RANK];
        for (int d = 0; d < t->rank; d++) dims[d] = t->dims[d].size;
        status = skive_tensor_create(s->ctx, t->dtype, t->rank, dims, &s->inputs[i]);
    }
    skive_graph_free(bound);
    return status;
}

static void forget_outputs(const stepping *s) {
    for (uint32_t i = 0; i < s->model->n_outputs; i++) skive_tensor_free(s->ctx, &s->outputs[i]);
}

static skive_status run_all(observing *o, stepping *s, skive_feed_fn feed, void *user) {
    const skive_quantize_options *how = o->r->o;
    const int64_t runs = how->samples / how->batch + (how->samples % how->batch != 0);
    skv_progress progress;
    skv_progress_start(&progress, s->ctx, "calibrate step by step", (double)runs);
    skv_quant_start_sorting(&o->r->data, runs);
    for (int64_t i = 0; i < runs; i++) {
        bool calibrates;
        const skive_status status = feed(user, i, s->inputs, s->model->n_inputs);
        if (status == SKIVE_ERR_NOT_FOUND) break;
        SKV_TRY(status);
        SKV_TRY(skv_quant_sort_run(s->ctx, s->model, i, s->inputs, &o->r->data, &calibrates));
        o->r->data.samples += how->batch;
        o->run = i;
        if (calibrates) {
            SKV_TRY(skive_session_run(s->session, s->inputs, s->model->n_inputs, s->outputs, s->model->n_outputs));
            forget_outputs(s);
        }
        SKV_TRY(skv_progress_at(&progress, (double)i + 1, "%s", how->calibration));
    }
    return o->r->data.samples ? SKIVE_OK : SKV_FAIL(s->ctx, SKIVE_ERR_DATA, "there are no calibration samples");
}

/* The float model's outputs of the runs that were held out. */
static skive_status run_kept(observing *o, const stepping *s) {
    const skv_kept *k = &o->r->data.check;
    size_t bytes = 0;
    o->held = true;
    for (size_t i = 0; i < k->n && bytes <= SKV_MOST_KEPT; i++) {
        skv_kept_run *r = &k->runs[i];
        o->run = r->index;
        SKV_TRY(skv_alloc_array(s->ctx, (size_t)s->model->n_outputs + 1, sizeof *r->outputs, &r->outputs));
        SKV_TRY(skive_session_run(s->session, r->inputs, s->model->n_inputs, r->outputs, s->model->n_outputs));
        for (uint32_t n = 0; n < s->model->n_outputs; n++) bytes += skive_tensor_bytes(&r->outputs[n]);
    }
    return SKIVE_OK;
}

static skive_status observe(skv_quant_rest *r, int bins, skive_feed_fn feed, void *user) {
    observing o = {.r = r};
    const skv_session_watch watch = {.wants = wants, .see = see, .user = &o};
    skive_session_options how = skive_session_options_default();
    skive_graph *model = NULL;
    stepping s = {.ctx = r->ctx};
    skive_status status;
    how.no_fusion = true; /* otherwise values that are watched would be folded into what reads them */
    SKV_GO(status, done, make_watched(&o, bins, &model));
    s.model = model;
    SKV_GO(status, done, skv_alloc_array(r->ctx, (size_t)model->n_inputs + 1, sizeof *s.inputs, &s.inputs));
    SKV_GO(status, done, skv_alloc_array(r->ctx, (size_t)model->n_outputs + 1, sizeof *s.outputs, &s.outputs));
    SKV_GO(status, done, open_inputs(&s, r->o));
    SKV_GO(status, done, skv_session_open(r->ctx, model, &how, &watch, &s.session));
    SKV_GO(status, done, run_all(&o, &s, feed, user));
    status = run_kept(&o, &s);
done:
    skive_session_free(s.session);
    for (uint32_t i = 0; s.inputs && i < model->n_inputs; i++) skive_tensor_free(r->ctx, &s.inputs[i]);
    skv_free(r->ctx, s.inputs);
    skv_free(r->ctx, s.outputs);
    skv_free(r->ctx, o.points);
    skive_graph_free(model);
    return status;
}

/* Nodes on paths that no run took have no ranges. */
static skive_status leave_unseen(skv_quant_rest *r, skive_quantize_report *report) {
    for (size_t i = 0; i < r->n; i++) {
        skv_quant_place *p = &r->places[i];
        for (uint32_t k = 0; k < p->graph->n_nodes; k++) {
            const skive_node *n = p->graph->nodes[k];
            const size_t reads = skv_node_is(n, SKV_OP_ADD) ? 2 : 1;
            bool seen = true;
            for (size_t in = 0; p->chosen[k] && in < reads; in++)
                for (size_t at = 0; at < p->points.n; at++)
                    if (p->points.items[at].value == n->inputs[in])
                        seen = seen && p->points.items[p->points.items[at].source].seen.any;
            if (seen) continue;
            p->chosen[k] = false;
            report->n_quantized--;
            SKV_TRY(skv_quant_leave(r->ctx, report, n, unseen));
        }
    }
    return SKIVE_OK;
}

/* ---- ranges ---- */

/* Each value's range by its own choice (observer NULL), or by one observer. */
static void set_ranges(skv_quant_rest *r, const skv_observer *observer) {
    for (size_t i = 0; i < r->n; i++) {
        skv_quant_place *p = &r->places[i];
        for (size_t k = 0; k < p->points.n; k++) {
            const skv_point *at = &p->points.items[k];
            const skv_choices *c = &p->choices[k];
            if (at->source != k || !(at->seen.reach > 0)) continue;
            if (observer) {
                const skv_quantizer own = skv_quantizer_from(&p->points.q, at->seen.low);
                observer->choose(&at->seen, &own, r->o, &p->range[k][0], &p->range[k][1]);
            } else if (c->n) {
                p->range[k][0] = c->low[c->best];
                p->range[k][1] = c->high[c->best];
            }
        }
        skv_quant_set_grids(&p->points, p->range);
    }
}

static skive_status try_ranges(skv_quant_rest *r, const skive_graph *part, double *score) {
    skive_graph *trial = NULL;
    skv_measure m = {0};
    skive_status status = make_trial(r, part, &trial);
    if (status == SKIVE_OK) status = skv_quant_measure_session(r->ctx, trial, &r->data.check, &m);
    *score = status == SKIVE_OK ? m.score : NAN;
    skv_measure_free(r->ctx, &m);
    skive_graph_free(trial);
    return status;
}

/* Each value's range of least error, or one observer for all values, whichever is best on the runs held out. */
static skive_status choose_best(skv_quant_rest *r, const skive_graph *part, const char **name) {
    static const char *const others[] = {"minmax", "mse"};
    const skv_calibration_data none = {0};
    const skv_observer *best = NULL;
    double score, most;
    for (size_t i = 0; i < r->n; i++) {
        skv_quant_place *p = &r->places[i];
        bool weighted;
        skv_quant_propose(r->ctx, r->o, &p->points, p->choices);
        SKV_TRY(skv_quant_least_harm(r->ctx, p->graph, &p->points, &none, p->choices, &weighted));
    }
    set_ranges(r, NULL);
    SKV_TRY(try_ranges(r, part, &most));
    for (size_t i = 0; i < SKV_COUNT(others); i++) {
        const skv_observer *observer = skv_observer_find(others[i]);
        set_ranges(r, observer);
        SKV_TRY(try_ranges(r, part, &score));
        if (!(score > most + (i == 0 ? 0 : MARGIN))) continue;
        most = score;
        best = observer;
    }
    set_ranges(r, best);
    *name = best ? best->name : "the least error of each value";
    return SKIVE_OK;
}

skive_status skv_quant_rest_calibrate(skv_quant_rest *r, const skv_observer *observer, const skive_graph *part,
                                      skive_feed_fn feed, void *user, skive_quantize_report *report) {
    const char *name = observer ? observer->name : NULL;
    SKV_TRY(observe(r, observer ? observer->bins : SKV_BINS_BOTH, feed, user));
    SKV_TRY(leave_unseen(r, report));
    if (observer)
        set_ranges(r, observer);
    else
        SKV_TRY(choose_best(r, part, &name));
    if (!report->calibration) report->calibration = observer ? observer->name : "auto";
    if (!observer) skv_note(r->ctx, "ranges of what was observed step by step: by %s", name);
    return SKIVE_OK;
}

/* ---- the report ---- */

static skive_status report_places(skv_quant_rest *r, skive_quantize_report *report) {
    for (size_t i = 0; i < r->n; i++) {
        const skv_points *p = &r->places[i].points;
        for (size_t k = 0; k < p->n; k++)
            if (p->items[k].source == k && p->items[k].seen.any)
                SKV_TRY(skv_quant_report_point(r->ctx, &p->items[k], report));
    }
    return SKIVE_OK;
}

skive_status skv_quant_rest_report(skv_quant_rest *r, const skive_graph *model, skive_quantize_report *report) {
    skv_measure m = {0};
    SKV_TRY(report_places(r, report));
    SKV_TRY(skv_quant_measure_session(r->ctx, model, &r->data.check, &m));
    skive_status status = skv_quant_report_outputs(r->ctx, model, &m, report);
    skv_measure_free(r->ctx, &m);
    SKV_TRY(status);
    report->held_out = r->data.held_out;
    report->samples = r->data.samples;
    report->check_samples = 0;
    for (size_t i = 0; i < r->data.check.n; i++)
        report->check_samples += r->data.check.runs[i].outputs ? r->o->batch : 0;
    return SKIVE_OK;
}
