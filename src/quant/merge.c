/* Weights that several nodes read are quantized for each of them: where the integers come out equal, one parameter is
 * enough. */
#include <string.h>

#include "graph/graph.h"
#include "quant/quant.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

enum { LEAST_BYTES = 256 }; /* what is smaller may be equal by chance, and saves nothing */

typedef struct entry {
    uint64_t hash;
    skive_value *value;
} entry;

/* Plain numbers of two axes and more that no output is. */
static const skive_tensor *weight_of(const skive_value *v) {
    const skive_tensor *t = v && v->storage && !v->output_uses && !v->outer ? skv_value_tensor(v) : NULL;
    return t && t->rank > 1 && t->dtype != SKIVE_STRING && skive_tensor_bytes(t) >= LEAST_BYTES ? t : NULL;
}

static bool same(const skive_tensor *a, const skive_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0 &&
           (a->data == b->data || memcmp(a->data, b->data, skive_tensor_bytes(a)) == 0);
}

skive_status skv_quant_merge_equal(skive_graph *g) {
    entry *seen = NULL;
    size_t n = 0;
    skive_status status = SKIVE_OK;
    SKV_TRY(skv_alloc_array(g->ctx, (size_t)g->n_values + 1, sizeof *seen, &seen));
    for (uint32_t i = 0; i < g->n_values && status == SKIVE_OK; i++) {
        skive_value *v = g->values[i], *first = NULL;
        const skive_tensor *t = weight_of(v);
        if (!t || v->n_uses == 0 || skv_value_is_captured(v)) continue;
        const uint64_t hash = skv_hash64(t->data, skive_tensor_bytes(t), (uint64_t)t->dtype);
        for (size_t k = 0; k < n && !first; k++)
            if (seen[k].hash == hash && same(t, weight_of(seen[k].value))) first = seen[k].value;
        if (first)
            status = skv_value_replace_uses(v, first, false);
        else
            seen[n++] = (entry){hash, v};
    }
    skv_free(g->ctx, seen);
    if (status == SKIVE_OK) (void)skv_graph_sweep(g);
    return status;
}
