/* The nodes that stay in float: those named by the caller, and the reasons of the others. */
#include <string.h>

#include "graph/unknown.h"
#include "graph/weights.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

bool skv_quant_skipped(const skive_quantize_options *o, const skive_node *n) {
    for (size_t i = 0; i < o->n_skip; i++) {
        if (skv_name_matches(o->skip[i], n->name)) return true;
    }
    return false;
}

enum { SHOWN = 3 };

static skive_status no_such_node(skive_context *ctx, const skive_graph *g, const char *name) {
    const char **names = NULL;
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_nodes + 1, sizeof *names, &names));
    for (uint32_t i = 0; i < g->n_nodes; i++) names[i] = g->nodes[i]->name;
    const skive_status status = skv_fail_no_such(
        ctx, SKIVE_ERR_NOT_FOUND, strpbrk(name, "*?[") ? "no node's name matches" : "the model has no node", name,
        names, g->n_nodes);
    skv_free(ctx, names);
    return status;
}

static bool matches_a_node(const char *pattern, const skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (skv_name_matches(pattern, n->name)) return true;
        for (uint32_t a = 0; g->nests && a < n->n_attrs; a++)
            if (n->attrs[a].graph && matches_a_node(pattern, n->attrs[a].graph)) return true;
    }
    return false;
}

skive_status skv_quant_check_skip(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o) {
    for (size_t i = 0; i < o->n_skip; i++) {
        if (!matches_a_node(o->skip[i], g)) return no_such_node(ctx, g, o->skip[i]);
    }
    return SKIVE_OK;
}

/* ---- nodes in float, by operator and reason ---- */

static bool computes_float(const skive_node *n) {
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (n->outputs[i] && skv_value_is_read(n->outputs[i]) && skv_dtype_is_float(n->outputs[i]->type.dtype))
            return true;
    }
    return false;
}

static int64_t weights_of(const skive_node *n, const char **largest) {
    int64_t sum = 0, most = 1;
    *largest = NULL;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const skive_value *v = skv_quant_parameter(n, i);
        if (!v || !v->storage || v->type.dtype != SKIVE_F32 || skv_input_role(n, i) < SKV_ROLE_TABLE) continue;
        sum += skv_type_count(&v->type);
        if (skv_type_count(&v->type) <= most) continue;
        most = skv_type_count(&v->type);
        *largest = v->name;
    }
    return sum;
}

static skive_quantize_left *group_of(skive_quantize_report *r, const char *op, const char *reason) {
    for (size_t i = 0; i < r->n_left; i++) {
        if (strcmp(r->left[i].op, op) == 0 && strcmp(r->left[i].reason, reason) == 0) return &r->left[i];
    }
    return NULL;
}

skive_status skv_quant_leave(skive_context *ctx, skive_quantize_report *r, const skive_node *n, const char *reason) {
    skive_quantize_left *l = group_of(r, n->op_type, reason);
    if (!l) {
        SKV_TRY(skv_grow(ctx, &r->left, r->n_left, r->n_left + 1, sizeof *r->left));
        l = &r->left[r->n_left];
        *l = (skive_quantize_left){0};
        SKV_TRY(skv_strdup(ctx, n->op_type, &l->op));
        r->n_left++;
        SKV_TRY(skv_strdup(ctx, reason, &l->reason));
    }
    const char *largest;
    l->n_weights += weights_of(n, &largest);
    const size_t at = l->n_nodes++;
    if (at >= SHOWN) return SKIVE_OK;
    SKV_TRY(skv_strdup(ctx, n->name, &l->nodes[at]));
    return largest ? skv_strdup(ctx, largest, &l->weights[at]) : SKIVE_OK;
}

/* Relu and Clip after a quantized node become the limits of its result. */
static bool is_limit(const skive_node *n, const bool *chosen) {
    if (!skv_node_is(n, SKV_OP_RELU) && !skv_node_is(n, SKV_OP_CLIP)) return false;
    const skive_value *x = skv_node_in(n, 0);
    return x && x->producer && chosen[x->producer->id];
}

skive_status skv_quant_leave_others(skive_context *ctx, skive_quantize_report *r, const skive_graph *g,
                                    const skive_quantize_options *o, const bool *chosen, const bool *named) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_node *n = g->nodes[i];
        if (chosen[i] || named[i] || skv_quant_passes_through(n) || is_limit(n, chosen) || !computes_float(n)) continue;
        const char *why = skv_quant_skipped(o, n) ? "it is excluded by --skip" : skv_quant_why_transposed(ctx, n);
        SKV_TRY(skv_quant_leave(ctx, r, n, why ? why : "no 8-bit form of this operator is supported"));
    }
    return SKIVE_OK;
}

skive_status skv_quant_refuse_model(skive_context *ctx, const skive_quantize_report *r, const char *why) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (size_t i = 0; i < r->n_left && i < 3; i++) {
        const skive_quantize_left *left = &r->left[i];
        skv_text_add(&t, "%s node '%s' (%s%s): %s", i ? ";" : ":", left->nodes[0] ? left->nodes[0] : "", left->op,
                     left->n_nodes > 1 ? " and others" : "", left->reason);
    }
    skive_status status = t.status;
    if (status == SKIVE_OK) status = SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "%s%s", why, t.data ? t.data : "");
    skv_text_free(&t);
    return status;
}
