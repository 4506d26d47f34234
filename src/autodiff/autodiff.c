/* The gradient graph. Nodes between the wanted values and the loss are visited against the flow; each op's record adds
 * the nodes that turn the gradients of its outputs into those of its inputs; where a value is used more than once, the
 * contributions are added. Whatever fails, the nodes added so far are taken out again. */
#include <skive/autodiff.h>

#include <string.h>

#include "graph/op.h"
#include "tensor/tensor.h"

typedef struct reverse {
    skive_context *ctx;
    skive_graph *graph;
    skv_builder builder;
    uint32_t n_nodes, n_values; /* before anything was added */
    skive_node **order;         /* [n_nodes] */
    bool *wanted;               /* by value id: depends on one of wrt */
    bool *useful;               /* by value id: the loss depends on it */
    skive_value **gradient;     /* by value id: sum so far */
} reverse;

typedef struct wanted_reads {
    const reverse *r;
    bool any;
} wanted_reads;

static void see_read(void *user, skive_value *v) {
    wanted_reads *w = user;
    w->any = w->any || w->r->wanted[v->id];
}

/* What bodies read counts as well: their nodes have no gradient, and must be refused where one is asked. */
static void mark_wanted(reverse *r, skive_value *const *wrt, size_t n_wrt) {
    for (size_t i = 0; i < n_wrt; i++) r->wanted[wrt[i]->id] = true;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        const skive_node *n = r->order[i];
        wanted_reads w = {.r = r};
        skv_node_reads(n, see_read, &w);
        for (uint32_t k = 0; w.any && k < n->n_outputs; k++) {
            if (n->outputs[k]) r->wanted[n->outputs[k]->id] = true;
        }
    }
}

static bool node_useful(const reverse *r, const skive_node *n) {
    for (uint32_t k = 0; k < n->n_outputs; k++) {
        if (n->outputs[k] && r->useful[n->outputs[k]->id] && r->wanted[n->outputs[k]->id]) return true;
    }
    return false;
}

/* Why an op has no gradient, as far as its record tells. */
static const char *reason(const skive_node *n) {
    const skv_op *op = n->op;
    const skive_dtype dtype = n->n_outputs && n->outputs[0] ? n->outputs[0]->type.dtype : SKIVE_DTYPE_NONE;
    if (!op) return "the operator is not known";
    if (op->flow) return "it runs graphs of its own, which are not differentiated";
    if (op->size_outputs) return "the size of its result depends on values";
    if (op->random) return "it draws at random";
    if (dtype != SKIVE_DTYPE_NONE && !skv_dtype_is_float(dtype)) return "its result is not of floating point";
    if (strcmp(op->domain, SKV_DOMAIN) == 0) return "it belongs to a gradient or a plan already";
    return "none is known to skive";
}

/* Marks what the loss depends on, and lists all ops on the way that have no gradient. */
static skive_status mark_useful(reverse *r, const skive_value *loss) {
    skv_text missing;
    skv_text_init(&missing, r->ctx);
    r->useful[loss->id] = true;
    for (uint32_t i = r->n_nodes; i-- > 0;) {
        const skive_node *n = r->order[i];
        if (!node_useful(r, n)) continue;
        if (!n->op || !n->op->grad) {
            skv_text_add(&missing, "%s%s (node '%s': %s)", missing.length ? ", " : "", n->op_type, n->name, reason(n));
        }
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            if (n->inputs[k]) r->useful[n->inputs[k]->id] = true;
        }
    }
    skive_status status = missing.status;
    if (status == SKIVE_OK && missing.length) {
        status = SKV_FAIL(r->ctx, SKIVE_ERR_UNSUPPORTED, "no gradient for %s", missing.data);
    }
    skv_text_free(&missing);
    return status;
}

static void accumulate(reverse *r, const skive_value *v, skive_value *part) {
    skive_value **sum = &r->gradient[v->id];
    *sum = *sum ? skv_emit(&r->builder, "Add", SKV_IN(*sum, part), SKV_NONE) : part;
}

