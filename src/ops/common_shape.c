/* Axes, list operands, strided copies and type arithmetic for the ops that move data. See common_shape.h. */
#include "ops/common_shape.h"

bool skv_dim_same(skive_dim a, skive_dim b) {
    if (a.size >= 0 || b.size >= 0) return a.size == b.size;
    return a.symbol && b.symbol && strcmp(a.symbol, b.symbol) == 0;
}

bool skv_shape_same(const skive_type *a, const skive_type *b) {
    if (a->rank < 0 || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (!skv_dim_same(a->dims[i], b->dims[i])) return false;
    return true;
}

skive_status skv_infer_limit(skv_infer *c, const skive_type *t) {
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i].size < 0) continue;
        if (t->dims[i].size == 0) return SKIVE_OK;
        if (!skv_mul_i64(count, t->dims[i].size, &count) || count > SKV_MAX_ELEMENTS) {
            char text[SKV_DIMS_TEXT + 32];
            skv_type_text(t, text, sizeof text);
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "the result %s has too many elements", text);
        }
    }
    return SKIVE_OK;
}

const skive_type *skv_infer_in(const skv_infer *c, size_t i) {
    static const skive_type nothing = {.dtype = SKIVE_DTYPE_NONE, .rank = -1};
    return i < c->n_in && c->in[i] ? c->in[i] : &nothing;
}

int64_t skv_axis(int64_t axis, int rank) {
    if (axis < -(int64_t)rank || axis >= (int64_t)rank) return -1;
    return axis < 0 ? axis + rank : axis;
}

skive_status skv_infer_axis(skv_infer *c, const char *what, int64_t axis, int rank, int *out) {
    int64_t at = skv_axis(axis, rank);
    if (at < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s %lld is outside a tensor of rank %d", what, (long long)axis,
                              rank);
    *out = (int)at;
    return SKIVE_OK;
}

int skv_read_ints(const skive_tensor *t, int64_t *out, int limit) {
    if (!t || (t->dtype != SKIVE_I64 && t->dtype != SKIVE_I32) || t->rank > 1) return -1;
    int64_t n = skive_tensor_count(t);
    if (n < 0 || n > limit || (n > 0 && !t->data)) return -1;
    for (int64_t i = 0; i < n; i++) out[i] = skv_load_i64(t->dtype, t->data, (size_t)i);
    return (int)n;
}

static skive_status bad_list(skive_context *ctx, const skive_node *node, const char *what, const skive_tensor *t,
                             int limit) {
    char text[SKV_DIMS_TEXT + 32];
    return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "%s is %s, not a list of at most %d int64 values", what,
                       skv_tensor_text(t, text, sizeof text), limit);
}

skive_status skv_infer_ints(skv_infer *c, size_t i, const char *what, int64_t *out, int limit, int *n) {
    *n = -1;
    if (i >= c->n_in || !c->in[i]) return SKIVE_OK;
    const skive_dtype dtype = c->in[i]->dtype;
    if (dtype != SKIVE_DTYPE_NONE && dtype != SKIVE_I64 && dtype != SKIVE_I32) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %s must be integers, not %s", c->node->name, what,
                              skive_dtype_name(dtype));
    }
    if (!c->constant[i]) return SKIVE_OK;
    if (!c->constant[i]->data && skive_tensor_count(c->constant[i]) != 0) return SKIVE_OK; /* not kept dense */
    *n = skv_read_ints(c->constant[i], out, limit);
    return *n < 0 ? bad_list(c->ctx, c->node, what, c->constant[i], limit) : SKIVE_OK;
}

skive_status skv_eval_ints(const skv_eval *c, size_t i, const char *what, int64_t *out, int limit, int *n) {
    *n = -1;
    if (i >= c->n_in || !c->in[i]) return SKIVE_OK;
    *n = skv_read_ints(c->in[i], out, limit);
    return *n < 0 ? bad_list(c->ctx, c->node, what, c->in[i], limit) : SKIVE_OK;
}

const skive_tensor *skv_node_constant(const skive_node *n, size_t i) {
    const skive_tensor *t = skv_value_tensor(skv_node_in(n, i));
    return t && t->data ? t : NULL;
}

bool skv_list_element(const skive_node *n, size_t i, int64_t index, int64_t *out) {
    const skive_value *v = skv_node_in(n, i);
    const skive_tensor *t = skv_value_tensor(v);
    int64_t list[SKIVE_MAX_RANK];
    if (t) {
        const int length = t->data ? skv_read_ints(t, list, SKIVE_MAX_RANK) : -1;
        if (index >= 0 || length + index < 0) return false;
        *out = list[length + index];
        return true;
    }
    if (!v || !v->producer || !skv_node_is(v->producer, SKV_OP_CONCAT)) return false;
    for (uint32_t k = v->producer->n_inputs; k-- > 0;) {
        const skive_value *part = v->producer->inputs[k];
        if (!part || part->type.rank != 1 || part->type.dims[0].size < 0) return false;
        if (-index <= part->type.dims[0].size) return skv_list_element(v->producer, k, index, out);
        index += part->type.dims[0].size;
    }
    return false;
}

int64_t skv_infer_list_length(const skv_infer *c, size_t i) {
    const skive_type *t = skv_infer_in(c, i);
    if (t->rank == 0) return 1;
    return t->rank == 1 ? t->dims[0].size : -1;
}

