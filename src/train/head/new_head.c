/* A new last layer for another number of classes: what is in front of it stays. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/linear.h"
#include "graph/meta_keys.h"
#include "train/train.h"

typedef struct last {
    skive_node *node;
    size_t weight_input;
    skive_value *weight, *bias; /* bias NULL: none of its own */
    skive_node *bias_node;      /* where it is added, and as which input */
    size_t bias_input;
    int axis; /* of the classes in the weight */
    int64_t classes;
} last;

static bool is_param_of(const skive_value *v, int64_t count) {
    const skive_tensor *t = skv_value_tensor(v);
    return t && t->dtype == SKIVE_F32 && skive_tensor_count(t) == count;
}

static skive_value *passed_on(const skive_node *n) {
    const bool passes =
        skv_node_reshapes(n) || SKV_NODE_IS_ANY(n, SKV_OP_TRANSPOSE, SKV_OP_DROPOUT, SKV_OP_RELU, SKV_OP_CLIP,
                                                SKV_OP_GLOBAL_AVERAGE_POOL, SKV_OP_AVERAGE_POOL, SKV_OP_REDUCE_MEAN);
    return passes ? skv_node_in(n, 0) : NULL;
}

/* An Add of one number a class is the bias of a layer that has none. */
static skive_value *behind_bias(skive_node *n, last *l) {
    if (!skv_node_is(n, SKV_OP_ADD) || l->bias) return NULL;
    for (size_t i = 0; i < 2; i++) {
        if (!is_param_of(n->inputs[i], l->classes)) continue;
        l->bias = n->inputs[i];
        l->bias_node = n;
        l->bias_input = i;
        return n->inputs[1 - i];
    }
    return NULL;
}

static bool is_layer(skive_node *n, last *l) {
    skv_linear layer;
    if (!skv_linear_of(n, &layer) || layer.view.data > layer.weight) return false; /* the classes are rows */
    const skive_tensor *t = skv_value_tensor(n->inputs[layer.weight]);
    if (!t || t->dtype != SKIVE_F32 || t->rank < 2 || layer.view.out_axis < 0) return false;
    l->node = n;
    l->weight_input = (uint32_t)layer.weight;
    l->weight = n->inputs[layer.weight];
    l->axis = layer.view.out_axis;
    if (t->dims[l->axis] != l->classes || layer.view.groups != 1) return false;
    if (layer.bias >= 0 && is_param_of(skv_node_in(n, (size_t)layer.bias), l->classes)) {
        l->bias_input = (uint32_t)layer.bias;
        l->bias = n->inputs[l->bias_input];
        l->bias_node = n;
    }
    return true;
}

static skive_status find(skive_context *ctx, const skv_head *head, last *l) {
    skive_value *v = head->before ? head->before : head->value;
    l->classes = head->scores;
    while (v && v->producer) {
        skive_node *n = v->producer;
        if (is_layer(n, l)) return SKIVE_OK;
        skive_value *before = behind_bias(n, l);
        if (!before) before = passed_on(n);
        if (!before)
            return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                               "node '%s' (%s) is not a Conv, Gemm or MatMul with float weights for %lld classes: the "
                               "last layer cannot be replaced",
                               n->name, n->op_type, (long long)l->classes);
        v = before;
    }
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, head->value->name,
                       "output '%s' does not come from a Conv, Gemm or MatMul whose weights could be replaced",
                       head->value->name);
}

/* ---- new parameters ---- */

/* In the place of `old`, or of its own where others read that too. */
static skive_status put(skive_graph *g, skive_value *old, skive_node *n, size_t input, skv_storage *take) {
    skive_value *fresh = NULL;
    const char *name = NULL;
    skive_status status;
    if (old->n_uses == 1 && old->output_uses == 0) {
        status = skv_value_set_storage(old, take);
        if (status == SKIVE_OK) old->trainable = old->type.dtype == SKIVE_F32;
        if (status != SKIVE_OK) skv_storage_release(take);
        return status;
    }
    status = skv_graph_unique_name(g, old->name, &name);
    if (status == SKIVE_OK) status = skv_graph_new_param(g, name, take, &fresh);
    if (status != SKIVE_OK) {
        skv_storage_release(take);
        return status;
    }
    fresh->trainable = fresh->type.dtype == SKIVE_F32;
    return skv_node_set_input(n, input, fresh);
}

static skive_status new_weight(skive_graph *g, const last *l, int64_t classes, uint64_t seed, int64_t *count) {
    const skive_tensor *old = &l->weight->storage->tensor;
    int64_t dims[SKIVE_MAX_RANK];
    skv_storage *s = NULL;
    memcpy(dims, old->dims, sizeof dims);
    dims[l->axis] = classes;
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_F32, old->rank, dims, &s));
    *count = skive_tensor_count(&s->tensor);
    const double deviation = sqrt((double)classes / (double)(*count ? *count : 1)); /* 1 / sqrt(inputs of a class) */
    float *w = s->tensor.data;
    for (int64_t i = 0; i < *count; i++)
        w[i] = (float)(deviation * skv_rng_normal(seed, skv_hash64("classes", 7, 0), (uint64_t)i));
    return put(g, l->weight, l->node, l->weight_input, s);
}

static skive_status new_bias(skive_graph *g, const last *l, int64_t classes) {
    const skive_tensor *old = l->bias ? skv_value_tensor(l->bias) : NULL;
    int64_t dims[SKIVE_MAX_RANK];
    skv_storage *s = NULL;
    if (!old) return SKIVE_OK;
    int wide = old->rank - 1;
    memcpy(dims, old->dims, sizeof dims);
    for (int d = 0; d < old->rank; d++) {
        if (dims[d] == l->classes && l->classes > 1) wide = d;
    }
    if (wide < 0) return SKIVE_OK; /* a scalar serves any number */
    dims[wide] = classes;
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_F32, old->rank, dims, &s));
    memset(s->tensor.data, 0, skive_tensor_bytes(&s->tensor));
    return put(g, l->bias, l->bias_node, l->bias_input, s);
}

