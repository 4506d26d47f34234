/* What quantization-aware training rounds: the weights of products and what these read on the grids that the options
 * name, what sums and poolings read on 8 bits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/shared.h"
#include "graph/weights.h"
#include "passes/pass.h"
#include "probe/source.h"
#include "quant/powers.h"
#include "quant/gridded.h"
#include "quant/qat.h"

/* ---- the model ---- */

/* As skv_quant_prepare, but shared weights stay shared, and BatchNormalization stays unless it is to be folded. */
static skive_status prepare(skv_qat_plan *p, const skive_graph *graph) {
    const skv_pass_env env = {.ctx = p->ctx, .for_file = true};
    const bool folded = strcmp(p->o->batchnorm, "folded") == 0;
    size_t changes;
    SKV_TRY(skv_quant_check_model(p->ctx, graph, p->how));
    SKV_TRY(skive_graph_copy(p->ctx, graph, &p->work));
    SKV_TRY(skv_graph_for_methods(p->work));
    if (folded) SKV_TRY(skv_shared_inflate_all(p->work));
    SKV_TRY(skive_graph_infer(p->work));
    SKV_TRY(skv_graph_check_finite(p->ctx, p->work));
    SKV_TRY(skv_passes_run(&env, p->work, SKV_PASS_CLEAN | (folded ? SKV_PASS_INFERENCE : 0), &changes));
    SKV_TRY(skv_pass_run(skv_pass_find("plain-products"), &env, p->work, &changes));
    (void)skv_graph_sweep(p->work);
    SKV_TRY(skive_graph_infer(p->work));
    SKV_TRY(skv_quant_turn_transposed(p->work, p->how));
    SKV_TRY(skive_graph_copy(p->ctx, p->work, &p->dense));
    SKV_TRY(skv_shared_inflate_all(p->dense));
    return skive_graph_infer(p->dense);
}

static skive_status refuse_dynamic(skv_qat_plan *p) {
    skv_quant_split split = {0};
    const skive_status status = skv_quant_split_make(p->ctx, p->dense, p->how, &split);
    const bool whole = split.part == NULL;
    skv_quant_split_free(p->ctx, &split);
    SKV_TRY(status);
    if (whole) return SKIVE_OK;
    return SKV_FAIL(p->ctx, SKIVE_ERR_UNSUPPORTED,
                    "shapes or paths of the model depend on data, and training has one plan; quantize it without "
                    "training");
}

/* ---- grids and rules ---- */

static skive_status fail_grid(skv_qat_plan *p, const char *what, const char *grid, const char *why) {
    return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, what, "%s cannot be trained on the grid '%s': %s", what, grid, why);
}

static const char *weights_refuse(const skv_quantizer *q) {
    if (q->per == SKV_PER_GROUP)
        return "a product in integers has one scale for each output channel; leave the group out";
    if (q->asymmetric || (q->low >= 0 && q->grid->uniform))
        return "weights are symmetric in integer products; use a signed grid";
    if (!q->grid->scaled || q->grid->bits > 8) return "it has no integers of at most 8 bits";
    const skv_grid_params one = {.scale = 1};
    for (int32_t code = q->low; code <= q->high; code++) {
        const float level = skv_grid_level(q, &one, code);
        if (level != rintf(level) || fabsf(level) > 128) return "its levels are not integers times one scale";
    }
    return NULL;
}

static const char *activations_refuse(const skv_quantizer *q) {
    if (strcmp(q->grid->name, "binary") == 0) return NULL;
    if (!q->grid->uniform) return "its levels are not evenly spaced";
    if (q->grid->bits > 8) return "integer products read at most 8 bits";
    if (q->low < 0 && q->grid->bits < 8) return "use the unsigned grid of as many bits, which has a zero point";
    return NULL;
}

/* How a grid's text asks for its scales: the group is not the first option of every grid, and some have none. */
static const char *scales_of(const char *grid, bool per_channel) {
    const skv_grid *g = skv_grid_find(grid);
    if (g && !skv_grid_has_option(g, "group")) return "";
    return per_channel ? ":group=channel" : ":group=tensor";
}

