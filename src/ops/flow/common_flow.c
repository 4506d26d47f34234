/* See common_flow.h. */
#include "ops/flow/common_flow.h"

#include <string.h>

#include "ops/common_shape.h"
#include "tensor/strings.h"

const skive_graph *skv_flow_graph(const skive_node *n, const char *attribute) {
    const skv_attr *a = skv_node_attr(n, attribute);
    return a ? a->graph : NULL;
}

/* An open dimension of a body has a name outside when the inputs of a graph around it have one of that name. */
static skive_dim named_outside(const skive_graph *body, const skive_dim *dim) {
    for (const skive_graph *g = dim->symbol ? body->parent : NULL; g; g = g->parent) {
        for (uint32_t i = 0; i < g->n_inputs; i++) {
            const skive_type *t = &g->inputs[i]->type;
            for (int d = 0; d < t->rank; d++)
                if (t->dims[d].symbol && strcmp(t->dims[d].symbol, dim->symbol) == 0) return t->dims[d];
        }
    }
    return skv_dim_unknown();
}

skive_type skv_flow_output_type(const skive_graph *body, size_t index, int added) {
    skive_type t = {.rank = -1};
    if (!body || index >= body->n_outputs) return t;
    const skive_type *from = &body->outputs[index]->type;
    t.dtype = from->dtype;
    if (from->rank < 0 || from->rank + added > SKIVE_MAX_RANK) return t;
    t.rank = from->rank + added;
    for (int d = 0; d < added; d++) t.dims[d] = skv_dim_unknown();
    for (int d = 0; d < from->rank; d++)
        t.dims[d + added] = from->dims[d].size >= 0 ? skv_dim(from->dims[d].size) : named_outside(body, &from->dims[d]);
    return t;
}

skive_tensor skv_flow_scalar(const skv_body *body, size_t input, skive_dtype dtype, void *data) {
    const int64_t one = 1;
    return skv_tensor_view(dtype, body->graph->inputs[input]->type.rank == 1 ? 1 : 0, &one, data);
}

skive_status skv_flow_condition(skive_context *ctx, const skive_tensor *t, bool *out) {
    if (t->dtype != SKIVE_BOOL || skive_tensor_count(t) != 1) {
        char text[SKV_DIMS_TEXT + 32];
        return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "the condition is %s, not one bool",
                        skv_tensor_text(t, text, sizeof text));
    }
    *out = skive_tensor_get(t, 0) != 0;
    return SKIVE_OK;
}

void skv_flow_copy_entry(const skive_tensor *whole, int axis, int64_t index, const skive_tensor *part,
                         bool into_whole) {
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < axis; d++) outer *= whole->dims[d];
    for (int d = axis + 1; d < whole->rank; d++) inner *= whole->dims[d];
    const size_t size = (size_t)skive_dtype_bits(whole->dtype) / 8, run = (size_t)inner * size;
    for (int64_t o = 0; o < outer; o++) {
        char *w = (char *)whole->data + (size_t)(o * whole->dims[axis] + index) * run;
        char *p = (char *)part->data + (size_t)o * run;
        if (run == 0) return;
        if (into_whole)
            memcpy(w, p, run);
        else
            memcpy(p, w, run);
    }
}

skive_status skv_flow_keep_text(skive_context *ctx, skv_arena **room, const skive_tensor *entry) {
    if (entry->dtype != SKIVE_STRING) return SKIVE_OK;
    const size_t n = (size_t)skive_tensor_count(entry);
    for (size_t i = 0; i < n; i++) {
        const char *s = skv_string_at(entry, i);
        SKV_TRY(skv_room_string(ctx, room, s, strlen(s), &((const char **)entry->data)[i]));
    }
    return SKIVE_OK;
}

skive_status skv_flow_push(skive_context *ctx, skv_flow_stack *s, const skive_tensor *entry) {
    char was[SKV_DIMS_TEXT + 32], is[SKV_DIMS_TEXT + 32];
    size_t bytes;
    if (s->count == 0) {
        s->entry = *entry;
        s->entry.data = NULL;
        s->entry_bytes = skive_tensor_bytes(entry);
    } else if (s->entry.dtype != entry->dtype || !skv_tensor_same_shape(&s->entry, entry)) {
        return SKV_FAIL(ctx, SKIVE_ERR_SHAPE, "a scan output was %s before and is %s in iteration %zu",
                        skv_tensor_text(&s->entry, was, sizeof was), skv_tensor_text(entry, is, sizeof is), s->count);
    }
    if (entry->rank == SKIVE_MAX_RANK || skive_dtype_bits(entry->dtype) < 8)
        return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "a scan output cannot have type %s",
                        skv_tensor_text(entry, is, sizeof is));
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity ? s->capacity * 2 : 4;
        if (!skv_mul_size(capacity, s->entry_bytes, &bytes))
            return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a scan output is too large");
        SKV_TRY(skv_grow(ctx, &s->data, s->count * s->entry_bytes, bytes + 1, 1));
        s->capacity = capacity;
    }
    SKV_TRY(skv_flow_keep_text(ctx, &s->text, entry));
    if (s->entry_bytes) memcpy(s->data + s->count * s->entry_bytes, entry->data, s->entry_bytes);
    s->count++;
    return SKIVE_OK;
}

skive_status skv_flow_stacked(skive_context *ctx, skv_flow_stack *s, const skive_type *type, skive_tensor *out) {
    int64_t dims[SKIVE_MAX_RANK] = {(int64_t)s->count};
    int rank = s->entry.rank + 1;
    skive_dtype dtype = s->entry.dtype;
    if (s->count == 0) {
        rank = type->rank > 0 ? type->rank : 1;
        dtype = type->dtype;
        for (int d = 1; d < rank; d++) dims[d] = type->dims[d].size > 0 ? type->dims[d].size : 0;
    } else {
        for (int d = 1; d < rank; d++) dims[d] = s->entry.dims[d - 1];
    }
    SKV_TRY(skive_tensor_create(ctx, dtype, rank, dims, out));
    if (s->count && s->entry_bytes) memcpy(out->data, s->data, s->count * s->entry_bytes);
    const skive_status status = skv_strings_own(ctx, out);
    skv_flow_stack_free(ctx, s);
    return status;
}

void skv_flow_stack_free(skive_context *ctx, skv_flow_stack *s) {
    skv_free(ctx, s->data);
    skv_arena_free(s->text);
    *s = (skv_flow_stack){0};
}
