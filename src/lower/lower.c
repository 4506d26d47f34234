/* Lifetimes, results in place, and the steps of a graph; see lower.h. */
#include "lower/lower.h"

#include "graph/op.h"
#include "lower/memory.h"
#include "tensor/tensor.h"

/* ---- memory ---- */

static uint32_t root(const skv_lowering *l, uint32_t slot) {
    while (l->slots[slot].alias != slot) slot = l->slots[slot].alias;
    return slot;
}

static void touch(skv_lowering *l, uint32_t slot, uint32_t step) {
    if (slot == SKV_NO_SLOT) return;
    skv_lower_slot *s = &l->slots[slot];
    if (step < s->first) s->first = step;
    if (step > s->last) s->last = step;
}

static void find_lifetimes(skv_lowering *l) {
    for (size_t i = 0; i < l->n_slots; i++) {
        l->slots[i].first = UINT32_MAX;
        l->slots[i].last = 0;
        l->slots[i].alias = (uint32_t)i;
        l->slots[i].read_until = 0;
    }
    for (size_t i = 0; i < l->n_steps; i++) {
        const skv_lower_step *s = &l->steps[i];
        for (size_t k = 0; k < s->n_in; k++) touch(l, s->in[k], (uint32_t)i);
        for (size_t k = 0; k < s->n_out; k++) touch(l, s->out[k], (uint32_t)i);
    }
    for (size_t i = 0; i < l->n_reads; i++) {
        skv_lower_slot *s = &l->slots[l->reads[i].slot];
        touch(l, l->reads[i].slot, l->reads[i].step);
        if (l->reads[i].step >= s->read_until) s->read_until = l->reads[i].step + 1;
    }
    for (size_t i = 0; i < l->n_slots; i++) {
        if (l->slots[i].pinned) touch(l, (uint32_t)i, (uint32_t)l->n_steps);
        /* Values written before a run are needed from its start, and are still valid in a second run. */
        if (l->slots[i].input || l->slots[i].first == UINT32_MAX) l->slots[i].first = 0;
    }
}

static void share_in_place(skv_lowering *l) {
    for (size_t i = 0; i < l->n_steps; i++) {
        const skv_lower_step *s = &l->steps[i];
        if (!s->in_place || s->n_out == 0 || s->out[0] == SKV_NO_SLOT) continue;
        skv_lower_slot *out = &l->slots[s->out[0]];
        for (uint32_t k = 0; k < s->n_in && k < 32; k++) {
            if (!(s->in_place >> k & 1u) || s->in[k] == SKV_NO_SLOT) continue;
            const uint32_t r = root(l, s->in[k]);
            skv_lower_slot *in = &l->slots[r];
            if (in->outside || in->pinned || in->last != i || in->bytes != out->bytes) continue;
            if (in->read_until > i) continue; /* read again when the step is done */
            bool twice = false; /* another input in the same memory would be overwritten while it is read */
            for (uint32_t j = 0; j < s->n_in; j++)
                twice = twice || (j != k && s->in[j] != SKV_NO_SLOT && root(l, s->in[j]) == r);
            if (twice) continue;
            out->alias = r;
            in->last = out->last;
            in->pinned = out->pinned;
            if (out->read_until > in->read_until) in->read_until = out->read_until;
            break;
        }
    }
}

skive_status skv_lower_memory(skive_context *ctx, skv_lowering *l, size_t align) {
    skv_piece *pieces = NULL;
    size_t n = 0;
    skive_status status;
    find_lifetimes(l);
    share_in_place(l);
    SKV_TRY(skv_alloc_array(ctx, l->n_slots + 1, sizeof *pieces, &pieces));
    for (size_t i = 0; i < l->n_slots; i++) {
        const skv_lower_slot *s = &l->slots[i];
        if (!s->outside && s->alias == i)
            pieces[n++] = (skv_piece){.bytes = s->bytes, .first = s->first, .last = s->last};
    }
    status = skv_pieces_pack(ctx, pieces, n, align, &l->bytes);
    n = 0;
    for (size_t i = 0; i < l->n_slots; i++) {
        skv_lower_slot *s = &l->slots[i];
        if (!s->outside && s->alias == i) s->offset = pieces[n++].offset;
    }
    for (size_t i = 0; i < l->n_slots; i++) l->slots[i].offset = l->slots[root(l, (uint32_t)i)].offset;
    skv_free(ctx, pieces);
    return status;
}

/* ---- steps ---- */

uint32_t skv_lower_in_place(const skive_node *n) {
    uint32_t allowed = 0;
    const skive_value *y = n->n_outputs ? n->outputs[0] : NULL;
    for (uint32_t i = 0; y && n->op && n->op->pointwise && i < n->n_inputs && i < 32; i++) {
        const skive_value *x = n->inputs[i];
        if (x && x->type.dtype == y->type.dtype && skv_type_same_static(&x->type, &y->type)) allowed |= 1u << i;
    }
    return allowed;
}