static skive_status parse_grids(skv_qat_plan *p) {
    const char *w = p->o->weights ? p->o->weights : "int8", *a = p->o->activations ? p->o->activations : "uint8";
    const char *why;
    const bool options = strchr(w, ':') != NULL;
    const bool full = strcmp(w, "int8") == 0; /* without -128, so that a channel can be turned around */
    const int n = snprintf(p->weight_grid, sizeof p->weight_grid, "%s%s%s", w,
                           options ? "" : scales_of(w, p->how->per_channel), full ? ",narrow,fit=range" : "");
    if (n < 0 || (size_t)n >= sizeof p->weight_grid)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "weights", "the grid '%.40s...' is too long", w);
    SKV_TRY(skv_quantizer_parse(p->ctx, p->weight_grid, &p->weights));
    if (!p->weight_rule.method->codebook && (why = weights_refuse(&p->weights))) return fail_grid(p, "weights", w, why);
    p->float_activations = strcmp(a, "float") == 0;
    if (p->float_activations) a = "uint8";
    if (snprintf(p->activation_grid, sizeof p->activation_grid, "%s", a) >= (int)sizeof p->activation_grid)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "activations", "the grid '%.40s...' is too long", a);
    SKV_TRY(skv_quantizer_parse(p->ctx, a, &p->activations));
    if ((why = activations_refuse(&p->activations))) return fail_grid(p, "activations", a, why);
    if (p->activations.low >= 0) p->activations.asymmetric = p->activations.grid->uniform;
    return SKIVE_OK;
}

static skive_status pick(skv_qat_plan *p, const char *what, const char *text, skv_qat_rule *out) {
    size_t index = 0;
    SKV_TRY(skv_family_pick(p->ctx, &skv_qat_method_family, "rounding rule", text, &index, &out->values));
    out->method = skv_qat_method_at(index);
    const bool weights = strcmp(what, "weight-rule") == 0;
    if (weights ? out->method->weights : out->method->activations) return SKIVE_OK;
    return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, what, "%s: '%s' is for %s only", what, out->method->name,
                       weights ? "activations" : "weights");
}

static skive_status parse_rules(skv_qat_plan *p) {
    const char *why;
    SKV_TRY(pick(p, "activation-rule", p->o->activation_rule, &p->activation_rule));
    SKV_TRY(pick(p, "weight-rule", "fit", &p->fit));
    SKV_TRY(pick(p, "activation-rule", "ema", &p->ema));
    SKV_TRY(pick(p, "activation-rule", "fixed", &p->fixed));
    const skv_qat_method *w = p->weight_rule.method, *a = p->activation_rule.method;
    if (w->refuses && (why = w->refuses(&p->weights, true)))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "weight-rule", "the rule '%s' cannot take the grid '%s': %s",
                           w->name, p->weights.grid->name, why);
    if (w->float_activations && !p->float_activations)
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "activations",
                           "with the rule '%s' activations stay float: say activations 'float'", w->name);
    if (!p->float_activations && a->refuses && (why = a->refuses(&p->activations, false)))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, "activation-rule", "the rule '%s' cannot take the grid '%s': %s",
                           a->name, p->activations.grid->name, why);
    return SKIVE_OK;
}

/* ---- points ---- */

static bool is_product(const skive_node *n) { return skv_input_role(n, 1) == SKV_ROLE_WEIGHT; }

/* The node of the work graph of the same name. */
static skive_node *twin(const skive_graph *g, const skive_node *n) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (strcmp(g->nodes[i]->name, n->name) == 0 && strcmp(g->nodes[i]->op_type, n->op_type) == 0)
            return g->nodes[i];
    }
    return NULL;
}

/* The nodes are chosen in the model with dense weights, where they are parameters. */
static skive_status choose(skv_qat_plan *p) {
    skv_points points = {0};
    bool *dense = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(p->ctx, (size_t)p->work->n_nodes + 1, 1, &p->chosen));
    SKV_GO(status, done, skv_alloc_array(p->ctx, (size_t)p->dense->n_nodes + 1, 1, &dense));
    SKV_GO(status, done, skv_quant_points(p->ctx, p->dense, p->how, dense, &points, &p->told));
    for (uint32_t i = 0; i < p->dense->n_nodes; i++) {
        const skive_node *n = dense[i] ? twin(p->work, p->dense->nodes[i]) : NULL;
        if (n) p->chosen[n->id] = true;
    }
