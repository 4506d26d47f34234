/* Gather, GatherElements and GatherND: the places are read and checked first, then elements or slices are moved. */
#include <string.h>

#include "kernels/indices.h"

enum { PARALLEL_BYTES = 1 << 18 };

typedef enum gather_form { SLICES, ELEMENTS, TUPLES } gather_form;

typedef struct gather_state {
    gather_form form;
    size_t item, piece;  /* bytes of an element; of what is moved at once */
    int64_t n;           /* places to read: indices, or tuples */
    int64_t outer, size; /* SLICES: x [outer][size][piece], y [outer][n][piece]; ELEMENTS: size along the axis */
    int64_t step;        /* ELEMENTS: x from one index to the next */
    int rank;            /* ELEMENTS: of the indices */
    int64_t dims[SKIVE_MAX_RANK], strides[SKIVE_MAX_RANK]; /* ELEMENTS: of the indices, of x, 0 along the axis */
    int64_t tuple, per_batch, batch_step;                  /* TUPLES */
    int64_t limits[SKIVE_MAX_RANK], tuple_step[SKIVE_MAX_RANK];
    int threads;
} gather_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const int bits = skive_dtype_bits(n->in[0].type.dtype);
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return skv_decline(why, "elements of %d bits", bits);
    if (n->in[1].type.dtype != SKIVE_I64 && n->in[1].type.dtype != SKIVE_I32)
        return skv_decline(why, "indices that are not integers");
    if (n->in[0].type.rank < 1 || n->in[1].is_parameter != (n->in[1].constant != NULL))
        return skv_decline(why, "a scalar, or trained indices");
    if (skv_type_count(&n->out[0].type) < 1 || skv_type_count(&n->in[0].type) < 1) return skv_decline(why, "empty");
    return true;
}

static void plan_slices(const skv_kernel_node *n, gather_state *st, int axis) {
    const skive_type *x = &n->in[0].type;
    int64_t behind;
    skv_around_axis(x, axis, &st->outer, &st->size, &behind);
    st->piece *= (size_t)behind;
    st->n = skv_type_count(&n->in[1].type);
}

static void plan_elements(const skv_kernel_node *n, gather_state *st, int axis) {
    const skive_type *x = &n->in[0].type, *index = &n->in[1].type;
    st->rank = index->rank;
    st->step = skv_index_steps(n, axis, st->dims, st->strides);
    st->size = x->dims[axis].size;
    st->n = skv_type_count(index);
}

static void plan_tuples(const skv_kernel_node *n, gather_state *st) {
    const skive_type *x = &n->in[0].type, *index = &n->in[1].type;
    const int batch = (int)skv_attr_int(n->node, "batch_dims", 0);
    int64_t strides[SKIVE_MAX_RANK] = {0}, stride = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= x->dims[d].size;
    }
    st->tuple = index->dims[index->rank - 1].size;
    st->n = st->per_batch = 1;
    for (int d = 0; d < index->rank - 1; d++) {
        st->n *= index->dims[d].size;
        if (d >= batch) st->per_batch *= index->dims[d].size;
    }
    st->batch_step = batch > 0 ? strides[batch - 1] : 0;
    for (int64_t k = 0; k < st->tuple; k++) {
        st->limits[k] = x->dims[batch + k].size;
        st->tuple_step[k] = strides[batch + k];
    }
    for (int d = batch + (int)st->tuple; d < x->rank; d++) st->piece *= (size_t)x->dims[d].size;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    gather_state *st = NULL;
    size_t bytes;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->item = st->piece = (size_t)skive_dtype_bits(x->dtype) / 8;
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", 0), x->rank);
    if (skv_node_is(n->node, SKV_OP_GATHER)) {
        st->form = SLICES;
        plan_slices(n, st, axis);
    } else if (skv_node_is(n->node, SKV_OP_GATHER_ELEMENTS)) {
        st->form = ELEMENTS;
        plan_elements(n, st, axis);
    } else {
        st->form = TUPLES;
        plan_tuples(n, st);
    }
    if (!skv_mul_size((size_t)st->n, sizeof(int64_t), &bytes)) {
        skv_free(n->ctx, st);
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too many indices");
    }
    n->scratch_bytes = st->form == ELEMENTS ? 0 : bytes;
    st->threads = (size_t)skv_type_count(&n->out[0].type) * st->item < PARALLEL_BYTES ? 1 : n->threads;
    n->state = st;
    return SKIVE_OK;
}

static skive_status outside(const skv_kernel_call *c, int64_t index, int64_t size) {
    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->n->node->name,
                       "node '%s': index %lld is out of range for a dimension of %lld", c->n->node->name,
                       (long long)index, (long long)size);
}