static skive_status visit(reverse *r, skive_node *n) {
    skive_value **dout = NULL, **din = NULL;
    bool *need = NULL, arrives = false;
    skive_status status;
    if (!node_useful(r, n)) return SKIVE_OK;
    SKV_GO(status, done, skv_alloc_array(r->ctx, (size_t)n->n_outputs + 1, sizeof *dout, &dout));
    SKV_GO(status, done, skv_alloc_array(r->ctx, (size_t)n->n_inputs + 1, sizeof *din, &din));
    SKV_GO(status, done, skv_alloc_array(r->ctx, (size_t)n->n_inputs + 1, sizeof *need, &need));
    for (uint32_t k = 0; k < n->n_outputs; k++) {
        dout[k] = n->outputs[k] ? r->gradient[n->outputs[k]->id] : NULL;
        arrives = arrives || dout[k];
    }
    if (!arrives) goto done;
    for (uint32_t k = 0; k < n->n_inputs; k++) need[k] = n->inputs[k] && r->wanted[n->inputs[k]->id];
    skv_grad g = {.b = &r->builder, .node = n, .dout = dout, .need = need, .din = din};
    SKV_GO(status, done, n->op->grad(&g));
    SKV_GO(status, done, r->builder.status);
    for (uint32_t k = 0; k < n->n_inputs; k++) {
        if (need[k] && din[k]) accumulate(r, n->inputs[k], din[k]);
    }
    status = r->builder.status;
done:
    skv_free(r->ctx, dout);
    skv_free(r->ctx, din);
    skv_free(r->ctx, need);
    return status;
}

/* `like` filled with a number: how a gradient starts (1) and how an absent one reads (0). */
static skive_value *filled_like(skv_builder *b, skive_value *like, double number) {
    skive_value *scalar = skv_emit_scalar(b, like->type.dtype, number);
    if (like->type.rank == 0) return scalar;
    skive_value *shape = skv_emit(b, "Shape", SKV_IN(like), SKV_NONE);
    return skv_emit(b, "Expand", SKV_IN(scalar, shape), SKV_NONE);
}

static void roll_back(reverse *r) {
    skive_graph *g = r->graph;
    skv_graph_hold(g);
    for (uint32_t i = g->n_nodes; i-- > r->n_nodes;) {
        if (skv_graph_remove_node(g->nodes[i]) != SKIVE_OK) break;
    }
    for (uint32_t i = g->n_values; i-- > r->n_values;) {
        skive_value *v = g->values[i];
        if (v && !v->producer && v->n_uses == 0) skv_graph_remove_value(v);
    }
    skv_graph_settle(g);
}

static skive_status check_loss(skive_context *ctx, const skive_value *loss) {
    bool one = loss->type.rank >= 0;
    for (int d = 0; d < loss->type.rank; d++) one = one && loss->type.dims[d].size == 1;
    if (one) return SKIVE_OK;
    char text[160];
    skv_type_text(&loss->type, text, sizeof text);
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, loss->name, "loss '%s' is %s; a gradient needs a single number",
                       loss->name, text);
}

skive_status skive_autodiff(skive_graph *graph, skive_value *loss, skive_value *const *wrt, size_t n_wrt,
                            skive_value **gradients) {
    SKV_NEED(graph ? graph->ctx : NULL, "graph, loss, wrt, gradients", graph, loss, wrt || !n_wrt, gradients || !n_wrt);
    skive_context *ctx = graph->ctx;
    reverse r = {.ctx = ctx,
                 .graph = graph,
                 .builder = skv_build(graph),
                 .n_nodes = graph->n_nodes,
                 .n_values = graph->n_values};
    skive_status status;
    SKV_TRY(check_loss(ctx, loss));
    SKV_GO(status, done, skv_graph_topo(graph, &r.order));
    SKV_GO(status, done, skv_alloc_array(ctx, r.n_values, sizeof *r.wanted, &r.wanted));
    SKV_GO(status, done, skv_alloc_array(ctx, r.n_values, sizeof *r.useful, &r.useful));
    SKV_GO(status, done, skv_alloc_array(ctx, r.n_values, sizeof *r.gradient, &r.gradient));
    mark_wanted(&r, wrt, n_wrt);
    SKV_GO(status, done, mark_useful(&r, loss));
    r.gradient[loss->id] = filled_like(&r.builder, loss, 1.0);
    SKV_GO(status, done, r.builder.status);
    for (uint32_t i = r.n_nodes; i-- > 0;) SKV_GO(status, done, visit(&r, r.order[i]));
    for (size_t i = 0; i < n_wrt; i++) {
        skive_value *found = r.gradient[wrt[i]->id];
        gradients[i] = found ? found : filled_like(&r.builder, wrt[i], 0.0);
    }
    status = r.builder.status;
done:
    if (status != SKIVE_OK) roll_back(&r);
    skv_free(ctx, r.order);
    skv_free(ctx, r.wanted);
    skv_free(ctx, r.useful);
    skv_free(ctx, r.gradient);
    return status;
}