done:
    skv_free(p->ctx, points.items);
    skv_free(p->ctx, dense);
    return status;
}

/* Where the value comes from that only moves elements on the way. */
static skive_value *source_of(skive_value *v) {
    while (v->producer && skv_quant_passes_through(v->producer) && v->producer_index == 0) {
        skive_value *x = v->producer->inputs[0];
        if (!x || x->storage || x->type.dtype != SKIVE_F32) break;
        v = x;
    }
    return v;
}

typedef struct request {
    skive_value *value, *source;
    bool low;
} request;

static int64_t features_of(const skive_value *v) {
    int64_t n = 1;
    for (int d = 1; d < v->type.rank; d++) n = v->type.dims[d].size > 0 ? skv_mul_sat(n, v->type.dims[d].size) : n;
    return n;
}

static skv_qat_point *add_value(skv_qat_plan *p, skive_value *v, bool low, size_t shared) {
    skv_qat_point *point = &p->points[p->n++];
    *point = (skv_qat_point){
        .value = v, .shared = shared, .low = low, .axis = -1, .before = NAN, .features = features_of(v)};
    point->q = low ? p->activations : skv_quant_activations();
    point->rule = low || p->activation_rule.method->any_bits ? &p->activation_rule : &p->ema;
    if (!low && point->rule->method->refuses && point->rule->method->refuses(&point->q, false)) point->rule = &p->ema;
    (void)snprintf(point->grid, sizeof point->grid, "%s", low ? p->activation_grid : "uint8");
    return point;
}

/* Readers that round a weight alike read the same numbers, with one step, and the file holds them once. */
static size_t twin_of(const skv_qat_plan *p, const skv_qat_point *point) {
    for (const skv_qat_point *q = p->points; q < point; q++) {
        if (q->node && q->value == point->value && q->axis == point->axis && q->rule == point->rule &&
            strcmp(q->grid, point->grid) == 0)
            return q->twin ? q->twin : (size_t)(q - p->points) + 1;
    }
    return 0;
}

static void add_weight(skv_qat_plan *p, skive_node *n, bool low) {
    skv_qat_point *point = &p->points[p->n++];
    const skive_value *dense = skive_graph_find_value(p->dense, n->inputs[1]->name);
    skv_weight_view view;
    *point = (skv_qat_point){.value = n->inputs[1], .node = n, .low = low, .axis = -1, .before = NAN};
    point->weight = dense ? skv_value_tensor(dense) : NULL;
    (void)snprintf(point->grid, sizeof point->grid, "%s",
                   low                   ? p->weight_grid
                   : p->how->per_channel ? "int8:channel,narrow,fit=range"
                                         : "int8:tensor,narrow,fit=range");
    point->q = p->weights;
    if (!low && skv_quantizer_parse(p->ctx, point->grid, &point->q) != SKIVE_OK) point->weight = NULL;
    point->rule = low || p->weight_rule.method->any_bits ? &p->weight_rule : &p->fit;
    point->bits =
        point->rule->method->rule ? (int)skv_option_integer(&point->rule->values, "bits") : point->q.grid->bits;
    const bool whole = point->rule->method->one_scale || point->q.per == SKV_PER_TENSOR;
    if (!whole && skv_weight_view_of(n, 1, &view)) point->axis = view.out_axis;
    point->twin = twin_of(p, point);
}

/* A value that is read on the grid of few bits and on 8 bits is rounded to 8 bits first, and from there to few. */
static skive_status add_values(skv_qat_plan *p, request *r, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool low = false, high = false, first = true;
        size_t at;
        for (size_t k = 0; k < n; k++) {
            if (r[k].source != r[i].source) continue;
            first = first && k >= i;
            low = low || r[k].low;
            high = high || !r[k].low;
        }
        if (!first) continue;
        add_value(p, r[i].source, !high, 0);
        at = p->n;
        for (size_t k = 0; k < n && low && high; k++) {
            bool seen = false;
            if (r[k].source != r[i].source || !r[k].low) continue;
            for (size_t m = at; m < p->n; m++) seen = seen || p->points[m].value == r[k].value;
            if (!seen) add_value(p, r[k].value, true, at);
        }
    }
    return SKIVE_OK;
}

