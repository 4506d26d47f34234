/* Weights kept as a codebook; see shared.h. */
#include "graph/shared.h"

#include <stdio.h>

#include "graph/internal.h"
#include "graph/marks.h"
#include "graph/weights.h"

int64_t skv_shared_index(const skive_tensor *t, int64_t i) {
    switch (t->dtype) {
    case SKIVE_U8: return ((const uint8_t *)t->data)[i];
    case SKIVE_U16: return ((const uint16_t *)t->data)[i];
    case SKIVE_I32: return ((const int32_t *)t->data)[i];
    default: return ((const int64_t *)t->data)[i];
    }
}

static bool is_index_type(skive_dtype dtype, bool cast) {
    return cast ? dtype == SKIVE_U8 || dtype == SKIVE_U16 : dtype == SKIVE_I32 || dtype == SKIVE_I64;
}

/* By form alone: two parameters, a vector of floats and integers. */
static bool has_form(skive_node *gather, skv_shared *s) {
    if (!skv_node_is(gather, SKV_OP_GATHER) || gather->n_inputs < 2 || !gather->inputs[0] || !gather->inputs[1])
        return false;
    s->codebook = gather->inputs[0];
    s->indices = gather->inputs[1];
    s->gather = gather;
    s->cast = skv_node_is(s->indices->producer, SKV_OP_CAST) ? s->indices->producer : NULL;
    if (s->cast) {
        const int64_t to = skv_attr_int(s->cast, "to", 0);
        if (to != SKIVE_I32 && to != SKIVE_I64) return false;
        s->indices = skv_node_in(s->cast, 0);
    }
    const skive_tensor *codebook = skv_value_tensor(s->codebook), *indices = skv_value_tensor(s->indices);
    return codebook && indices && codebook->data && indices->data && codebook->dtype == SKIVE_F32 &&
           codebook->rank == 1 && is_index_type(indices->dtype, s->cast != NULL);
}

static bool in_range(const skv_shared *s) {
    const skive_tensor *indices = skv_value_tensor(s->indices);
    const int64_t k = skv_value_tensor(s->codebook)->dims[0], n = skive_tensor_count(indices);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = skv_shared_index(indices, i);
        if (at < 0 || at >= k) return false;
    }
    return true;
}

/* The weights of layers, rounded or not, as opposed to a table that rows are looked up in. */
static bool feeds_a_layer(const skive_value *weight) {
    for (uint32_t i = 0; i < weight->n_uses; i++) {
        const skive_node *n = weight->uses[i].node;
        if (skv_node_is(n, SKV_OP_FAKE_QUANTIZE) && weight->uses[i].index == 0 && n->n_outputs && n->outputs[0] &&
            feeds_a_layer(n->outputs[0]))
            return true;
        if (skv_input_role(weight->uses[i].node, (size_t)weight->uses[i].index) >= SKV_ROLE_TABLE) return true;
    }
    return false;
}

bool skv_shared_find(const skive_value *weight, skv_shared *out) {
    skv_shared own, *s = out ? out : &own;
    return weight && weight->producer && has_form(weight->producer, s) && feeds_a_layer(weight) && in_range(s);
}

const skive_value *skv_shared_weight_of(const skive_value *part) {
    for (uint32_t i = 0; skv_value_is_param(part) && i < part->n_uses; i++) {
        const skive_node *n = part->uses[i].node;
        if (skv_node_is(n, SKV_OP_GATHER) && skv_shared_find(n->outputs[0], NULL)) return n->outputs[0];
        if (!skv_node_is(n, SKV_OP_CAST)) continue;
        const skive_value *cast = n->outputs[0];
        for (uint32_t k = 0; cast && k < cast->n_uses; k++) {
            const skive_node *gather = cast->uses[k].node;
            if (gather->n_outputs > 0 && skv_shared_find(gather->outputs[0], NULL)) return gather->outputs[0];
        }
    }
    return NULL;
}

bool skv_shared_has_node(const skive_node *n) {
    if (skv_node_is(n, SKV_OP_GATHER)) return n->n_outputs > 0 && skv_shared_find(n->outputs[0], NULL);
    return skv_node_is(n, SKV_OP_CAST) && n->n_inputs > 0 && skv_value_is_param(n->inputs[0]) && n->outputs[0] &&
           skv_shared_weight_of(n->inputs[0]);
}

