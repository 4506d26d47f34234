/* Quantization without samples: weights alone, on any grid, and dynamic quantization, where activations are quantized
 * while the model runs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/weights.h"
#include "ops/common_shape.h"
#include "quant/gridded.h"
#include "quant/quant.h"

typedef struct work {
    skive_context *ctx;
    const skive_quantize_options *o;
    skive_graph *g; /* a copy of the caller's */
    skive_quantize_report report;
} work;

static skive_status open_work(work *w, const skive_graph *graph) {
    SKV_TRY(skv_quant_check_model(w->ctx, graph, w->o));
    return skv_quant_prepare(w->ctx, graph, &w->g);
}

static skive_status close_work(work *w, skive_graph *graph, skive_quantize_report *report, skive_status status) {
    if (status == SKIVE_OK && !w->o->dry_run) {
        skive_graph_take(graph, w->g);
        w->g = NULL;
    }
    skive_graph_free(w->g);
    skv_quant_hand_over(w->ctx, status, &w->report, report);
    return status;
}

/* Bodies first: what only they read goes too. */
static void sweep(skive_graph *g) {
    for (uint32_t i = 0; g->nests && i < g->n_nodes; i++)
        for (uint32_t a = 0; a < g->nodes[i]->n_attrs; a++)
            if (g->nodes[i]->attrs[a].graph) sweep(g->nodes[i]->attrs[a].graph);
    (void)skv_graph_sweep(g);
}

static skive_status finish(work *w) {
    skive_cost cost;
    sweep(w->g);
    SKV_TRY(skive_graph_infer(w->g));
    SKV_TRY(skive_graph_cost(w->g, &cost));
    w->report.expected_bytes = cost.parameter_bytes;
    return SKIVE_OK;
}

/* ---- one weight ---- */

static skive_status quantize_weight(work *w, const skv_quantizer *q, const skv_weight *from) {
    skv_builder b = skv_build(from->value->graph);
    skv_gridded c;
    skive_value *real = NULL;
    skive_status status;
    skv_gridded_lay_out(&c, q, &from->view, skv_value_tensor(from->value));
    if (q->per == SKV_PER_GROUP && c.q.per != SKV_PER_GROUP)
        skv_note(w->ctx, "weight '%s' is no matrix: it has one scale for each output channel, not one for each group",
                 from->value->name);
    SKV_GO(status, done, skv_gridded_make(w->ctx, &c));
    const skive_quantize_row row = {
        .is_parameter = true, .grid = q->grid->name, .scale = NAN, .lo = NAN, .hi = NAN, .sqnr = skv_gridded_sqnr(&c)};
    SKV_GO(status, done, skv_quant_add_row(w->ctx, &w->report, &row, from->value->name));
    SKV_GO(status, done, skv_gridded_emit(&b, &c, from->value, &real));
    status = skv_value_replace_uses(from->value, real, true);
done:
    skv_gridded_free(w->ctx, &c);
    return status;
}

skive_status skive_quantize_weights(skive_context *ctx, skive_graph *graph, const char *grid,
                                    const skive_quantize_options *options, skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph, grid", ctx, graph, grid);
    skive_quantize_options o = skive_quantize_options_default();
    work w = {.ctx = ctx, .o = &o};
    skv_weight *weights = NULL;
    skv_quantizer q;
    size_t n = 0;
    skive_status status;
    const double started = skv_now();
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    SKV_TRY(skv_quantizer_parse(ctx, grid, &q));
    SKV_TRY(skv_gridded_check(ctx, grid, &q));
    SKV_GO(status, done, open_work(&w, graph));
    SKV_GO(status, done, skv_weights(ctx, w.g, &weights, &n));
    for (size_t i = 0; i < n; i++) {
        const skive_value *v = weights[i].value;
        const char *why = skv_quant_skipped(&o, weights[i].node)         ? "it is excluded by --skip"
                          : !v->storage || skv_value_coded(v)            ? "its weights are computed, not a parameter"
                          : v->type.dtype != SKIVE_F32                   ? "its weights are not float32"
                          : skive_tensor_count(skv_value_tensor(v)) == 0 ? "its weights are empty"
                                                                         : NULL;
        if (why) {
            SKV_GO(status, done, skv_quant_leave(ctx, &w.report, weights[i].node, why));
            continue;
        }
        SKV_GO(status, done, quantize_weight(&w, &q, &weights[i]));
        w.report.n_quantized++;
    }
    if (w.report.n_quantized == 0) {
        status = SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "the model has no float weight that can be quantized");
        goto done;
    }
    status = finish(&w);
    w.report.seconds = skv_now() - started;