static skive_status find_points(skv_qat_plan *p) {
    skive_node **order = NULL, *first = NULL, *last = NULL;
    request *r = NULL;
    size_t n = 0, products = 0;
    const bool same = strcmp(p->o->first_last, "same") == 0;
    const bool narrow = p->weights.grid->bits < 8 || (!p->float_activations && p->activations.grid->bits < 8);
    skive_status status;
    SKV_GO(status, done, skv_graph_topo(p->work, &order));
    SKV_GO(status, done, skv_alloc_array(p->ctx, 2 * (size_t)p->work->n_nodes + 1, sizeof *r, &r));
    SKV_GO(status, done, skv_alloc_array(p->ctx, 5 * (size_t)p->work->n_nodes + 1, sizeof *p->points, &p->points));
    for (uint32_t i = 0; i < p->work->n_nodes; i++) {
        if (!p->chosen[order[i]->id] || !is_product(order[i])) continue;
        first = first ? first : order[i];
        last = order[i];
        products++;
    }
    if (products == 0) {
        status = SKV_FAIL(p->ctx, SKIVE_ERR_UNSUPPORTED, "the model has no product that can be quantized");
        goto done;
    }
    for (uint32_t i = 0; i < p->work->n_nodes && !p->float_activations; i++) {
        skive_node *node = order[i];
        if (!p->chosen[node->id]) continue;
        const bool low = is_product(node) && (same || (node != first && node != last));
        const uint32_t inputs = skv_node_is(node, SKV_OP_ADD) ? 2 : 1;
        for (uint32_t k = 0; k < inputs; k++) r[n++] = (request){node->inputs[k], source_of(node->inputs[k]), low};
    }
    SKV_GO(status, done, add_values(p, r, n));
    for (uint32_t i = 0; i < p->work->n_nodes; i++) {
        skive_node *node = order[i];
        if (!p->chosen[node->id] || !is_product(node)) continue;
        add_weight(p, node, same || (node != first && node != last));
        if (p->points[p->n - 1].weight) continue;
        status = skv_fail_at(p->ctx, SKIVE_ERR_UNSUPPORTED, node->name, "the weights of '%s' are not one parameter",
                             node->name);
        goto done;
    }
    if (!same && narrow && !p->weight_rule.method->rule)
        skv_note(p->ctx,
                 "first and last product, '%s' and '%s', have int8 weights and uint8 activations (first-last "
                 "'same': as all others)",
                 first->name, last->name);
done:
    skv_free(p->ctx, order);
    skv_free(p->ctx, r);
    return status;
}

/* A grid without a zero cannot keep those of a pruned model. */
static skive_status check_zeros(skv_qat_plan *p) {
    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].node) SKV_TRY(skv_gridded_check_zeros(p->points[i].value, &p->points[i].q));
    return SKIVE_OK;
}

/* The rules of the parameters, of methods that have some. */
static skive_status find_rules(skv_qat_plan *p) {
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *p->rules, &p->rules));
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *p->incremental, &p->incremental));
    for (size_t i = 0; i < p->n; i++) {
        const skv_qat_point *point = &p->points[i];
        const char *rule = point->rule->method->rule;
        if (!rule || point->twin) continue;
        if (!point->value->storage)
            return skv_fail_at(p->ctx, SKIVE_ERR_UNSUPPORTED, point->value->name,
                               "'%s' shares its values, which the rule '%s' would part", point->value->name,
                               point->rule->method->name);
        skv_incremental *q = &p->incremental[p->n_incremental++];
        q->bits = (int)skv_option_integer(&point->rule->values, "bits");
        p->rules[p->n_rules++] = (skv_rule_use){skv_rule_find(rule), point->value->name, q, NULL};
    }
    return SKIVE_OK;
}