bool skv_axes_mask(const int64_t *axes, int n, int rank, uint32_t *mask) {
    *mask = 0;
    for (int i = 0; i < n; i++) {
        int64_t a = skv_axis(axes[i], rank);
        if (a < 0 || (*mask >> a & 1u)) return false;
        *mask |= 1u << a;
    }
    return true;
}

/* ---- copies ---- */

void skv_copy_element(skive_dtype dtype, void *to, size_t i, const void *from, size_t j) {
    switch (skive_dtype_bits(dtype)) {
    case 2: skv_store_narrow(2, to, i, skv_load_narrow(2, from, j)); return;
    case 4: skv_store_narrow(4, to, i, skv_load_narrow(4, from, j)); return;
    case 8: ((uint8_t *)to)[i] = ((const uint8_t *)from)[j]; return;
    case 16: ((uint16_t *)to)[i] = ((const uint16_t *)from)[j]; return;
    case 32: ((uint32_t *)to)[i] = ((const uint32_t *)from)[j]; return;
    case 64: ((uint64_t *)to)[i] = ((const uint64_t *)from)[j]; return;
    default: return;
    }
}

/* A run of n elements along the last axis. */
static void copy_run(skive_dtype dtype, int64_t n, void *to, int64_t at, int64_t to_stride, const void *from,
                     int64_t src, int64_t from_stride) {
    int bits = skive_dtype_bits(dtype);
    if (to_stride == 1 && from_stride == 1 && bits >= 8) {
        size_t size = (size_t)bits / 8;
        memcpy((char *)to + (size_t)at * size, (const char *)from + (size_t)src * size, (size_t)n * size);
        return;
    }
    for (int64_t i = 0; i < n; i++, at += to_stride, src += from_stride)
        skv_copy_element(dtype, to, (size_t)at, from, (size_t)src);
}

void skv_copy_strided(skive_dtype dtype, int rank, const int64_t *dims, void *to, int64_t to_first,
                      const int64_t *to_strides, const void *from, int64_t from_first, const int64_t *from_strides) {
    int64_t index[SKIVE_MAX_RANK] = {0}, at = to_first, src = from_first;
    for (int d = 0; d < rank; d++)
        if (dims[d] <= 0) return;
    if (rank == 0) {
        skv_copy_element(dtype, to, (size_t)at, from, (size_t)src);
        return;
    }
    int last = rank - 1;
    for (;;) {
        copy_run(dtype, dims[last], to, at, to_strides[last], from, src, from_strides[last]);
        int d = last - 1;
        for (; d >= 0; d--) {
            at += to_strides[d];
            src += from_strides[d];
            if (++index[d] < dims[d]) break;
            at -= to_strides[d] * dims[d];
            src -= from_strides[d] * dims[d];
            index[d] = 0;
        }
        if (d < 0) return;
    }
}

skive_status skv_run_copy(const skv_eval *c) {
    size_t bytes = skive_tensor_bytes(c->in[0]);
    if (c->in[0]->dtype != c->out[0]->dtype || skive_tensor_bytes(c->out[0]) != bytes)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "input and output differ in size");
    if (bytes) memmove(c->out[0]->data, c->in[0]->data, bytes);
    return SKIVE_OK;
}

/* ---- gradients, ranges, costs ---- */

skive_status skv_grad_reshape(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_emit(c->b, "ReshapeLike", SKV_IN(c->dout[0], c->node->inputs[0]), SKV_NONE);
    return c->b->status;
}

skive_status skv_grad_zero(skv_grad *c) { return c->b->status; }

skv_range skv_range_first(const skive_node *n, const skv_range *in) {
    (void)n;
    return in[0];
}

void skv_cost_none(const skive_node *n, skive_cost *cost) {
    (void)n;
    (void)cost;
}

/* ---- coupling ---- */

void skv_couple_fix_all(skv_couple *c, const char *why) {
    const skive_node *n = skv_couple_node(c);
    for (int side = 0; side < 2; side++) {
        size_t count = side ? n->n_outputs : n->n_inputs;
        for (size_t i = 0; i < count; i++) {
            skv_slot slot = {side != 0, (int)i, 0};
            const skive_type *t = skv_couple_type(c, slot);
            for (int a = 0; t && a < t->rank; a++) {
                slot.axis = a;
                skv_couple_fix(c, slot, why);
            }
        }
    }
}

void skv_couple_same_axes(skv_couple *c, int input) {
    const skive_type *in = skv_couple_type(c, SKV_CIN(input, 0)), *out = skv_couple_type(c, SKV_COUT(0, 0));
    if (!in || !out) return;
    if (in->rank != out->rank || in->rank < 0) {
        skv_couple_fix_all(c, "it is combined with a value of unknown shape");
        return;
    }
    for (int a = 0; a < in->rank; a++) {
        if (in->dims[a].size == out->dims[a].size && in->dims[a].size > 0) {
            skv_couple_same(c, SKV_CIN(input, a), SKV_COUT(0, a));
        } else if (in->dims[a].size >= 0 || out->dims[a].size >= 0) {
            skv_couple_fix(c, SKV_CIN(input, a), "it is combined with a value of unknown size");
            skv_couple_fix(c, SKV_COUT(0, a), "it is combined with a value of unknown size");
        }
    }
}
