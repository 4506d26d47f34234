/* Where two models come apart.
 *
 * Three graphs run on the same samples: both models with the matched values as further outputs, and a third, the first
 * model cut at the matched values: each is an input there, which gets the second model's numbers, and an output, which
 * is what the first model's nodes make of such inputs. The distance between that and the second model's value is what
 * the second model's nodes add by themselves, whatever error arrived. */
#include <skive/layers.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/batch.h"
#include "probe/source.h"
#include "tensor/tensor.h"

typedef struct sums {
    double signal, noise, other, product, largest;
} sums;

typedef struct matched {
    char *name;                /* in both */
    skive_value *a, *b;        /* of the sources' graphs: b behind its quantization */
    size_t in_a, in_b, in_cut; /* index of the output; of `cut` the output's, its input being `inputs` + number */
    sums all, own;
} matched;

typedef struct layering {
    skive_context *ctx;
    skv_source a, b;
    skive_graph *cut;
    size_t inputs; /* of the models, which come first in `cut` */
    matched *items;
    size_t n;
    skive_plan *plans[3];
    skive_exec *execs[3];
    skive_layers_report report;
} layering;

skive_layers_options skive_layers_options_default(void) {
    return (skive_layers_options){.size = sizeof(skive_layers_options), .samples = 256, .batch = 32};
}

void skive_layers_report_free(skive_context *ctx, skive_layers_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_rows; i++) {
        skv_free(ctx, r->rows[i].value);
        skv_free(ctx, r->rows[i].node);
        skv_free(ctx, r->rows[i].op);
    }
    for (size_t i = 0; i < r->n_unmatched; i++) {
        skv_free(ctx, r->unmatched[i].value);
        skv_free(ctx, r->unmatched[i].reason);
    }
    skv_free(ctx, r->rows);
    skv_free(ctx, r->unmatched);
    *r = (skive_layers_report){0};
}

/* ---- matching ---- */

static skive_value *only_reader_result(const skive_value *v, skv_op_kind op) {
    for (uint32_t i = 0; i < v->n_uses; i++)
        if (v->uses[i].node && skv_node_is(v->uses[i].node, op) && v->uses[i].index == 0)
            return v->uses[i].node->outputs[0];
    return NULL;
}

/* The value behind its quantization, if there is one. */
static skive_value *behind(skive_value *v) {
    skive_value *q = only_reader_result(v, SKV_OP_QUANTIZE_LINEAR);
    skive_value *d = q ? only_reader_result(q, SKV_OP_DEQUANTIZE_LINEAR) : NULL;
    return d && d->type.dtype == SKIVE_F32 ? d : v;
}

/* Between an integer node and its limit: a plan has no such value, and asking for it would change the arithmetic. */
static bool is_inside(const skive_value *v) {
    if (v->n_uses != 1 || !v->uses[0].node) return false;
    const skive_node *n = v->uses[0].node;
    if (!skv_node_is(n, SKV_OP_RELU) && !skv_node_is(n, SKV_OP_CLIP)) return false;
    return only_reader_result(n->outputs[0], SKV_OP_QUANTIZE_LINEAR) != NULL;
}

static bool is_computed(const skive_value *v) {
    return v && !v->storage && v->producer && !v->is_input && v->type.dtype == SKIVE_F32 && v->name && *v->name &&
           !skv_node_is(v->producer, SKV_OP_DEQUANTIZE_LINEAR);
}

/* Does it depend on the model's inputs? What is computed from constants alone is folded. */
static void mark_live(const skive_graph *g, skive_node *const *order, bool *live) {
    for (uint32_t i = 0; i < g->n_inputs; i++) live[g->inputs[i]->id] = true;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        bool any = order[i]->n_inputs == 0;
        for (uint32_t k = 0; k < order[i]->n_inputs && !any; k++)
            any = order[i]->inputs[k] && live[order[i]->inputs[k]->id];
        for (uint32_t k = 0; any && k < order[i]->n_outputs; k++)
            if (order[i]->outputs[k]) live[order[i]->outputs[k]->id] = true;
    }
}

static bool same_shape(const skive_type *a, const skive_type *b) {
    if (a->rank != b->rank || a->rank < 0) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dims[d].size != b->dims[d].size || a->dims[d].size < 1) return false;
    return true;
}

