/* Accuracy control of quantization: nodes are put back to float, the most harmful first, until the loss on a validation
 * split is within the limit.
 *
 * A node's harm is measured: the signal to noise of the model's outputs when it alone is quantized, on the runs that
 * were kept for checks. The order decides where bisection looks; whether a set is within the limit, the validation
 * split decides. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/quant.h"
#include "train/train.h"
#include "tune/tune.h"

static const char why[] = "quantized, the model would lose more accuracy than the limit allows";

/* ---- a part of the nodes ---- */

static size_t point_of(const skv_points *p, const skive_value *v) {
    size_t i = 0;
    while (i < p->n && p->items[i].value != v) i++;
    return i;
}

/* The point of `v`, and of the values from which it is passed through. */
static void mark(const skv_points *p, const skive_value *v, bool *wanted) {
    for (;;) {
        const size_t at = v ? point_of(p, v) : p->n;
        if (at == p->n) return;
        wanted[at] = true;
        const skive_node *n = v->producer;
        if (!n || !skv_quant_passes_through(n) || v->producer_index != 0) return;
        v = n->inputs[0];
    }
}

/* What a wanted Concat joins, unless that would round what is not rounded without it. */
static void mark_joined(const skv_points *p, bool *wanted) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < p->n; i++) {
            const skive_node *n = wanted[i] ? p->items[i].value->producer : NULL;
            bool fits = skv_node_is(n, SKV_OP_CONCAT);
            for (uint32_t k = 0; fits && k < n->n_inputs; k++) {
                const size_t at = point_of(p, n->inputs[k]);
                fits = at < p->n &&
                       (wanted[at] || wanted[p->items[at].source] || p->items[at].source == p->items[i].source);
            }
            for (uint32_t k = 0; fits && k < n->n_inputs; k++) {
                changed = changed || !wanted[point_of(p, n->inputs[k])];
                mark(p, n->inputs[k], wanted);
            }
        }
    }
}

skive_status skv_quant_part(skive_context *ctx, const skive_graph *work, const bool *chosen, const skv_points *points,
                            const skive_graph *target, skv_points *out) {
    bool *wanted = NULL;
    *out = *points;
    out->items = NULL;
    out->n = 0;
    SKV_TRY(skv_alloc_array(ctx, points->n + 1, sizeof *wanted, &wanted));
    const skive_status status = skv_alloc_array(ctx, points->n + 1, sizeof *out->items, &out->items);
    for (uint32_t i = 0; status == SKIVE_OK && i < work->n_nodes; i++) {
        if (!chosen[i]) continue;
        mark(points, work->nodes[i]->inputs[0], wanted);
        if (skv_node_is(work->nodes[i], SKV_OP_ADD)) mark(points, work->nodes[i]->inputs[1], wanted);
    }
    if (status == SKIVE_OK) mark_joined(points, wanted);
    for (size_t k = 0; status == SKIVE_OK && k < points->n; k++) {
        if (!wanted[k]) continue;
        out->items[out->n] = points->items[k];
        out->items[out->n++].value = target->values[points->items[k].value->id];
    }
    skv_free(ctx, wanted);
    return status;
}

skive_status skv_quant_insert_part(skive_context *ctx, const skive_graph *work, const skive_quantize_options *o,
                                   const bool *chosen, const skv_points *points, skive_graph **out) {
    skive_quantize_report scratch = {0};
    skv_points part = {0};
    *out = NULL;
    SKV_TRY(skive_graph_copy(ctx, work, out));
    skive_status status = skv_quant_part(ctx, work, chosen, points, *out, &part);
    if (status == SKIVE_OK) status = skv_quant_insert(ctx, *out, o, chosen, &part, &scratch);
    skive_quantize_report_free(ctx, &scratch);
    skv_free(ctx, part.items);
    if (status == SKIVE_OK) return SKIVE_OK;
    skive_graph_free(*out);
    *out = NULL;
    return status;
}

/* ---- harm ---- */

typedef struct candidate {
    uint32_t node;
    double sqnr;
} candidate;

typedef struct controlling {
    skive_context *ctx;
    const skv_quant_control *c;
    const skive_graph *work;
    const skv_quant_split *split;
    const skive_quantize_options *o;
    const skv_points *points;
    const skv_kept *trial;
    const bool *left_out;
    bool *part;            /* by node id */
    candidate *candidates; /* [n] the least harmful first */
    size_t n;
} controlling;

