/* Synaptic flow (SynFlow, Tanaka, Kunin, Yamins & Ganguli 2020): |w| times its gradient in the network of magnitudes,
 * whose loss is the sum of its outputs for an input of ones. Needs no data. Biases, shifts and running means are zero
 * there, so that every layer has the same sum of scores. The paper prunes in 100 steps of the same fraction, looking
 * anew at each, which keeps layers from being emptied: the schedule `iterative` does that. */
#include <math.h>

#include "graph/batch.h"
#include "prune/prune.h"

typedef struct flow {
    skive_graph *graph;
    const skive_value *loss;
} flow;

static skive_status take_magnitudes(skive_context *ctx, skive_graph *g) {
    skv_role *roles = NULL;
    SKV_TRY(skv_graph_roles(ctx, g, &roles));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < g->n_values && status == SKIVE_OK; i++) {
        skive_value *v = g->values[i];
        const bool gone = roles[i] == SKV_ROLE_BIAS || roles[i] == SKV_ROLE_SHIFT;
        if (!v->storage || v->type.dtype != SKIVE_F32 || !(gone || skv_role_is_learned(roles[i]))) continue;
        status = skv_storage_make_unique(ctx, &v->storage);
        float *x = status == SKIVE_OK ? v->storage->tensor.data : NULL;
        for (int64_t k = 0; x && k < skive_tensor_count(&v->storage->tensor); k++) x[k] = gone ? 0.0f : fabsf(x[k]);
    }
    skv_free(ctx, roles);
    return status;
}

/* The running means of normalisations. */
static skive_status take_means(skive_context *ctx, skive_graph *g) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        skive_value *v = skv_node_is(g->nodes[i], SKV_OP_BATCH_NORMALIZATION) ? g->nodes[i]->inputs[3] : NULL;
        if (!v || !v->storage || v->type.dtype != SKIVE_F32) continue;
        SKV_TRY(skv_storage_make_unique(ctx, &v->storage));
        float *x = v->storage->tensor.data;
        for (int64_t k = 0; k < skive_tensor_count(&v->storage->tensor); k++) x[k] = 0;
    }
    return SKIVE_OK;
}

static skive_status build(const skv_pruning *p, flow *f) {
    SKV_TRY(skv_graph_bind_batch(p->ctx, p->work, 1, &f->graph));
    SKV_TRY(take_magnitudes(p->ctx, f->graph));
    SKV_TRY(take_means(p->ctx, f->graph));
    skive_value *y = f->graph->outputs[0];
    /* Shares of classes have a sum of one whatever the weights. */
    const skive_node *n = y->producer;
    if (n && (skv_node_is(n, SKV_OP_SOFTMAX) || skv_node_is(n, SKV_OP_LOG_SOFTMAX) || skv_node_is(n, SKV_OP_SIGMOID)))
        y = n->inputs[0];
    skv_builder b = skv_build(f->graph);
    f->loss = skv_emit(&b, "ReduceSum", SKV_IN(y), SKV_ATTRS(SKV_INT("keepdims", 0)));
    SKV_TRY(b.status);
    return skive_graph_infer(f->graph);
}

static skive_status feed(void *user, int64_t *run, skive_tensor *inputs, size_t n_inputs) {
    (void)user;
    (void)run;
    for (size_t i = 0; i < n_inputs; i++)
        for (int64_t k = 0; k < skive_tensor_count(&inputs[i]); k++) skive_tensor_set(&inputs[i], k, 1);
    return SKIVE_OK;
}

static skive_status give(skv_pruning *p, skv_probe *probe) {
    for (size_t i = 0; i < p->n; i++) {
        skv_prunable *l = &p->layers[i];
        double *g;
        size_t n;
        SKV_TRY(skv_probe_result(probe, i, &g, &n, NULL));
        for (size_t k = 0; k < n && k < (size_t)l->n; k++) l->numbers[0].x[k] = fabs((double)l->weight[k]) * fabs(g[k]);
        skv_free(p->ctx, g);
    }
    return SKIVE_OK;
}

static skive_status look(skv_pruning *p) {
    flow f = {NULL, NULL};
    skv_probe *probe = NULL;
    skv_probe_item *items = NULL;
    skive_status status;
    SKV_GO(status, done, skv_look_room(p));
    SKV_GO(status, done, build(p, &f));
    SKV_GO(status, done, skv_alloc_array(p->ctx, p->n + 1, sizeof *items, &items));
    for (size_t i = 0; i < p->n; i++)
        items[i] = (skv_probe_item){.value = p->layers[i].value->name,
                                    .of = SKV_OF_GRADIENT,
                                    .axis = SKV_BY_ELEMENT,
                                    .reducer = skv_reducer_find("sum")};
    const skv_probe_setup setup = {.graph = f.graph,
                                   .loss = f.loss->name,
                                   .items = items,
                                   .n_items = p->n,
                                   .plan = skive_plan_options_default(),
                                   .runs = 1};
    const skv_probe_pass pass = {.feed = feed, .runs = 1};
    SKV_GO(status, done, skv_probe_open(p->ctx, &setup, &probe));
    SKV_GO(status, done, skv_probe_run(probe, &pass, NULL));
    status = give(p, probe);
done:
    skv_probe_free(probe);
    skive_graph_free(f.graph);
    skv_free(p->ctx, items);
    return status;
}

static skive_status score(const skv_score_args *a) {
    for (int64_t i = 0; i < a->n; i++) a->score[i] = (float)a->numbers[0].x[i];
    return SKIVE_OK;
}

const skv_criterion skv_criterion_synflow = {
    .name = "synflow",
    .brief = "synaptic flow, for networks before training; needs no data, best with the schedule iterative",
    .look = look,
    .score = score,
};
