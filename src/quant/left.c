/* The nodes that stay in float: those named by the caller, and the reasons of the others. */
#include <string.h>

#include "graph/op.h"
#include "quant/quant.h"
#include "tensor/tensor.h"

bool skv_quant_skipped(const skive_quantize_options *o, const skive_node *n) {
    for (size_t i = 0; i < o->n_skip; i++) {
        if (skv_name_matches(o->skip[i], n->name)) return true;
    }
    return false;
}

enum { LONGEST = 120, SHOWN = 3 };

/* The number of letters to change, insert or delete to turn a into b (Levenshtein). */
static size_t distance(const char *a, const char *b) {
    size_t row[LONGEST + 1];
    const size_t la = strlen(a) < LONGEST ? strlen(a) : LONGEST, lb = strlen(b) < LONGEST ? strlen(b) : LONGEST;
    for (size_t k = 0; k <= lb; k++) row[k] = k;
    for (size_t i = 1; i <= la; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t k = 1; k <= lb; k++) {
            const size_t above = row[k], change = corner + (a[i - 1] != b[k - 1]);
            const size_t step = (above < row[k - 1] ? above : row[k - 1]) + 1;
            corner = above;
            row[k] = change < step ? change : step;
        }
    }
    return row[lb];
}

static skive_status no_such_node(skive_context *ctx, const skive_graph *g, const char *name) {
    const char *near[SHOWN] = {NULL};
    size_t far[SHOWN], n = 0;
    skv_text text;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        size_t d = distance(name, g->nodes[i]->name), at = n < SHOWN ? n++ : SHOWN;
        while (at > 0 && d < far[at - 1]) {
            at--;
            if (at + 1 < SHOWN) {
                far[at + 1] = far[at];
                near[at + 1] = near[at];
            }
        }
        if (at == SHOWN) continue;
        far[at] = d;
        near[at] = g->nodes[i]->name;
    }
    skv_text_init(&text, ctx);
    for (size_t i = 0; i < n; i++) skv_text_add(&text, "%s'%s'", i ? ", " : "", near[i]);
    skive_status status = text.status;
    if (status == SKIVE_OK)
        status = skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name,
                             strpbrk(name, "*?[") ? "no node's name matches '%s'; the nearest names are %s"
                                                  : "the model has no node '%s'; the nearest names are %s",
                             name, text.data ? text.data : "none");
    skv_text_free(&text);
    return status;
}

skive_status skv_quant_check_skip(skive_context *ctx, const skive_graph *g, const skive_quantize_options *o) {
    for (size_t i = 0; i < o->n_skip; i++) {
        bool found = false;
        for (uint32_t k = 0; k < g->n_nodes && !found; k++) found = skv_name_matches(o->skip[i], g->nodes[k]->name);
        if (!found) return no_such_node(ctx, g, o->skip[i]);
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
        const skive_value *v = n->inputs[i];
        if (!v || !v->storage || v->type.dtype != SKIVE_F32 || skv_type_count(&v->type) < 2) continue;
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
                                    const bool *chosen, const bool *named) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const skive_node *n = g->nodes[i];
        if (chosen[i] || named[i] || skv_quant_passes_through(n) || is_limit(n, chosen) || !computes_float(n)) continue;
        SKV_TRY(skv_quant_leave(ctx, r, n, "no 8-bit form of this operator is supported"));
    }
    return SKIVE_OK;
}