static skive_status leave(layering *l, const skive_value *v, bool second, const char *reason) {
    skive_layers_report *r = &l->report;
    SKV_TRY(skv_grow(l->ctx, &r->unmatched, r->n_unmatched, r->n_unmatched + 1, sizeof *r->unmatched));
    skive_layers_unmatched *u = &r->unmatched[r->n_unmatched++];
    *u = (skive_layers_unmatched){.in_second = second};
    SKV_TRY(skv_strdup(l->ctx, v->name, &u->value));
    return skv_strdup(l->ctx, reason, &u->reason);
}

static skive_status match(layering *l, skive_value *v) {
    skive_value *w = skive_graph_find_value(l->b.graph, v->name);
    char a[SKV_DIMS_TEXT], b[SKV_DIMS_TEXT], text[2 * SKV_DIMS_TEXT + 64];
    if (!w) return leave(l, v, false, "the second model has no value of this name");
    if (!is_computed(w)) return leave(l, v, false, "the second model does not compute a float32 of this name");
    if (is_inside(v) || is_inside(w)) return leave(l, v, false, "it is inside an integer node");
    if (!same_shape(&v->type, &w->type)) {
        skv_type_text(&v->type, a, sizeof a);
        skv_type_text(&w->type, b, sizeof b);
        (void)snprintf(text, sizeof text, "%s in the first model, %s in the second", a, b);
        return leave(l, v, false, text);
    }
    matched *m = &l->items[l->n++];
    *m = (matched){.a = behind(v), .b = behind(w)};
    return skv_strdup(l->ctx, v->name, &m->name);
}

static skive_status match_all(layering *l) {
    skive_node **order[2] = {NULL};
    bool *live[2] = {NULL};
    const skive_graph *g[2] = {l->a.graph, l->b.graph};
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(l->ctx, (size_t)g[0]->n_values + 1, sizeof *l->items, &l->items));
    for (int k = 0; k < 2; k++) {
        SKV_GO(status, done, skv_graph_topo(g[k], &order[k]));
        SKV_GO(status, done, skv_alloc_array(l->ctx, (size_t)g[k]->n_values + 1, sizeof(bool), &live[k]));
        mark_live(g[k], order[k], live[k]);
    }
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < g[k]->n_nodes; i++) {
            for (uint32_t o = 0; o < order[k][i]->n_outputs; o++) {
                skive_value *v = order[k][i]->outputs[o];
                if (!is_computed(v) || !live[k][v->id] || (v->n_uses == 0 && v->output_uses == 0)) continue;
                if (k == 0)
                    SKV_GO(status, done, match(l, v));
                else if (!skive_graph_find_value(g[0], v->name))
                    SKV_GO(status, done, leave(l, v, true, "the first model has no value of this name"));
            }
        }
    }
    if (l->n == 0)
        status = SKV_FAIL(l->ctx, SKIVE_ERR_DATA,
                          "no computed value has the same name and shape in both models: layers are matched by the "
                          "names of values");
done:
    for (int k = 0; k < 2; k++) {
        skv_free(l->ctx, order[k]);
        skv_free(l->ctx, live[k]);
    }
    return status;
}

/* ---- the graphs ---- */

/* The index of the output that is the value; it becomes one. */
static skive_status show(skive_graph *g, skive_value *v, size_t *index) {
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        *index = i;
        if (g->outputs[i] == v) return SKIVE_OK;
    }
    *index = g->n_outputs;
    return skive_graph_add_output(g, v);
}

static skive_status make_cut(layering *l) {
    SKV_TRY(skive_graph_copy(l->ctx, l->a.graph, &l->cut));
    l->inputs = l->cut->n_inputs;
    for (size_t i = 0; i < l->n; i++) {
        skive_value *v = l->cut->values[l->items[i].a->id], *in = NULL;
        SKV_TRY(show(l->cut, v, &l->items[i].in_cut));
        SKV_TRY(skive_graph_add_input(l->cut, NULL, &l->items[i].a->type, &in));
        SKV_TRY(skv_value_replace_uses(v, in, false));
    }
    return skive_graph_infer(l->cut);
}

static skive_status plan(layering *l, int which, const skive_graph *g) {
    const skive_plan_options o = skive_plan_options_default();
    SKV_TRY(skive_plan_create(l->ctx, g, &o, &l->plans[which]));
    return skive_exec_create(l->ctx, l->plans[which], &l->execs[which]);
}

static skive_status open_plans(layering *l) {
    SKV_TRY(make_cut(l)); /* before the outputs are added to the graph that it copies */
    for (size_t i = 0; i < l->n; i++) {
        SKV_TRY(show(l->a.graph, l->items[i].a, &l->items[i].in_a));
        SKV_TRY(show(l->b.graph, l->items[i].b, &l->items[i].in_b));
    }
    SKV_TRY(plan(l, 0, l->a.graph));
    SKV_TRY(plan(l, 1, l->b.graph));
    return plan(l, 2, l->cut);
}