/* A shape behind the layer that spells the number of classes out. */
static skive_status new_shape(skive_graph *g, const last *l, skive_node *n, int64_t classes) {
    const skive_tensor *t = skv_value_tensor(skv_node_in(n, 1));
    skv_storage *s = NULL;
    if (!t || t->dtype != SKIVE_I64 || t->rank != 1) return SKIVE_OK;
    int64_t at = -1;
    for (int64_t i = 0; i < t->dims[0]; i++) {
        if (((const int64_t *)t->data)[i] == l->classes) at = i; /* the batch comes first */
    }
    if (at < 0) return SKIVE_OK;
    SKV_TRY(skv_storage_from_tensor(g->ctx, t, &s));
    ((int64_t *)s->tensor.data)[at] = classes;
    return put(g, n->inputs[1], n, 1, s);
}

static skive_status new_shapes(skive_graph *g, const last *l, int64_t classes) {
    skive_node **order = NULL;
    bool *behind = NULL;
    skive_status status;
    const uint32_t n_nodes = g->n_nodes, n_values = g->n_values;
    SKV_GO(status, done, skv_graph_topo(g, &order));
    SKV_GO(status, done, skv_alloc_array(g->ctx, (size_t)n_values + 1, sizeof *behind, &behind));
    behind[l->node->outputs[0]->id] = true;
    for (uint32_t i = 0; i < n_nodes; i++) {
        skive_node *n = order[i];
        bool reached = false;
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            const skive_value *v = n->inputs[k];
            reached = reached || (v && v->id < n_values && behind[v->id]);
        }
        for (uint32_t k = 0; reached && k < n->n_outputs; k++) {
            if (n->outputs[k]) behind[n->outputs[k]->id] = true;
        }
        if (reached && (skv_node_is(n, SKV_OP_RESHAPE) || skv_node_is(n, SKV_OP_EXPAND)))
            SKV_GO(status, done, new_shape(g, l, n, classes));
    }
done:
    skv_free(g->ctx, order);
    skv_free(g->ctx, behind);
    return status;
}

static void forget_types(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (!v->producer || !v->producer->op) continue;
        for (int d = 0; d < v->type.rank; d++) v->type.dims[d] = (skive_dim){-1, NULL};
    }
}

/* ---- the whole ---- */

static skive_status replace(skive_context *ctx, skive_graph *g, const skv_head *head, int64_t classes, uint64_t seed) {
    last l = {0};
    skv_head now;
    int64_t count = 0;
    char name[128];
    SKV_TRY(find(ctx, head, &l));
    (void)snprintf(name, sizeof name, "%s", l.node->name);
    SKV_TRY(skv_params_mark_trainable(g));
    SKV_TRY(new_weight(g, &l, classes, seed, &count));
    SKV_TRY(new_bias(g, &l, classes));
    SKV_TRY(new_shapes(g, &l, classes));
    forget_types(g);
    SKV_TRY(skive_graph_infer(g));
    SKV_TRY(skv_head_find(ctx, g, NULL, &now));
    if (now.scores != classes)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, l.node->name,
                           "other nodes after node '%s' depend on %lld classes; its layer cannot be replaced",
                           l.node->name, (long long)l.classes);
    skv_note(ctx, "node '%s' (%s): a new last layer for %lld classes instead of %lld, its %lld weights drawn at random",
             name, l.node->op_type, (long long)classes, (long long)l.classes, (long long)count);
    if (head->kind == SKIVE_OUTPUT_SIGMOID)
        skv_note(ctx, "the %s after it is kept: each class is predicted independently",
                 head->from ? head->from : "sigmoid");
    return SKIVE_OK;
}

skive_status skive_model_set_classes(skive_graph *graph, int64_t classes, uint64_t seed) {
    SKV_NEED(graph ? graph->ctx : NULL, "graph", graph);
    skive_context *ctx = graph->ctx;
    skive_graph *work = NULL;
    skv_head head;
    skive_status status;
    if (classes < 1 || classes > 1000000)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "classes", "%lld classes are not possible; give 1 to 1000000",
                           (long long)classes);
    SKV_GO(status, done, skive_graph_copy(ctx, graph, &work));
    SKV_GO(status, done, skive_graph_infer(work));
    SKV_GO(status, done, skv_head_find(ctx, work, NULL, &head));
    /* Numbers or labels that the metadata told of were those of the old layer. */
    if (head.from && strcmp(head.from, "metadata") == 0 &&
        (head.kind == SKIVE_OUTPUT_VALUES || head.kind == SKIVE_OUTPUT_SIGMOID_LOGITS)) {
        SKV_GO(status, done, skive_model_set_output(work, NULL, ""));
        SKV_GO(status, done, skv_head_find(ctx, work, NULL, &head));
    }
    if (head.scores == classes) {
        skv_note(ctx, "the model already has %lld classes; its last layer is kept", (long long)classes);
        skive_graph_take(graph, work);
        work = NULL;
        goto done;
    }
    if (head.scores < 1) {
        status = skv_fail_at(ctx, SKIVE_ERR_SHAPE, head.value->name, "output '%s' does not have one score per class",
                             head.value->name);
        goto done;
    }
    SKV_GO(status, done, replace(ctx, work, &head, classes, seed));
    SKV_GO(status, done, skive_model_set_class_names(work, NULL, 0)); /* they were those of the old layer */
    skive_graph_take(graph, work);
    work = NULL;
done:
    skive_graph_free(work);
    return status;
}