static int least_harmful_first(const void *x, const void *y) {
    const candidate *a = x, *b = y;
    if (a->sqnr != b->sqnr) return a->sqnr > b->sqnr ? -1 : 1;
    return a->node < b->node ? -1 : a->node > b->node;
}

/* dB, the mean over the outputs; without float outputs the score of equal answers. */
static double quality(const skv_measure *m) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < m->n_outputs; i++) {
        if (isnan(m->sqnr[i])) continue;
        sum += m->sqnr[i] < -20 ? -20 : m->sqnr[i];
        n += 1;
    }
    return n > 0 ? sum / n : isnan(m->score) ? 0 : m->score;
}

static skive_status measure_each(controlling *c) {
    skv_progress progress;
    skv_progress_start(&progress, c->ctx, "measure harm", (double)c->n);
    for (size_t i = 0; i < c->n; i++) {
        skive_graph *one = NULL;
        skv_measure m = {0};
        memset(c->part, 0, c->work->n_nodes);
        c->part[c->candidates[i].node] = true;
        SKV_TRY(skv_quant_insert_part(c->ctx, c->work, c->o, c->part, c->points, &one));
        const skive_status status = skv_quant_measure(c->ctx, one, c->o, c->trial, c->left_out, c->trial->n, &m);
        skive_graph_free(one);
        SKV_TRY(status);
        c->candidates[i].sqnr = quality(&m);
        skv_measure_free(c->ctx, &m);
        SKV_TRY(skv_progress_at(&progress, (double)i + 1, "%s", c->work->nodes[c->candidates[i].node]->name));
    }
    qsort(c->candidates, c->n, sizeof *c->candidates, least_harmful_first);
    return SKIVE_OK;
}

/* ---- the search ---- */

static void take_first(controlling *c, size_t applied) {
    memset(c->part, 0, c->work->n_nodes);
    for (size_t i = 0; i < applied; i++) c->part[c->candidates[i].node] = true;
}

static skive_status evaluate(void *user, size_t applied, skive_eval_report *out) {
    controlling *c = user;
    skive_graph *g = NULL;
    take_first(c, applied);
    SKV_TRY(skv_quant_insert_part(c->ctx, c->work, c->o, c->part, c->points, &g));
    skive_status status = c->split->part ? skv_quant_split_join_float(c->ctx, c->split, g) : SKIVE_OK;
    if (status == SKIVE_OK) status = skv_evaluate(c->ctx, g, c->c->validation, &(skv_evaluation){0}, out);
    skive_graph_free(g);
    return status;
}

static skive_status report_layers(const controlling *c, size_t applied) {
    skive_quantize_control *r = c->c->report;
    SKV_TRY(skv_alloc_array(c->ctx, c->n + 1, sizeof *r->layers, &r->layers));
    for (size_t i = 0; i < c->n; i++) {
        const skive_node *n = c->work->nodes[c->candidates[i].node];
        skive_quantize_layer *l = &r->layers[r->n_layers++];
        *l = (skive_quantize_layer){.sqnr = c->candidates[i].sqnr, .quantized = i < applied};
        SKV_TRY(skv_strdup(c->ctx, n->name, &l->node));
        SKV_TRY(skv_strdup(c->ctx, n->op_type, &l->op));
    }
    return SKIVE_OK;
}

static skive_status infeasible(const controlling *c) {
    const skive_control_report *r = &c->c->report->search;
    const skive_control_trial *best = &r->trials[r->best];
    return skv_fail_at(
        c->ctx, SKIVE_ERR_GOAL, "max_drop",
        "infeasible: no node can be quantized within a drop of %g points on %lld validation samples; the "
        "best found loses %.3g points with %zu of %zu nodes quantized",
        c->c->max_drop, (long long)r->samples, best->drop, best->applied, c->n);
}

static skive_status search(controlling *c, bool *chosen, skive_quantize_report *report) {
    skive_control_report *r = &c->c->report->search;
    for (uint32_t i = 0; i < c->work->n_nodes; i++)
        if (chosen[i]) c->candidates[c->n++].node = i;
    SKV_TRY(measure_each(c));
    SKV_TRY(skive_control_drop(c->ctx, c->n, c->c->original, c->c->max_drop, evaluate, c, r));
    SKV_TRY(report_layers(c, r->applied));
    if (!r->feasible) return infeasible(c);
    for (size_t i = r->applied; i < c->n; i++) {
        const uint32_t id = c->candidates[i].node;
        chosen[id] = false;
        report->n_quantized--;
        SKV_TRY(skv_quant_leave(c->ctx, report, c->work->nodes[id], why));
    }
    return SKIVE_OK;
}

