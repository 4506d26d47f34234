/* Parameters of graphs that are copies of one another: sharing and un-sharing their storages. */
#include <string.h>

#include "graph/shared.h"
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

/* Inputs of an op that training may change. */
typedef struct learned {
    const char *op;
    unsigned inputs; /* bit i: input i */
} learned;
static const learned learned_inputs[] = {
    {"Conv", 1u << 1 | 1u << 2},
    {"ConvTranspose", 1u << 1 | 1u << 2},
    {"Gemm", 1u << 1 | 1u << 2},
    {"HashedGemm", 1u << 1 | 1u << 2},
    {"MatMul", 1u << 0 | 1u << 1},
    {"BatchNormalization", 1u << 1 | 1u << 2},
    {"LayerNormalization", 1u << 1 | 1u << 2},
    {"InstanceNormalization", 1u << 1 | 1u << 2},
    {"GroupNormalization", 1u << 1 | 1u << 2},
    {"RMSNormalization", 1u << 1},
    {"PRelu", 1u << 1},
    {"Add", 1u << 0 | 1u << 1},
};

static bool is_learned(const skive_value *v) {
    for (uint32_t i = 0; i < v->n_uses; i++) {
        for (size_t k = 0; k < sizeof learned_inputs / sizeof learned_inputs[0]; k++) {
            const learned *l = &learned_inputs[k];
            if (!skv_node_is(v->uses[i].node, l->op) || !(l->inputs >> v->uses[i].index & 1u)) continue;
            /* A single number added is part of a formula (an epsilon), not a bias. */
            if (strcmp(l->op, "Add") != 0 || skv_type_count(&v->type) > 1) return true;
        }
    }
    return false;
}

void skv_params_mark_trainable(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (g->values[i]->trainable) return;
    }
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_value *v = g->values[i];
        if (is_float_param(v)) v->trainable = is_learned(v) || skv_shared_weight_of(v);
    }
}
