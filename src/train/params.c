/* Parameters of graphs that are copies of one another: sharing and un-sharing their storages. */
#include <string.h>

#include "graph/weights.h"
#include "train/train.h"

static bool is_float_param(const skive_value *v) { return v && v->storage && v->type.dtype == SKIVE_F32; }

skive_status skv_params_unshare(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (is_float_param(g->values[i])) SKV_TRY(skv_storage_make_unique(g->ctx, &g->values[i]->storage));
    }
    return SKIVE_OK;
}

/* The twin of `v` in a copy of its graph: same name. */
static skive_value *twin(const skive_graph *g, const skive_value *v) {
    skive_value *t = skive_graph_find_value(g, v->name);
    return t && t->storage && t->type.dtype == v->type.dtype &&
                   skive_tensor_bytes(&t->storage->tensor) == skive_tensor_bytes(&v->storage->tensor)
               ? t
               : NULL;
}

void skv_params_assign(skive_graph *to, const skive_graph *from) {
    for (uint32_t i = 0; i < to->n_values; i++) {
        skive_value *v = to->values[i];
        if (!is_float_param(v)) continue;
        const skive_value *t = twin(from, v);
        if (!t) continue;
        skv_storage *old = v->storage;
        v->storage = skv_storage_retain(t->storage);
        skv_storage_release(old);
    }
}

void skv_params_copy_values(skive_graph *to, const skive_graph *from) {
    for (uint32_t i = 0; i < to->n_values; i++) {
        const skive_value *v = to->values[i];
        if (!is_float_param(v)) continue;
        const skive_value *t = twin(from, v);
        if (t) memcpy(v->storage->tensor.data, t->storage->tensor.data, skive_tensor_bytes(&v->storage->tensor));
    }
}

skive_status skv_params_mark_trainable(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (g->values[i]->trainable) return SKIVE_OK;
    }
    return skv_mark_trainable(g);
}
