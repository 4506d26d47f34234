/* Models with nodes whose shape or control flow depends on data (NonZero, NonMaxSuppression, If, Loop): the part before
 * them is split off, quantized like any other model, and merged again. */
#include "exec/plan.h"
#include "graph/shared.h"
#include "passes/pass.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

enum { SHOWN = 3 };

/* ---- static nodes ---- */

typedef struct sources {
    const bool *is_static;
    bool all;
} sources;

static void see_source(void *user, skive_value *v) {
    sources *s = user;
    if (v->producer && !s->is_static[v->producer->id]) s->all = false;
}

static bool follows_static(const skive_node *n, const bool *is_static) {
    sources s = {.is_static = is_static, .all = true};
    skv_node_reads(n, see_source, &s);
    return s.all;
}

/* Determined with the shapes of a calibration run: they are bound in a copy, whose nodes have the same ids. */
static skive_status find_static(skive_context *ctx, skv_quant_split *s, const skive_quantize_options *o, bool *all) {
    const skive_plan_options p = skv_quant_plan_options(o);
    skive_graph *bound = NULL;
    skive_node **order = NULL;
    skive_status status;
    *all = true;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)s->whole->n_nodes + 1, sizeof(bool), &s->is_static));
    SKV_GO(status, done, skive_graph_copy(ctx, s->whole, &bound));
    SKV_GO(status, done, skv_plan_bind_inputs(ctx, bound, &p));
    SKV_GO(status, done, skive_graph_infer(bound));
    SKV_GO(status, done, skv_graph_topo(bound, &order));
    for (uint32_t i = 0; i < bound->n_nodes; i++) {
        const skive_node *n = order[i];
        s->is_static[n->id] = skv_plan_holds(n) && follows_static(n, s->is_static);
        *all = *all && s->is_static[n->id];
    }
done:
    skv_free(ctx, order);
    skive_graph_free(bound);
    return status;
}

/* ---- the part ---- */

typedef struct edge {
    skive_graph *part;
    const bool *is_static;
    skive_status status;
} edge;

/* A value that a static node computes and another node reads is an output of the part. */
static void see_edge(void *user, skive_value *v) {
    edge *e = user;
    if (e->status != SKIVE_OK || !v->producer || !e->is_static[v->producer->id] || v->output_uses) return;
    e->status = skive_graph_add_output(e->part, v);
}

static skive_status cut(skive_graph *part, const bool *is_static, skive_node *const *order) {
    edge e = {.part = part, .is_static = is_static};
    for (uint32_t i = 0; i < part->n_nodes; i++)
        if (!is_static[i]) skv_node_reads(part->nodes[i], see_edge, &e);
    SKV_TRY(e.status);
    for (size_t i = part->n_outputs; i-- > 0;) {
        const skive_node *from = part->outputs[i]->producer;
        if (from && !is_static[from->id]) SKV_TRY(skv_graph_remove_output(part, i));
    }
    skive_status status = SKIVE_OK;
    skv_graph_hold(part);
    for (uint32_t i = part->n_nodes; i-- > 0 && status == SKIVE_OK;)
        if (!is_static[order[i]->id]) status = skv_graph_remove_node(order[i]);
    skv_graph_settle(part);
    return status;
}

static skive_status make_part(skive_context *ctx, skv_quant_split *s) {
    skive_node **order = NULL;
    skive_status status;
    SKV_GO(status, done, skive_graph_copy(ctx, s->whole, &s->part));
    SKV_GO(status, done, skv_graph_topo(s->part, &order));
    SKV_GO(status, done, cut(s->part, s->is_static, order));
    (void)skv_graph_sweep(s->part);
done:
    skv_free(ctx, order);
    return status;
}

skive_status skv_quant_split_make(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o,
                                  skv_quant_split *out) {
    const skv_pass_env env = {.ctx = ctx};
    char *unsupported = NULL;
    size_t changes;
    bool all;
    *out = (skv_quant_split){0};
    SKV_TRY(skive_graph_unsupported(g, &unsupported));
    const bool refused = unsupported[0];
    skive_string_free(ctx, unsupported);
    if (refused) return SKIVE_OK; /* calibration says so */
    SKV_TRY(skive_graph_copy(ctx, g, &out->whole));
    SKV_TRY(skv_shared_inflate_all(out->whole));
    SKV_TRY(skive_graph_infer(out->whole));
    SKV_TRY(skv_passes_run(&env, out->whole, SKV_PASS_CLEAN, &changes));
    (void)skv_graph_sweep(out->whole);
    SKV_TRY(skive_graph_infer(out->whole));
    SKV_TRY(find_static(ctx, out, o, &all));
    return all ? SKIVE_OK : make_part(ctx, out);
}

/* ---- report of the other nodes ---- */

static const char *why_left(const skive_node *n, const bool *is_static) {
    return follows_static(n, is_static) ? skv_plan_why_not(n) : "it follows a node whose result depends on data";
}