done:
    skv_free(ctx, weights);
    return close_work(&w, graph, report, status);
}

/* ---- dynamic quantization ---- */

/* A value quantized while the model runs, once for all its readers. */
typedef struct live {
    skive_value *of, *q, *scale, *zero;
} live;

typedef struct dynamic {
    work *w;
    live *items; /* by the value they are of */
    size_t n;
} dynamic;

static skive_status quantize_live(dynamic *d, skive_value *x, live *out) {
    for (size_t i = 0; i < d->n; i++) {
        if (d->items[i].of != x) continue;
        *out = d->items[i];
        return SKIVE_OK;
    }
    skv_builder b = skv_build(x->graph);
    skive_value *y[3] = {NULL};
    (void)skv_emit_n(&b, "DynamicQuantizeLinear", SKV_IN(x), SKV_NONE, y, 3);
    SKV_TRY(b.status);
    SKV_TRY(skv_grow(d->w->ctx, &d->items, d->n, d->n + 1, sizeof *d->items));
    *out = d->items[d->n++] = (live){.of = x, .q = y[0], .scale = y[1], .zero = y[2]};
    return SKIVE_OK;
}

static const char *why_not(const work *w, const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0), *m = skv_node_in(n, 1), *c = skv_node_in(n, 2);
    if (skv_quant_skipped(w->o, n)) return "it is excluded by --skip";
    if (!SKV_NODE_IS_ANY(n, SKV_OP_MAT_MUL, SKV_OP_GEMM)) {
        if (SKV_NODE_IS_ANY(n, SKV_OP_LSTM, SKV_OP_GRU, SKV_OP_RNN))
            return "ONNX has no recurrent layer with 8-bit weights and activations";
        return "its integer form ConvInteger has no kernel that is faster than float; quantize it with samples";
    }
    if (!x || x->storage || x->type.dtype != SKIVE_F32) return "its first input is not a float32 that is computed";
    if (!skv_value_is_param(m) || m->type.dtype != SKIVE_F32) return "its weights are not a float parameter";
    if (m->type.rank != 2) return "its weights have not two dimensions";
    if (!skv_node_is(n, SKV_OP_GEMM)) return NULL;
    if (skv_attr_int(n, "transA", 0) != 0) return "its first input is transposed";
    if (skv_attr_float(n, "alpha", 1) != 1 || (c && skv_attr_float(n, "beta", 1) != 1))
        return "its alpha or beta is not 1";
    return NULL;
}

/* The largest magnitude of n numbers, each `step` behind the one before. */
static float largest(const float *x, int64_t n, int64_t step) {
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        const float m = fabsf(x[i * step]);
        most = m > most ? m : most;
    }
    return most;
}

static skive_value *param(skv_builder *b, const skive_value *like, const char *end, skv_storage **take) {
    char name[256];
    skv_storage *s = *take;
    *take = NULL;
    (void)snprintf(name, sizeof name, "%.*s_%s", 230, like->name, end);
    return skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, s);
}

