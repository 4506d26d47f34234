/* Scatter, ScatterElements and ScatterND: the data copied, or already in place, then each update written to its place,
 * one after another, so that of several for one place the last one stays, as in the reference. Updates of float32 may
 * also be added, multiplied, or give the larger or smaller number. */
#include <math.h>
#include <string.h>

#include "kernels/indices.h"
#include "ops/index/common_index.h"

typedef struct scatter_state {
    bool tuples;         /* ScatterND */
    skv_reduction how;   /* of float32 */
    size_t item;         /* bytes of an element */
    int64_t n;           /* indices, or tuples of them */
    int64_t piece;       /* TUPLES: elements of an update */
    int64_t size, step;  /* along the axis; elements of y from one index to the next */
    int64_t row, beside; /* updates that only differ in the last axis; elements of y between two of them */
    int rank;
    int64_t dims[SKIVE_MAX_RANK], strides[SKIVE_MAX_RANK]; /* of the indices; of y, 0 along the axis */
    int64_t tuple, limits[SKIVE_MAX_RANK], tuple_step[SKIVE_MAX_RANK];
} scatter_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    const int bits = skive_dtype_bits(x->dtype);
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return skv_decline(why, "elements of %d bits", bits);
    if (n->in[1].type.dtype != SKIVE_I64 && n->in[1].type.dtype != SKIVE_I32)
        return skv_decline(why, "indices that are not integers");
    for (size_t i = 0; i < n->n_in; i++)
        if (n->in[i].absent || (n->in[i].is_parameter && !n->in[i].constant))
            return skv_decline(why, "an absent input, or one that is trained");
    if (x->rank < 1 || skv_type_count(x) < 1 || skv_type_count(&n->in[1].type) < 1 ||
        skv_type_count(&n->in[2].type) < 1)
        return skv_decline(why, "a scalar, or nothing to write");
    const skv_reduction how = skv_reduction_of(n->node);
    if (how != SKV_REDUCE_NONE && x->dtype != SKIVE_F32) return skv_decline(why, "a reduction that is not of float32");
    return how != SKV_REDUCE_UNKNOWN;
}

static void plan_elements(const skv_kernel_node *n, scatter_state *st) {
    const skive_type *x = &n->in[0].type, *index = &n->in[1].type;
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", 0), x->rank);
    st->rank = x->rank;
    st->step = skv_index_steps(n, axis, st->dims, st->strides);
    st->size = x->dims[axis].size;
    st->n = skv_type_count(index);
    st->row = st->dims[x->rank - 1];
    st->beside = st->strides[x->rank - 1];
}

static void plan_tuples(const skv_kernel_node *n, scatter_state *st) {
    const skive_type *x = &n->in[0].type, *index = &n->in[1].type;
    int64_t stride = 1;
    st->tuple = index->dims[index->rank - 1].size;
    st->n = skv_type_count(index) / st->tuple;
    st->piece = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        if (d < st->tuple) {
            st->limits[d] = x->dims[d].size;
            st->tuple_step[d] = stride;
        } else {
            st->piece *= x->dims[d].size;
        }
        stride *= x->dims[d].size;
    }
}

static skive_status prepare(skv_kernel_node *n) {
    scatter_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->item = (size_t)skive_dtype_bits(n->in[0].type.dtype) / 8;
    st->how = skv_reduction_of(n->node);
    st->tuples = skv_node_is(n->node, SKV_OP_SCATTER_ND);
    if (st->tuples)
        plan_tuples(n, st);
    else
        plan_elements(n, st);
    n->in_place = 1u;
    n->state = st;
    return SKIVE_OK;
}

static skive_status outside(const skv_kernel_call *c, int64_t index, int64_t size) {
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->n->node->name,
                       "node '%s': index %lld is out of range for %lld entries", c->n->node->name, (long long)index,
                       (long long)size);
}

static inline float reduced(skv_reduction how, float a, float b) {
    switch (how) {
    case SKV_REDUCE_ADD: return a + b;
    case SKV_REDUCE_MUL: return a * b;
    case SKV_REDUCE_MAX: return a != a || b != b ? NAN : a > b ? a : b;
    case SKV_REDUCE_MIN: return a != a || b != b ? NAN : a < b ? a : b;
    default: return b;
    }
}

static void reduce(skv_reduction how, float *y, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = reduced(how, y[i], from[i]);
}

/* One row of updates, those of the last axis, from y[base] on. */
static skive_status write_row(const skv_kernel_call *c, const scatter_state *st, int64_t first, int64_t base) {
    const char *from = c->in[2];
    char *y = c->out[0];
    for (int64_t i = 0; i < st->row; i++) {
        const int64_t given = skv_index_at(c, first + i), at = given < 0 ? given + st->size : given;
        if (at < 0 || at >= st->size) return outside(c, given, st->size);
        const size_t to = (size_t)(base + i * st->beside + at * st->step), k = (size_t)(first + i);
        if (st->how != SKV_REDUCE_NONE)
            reduce(st->how, (float *)(void *)y + to, (const float *)(const void *)from + k, 1);
        else if (st->item == 4)
            memcpy(y + to * 4, from + k * 4, 4);
        else if (st->item == 8)
            memcpy(y + to * 8, from + k * 8, 8);
        else if (st->item == 2)
            memcpy(y + to * 2, from + k * 2, 2);
        else
            y[to] = from[k];
    }
    return SKIVE_OK;
}

static skive_status write_elements(const skv_kernel_call *c, const scatter_state *st) {
    int64_t at[SKIVE_MAX_RANK] = {0};
    for (int64_t first = 0; first < st->n; first += st->row) {
        int64_t base = 0;
        for (int d = 0; d < st->rank - 1; d++) base += at[d] * st->strides[d];
        SKV_TRY(write_row(c, st, first, base));
        for (int d = st->rank - 2; d >= 0 && ++at[d] == st->dims[d]; d--) at[d] = 0;
    }
    return SKIVE_OK;
}

static skive_status write_tuples(const skv_kernel_call *c, const scatter_state *st) {
    const size_t bytes = (size_t)st->piece * st->item;
    for (int64_t i = 0; i < st->n; i++) {
        int64_t to = 0;
        for (int64_t k = 0; k < st->tuple; k++) {
            const int64_t given = skv_index_at(c, i * st->tuple + k), at = given < 0 ? given + st->limits[k] : given;
            if (at < 0 || at >= st->limits[k]) return outside(c, given, st->limits[k]);
            to += at * st->tuple_step[k];
        }
        if (st->how != SKV_REDUCE_NONE)
            reduce(st->how, (float *)c->out[0] + to, (const float *)c->in[2] + i * st->piece, st->piece);
        else
            memcpy((char *)c->out[0] + (size_t)to * st->item, (const char *)c->in[2] + (size_t)i * bytes, bytes);
    }
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const scatter_state *st = c->n->state;
    if (c->out[0] != c->in[0]) memcpy(c->out[0], c->in[0], (size_t)skv_type_count(&c->n->in[0].type) * st->item);
    return st->tuples ? write_tuples(c, st) : write_elements(c, st);
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_SCATTER_ELEMENTS, SKV_OP_SCATTER_ND, SKV_OP_NONE};

const skv_kernel skv_kernel_scatter = {
    .name = "scatter",
    .brief = "updates written to computed places, in place where the data is not needed again",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