/* Unknown types count as well, since they are common after an If. */
static bool may_compute_float(const skive_node *n) {
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const skive_value *v = n->outputs[o];
        if (v && (v->type.dtype == SKIVE_DTYPE_NONE || skv_dtype_is_float(v->type.dtype))) return true;
    }
    return false;
}

skive_status skv_quant_split_report(skive_context *ctx, const skv_quant_split *s, bool leaves,
                                    skive_quantize_report *r) {
    const skive_graph *g = s->whole;
    skv_text names;
    size_t n = 0, first = 0;
    skive_status status = SKIVE_OK;
    skv_text_init(&names, ctx);
    for (uint32_t i = 0; i < g->n_nodes && status == SKIVE_OK; i++) {
        const skive_node *node = g->nodes[i];
        if (s->is_static[i]) continue;
        n++;
        const bool begins = follows_static(node, s->is_static);
        if (begins && first++ < SHOWN)
            skv_text_add(&names, "%s'%s' (%s)", first > 1 ? ", " : "", node->name, node->op_type);
        if (leaves && (begins || may_compute_float(node)))
            status = skv_quant_leave(ctx, r, node, why_left(node, s->is_static));
    }
    if (first > SHOWN) skv_text_add(&names, " and %zu more", first - SHOWN);
    if (status == SKIVE_OK) status = names.status;
    if (status == SKIVE_OK)
        skv_note(ctx,
                 leaves ? "%zu of %u nodes depend on data, beginning with %s; they are left unchanged, the others are "
                          "quantized, and the figures are those of the values that pass from the quantized part to them"
                        : "%zu of %u nodes depend on data, beginning with %s; what they and the bodies of If, Loop and "
                          "Scan compute is observed while the model runs step by step",
                 n, g->n_nodes, names.data);
    skv_text_free(&names);
    return status;
}

/* ---- one model again ---- */

static skive_status find_in(skive_context *ctx, const skive_graph *g, const char *name, skive_value **out) {
    *out = skive_graph_find_value(g, name);
    return *out ? SKIVE_OK : skv_fail_at(ctx, SKIVE_ERR_GRAPH, name, "value '%s' is missing after quantization", name);
}

/* Restores order and names of the outputs, which the part may have used for its own. */
static skive_status set_outputs(skive_context *ctx, skive_graph *to, const skv_quant_split *s, const skive_graph *rest,
                                skive_value *const *map) {
    while (to->n_outputs) SKV_TRY(skv_graph_remove_output(to, to->n_outputs - 1));
    for (uint32_t i = 0; i < s->whole->n_outputs; i++) {
        const skive_value *v = s->whole->outputs[i];
        skive_value *copy;
        if (v->producer && !s->is_static[v->producer->id]) {
            SKV_TRY(find_in(ctx, rest, v->name, &copy));
            copy = map[copy->id];
            SKV_TRY(skv_value_rename(copy, v->name));
        } else {
            SKV_TRY(find_in(ctx, to, v->name, &copy));
        }
        SKV_TRY(skive_graph_add_output(to, copy));
    }
    return SKIVE_OK;
}

skive_status skv_quant_split_rest(skive_context *ctx, const skv_quant_split *s, skive_graph **out) {
    bool *others = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, (size_t)s->whole->n_nodes + 1, sizeof *others, &others));
    for (uint32_t i = 0; i < s->whole->n_nodes; i++) others[i] = !s->is_static[i];
    const skive_status status = skv_graph_extract(ctx, s->whole, others, out);
    skv_free(ctx, others);
    return status;
}

skive_status skv_quant_split_join(skive_context *ctx, const skv_quant_split *s, skive_graph *part,
                                  const skive_graph *rest) {
    skive_value **map = NULL, **bind = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)rest->n_inputs + 1, sizeof(skive_value *), &bind));
    for (uint32_t i = 0; i < rest->n_inputs; i++)
        SKV_GO(status, done, find_in(ctx, part, rest->inputs[i]->name, &bind[i]));
    SKV_GO(status, done, skv_graph_merge(part, rest, NULL, bind, &map));
    SKV_GO(status, done, set_outputs(ctx, part, s, rest, map));
    (void)skv_graph_sweep(part);
    SKV_GO(status, done, skive_graph_infer(part));
done:
    skv_free(ctx, bind);
    skv_free(ctx, map);
    return status;
}

skive_status skv_quant_split_join_float(skive_context *ctx, const skv_quant_split *s, skive_graph *part) {
    skive_graph *rest = NULL;
    SKV_TRY(skv_quant_split_rest(ctx, s, &rest));
    const skive_status status = skv_quant_split_join(ctx, s, part, rest);
    skive_graph_free(rest);
    return status;
}

void skv_quant_split_free(skive_context *ctx, skv_quant_split *s) {
    skive_graph_free(s->whole);
    skive_graph_free(s->part);
    skv_free(ctx, s->is_static);
}