static bool is_view(const skive_node *n) {
    const skive_value *x = skv_node_in(n, 0), *y = n->outputs[0];
    return skv_node_reshapes(n) && x && y && !x->storage && !x->is_input && x->output_uses == 0 && y->output_uses == 0;
}

static skive_status new_slot(skive_context *ctx, skv_lowering *l, const skive_value *v) {
    skv_lower_slot *s = &l->slots[l->n_slots];
    int64_t count = 1;
    *s = (skv_lower_slot){.outside = v->storage != NULL,
                          .input = v->is_input && !v->storage,
                          .pinned = v->is_input || v->output_uses > 0};
    if (!skv_type_is_static(&v->type))
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, v->name, "the shape of value '%s' is not known", v->name);
    for (int d = 0; d < v->type.rank; d++)
        if (__builtin_mul_overflow(count, v->type.dims[d].size, &count)) count = -1;
    if (count < 0 || !skv_dtype_bytes(v->type.dtype, count, &s->bytes))
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, v->name, "value '%s' is too large, or of a type without a size",
                           v->name);
    l->slot_of[v->id] = (uint32_t)l->n_slots++;
    return SKIVE_OK;
}

static skive_status slot_for(skive_context *ctx, skv_lowering *l, const skive_value *v, uint32_t *out) {
    *out = SKV_NO_SLOT;
    if (!v) return SKIVE_OK;
    if (l->slot_of[v->id] == SKV_NO_SLOT) SKV_TRY(new_slot(ctx, l, v));
    *out = l->slot_of[v->id];
    return SKIVE_OK;
}

static skive_status add_step(skive_context *ctx, skv_lowering *l, const skive_node *n, uint32_t **places) {
    if (!n->op || n->op->flow || !n->op->run)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "node '%s' (%s) cannot be a step", n->name, n->op_type);
    if (is_view(n)) return slot_for(ctx, l, n->inputs[0], &l->slot_of[n->outputs[0]->id]);
    skv_lower_step *s = &l->steps[l->n_steps];
    *s = (skv_lower_step){.node = n,
                          .in = *places,
                          .out = *places + n->n_inputs,
                          .n_in = n->n_inputs,
                          .n_out = n->n_outputs,
                          .in_place = skv_lower_in_place(n)};
    *places += n->n_inputs + n->n_outputs;
    for (uint32_t i = 0; i < n->n_inputs; i++) SKV_TRY(slot_for(ctx, l, n->inputs[i], &s->in[i]));
    for (uint32_t i = 0; i < n->n_outputs; i++) SKV_TRY(slot_for(ctx, l, n->outputs[i], &s->out[i]));
    l->n_steps++;
    return SKIVE_OK;
}

static skive_status add_steps(skive_context *ctx, const skive_graph *g, skv_lowering *l, skive_node *const *order) {
    size_t places = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) places += (size_t)g->nodes[i]->n_inputs + g->nodes[i]->n_outputs;
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_nodes + 1, sizeof *l->steps, &l->steps));
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *l->slots, &l->slots));
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_values + 1, sizeof *l->slot_of, &l->slot_of));
    SKV_TRY(skv_alloc_array(ctx, places + 1, sizeof *l->places, &l->places));
    for (uint32_t i = 0; i < g->n_values; i++) l->slot_of[i] = SKV_NO_SLOT;
    uint32_t *next = l->places, ignored;
    for (uint32_t i = 0; i < g->n_inputs; i++) SKV_TRY(slot_for(ctx, l, g->inputs[i], &ignored));
    for (uint32_t i = 0; i < g->n_nodes; i++) SKV_TRY(add_step(ctx, l, order[i], &next));
    for (uint32_t i = 0; i < g->n_outputs; i++) SKV_TRY(slot_for(ctx, l, g->outputs[i], &ignored));
    return SKIVE_OK;
}

skive_status skv_lower_graph(skive_context *ctx, const skive_graph *g, size_t align, skv_lowering *out) {
    skive_node **order = NULL;
    *out = (skv_lowering){0};
    skive_status status = skv_graph_topo(g, &order);
    if (status == SKIVE_OK) status = add_steps(ctx, g, out, order);
    if (status == SKIVE_OK) status = skv_lower_memory(ctx, out, align);
    skv_free(ctx, order);
    if (status != SKIVE_OK) skv_lowering_free(ctx, out);
    return status;
}

void skv_lowering_free(skive_context *ctx, skv_lowering *l) {
    skv_free(ctx, l->steps);
    skv_free(ctx, l->slots);
    skv_free(ctx, l->slot_of);
    skv_free(ctx, l->places);
    *l = (skv_lowering){0};
}