/* int8 weights [k][n] with a scale for each column. */
static skive_status make_weights(work *w, const skive_node *n, skv_storage **codes, skv_storage **scales) {
    const skive_tensor *t = skv_value_tensor(n->inputs[1]);
    const bool turned = skv_node_is(n, SKV_OP_GEMM) && skv_attr_int(n, "transB", 0) != 0;
    const int64_t columns = t->dims[turned ? 0 : 1], rows = t->dims[turned ? 1 : 0], dims[2] = {rows, columns};
    const skv_quantizer q = skv_quant_weights(true);
    const float *x = t->data;
    double power = 0, error = 0;
    SKV_TRY(skv_storage_create(w->ctx, SKIVE_I8, 2, dims, codes));
    SKV_TRY(skv_storage_create(w->ctx, SKIVE_F32, w->o->per_channel ? 1 : 0, &columns, scales));
    const int64_t row = turned ? 1 : columns, column = turned ? rows : 1;
    const float all = largest(x, rows * columns, 1);
    for (int64_t c = 0; c < columns; c++) {
        const double most = (double)(w->o->per_channel ? largest(x + c * column, rows, row) : all);
        skv_grid_params p;
        q.grid->solve_range(&q, -most, most, &p);
        for (int64_t r = 0; r < rows; r++) {
            const float from = x[c * column + r * row];
            const int32_t code = skv_grid_encode(&q, &p, from);
            const double e = (double)skv_grid_decode(&q, &p, code) - (double)from;
            ((int8_t *)(*codes)->tensor.data)[r * columns + c] = (int8_t)code;
            power += (double)from * (double)from;
            error += e * e;
        }
        ((float *)(*scales)->tensor.data)[w->o->per_channel ? c : 0] = p.scale;
    }
    const skive_quantize_row told = {.is_parameter = true,
                                     .grid = q.grid->name,
                                     .scale = NAN,
                                     .lo = NAN,
                                     .hi = NAN,
                                     .sqnr = error > 0 ? 10 * log10(power / error) : INFINITY};
    return skv_quant_add_row(w->ctx, &w->report, &told, n->inputs[1]->name);
}

/* y = float(integer product) * (scale of x * scales of w) + bias */
static skive_status make_dynamic(dynamic *d, skive_node *n) {
    work *w = d->w;
    skv_storage *codes = NULL, *scales = NULL;
    skive_value *bias = skv_node_in(n, 2), *old = n->inputs[1];
    live x;
    SKV_TRY(quantize_live(d, n->inputs[0], &x));
    const skive_status status = make_weights(w, n, &codes, &scales);
    if (status != SKIVE_OK) {
        skv_storage_release(codes);
        skv_storage_release(scales);
        return status;
    }
    skv_builder b = skv_build(n->graph);
    skive_value *integer = param(&b, old, "quantized", &codes), *scale = param(&b, old, "scale", &scales);
    skive_value *y = skv_emit(&b, "MatMulInteger", SKV_IN(x.q, integer, x.zero), SKV_NONE);
    y = skv_emit(&b, "Cast", SKV_IN(y), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    y = skv_emit(&b, "Mul", SKV_IN(y, skv_emit(&b, "Mul", SKV_IN(x.scale, scale), SKV_NONE)), SKV_NONE);
    if (bias) y = skv_emit(&b, "Add", SKV_IN(y, bias), SKV_NONE);
    SKV_TRY(b.status);
    w->report.n_quantized++;
    return skv_import_replace(n, y);
}

/* The products of a graph and of the bodies of its nodes, each in the graph that it is in. */
static skive_status make_all_dynamic(dynamic *d, skive_graph *g) {
    skive_node **order = NULL;
    const uint32_t n = g->n_nodes;
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; status == SKIVE_OK && i < n; i++) {
        for (uint32_t a = 0; status == SKIVE_OK && g->nests && a < order[i]->n_attrs; a++)
            if (order[i]->attrs[a].graph) status = make_all_dynamic(d, order[i]->attrs[a].graph);
        const skv_input_spec *spec = skv_input_spec_of(order[i], 1);
        if (status != SKIVE_OK || !spec || spec->role != SKV_ROLE_WEIGHT) continue;
        const char *why = why_not(d->w, order[i]);
        status = why ? skv_quant_leave(d->w->ctx, &d->w->report, order[i], why) : make_dynamic(d, order[i]);
    }
    skv_free(d->w->ctx, order);
    return status;
}

skive_status skive_quantize_dynamic(skive_context *ctx, skive_graph *graph, const skive_quantize_options *options,
                                    skive_quantize_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    skive_quantize_options o = skive_quantize_options_default();
    work w = {.ctx = ctx, .o = &o};
    dynamic d = {.w = &w};
    skive_status status;
    const double started = skv_now();
    if (report) *report = (skive_quantize_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_quantize_options", options, &o, sizeof o));
    SKV_GO(status, done, open_work(&w, graph));
    SKV_GO(status, done, make_all_dynamic(&d, w.g));
    if (w.report.n_quantized == 0) {
        status =
            SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED,
                     "the model has no MatMul or Gemm with float weights, which is what dynamic quantization takes; "
                     "quantize it with samples (--data)");
        goto done;
    }
    status = finish(&w);
    w.report.seconds = skv_now() - started;
done:
    skv_free(ctx, d.items);
    return close_work(&w, graph, report, status);
}
