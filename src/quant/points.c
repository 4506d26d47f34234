/* Selects the nodes to quantize and the values that get Q/DQ pairs. */
#include <string.h>

#include "graph/linear.h"
#include "quant/quant.h"
#include "quant/target.h"

/* Passes integers through unchanged: its result keeps the grid of its input. */
bool skv_quant_passes_through(const skive_node *n) {
    return skv_node_moves(n) || SKV_NODE_IS_ANY(n, SKV_OP_MAX_POOL, SKV_OP_SLICE);
}

/* An operator that is executed in integers. */
static bool is_candidate(const skive_node *n) { return n->op && n->op->integer_form; }

bool skv_quant_is_product(const skive_node *n) { return is_candidate(n) && skv_input_role(n, 1) == SKV_ROLE_WEIGHT; }

/* A parameter of a graph around a body is one in the body too. */
static bool is_constant(skive_value *v) { return v && skv_value_source(v)->storage; }

static bool computed_float(skive_value *v) { return v && !is_constant(v) && v->type.dtype == SKIVE_F32; }

/* NULL if the node can be executed in integers. */
static const char *why_not(const skive_node *n, const skive_quantize_options *o) {
    if (skv_quant_skipped(o, n)) return "it is excluded by --skip";
    skive_value *x = skv_node_in(n, 0);
    if (is_constant(x)) return "its first input is a constant";
    if (!computed_float(x)) return "its first input is not float32";
    if (skv_node_is(n, SKV_OP_ADD)) {
        skive_value *y = skv_node_in(n, 1);
        return computed_float(y) ? NULL : is_constant(y) ? "it adds a constant" : "its inputs are not float32";
    }
    const char *target = skv_quant_target_why_not(o, n);
    if (target) return target;
    const skv_input_spec *spec = skv_input_spec_of(n, 1);
    if (!spec || spec->role != SKV_ROLE_WEIGHT) return NULL; /* by the record: data may stand there */
    const skive_value *w = skv_quant_parameter(n, 1), *b = skv_quant_parameter(n, 2);
    if (skv_node_is(n, SKV_OP_MAT_MUL) && computed_float(skv_node_in(n, 1))) return "both of its factors are computed";
    if (!skv_value_is_param(w) || w->type.dtype != SKIVE_F32) return "its weights are not a float parameter";
    if (w->type.rank < 2) return "its weights have fewer than two dimensions";
    const char *choice = skv_quant_choice(o, w->name);
    if (choice && strcmp(choice, "f32") == 0) return "float was chosen for its weights";
    if (b && (!skv_value_is_param(b) || b->type.dtype != SKIVE_F32)) return "its bias is not a float parameter";
    skv_linear l;
    if (!skv_linear_of(n, &l)) return "it is more than a sum of products";
    if (!l.view.windows && w->type.rank != 2) return "its weights have more than two dimensions";
    if (l.data_turned) return "its first input is transposed";
    if (l.weight_factor != 1 || l.bias_factor != 1) return "its alpha or beta is not 1";
    if (b && b->type.rank != 1) return "its bias is not a vector";
    /* Other grids have smaller codes, or are computed in float. */
    return o->weights || choice ? NULL
                                : skv_quant_sums_why_not(n, o->per_channel && !skv_quant_target_per_tensor(o, n));
}

static skive_status refuse(skive_context *ctx, skive_quantize_report *r, const skive_node *n, const char *why) {
    SKV_TRY(skv_grow(ctx, &r->refused, r->n_refused, r->n_refused + 1, sizeof *r->refused));
    SKV_TRY(skv_asprintf(ctx, &r->refused[r->n_refused], "%s (%s): %s", n->name, n->op_type, why));
    r->n_refused++;
    return skv_quant_leave(ctx, r, n, why);
}

static size_t find_point(const skv_points *p, const skive_value *v) {
    size_t i = 0;
    while (i < p->n && p->items[i].value != v) i++;
    return i;
}

