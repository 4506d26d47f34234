/* The sensitivity of layers to quantization: the list of layers and grids, and the report. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quant/sensitivity.h"

#define SKV_KIND    sensitivity
#define SKV_ARRAY   all
#define SKV_RECORDS "quant/sensitivities.inc"
#include "base/records.h"

static const skv_option options_of_sensitivity[] = {
    {.name = "grids",
     .type = SKV_OPTION_TEXT,
     .text = "int8,int4,int2",
     SKV_FIELD(TEXT, skive_sensitivity_options, grids),
     .brief = "grids of the weights, separated by commas (a comma within one is written \\,); all: every grid"},
    {.name = "activations",
     .type = SKV_OPTION_TEXT,
     .text = "uint8",
     SKV_FIELD(TEXT, skive_sensitivity_options, activations),
     .brief = "grid of the layer's input, as --activations of quantize; none: floats"},
    {.name = "by",
     .type = SKV_OPTION_CHOICE,
     .text = "loss",
     .choices = skv_sensitivity_name,
     SKV_FIELD(TEXT, skive_sensitivity_options, by),
     .brief = "what harm is: the increase of the loss, the divergence of the answers (kl), or an estimate from the "
              "trace of the Hessian"},
    {.name = "calibration",
     .type = SKV_OPTION_CHOICE,
     .choices = skv_observer_name,
     .text = "mse",
     SKV_FIELD(TEXT, skive_sensitivity_options, calibration),
     .brief = "how the range of the layer's input is chosen"},
    {.name = "samples",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 9e18,
     .fallback = 1000,
     SKV_FIELD(INT64, skive_sensitivity_options, samples),
     .brief = "number of calibration samples"},
    {.name = "vectors",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e4,
     .fallback = 8,
     .needs = "by=hessian",
     SKV_FIELD(INT64, skive_sensitivity_options, vectors),
     .brief = "random vectors for the trace of the Hessian"},
    {.name = "batches",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e9,
     .fallback = 10,
     .needs = "by=hessian",
     SKV_FIELD(INT64, skive_sensitivity_options, batches),
     .brief = "batches of 100 samples for the trace of the Hessian"},
};

const skv_table skv_sensitivity_table = {"sensitivity", options_of_sensitivity, SKV_LENGTH(options_of_sensitivity),
                                         NULL};

skive_sensitivity_options skive_sensitivity_options_default(void) {
    return (skive_sensitivity_options){.size = sizeof(skive_sensitivity_options),
                                       .grids = "int8,int4,int2",
                                       .activations = "uint8",
                                       .by = "loss",
                                       .calibration = "mse",
                                       .samples = 1000,
                                       .vectors = 8,
                                       .batches = 10};
}

void skive_sensitivity_report_free(skive_context *ctx, skive_sensitivity_report *r) {
    if (!r) return;
    for (size_t i = 0; r->rows && i < r->n_layers * r->n_grids; i++) {
        skv_free(ctx, r->rows[i].node);
        skv_free(ctx, r->rows[i].op);
        skv_free(ctx, r->rows[i].parameter);
        skv_free(ctx, r->rows[i].grid);
    }
    for (size_t i = 0; i < r->n_left; i++) {
        skv_free(ctx, r->left[i].node);
        skv_free(ctx, r->left[i].reason);
    }
    skv_free(ctx, r->rows);
    skv_free(ctx, r->left);
    *r = (skive_sensitivity_report){0};
}

/* ---- grids ---- */

static skive_status add_grid(skive_context *ctx, const char *text, size_t length, skv_sensed_grid **out, size_t *n) {
    SKV_TRY(skv_grow(ctx, out, *n, *n + 1, sizeof **out));
    skv_sensed_grid *g = &(*out)[*n];
    *g = (skv_sensed_grid){0};
    SKV_TRY(skv_alloc_array(ctx, length + 1, 1, &g->text));
    ++*n;
    size_t at = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length && text[i + 1] == ',') continue;
        g->text[at++] = text[i];
    }
    g->text[at] = '\0';
    return skv_quantizer_parse(ctx, g->text, &g->q);
}

skive_status skv_sensed_grids_parse(skive_context *ctx, const char *list, skv_sensed_grid **out, size_t *n) {
    *out = NULL;
    *n = 0;
    if (strcmp(list, "all") == 0) {
        for (size_t i = 0; i < skv_grid_count(); i++)
            SKV_TRY(add_grid(ctx, skv_grid_name(i), strlen(skv_grid_name(i)), out, n));
        return SKIVE_OK;
    }
    for (const char *from = list, *at = list;; at++) {
        if (*at == '\\' && at[1] == ',') {
            at++;
            continue;
        }
        if (*at && *at != ',') continue;
        SKV_TRY(add_grid(ctx, from, (size_t)(at - from), out, n));
        if (!*at) return SKIVE_OK;
        from = at + 1;
    }
}

void skv_sensed_grids_free(skive_context *ctx, skv_sensed_grid *grids, size_t n) {
    for (size_t i = 0; i < n; i++) skv_free(ctx, grids[i].text);
    skv_free(ctx, grids);
}