/* ---- running ---- */

static skive_status feed(layering *l, int which, skv_source *s) {
    enum { MOST = 64 };
    skive_tensor inputs[MOST];
    const size_t n = skive_plan_input_count(l->plans[which]);
    int64_t run = 0;
    if (n > MOST) return SKV_FAIL(l->ctx, SKIVE_ERR_LIMIT, "the model has %zu inputs; at most %d are read", n, MOST);
    for (size_t i = 0; i < n; i++) SKV_TRY(skive_exec_input(l->execs[which], i, &inputs[i]));
    return skv_source_feed(s, &run, inputs, n);
}

static void add(sums *s, const skive_tensor *x, const skive_tensor *y) {
    const float *a = x->data, *b = y->data;
    for (int64_t i = 0; i < skive_tensor_count(x); i++) {
        const double d = (double)b[i] - (double)a[i], m = fabs(d);
        s->signal += (double)a[i] * (double)a[i];
        s->other += (double)b[i] * (double)b[i];
        s->product += (double)a[i] * (double)b[i];
        s->noise += d * d;
        if (m > s->largest || isnan(m)) s->largest = m;
    }
}

static skive_status run_once(layering *l) {
    skive_tensor x, y, in;
    SKV_TRY(feed(l, 0, &l->a));
    SKV_TRY(feed(l, 1, &l->b));
    for (size_t i = 0; i < l->inputs; i++) {
        SKV_TRY(skive_exec_input(l->execs[0], i, &x));
        SKV_TRY(skive_exec_input(l->execs[2], i, &in));
        memcpy(in.data, x.data, skive_tensor_bytes(&in));
    }
    SKV_TRY(skive_exec_run(l->execs[0]));
    SKV_TRY(skive_exec_run(l->execs[1]));
    for (size_t i = 0; i < l->n; i++) {
        SKV_TRY(skive_exec_output(l->execs[1], l->items[i].in_b, &y));
        SKV_TRY(skive_exec_input(l->execs[2], l->inputs + i, &in));
        memcpy(in.data, y.data, skive_tensor_bytes(&in));
    }
    SKV_TRY(skive_exec_run(l->execs[2]));
    for (size_t i = 0; i < l->n; i++) {
        SKV_TRY(skive_exec_output(l->execs[0], l->items[i].in_a, &x));
        SKV_TRY(skive_exec_output(l->execs[1], l->items[i].in_b, &y));
        add(&l->items[i].all, &x, &y);
        SKV_TRY(skive_exec_output(l->execs[2], l->items[i].in_cut, &x));
        add(&l->items[i].own, &x, &y);
    }
    return SKIVE_OK;
}

static skive_status run_all(layering *l) {
    skv_progress progress;
    SKV_TRY(skv_source_rewind(&l->a));
    SKV_TRY(skv_source_rewind(&l->b));
    skv_progress_start(&progress, l->ctx, "compare layers", (double)l->a.batches);
    for (int64_t i = 0; i < l->a.batches; i++) {
        SKV_TRY(run_once(l));
        SKV_TRY(skv_progress_at(&progress, (double)i + 1, "%zu values", l->n));
    }
    l->report.samples = l->a.batches * l->a.batch;
    return SKIVE_OK;
}

/* ---- the report ---- */

