/* See speed.h. Times are the least of several rounds in which both models have their turn: whatever else runs on the
 * machine only adds to a time. */
#include "quant/speed.h"

#include <math.h>
#include <string.h>

#include <skive/tune.h>

enum { ROUNDS = 3 };
#define MARGIN 1.02 /* what is slower by less is no finding */

typedef struct timed {
    const skive_graph *graph;
    skive_cost_report best; /* of each row, and of the whole, the least time */
} timed;

static skive_status measure_once(skive_context *ctx, timed *t, const skive_plan_options *o) {
    skive_costs *costs = NULL;
    skive_cost_report now = {0};
    SKV_TRY(skive_costs_open(ctx, "", &costs)); /* in memory: times of another day are no neighbours */
    const skive_status status = skive_costs_of_graph(costs, t->graph, o, &now);
    skive_costs_free(costs);
    if (status != SKIVE_OK) return status;
    if (t->best.n_rows == 0) {
        t->best = now;
        return SKIVE_OK;
    }
    for (size_t i = 0; i < now.n_rows && i < t->best.n_rows; i++)
        t->best.rows[i].time.seconds = fmin(t->best.rows[i].time.seconds, now.rows[i].time.seconds);
    t->best.whole = fmin(t->best.whole, now.whole);
    skive_cost_report_free(ctx, &now);
    return SKIVE_OK;
}

static skive_status measure(skive_context *ctx, timed *all, size_t n, const skive_plan_options *o) {
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n; i++) SKV_TRY(measure_once(ctx, &all[i], o));
    return SKIVE_OK;
}

/* The row of a node of this name; NULL: there is none. */
static const skive_cost_row *row_of(const skive_cost_report *r, const char *name) {
    for (size_t i = 0; i < r->n_rows; i++)
        if (strcmp(r->rows[i].node, name) == 0) return &r->rows[i];
    return NULL;
}

/* Without the chosen nodes that are slower: how many. */
static size_t drop_slow(const skive_graph *work, const timed *real, const timed *whole, const bool *chosen,
                        bool *fewer) {
    size_t n = 0;
    memcpy(fewer, chosen, (size_t)work->n_nodes * sizeof *fewer);
    for (uint32_t i = 0; i < work->n_nodes; i++) {
        if (!chosen[i]) continue;
        const skive_cost_row *a = row_of(&real->best, work->nodes[i]->name),
                             *b = row_of(&whole->best, work->nodes[i]->name);
        if (!a || !b || b->time.seconds <= MARGIN * a->time.seconds) continue;
        fewer[i] = false;
        n++;
    }
    return n;
}

static skive_status leave(skive_context *ctx, const skive_graph *work, bool *chosen, const bool *fewer,
                          skive_quantize_report *report) {
    for (uint32_t i = 0; i < work->n_nodes; i++) {
        if (!chosen[i] || fewer[i]) continue;
        chosen[i] = false;
        report->n_quantized--;
        SKV_TRY(skv_quant_leave(ctx, report, work->nodes[i], SKV_QUANT_SLOW));
    }
    return SKIVE_OK;
}

skive_status skv_quant_leave_slow(skive_context *ctx, const skive_graph *work, const skive_quantize_options *o,
                                  const skv_points *points, bool *chosen, skive_quantize_report *report) {
    const skive_plan_options options = skv_quant_plan_options(o);
    skive_graph *all = NULL, *some = NULL;
    bool *fewer = NULL;
    timed t[2] = {{.graph = work}, {0}}, last[2] = {{0}, {0}};
    double before = 0, after = 0;
    size_t dropped = 0;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)work->n_nodes + 1, sizeof *fewer, &fewer));
    SKV_GO(status, done, skv_quant_insert_part(ctx, work, o, chosen, points, &all));
    t[1].graph = all;
    SKV_GO(status, done, measure(ctx, t, 2, &options));
    before = t[0].best.whole;
    after = t[1].best.whole;
    dropped = drop_slow(work, &t[0], &t[1], chosen, fewer);
    if (dropped > 0 && dropped < report->n_quantized) {
        SKV_GO(status, done, skv_quant_insert_part(ctx, work, o, fewer, points, &some));
        last[0].graph = all;
        last[1].graph = some;
        SKV_GO(status, done, measure(ctx, last, 2, &options));
        const bool gains = last[1].best.whole < last[0].best.whole;
        if (gains) SKV_GO(status, done, leave(ctx, work, chosen, fewer, report));
        if (gains) after = last[1].best.whole;
        if (!gains) dropped = 0;
    } else {
        dropped = 0;
    }
    skv_note(ctx, "a run takes %.1f us, %.1f us in float (measured): %.2f times as fast%s", 1e6 * after, 1e6 * before,
             before / after,
             after > MARGIN * before
                 ? "; with 8 bits this model is slower on this machine, and no layer alone is to blame"
             : dropped ? "; layers that are slower with 8 bits stay float"
                       : "");
done:
    for (int i = 0; i < 2; i++) {
        skive_cost_report_free(ctx, &t[i].best);
        skive_cost_report_free(ctx, &last[i].best);
    }
    skive_graph_free(all);
    skive_graph_free(some);
    skv_free(ctx, fewer);
    return status;
}

skive_status skv_quant_is_slow(skive_context *ctx, const skive_node *n, const skive_quantize_options *o, bool *slow) {
    const skive_plan_options options = skv_quant_plan_options(o);
    skive_quantize_options same = *o;
    skive_graph *real = NULL, *quantized = NULL;
    bool *keep = NULL;
    timed t[2] = {{0}, {0}};
    skive_status status;
    *slow = false;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && !n->inputs[i]->storage && n->inputs[i]->type.rank < 0) return SKIVE_OK;
    same.no_slower = same.dry_run = false;
    same.n_skip = 0;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)n->graph->n_nodes + 1, sizeof *keep, &keep));
    keep[n->id] = true;
    SKV_GO(status, done, skv_graph_extract(ctx, n->graph, keep, &real));
    for (uint32_t i = 0; i < real->n_inputs; i++) {
        skive_type *x = &real->inputs[i]->type;
        const int batch = SKV_NODE_IS_ANY(n, SKV_OP_LSTM, SKV_OP_GRU, SKV_OP_RNN) ? 1 : 0;
        if (batch < x->rank && x->dims[batch].size < 0) x->dims[batch] = (skive_dim){1, NULL}; /* one sample */
        if (!skv_type_is_static(x)) goto done;
    }
    SKV_GO(status, done, skive_graph_infer(real));
    SKV_GO(status, done, skive_graph_copy(ctx, real, &quantized));
    SKV_GO(status, done, skive_quantize_dynamic(ctx, quantized, &same, NULL));
    t[0].graph = real;
    t[1].graph = quantized;
    SKV_GO(status, done, measure(ctx, t, 2, &options));
    *slow = t[1].best.whole > MARGIN * t[0].best.whole;
done:
    for (int i = 0; i < 2; i++) skive_cost_report_free(ctx, &t[i].best);
    skive_graph_free(real);
    skive_graph_free(quantized);
    skv_free(ctx, keep);
    return status;
}