static skive_status parse_activations(skv_sensing *s) {
    const char *text = s->o->activations;
    s->inputs = text && strcmp(text, "none") != 0 && s->by->quantizes_inputs;
    return s->inputs ? skv_quant_activation_grid(s->ctx, text, &s->activation) : SKIVE_OK;
}

/* ---- layers ---- */

static skive_status leave(skv_sensing *s, const skive_node *n, const char *why) {
    skive_sensitivity_report *r = &s->report;
    SKV_TRY(skv_grow(s->ctx, &r->left, r->n_left, r->n_left + 1, sizeof *r->left));
    skive_sensitivity_left *l = &r->left[r->n_left++];
    *l = (skive_sensitivity_left){0};
    SKV_TRY(skv_strdup(s->ctx, n->name, &l->node));
    return skv_strdup(s->ctx, why, &l->reason);
}

static const char *why_not(const skive_quantize_options *o, const skv_weight *w) {
    const skive_value *v = w->value;
    return skv_quant_skipped(o, w->node)                  ? "it is excluded by --skip"
           : skv_weight_in_body(w)                        ? SKV_IN_A_BODY "which is not run with single layers changed"
           : !v->storage || skv_value_coded(v)            ? "its weights are computed, not a parameter"
           : v->type.dtype != SKIVE_F32                   ? "its weights are not float32"
           : skive_tensor_count(skv_value_tensor(v)) == 0 ? "its weights are empty"
                                                          : NULL;
}

static skive_status list_layers(skv_sensing *s, const skive_quantize_options *o) {
    size_t n;
    SKV_TRY(skv_weights(s->ctx, s->g, &s->layers, &n));
    for (size_t i = 0; i < n; i++) {
        const char *why = why_not(o, &s->layers[i]);
        if (why)
            SKV_TRY(leave(s, s->layers[i].node, why));
        else
            s->layers[s->n++] = s->layers[i];
    }
    if (s->n) return SKIVE_OK;
    return SKV_FAIL(s->ctx, SKIVE_ERR_UNSUPPORTED, "the model has no layer with float weights that can be quantized");
}

skive_status skv_sensing_round(const skv_sensing *s, size_t layer, size_t grid, float *y, skv_gridded *c) {
    const skv_weight *w = &s->layers[layer];
    const skive_tensor *t = skv_value_tensor(w->value);
    skv_gridded_lay_out(c, &s->grids[grid].q, &w->view, t);
    SKV_TRY(skv_gridded_round(s->ctx, c, y));
    for (int64_t i = 0; i < skive_tensor_count(t); i++) {
        if (!isfinite(y[i]))
            return skv_fail_at(s->ctx, SKIVE_ERR_NUMERIC, w->value->name,
                               "weight '%s': element %lld is too large for the grid '%s'", w->value->name, (long long)i,
                               s->grids[grid].text);
    }
    return SKIVE_OK;
}

/* Of a codebook as many as its levels need. */
static int bits_of(const skv_quantizer *q) {
    int bits = 1;
    if (!q->grid->own_levels) return q->grid->bits;
    while ((int64_t)1 << bits <= q->high) bits++;
    return bits;
}

static skive_sensitivity_row start_row(const skv_gridded *c, int64_t macs) {
    return (skive_sensitivity_row){.elements = skive_tensor_count(c->t),
                                   .macs = macs,
                                   .bytes = skv_gridded_bytes(c),
                                   .bits = bits_of(&c->q),
                                   .weight_sqnr = c->error > 0 ? 10 * log10(c->power / c->error) : INFINITY,
                                   .drop = NAN,
                                   .low = NAN,
                                   .high = NAN,
                                   .loss = NAN,
                                   .sqnr = NAN,
                                   .kl = NAN,
                                   .trace = NAN,
                                   .harm = NAN};
}

/* Of a node with several weights, such as a recurrent cell, the part that falls to the weight at input `i`: each
 * element is used as often as any other. */
static int64_t macs_at(const skive_node *n, size_t i) {
    skive_cost cost;
    double sum = 0, own = 0;
    if (skive_node_cost(n, &cost) != SKIVE_OK) return 0;
    for (size_t k = 0; k < n->n_inputs; k++) {
        if (!n->inputs[k] || skv_input_role(n, k) < SKV_ROLE_TABLE) continue;
        const double elements = (double)skv_type_count(&n->inputs[k]->type);
        sum += elements;
        if (k == i) own = elements;
    }
    return own == sum ? cost.macs : (int64_t)((double)cost.macs * own / sum);
}

/* Of all nodes that read the weight. */
static int64_t macs_of(const skv_weight *w) {
    int64_t macs = 0;
    for (uint32_t u = 0; u < w->value->n_uses; u++) {
        const skv_use *use = &w->value->uses[u];
        if (skv_input_role(use->node, (size_t)use->index) < SKV_ROLE_TABLE) continue;
        macs = skv_add_sat(macs, macs_at(use->node, (size_t)use->index));
    }
    return macs;
}