/* ---- making ---- */

static skive_status part_name(skive_graph *g, const char *weight, const char *part, const char **out) {
    char text[256];
    (void)snprintf(text, sizeof text, "%.*s.%s", skv_utf8_prefix(weight, 200), weight, part);
    return skv_graph_unique_name(g, text, out);
}

/* What reads `old`, a parameter or a computed value, reads `fresh`, which gets its name. `old` stays without uses. */
static skive_status take_place(skive_value *old, skive_value *fresh) {
    const char *name = old->name, *aside = NULL;
    SKV_TRY(part_name(old->graph, name, "old", &aside));
    SKV_TRY(skv_value_rename(old, aside));
    SKV_TRY(skv_value_rename(fresh, name));
    return skv_value_replace_uses(old, fresh, true);
}

skive_status skv_shared_make(skive_value *weight, skive_value *codebook, skv_storage *indices) {
    skive_graph *g = weight->graph;
    skv_builder b = skv_build(g);
    const char *name = NULL;
    const bool cast = indices->tensor.dtype != SKIVE_I32;
    const skive_status named = part_name(g, weight->name, "indices", &name);
    if (named != SKIVE_OK) {
        skv_storage_release(indices);
        return named;
    }
    skive_value *at = skv_emit_param(&b, name, indices);
    b.prefix = name;
    if (cast) at = skv_emit(&b, "Cast", SKV_IN(at), SKV_ATTRS(SKV_INT("to", SKIVE_I32)));
    b.prefix = weight->name;
    skive_value *gathered = skv_emit(&b, "Gather", SKV_IN(codebook, at), SKV_ATTRS(SKV_INT("axis", 0)));
    SKV_TRY(b.status);
    codebook->trainable = codebook->trainable || weight->trainable;
    codebook->keeps_zeros = codebook->keeps_zeros || weight->keeps_zeros;
    SKV_TRY(take_place(weight, gathered));
    return skv_graph_remove_value(weight);
}

/* ---- back ---- */

static skive_status drop_parts(const skv_shared *s) {
    const skive_value *cast = s->cast ? s->cast->outputs[0] : NULL;
    SKV_TRY(skv_graph_remove_node(s->gather));
    if (cast && !skv_value_is_read(cast)) SKV_TRY(skv_graph_remove_node(s->cast));
    if (!skv_value_is_read(s->codebook)) SKV_TRY(skv_graph_remove_value(s->codebook));
    return skv_value_is_read(s->indices) ? SKIVE_OK : skv_graph_remove_value(s->indices);
}

skive_status skv_shared_inflate(skive_value *weight) {
    skive_graph *g = weight->graph;
    skv_shared s;
    skv_storage *dense = NULL;
    skive_value *fresh = NULL;
    if (!skv_shared_find(weight, &s))
        return skv_fail_at(g->ctx, SKIVE_ERR_ARGUMENT, weight->name, "'%s' is not stored as a codebook", weight->name);
    const skive_tensor *indices = skv_value_tensor(s.indices);
    const float *codebook = skv_value_tensor(s.codebook)->data;
    SKV_TRY(skv_storage_create(g->ctx, SKIVE_F32, indices->rank, indices->dims, &dense));
    float *to = dense->tensor.data;
    const int64_t n = skive_tensor_count(indices);
    for (int64_t i = 0; i < n; i++) to[i] = codebook[skv_shared_index(indices, i)];
    const skive_status status = skv_graph_new_param(g, NULL, dense, &fresh);
    if (status != SKIVE_OK) {
        skv_storage_release(dense);
        return status;
    }
    skv_value_take_marks(fresh, s.codebook);
    SKV_TRY(take_place(weight, fresh));
    return drop_parts(&s);
}

skive_status skv_shared_inflate_all(skive_graph *g) {
    for (uint32_t i = 0; i < g->n_values; i++) {
        if (!skv_shared_find(g->values[i], NULL)) continue;
        SKV_TRY(skv_shared_inflate(g->values[i]));
        i = UINT32_MAX; /* from the start: values have moved */
    }
    return SKIVE_OK;
}