skive_status skv_qat_plan_make(skive_context *ctx, const skive_graph *g, const skive_qat_options *o,
                               const skive_quantize_options *how, skv_qat_plan *out) {
    *out = (skv_qat_plan){.ctx = ctx, .o = o, .how = how};
    SKV_TRY(pick(out, "weight-rule", o->weight_rule, &out->weight_rule));
    SKV_TRY(parse_grids(out));
    SKV_TRY(parse_rules(out));
    if (skv_quant_shifts(how))
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "multiplier",
                           "steps that are learned are no powers of two, which multiplication by shifts alone needs: "
                           "take --multiplier fixed, or quantize without training (--weights log2 --multiplier shift)");
    if (out->float_activations && strcmp(how->multiplier, "fixed") == 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "multiplier",
                           "fixed-point multipliers have no effect on activations that stay float");
    SKV_TRY(prepare(out, g));
    SKV_TRY(skv_quant_set_multiplier(out->work, how));
    SKV_TRY(refuse_dynamic(out));
    SKV_TRY(choose(out));
    SKV_TRY(find_points(out));
    SKV_TRY(find_rules(out));
    return check_zeros(out);
}

void skv_qat_plan_free(skv_qat_plan *p) {
    skive_quantize_report_free(p->ctx, &p->told);
    skv_free(p->ctx, p->points);
    skv_free(p->ctx, p->chosen);
    skv_free(p->ctx, p->rules);
    skv_free(p->ctx, p->incremental);
    skive_graph_free(p->dense);
    skive_graph_free(p->work);
}

/* ---- ranges ---- */

static void range_of(const skv_qat_plan *p, skv_qat_point *point, const skv_histogram *h) {
    const char *name = strcmp(p->how->calibration, "auto") == 0 ? "mse" : p->how->calibration;
    const skv_observer *observer = skv_observer_find(name);
    double low = h->low, high = h->high;
    point->grid_params = (skv_grid_params){.scale = 1};
    if (!(h->reach > 0)) return;
    if (!point->q.grid->uniform) { /* signs: the mean magnitude */
        double sum = 0, n = 0;
        for (int64_t i = 0; i < SKV_HISTOGRAM_BINS; i++) {
            double a, b;
            if (!h->relative || !h->relative[i]) continue;
            skv_histogram_ends(h, i, &a, &b);
            sum += (double)h->relative[i] * fabs(a + b) / 2;
            n += (double)h->relative[i];
        }
        point->grid_params.scale = n > 0 && sum > 0 ? (float)(sum / n) : 1;
        return;
    }
    if (observer) observer->choose(h, &point->q, p->how, &low, &high);
    point->q.grid->solve_range(&point->q, low, high, &point->grid_params);
}

skive_status skv_qat_calibrate(skv_qat_plan *p, skive_dataset *set) {
    skv_source source = {0};
    skv_probe *probe = NULL;
    skv_probe_item *items = NULL;
    size_t n = 0;
    skive_status status;
    const int64_t wanted = p->how->batch > 1 ? p->how->batch : 50;
    const int64_t batch = wanted < p->how->samples ? wanted : p->how->samples;
    const skv_source_options how = {.batch = batch, .batches = (p->how->samples + batch - 1) / batch, .seed = 1};
    SKV_TRY(skv_alloc_array(p->ctx, p->n + 1, sizeof *items, &items));
    for (size_t i = 0; i < p->n; i++) {
        if (!p->points[i].node)
            items[n++] = (skv_probe_item){.value = p->points[i].value->name,
                                          .axis = SKV_IN_ALL,
                                          .reducer = skv_reducer_find("histogram"),
                                          .number = SKV_BINS_BOTH};
    }
    if (n == 0) {
        skv_free(p->ctx, items);
        return SKIVE_OK;
    }
    SKV_GO(status, done, skv_source_open(p->ctx, p->work, set, &how, &source));
    SKV_GO(status, done, skv_source_probe(&source, items, n, "calibrate", &probe));
    for (size_t i = 0, k = 0; i < p->n; i++) {
        if (!p->points[i].node) range_of(p, &p->points[i], skv_probe_state(probe, k++));
    }
done:
    skv_probe_free(probe);
    skv_source_close(&source);
    skv_free(p->ctx, items);
    return status;
}