skive_status skv_quant_control_run(skive_context *ctx, const skv_quant_control *control, const skive_graph *work,
                                   const skv_quant_split *split, const skive_quantize_options *o,
                                   const skv_points *points, const skv_kept *trial, const bool *left_out, bool *chosen,
                                   skive_quantize_report *report) {
    controlling c = {.ctx = ctx,
                     .c = control,
                     .work = work,
                     .split = split,
                     .o = o,
                     .points = points,
                     .trial = trial,
                     .left_out = left_out};
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)work->n_nodes + 1, sizeof *c.part, &c.part));
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)work->n_nodes + 1, sizeof *c.candidates, &c.candidates));
    status = search(&c, chosen, report);
done:
    skv_free(ctx, c.part);
    skv_free(ctx, c.candidates);
    return status;
}

/* ---- the public function ---- */

void skive_quantize_control_free(skive_context *ctx, skive_quantize_control *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_layers; i++) {
        skv_free(ctx, r->layers[i].node);
        skv_free(ctx, r->layers[i].op);
    }
    skv_free(ctx, r->layers);
    *r = (skive_quantize_control){0};
}

static skive_status test(skive_context *ctx, const skive_graph *before, const skive_graph *after, skive_dataset *set,
                         skive_quantize_control *r) {
    skive_eval_report x = {0}, y = {0};
    skive_status status = skv_evaluate(ctx, before, set, &(skv_evaluation){0}, &x);
    if (status == SKIVE_OK) status = skv_evaluate(ctx, after, set, &(skv_evaluation){0}, &y);
    if (status == SKIVE_OK) status = skive_compare_paired(ctx, &x, &y, &r->test);
    if (status == SKIVE_OK) {
        r->tested = true;
        r->test_original = x.hit ? 100 * x.accuracy : 100 * x.r2;
        r->test_drop = skive_eval_drop(&x, &y);
        r->test_low = x.hit ? -100 * r->test.high : NAN;
        r->test_high = x.hit ? -100 * r->test.low : NAN;
    }
    skive_eval_report_free(ctx, &x);
    skive_eval_report_free(ctx, &y);
    return status;
}

skive_status skive_quantize_within(skive_context *ctx, skive_graph *graph, skive_dataset *calibration,
                                   skive_dataset *validation, skive_dataset *test_set, double max_drop,
                                   const skive_quantize_options *options, skive_quantize_report *report,
                                   skive_quantize_control *control) {
    SKV_NEED(ctx, "ctx, graph, calibration, validation", ctx, graph, calibration, validation);
    skive_quantize_control own = {0};
    skive_quantize_report made = {0};
    skive_eval_report original = {0};
    skive_graph *work = NULL;
    const skv_quant_control c = {validation, max_drop, &original, &own};
    skive_status status;
    if (report) *report = (skive_quantize_report){0};
    if (control) *control = (skive_quantize_control){0};
    if (options && options->size >= sizeof *options && options->dry_run)
        return skive_quantize(ctx, graph, calibration, options, report);
    if (!(max_drop >= 0 && max_drop <= 100))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "max_drop",
                           "the largest drop is %g; it must be from 0 to 100 percentage points", max_drop);
    SKV_TRY(skive_graph_to_float32(graph));
    SKV_TRY(skive_graph_copy(ctx, graph, &work));
    SKV_GO(status, done, skv_evaluate(ctx, graph, validation, &(skv_evaluation){0}, &original));
    own.original = original.hit ? 100 * original.accuracy : 100 * original.r2;
    SKV_GO(status, done, skv_quantize_set(ctx, work, calibration, options, &made, &c));
    if (test_set) SKV_GO(status, done, test(ctx, graph, work, test_set, &own));
    skive_graph_take(graph, work);
    work = NULL;
done:
    skive_graph_free(work);
    skive_eval_report_free(ctx, &original);
    skv_quant_hand_over(ctx, status, &made, report);
    if ((status == SKIVE_OK || status == SKIVE_ERR_GOAL) && control)
        *control = own;
    else
        skive_quantize_control_free(ctx, &own);
    return status;
}