static double decibels(double signal, double noise) {
    if (isnan(noise) || isnan(signal)) return NAN;
    return noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

/* NaN is the worst; equals are in order of their names. */
static int culprits_first(const void *x, const void *y) {
    const skive_layers_row *a = x, *b = y;
    const double p = isnan(a->own_sqnr) ? -INFINITY : a->own_sqnr, q = isnan(b->own_sqnr) ? -INFINITY : b->own_sqnr;
    return p != q ? (p < q ? -1 : 1) : strcmp(a->value, b->value);
}

static skive_status report(layering *l) {
    skive_layers_report *r = &l->report;
    SKV_TRY(skv_alloc_array(l->ctx, l->n + 1, sizeof *r->rows, &r->rows));
    for (size_t i = 0; i < l->n; i++) {
        const matched *m = &l->items[i];
        skive_layers_row *row = &r->rows[r->n_rows++];
        const skive_node *n = skive_graph_find_value(l->a.graph, m->name)->producer;
        const double length = sqrt(m->all.signal) * sqrt(m->all.other);
        *row = (skive_layers_row){.elements = skv_type_count(&m->a->type) / l->a.batch,
                                  .sqnr = decibels(m->all.signal, m->all.noise),
                                  .difference = m->all.largest,
                                  .cosine = length > 0                                ? m->all.product / length
                                            : m->all.signal == 0 && m->all.other == 0 ? 1
                                                                                      : NAN,
                                  .own_sqnr = decibels(m->own.signal, m->own.noise),
                                  .own_difference = m->own.largest};
        SKV_TRY(skv_strdup(l->ctx, m->name, &row->value));
        SKV_TRY(skv_strdup(l->ctx, n->name, &row->node));
        SKV_TRY(skv_strdup(l->ctx, n->op_type, &row->op));
    }
    if (r->n_rows > 1) qsort(r->rows, r->n_rows, sizeof *r->rows, culprits_first);
    return SKIVE_OK;
}

/* So many samples a run that few or none are left over. */
static int64_t choose_batch(int64_t samples, int64_t most) {
    if (most > samples) most = samples;
    for (int64_t n = most; 4 * n > most; n--)
        if (samples % n == 0) return n;
    return most;
}

/* Both models take the same number of samples in a run. */
static skive_status open_sources(layering *l, const skive_graph *a, const skive_graph *b, skive_dataset *set,
                                 const skive_layers_options *o) {
    const int64_t fixed_a = skv_graph_fixed_batch(a), fixed_b = skv_graph_fixed_batch(b);
    skive_dataset_info info;
    skive_dataset_get_info(set, &info);
    const int64_t count = (int64_t)info.count, samples = count > 0 && count < o->samples ? count : o->samples;
    int64_t batch = choose_batch(samples, o->batch);
    if (fixed_a > 0 && fixed_b > 0 && fixed_a != fixed_b)
        return SKV_FAIL(l->ctx, SKIVE_ERR_SHAPE, "the first model takes %lld samples a run, the second %lld",
                        (long long)fixed_a, (long long)fixed_b);
    if (fixed_a > 0) batch = fixed_a;
    if (fixed_b > 0) batch = fixed_b;
    const skv_source_options s = {.batch = batch, .batches = (o->samples + batch - 1) / batch, .seed = 1};
    SKV_TRY(skv_source_open(l->ctx, a, set, &s, &l->a));
    SKV_TRY(skv_source_open(l->ctx, b, set, &s, &l->b));
    SKV_TRY(skive_graph_infer(l->a.graph));
    return skive_graph_infer(l->b.graph);
}

static void close(layering *l) {
    for (int k = 0; k < 3; k++) {
        skive_exec_free(l->execs[k]);
        skive_plan_free(l->plans[k]);
    }
    for (size_t i = 0; i < l->n; i++) skv_free(l->ctx, l->items[i].name);
    skv_free(l->ctx, l->items);
    skive_graph_free(l->cut);
    skv_source_close(&l->a);
    skv_source_close(&l->b);
}

/* In inference mode; the caller's graphs are only read. */
static skive_status inference(skive_context *ctx, const skive_graph *g, skive_graph **out) {
    SKV_TRY(skive_graph_copy(ctx, g, out));
    return skv_graph_for_methods(*out);
}

skive_status skive_compare_layers(skive_context *ctx, const skive_graph *a, const skive_graph *b, skive_dataset *set,
                                  const skive_layers_options *options, skive_layers_report *out) {
    SKV_NEED(ctx, "ctx, a, b, set, report", ctx, a, b, set, out);
    skive_layers_options o = skive_layers_options_default();
    layering l = {.ctx = ctx};
    skive_graph *x = NULL, *y = NULL;
    skive_status status;
    *out = (skive_layers_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_layers_options", options, &o, sizeof o));
    if (o.samples < 1 || o.batch < 1)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, o.samples < 1 ? "samples" : "batch",
                           "%lld samples in batches of %lld: both must be 1 or more", (long long)o.samples,
                           (long long)o.batch);
    SKV_GO(status, done, inference(ctx, a, &x));
    SKV_GO(status, done, inference(ctx, b, &y));
    SKV_GO(status, done, open_sources(&l, x, y, set, &o));
    SKV_GO(status, done, match_all(&l));
    SKV_GO(status, done, open_plans(&l));
    SKV_GO(status, done, run_all(&l));
    status = report(&l);
done:
    close(&l);
    skive_graph_free(x);
    skive_graph_free(y);
    if (status == SKIVE_OK)
        *out = l.report;
    else
        skive_layers_report_free(ctx, &l.report);
    return status;
}