/* ---- the graph with rounding ---- */

static const skv_qat_rule *rule_of(const skv_qat_plan *p, const skv_qat_point *point, bool trained) {
    if (trained) return point->rule;
    if (point->node) return point->rule->method->codebook ? point->rule : &p->fit;
    return point->q.grid->uniform ? &p->fixed : point->rule;
}

static skive_status insert_weight(const skv_qat_plan *p, skv_qat_site *s, const skv_qat_rule *rule) {
    skive_node *n = s->b->graph->nodes[s->point->node->id];
    s->x = n->inputs[1];
    if (s->point->twin) {
        const skive_node *first = p->points[s->point->twin - 1].node;
        return skv_node_set_input(n, 1, s->b->graph->nodes[first->id]->inputs[1]);
    }
    if (!rule->method->insert) {
        skive_value *w = s->x;
        if (s->trained || !w->storage) return SKIVE_OK;
        SKV_TRY(skv_storage_make_unique(s->ctx, &w->storage));
        rule->method->round(s->values, w->storage->tensor.data, skive_tensor_count(&w->storage->tensor));
        return SKIVE_OK;
    }
    skive_value *y = rule->method->insert(s);
    SKV_TRY(s->b->status);
    return skv_node_set_input(n, 1, y);
}

/* All readers of a value, or of one that others share only the products, read the rounded numbers. */
static skive_status insert_value(const skv_qat_plan *p, skv_qat_site *s, const skv_qat_rule *rule) {
    skive_graph *g = s->b->graph;
    skive_value *v = g->values[s->point->value->id];
    skive_node *rounding =
        v->n_uses == 1 && skv_node_is(v->uses[0].node, SKV_OP_FAKE_QUANTIZE) ? v->uses[0].node : NULL;
    s->x = s->point->shared && rounding ? rounding->outputs[0] : v;
    const uint32_t before = s->x->n_uses;
    skive_value *y = rule->method->insert(s);
    SKV_TRY(s->b->status);
    for (uint32_t i = before; i-- > 0;) {
        const skv_use use = s->x->uses[i];
        if (use.node == y->producer) continue;
        if (s->point->shared) {
            bool low = false;
            for (size_t k = 0; k < p->n; k++)
                low = low || (p->points[k].node && p->points[k].low && p->points[k].node->id == use.node->id);
            if (!low || use.index != 0) continue;
        }
        SKV_TRY(skv_node_set_input(use.node, (size_t)use.index, y));
    }
    return SKIVE_OK;
}

skive_status skv_qat_insert(skv_qat_plan *p, bool trained, skive_graph **out) {
    skive_graph *g = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skive_graph_copy(p->ctx, p->work, &g));
    for (uint32_t i = 0; i < g->n_values; i++) g->values[i]->trainable = false;
    SKV_GO(status, done, skv_mark_trainable(g));
    for (uint32_t i = 0; i < g->n_nodes && strcmp(p->o->batchnorm, "frozen") == 0; i++) {
        const skive_node *n = g->nodes[i];
        if (!skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || n->n_inputs < 3) continue;
        n->inputs[1]->trainable = n->inputs[2]->trainable = false;
    }
    skv_builder b = skv_build(g);
    for (size_t i = 0; i < p->n; i++) {
        skv_qat_point *point = &p->points[i];
        const skv_qat_rule *rule = rule_of(p, point, trained);
        const skv_qat_point kept = *point;
        skv_qat_site s = {.ctx = p->ctx, .b = &b, .point = point, .values = &rule->values, .trained = trained};
        point->step[0] = '\0';
        point->before = NAN;
        SKV_GO(status, done, point->node ? insert_weight(p, &s, rule) : insert_value(p, &s, rule));
        if (!trained) *point = kept;
    }
    SKV_GO(status, done, skive_graph_infer(g));
    *out = g;
    return SKIVE_OK;
done:
    skive_graph_free(g);
    return status;
}