static bool has_weight(const skive_node *n) {
    for (size_t i = 0; i < n->n_inputs; i++)
        if (n->inputs[i] && skv_input_role(n, i) >= SKV_ROLE_TABLE) return true;
    return false;
}

/* Of all products with weights, those that stay as they are too; of the bodies of a node the largest counts, as in
 * skive_graph_cost. */
static int64_t macs_with_weights(const skive_graph *g) {
    int64_t macs = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        skive_cost cost;
        int64_t body = 0;
        if (has_weight(n) && skive_node_cost(n, &cost) == SKIVE_OK) macs = skv_add_sat(macs, cost.macs);
        for (size_t k = 0; k < skive_node_subgraph_count(n); k++) {
            const int64_t one = macs_with_weights(skive_node_subgraph(n, k, NULL));
            if (one > body) body = one;
        }
        macs = skv_add_sat(macs, body);
    }
    return macs;
}

/* Names and sizes of a row, and what the rounding alone costs. */
static skive_status open_row(skv_sensing *s, size_t layer, size_t grid, float *y) {
    skive_sensitivity_row *row = &s->report.rows[layer * s->n_grids + grid];
    const skv_weight *w = &s->layers[layer];
    skv_gridded c = {0};
    const skive_status status = skv_sensing_round(s, layer, grid, y, &c);
    if (status == SKIVE_OK) *row = start_row(&c, macs_of(w));
    skv_gridded_free(s->ctx, &c);
    SKV_TRY(status);
    SKV_TRY(skv_strdup(s->ctx, w->node->name, &row->node));
    SKV_TRY(skv_strdup(s->ctx, w->node->op_type, &row->op));
    SKV_TRY(skv_strdup(s->ctx, w->value->name, &row->parameter));
    return skv_strdup(s->ctx, s->grids[grid].text, &row->grid);
}

static skive_status open_rows(skv_sensing *s) {
    skive_sensitivity_report *r = &s->report;
    SKV_TRY(skv_alloc_array(s->ctx, s->n * s->n_grids + 1, sizeof *r->rows, &r->rows));
    r->n_layers = s->n;
    r->n_grids = s->n_grids;
    r->macs = macs_with_weights(s->g);
    for (size_t i = 0; i < s->n; i++) {
        float *y = NULL;
        skive_status status = SKIVE_OK;
        SKV_TRY(skv_alloc_array(s->ctx, (size_t)skive_tensor_count(skv_value_tensor(s->layers[i].value)) + 1, sizeof *y,
                                &y));
        for (size_t k = 0; k < s->n_grids && status == SKIVE_OK; k++) status = open_row(s, i, k, y);
        skv_free(s->ctx, y);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

static skive_status sense(skv_sensing *s, const skive_graph *graph) {
    skive_quantize_options skip = skive_quantize_options_default();
    skip.skip = s->o->skip;
    skip.n_skip = s->o->n_skip;
    s->by = skv_sensitivity_find(s->o->by);
    if (!s->by)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "by", "no harm '%s'; there are: loss, kl, hessian", s->o->by);
    SKV_TRY(skv_sensed_grids_parse(s->ctx, s->o->grids, &s->grids, &s->n_grids));
    SKV_TRY(parse_activations(s));
    if (s->inputs && !s->calibration && !s->o->dry_run)
        return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, "calibration",
                           "activations can only be quantized with calibration samples");
    SKV_TRY(skv_quant_check_model(s->ctx, graph, &skip));
    SKV_TRY(skv_quant_prepare(s->ctx, graph, false, &s->g));
    SKV_TRY(skv_quant_turn_transposed(s->g, &skip));
    SKV_TRY(list_layers(s, &skip));
    SKV_TRY(open_rows(s));
    if (!s->o->dry_run) return s->by->measure(s);
    s->report.n_rows = s->report.n_layers * s->report.n_grids;
    return SKIVE_OK;
}

skive_status skive_sensitivity(skive_context *ctx, const skive_graph *graph, skive_dataset *calibration,
                               skive_dataset *samples, const skive_sensitivity_options *options,
                               skive_sensitivity_report *report) {
    SKV_NEED(ctx, "ctx, graph, report", ctx, graph, report);
    skive_sensitivity_options o = skive_sensitivity_options_default();
    skv_sensing s = {.ctx = ctx, .o = &o, .calibration = calibration, .samples = samples};
    const double started = skv_now();
    *report = (skive_sensitivity_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_sensitivity_options", options, &o, sizeof o));
    if (!o.dry_run) SKV_NEED(ctx, "samples", samples);
    SKV_TRY(skv_table_resolve(ctx, &skv_sensitivity_table, &o));
    const skive_status status = sense(&s, graph);
    s.report.seconds = skv_now() - started;
    skv_sensed_grids_free(ctx, s.grids, s.n_grids);
    skv_free(ctx, s.layers);
    skv_free(ctx, s.input);
    skv_free(ctx, s.input_grid);
    skv_free(ctx, s.quantized);
    skive_graph_free(s.g);
    if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && s.report.n_rows))
        *report = s.report;
    else
        skive_sensitivity_report_free(ctx, &s.report);
    return status;
}