/* The places in units of what is moved (SLICES) or of elements (TUPLES). */
static skive_status read_places(const skv_kernel_call *c, const gather_state *st, int64_t *place) {
    for (int64_t i = 0; i < st->n; i++) {
        if (st->form == SLICES) {
            const int64_t given = skv_index_at(c, i), at = given < 0 ? given + st->size : given;
            if (at < 0 || at >= st->size) return outside(c, given, st->size);
            place[i] = at;
            continue;
        }
        place[i] = i / st->per_batch * st->batch_step;
        for (int64_t k = 0; k < st->tuple; k++) {
            const int64_t given = skv_index_at(c, i * st->tuple + k), at = given < 0 ? given + st->limits[k] : given;
            if (at < 0 || at >= st->limits[k]) return outside(c, given, st->limits[k]);
            place[i] += at * st->tuple_step[k];
        }
    }
    return SKIVE_OK;
}

/* y[i] = x[place[i]] for pieces of `bytes`, places counted in `unit` bytes. */
static void move(const int64_t *place, int64_t n, size_t bytes, size_t unit, const char *x, char *y) {
#define EACH(T)                                                                                       \
    if (bytes == sizeof(T) && unit == sizeof(T)) {                                                    \
        for (int64_t i = 0; i < n; i++) ((T *)(void *)y)[i] = ((const T *)(const void *)x)[place[i]]; \
        return;                                                                                       \
    }
    EACH(uint8_t)
    EACH(uint16_t)
    EACH(uint32_t)
    EACH(uint64_t)
#undef EACH
    for (int64_t i = 0; i < n; i++) memcpy(y + (size_t)i * bytes, x + (size_t)place[i] * unit, bytes);
}

/* One row of the indices' last axis, from the element `from` of x. False: an index is out of range. */
#define ELEMENT_ROW(T, I)                                                                                          \
    static int64_t row_##T##_##I(const I *index, int64_t n, int64_t size, int64_t step, int64_t along, const T *x, \
                                 T *y) {                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                          \
            const int64_t given = (int64_t)index[i], at = given < 0 ? given + size : given;                        \
            if (at < 0 || at >= size) return i;                                                                    \
            y[i] = x[at * step + i * along];                                                                       \
        }                                                                                                          \
        return n;                                                                                                  \
    }
#define ELEMENT_ROWS(T) ELEMENT_ROW(T, int32_t) ELEMENT_ROW(T, int64_t)
ELEMENT_ROWS(uint8_t)
ELEMENT_ROWS(uint16_t)
ELEMENT_ROWS(uint32_t)
ELEMENT_ROWS(uint64_t)

static skive_status elements(const skv_kernel_call *c, const gather_state *st) {
    const int last = st->rank - 1;
    const int64_t n = st->dims[last];
    const bool narrow = c->n->in[1].type.dtype == SKIVE_I32;
    for (int64_t at = 0; at < st->n; at += n) {
        int64_t from = 0, rest = at / n, done = n;
        for (int d = last - 1; d >= 0; d--) {
            from += rest % st->dims[d] * st->strides[d];
            rest /= st->dims[d];
        }
        const char *x = (const char *)c->in[0] + (size_t)from * st->item;
        char *y = (char *)c->out[0] + (size_t)at * st->item;
        const void *index = narrow ? (const void *)((const int32_t *)c->in[1] + at) : (const int64_t *)c->in[1] + at;
        switch (st->item) {
#define CASE(T)                                                                                                        \
    case sizeof(T):                                                                                                    \
        done = narrow ? row_##T##_int32_t(index, n, st->size, st->step, st->strides[last], (const T *)(const void *)x, \
                                          (T *)(void *)y)                                                              \
                      : row_##T##_int64_t(index, n, st->size, st->step, st->strides[last], (const T *)(const void *)x, \
                                          (T *)(void *)y);                                                             \
        break;
            CASE(uint8_t)
            CASE(uint16_t)
            CASE(uint32_t)
            CASE(uint64_t)
#undef CASE
        }
        if (done < n) return outside(c, skv_index_at(c, at + done), st->size);
    }
    return SKIVE_OK;
}

static skive_status run(const skv_kernel_call *c) {
    const gather_state *st = c->n->state;
    int64_t *place = c->scratch;
    const char *x = c->in[0];
    char *y = c->out[0];
    const int threads = st->threads;
    if (st->form == ELEMENTS) return elements(c, st);
    SKV_TRY(read_places(c, st, place));
    if (st->form == TUPLES) {
        move(place, st->n, st->piece, st->item, x, y);
        return SKIVE_OK;
    }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t o = 0; o < st->outer; o++)
        move(place, st->n, st->piece, st->piece, x + (size_t)(o * st->size) * st->piece,
             y + (size_t)(o * st->n) * st->piece);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_GATHER, SKV_OP_GATHER_ELEMENTS, SKV_OP_GATHER_ND, SKV_OP_NONE};

const skv_kernel skv_kernel_gather = {
    .name = "gather",
    .brief = "slices and elements by index",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
