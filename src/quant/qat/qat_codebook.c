/* Weights with few values that no integers have, as a codebook (graph/shared.h), once the training is done. */
#include <stdlib.h>
#include <string.h>

#include "graph/shared.h"
#include "passes/quantized.h"
#include "quant/qat.h"

enum { MOST_VALUES = 256 };

static skive_node *node_of(const skive_graph *g, const char *name) {
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (strcmp(g->nodes[i]->name, name) == 0) return g->nodes[i];
    }
    return NULL;
}

/* The parameter that the node reads, with the numbers that a node made of it. */
static skive_status to_parameter(skive_graph *g, skive_node *n, skive_value **out) {
    skive_value *w = n->inputs[1];
    *out = w;
    if (skv_value_is_param(w) || !w->producer || !skv_value_is_param(w->producer->inputs[0])) return SKIVE_OK;
    skive_node *made = w->producer;
    skive_value *x = made->inputs[0];
    skv_storage *numbers = NULL;
    SKV_TRY(skv_quantize_evaluate(g, made, &numbers));
    skv_storage_release(x->storage);
    x->storage = numbers;
    SKV_TRY(skv_value_replace_uses(w, x, true));
    SKV_TRY(skv_graph_remove_node(made));
    *out = x;
    return SKIVE_OK;
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The different numbers of x[n], ascending; 0 if they are too many. */
static int64_t values_of(const float *x, int64_t n, float value[MOST_VALUES]) {
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i] + 0.0f; /* -0 is 0 */
        if (bsearch(&v, value, (size_t)found, sizeof v, ascending)) continue;
        if (found == MOST_VALUES) return 0;
        int64_t at = found++;
        while (at > 0 && value[at - 1] > v) {
            value[at] = value[at - 1];
            at--;
        }
        value[at] = v;
    }
    return found;
}

static skive_status share(skive_graph *g, skive_value *w) {
    const skive_tensor *t = w->storage ? skv_value_tensor(w) : NULL;
    float value[MOST_VALUES];
    skv_storage *indices = NULL, *codebook = NULL;
    if (!t || t->dtype != SKIVE_F32) return SKIVE_OK;
    const int64_t n = skive_tensor_count(t), found = values_of(t->data, n, value);
    if (found == 0) return SKIVE_OK;
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_U8, t->rank, t->dims, &indices));
    const skive_status status = skv_storage_create(g->ctx, SKIVE_F32, 1, &found, &codebook);
    if (status != SKIVE_OK) {
        skv_storage_release(indices);
        return status;
    }
    memcpy(codebook->tensor.data, value, (size_t)found * sizeof *value);
    for (int64_t i = 0; i < n; i++) {
        const float v = ((const float *)t->data)[i] + 0.0f;
        const float *at = bsearch(&v, value, (size_t)found, sizeof v, ascending);
        ((uint8_t *)indices->tensor.data)[i] = (uint8_t)(at - value);
    }
    skv_builder b = skv_build(g);
    skive_value *values = skv_emit_param(&b, NULL, codebook);
    if (b.status != SKIVE_OK) {
        skv_storage_release(indices);
        return b.status;
    }
    return skv_shared_make(w, values, indices);
}

skive_status skv_qat_codebooks(const skv_qat_plan *p, skive_graph *g) {
    for (size_t i = 0; i < p->n; i++) {
        const skv_qat_point *point = &p->points[i];
        if (!point->node || point->twin || !point->rule->method->codebook) continue;
        skive_node *n = node_of(g, point->node->name);
        skive_value *w = NULL;
        if (!n) continue;
        SKV_TRY(to_parameter(g, n, &w));
        SKV_TRY(share(g, w));
    }
    (void)skv_graph_sweep(g);
    return skive_graph_infer(g);
}