/* The point of `v`, and of the value from which it is passed through. */
static size_t add_point(skv_points *p, skive_value *v) {
    const size_t found = find_point(p, v);
    if (found < p->n) return found;
    size_t source = p->n;
    if (v->producer && skv_quant_passes_through(v->producer) && v->producer_index == 0 &&
        computed_float(v->producer->inputs[0])) {
        source = p->items[add_point(p, v->producer->inputs[0])].source;
    }
    const size_t at = p->n++;
    p->items[at] = (skv_point){.value = v, .source = source == at ? at : source};
    if (!(v->producer && skv_quant_passes_through(v->producer))) p->items[at].source = at;
    return at;
}

static bool has_point(const skv_points *p, const skive_value *v) { return find_point(p, v) < p->n; }

/* The value has a grid already, or nothing but this node reads it and what it is passed through from, so that its grid
 * is for the node to say. */
static bool is_for(const skv_points *p, skive_value *v, const skive_node *reader) {
    if (has_point(p, v)) return true;
    if (!computed_float(v) || v->output_uses || skv_value_is_captured(v)) return false;
    for (uint32_t i = 0; i < v->n_uses; i++)
        if (v->uses[i].node != reader) return false;
    const skive_node *n = v->producer;
    return !n || !skv_quant_passes_through(n) || is_for(p, n->inputs[0], n);
}

/* A Concat whose result gets a grid joins bytes where nothing is rounded for it that was not before: an input has a grid
 * already, or is only for the Concat and gets that of the result. */
static void add_joins(skv_points *p, bool *joined) {
    for (size_t i = 0; i < p->n; i++) {
        const skive_node *n = p->items[i].value->producer;
        bool fits = skv_node_is(n, SKV_OP_CONCAT);
        for (uint32_t k = 0; fits && k < n->n_inputs; k++) fits = is_for(p, n->inputs[k], n);
        if (!fits) continue;
        joined[n->id] = true;
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            const size_t before = p->n, own = p->items[add_point(p, n->inputs[k])].source;
            for (size_t m = before; own >= before && m < p->n; m++) p->items[m].source = p->items[i].source;
        }
    }
}

/* Where the target's average pooling keeps scale and zero point, its result has those of its input: no mean is outside
 * the range of what it is of. */
static void share_pools(const skive_quantize_options *o, const bool *chosen, skv_points *p) {
    const skv_quant_target *t = skv_quant_target_of(o);
    for (size_t i = 0; t && t->pools_keep_scale && i < p->n; i++) {
        const skive_node *n = p->items[i].value->producer;
        if (!SKV_NODE_IS_ANY(n, SKV_OP_AVERAGE_POOL, SKV_OP_GLOBAL_AVERAGE_POOL) || !chosen[n->id]) continue;
        const size_t old = i, from = p->items[find_point(p, n->inputs[0])].source;
        for (size_t k = 0; k < p->n; k++)
            if (p->items[k].source == old) p->items[k].source = from;
    }
}

skive_status skv_quant_points(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, bool *chosen,
                              skv_points *out, skive_quantize_report *report) {
    skive_node **order = NULL;
    bool *named = NULL;
    *out = (skv_points){0};
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = skv_alloc_array(ctx, (size_t)g->n_nodes + 1, sizeof *named, &named);
    if (status == SKIVE_OK) status = skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *out->items, &out->items);
    for (uint32_t i = 0; status == SKIVE_OK && i < g->n_nodes; i++) {
        skive_node *n = order[i];
        if (!is_candidate(n)) continue;
        const char *why = why_not(n, o);
        if (why) {
            named[n->id] = true;
            status = refuse(ctx, report, n, why);
            continue;
        }
        chosen[n->id] = true;
        report->n_quantized++;
        add_point(out, n->inputs[0]);
        if (skv_node_is(n, SKV_OP_ADD)) add_point(out, n->inputs[1]);
    }
    if (status == SKIVE_OK) {
        add_joins(out, named);
        share_pools(o, chosen, out);
    }
    if (status == SKIVE_OK) status = skv_quant_leave_others(ctx, report, g, o, chosen, named);
    skv_free(ctx, named);
    skv_free(ctx, order);
    return status;
}
