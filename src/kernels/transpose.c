/* Transpose of elements of 1, 2, 4 or 8 bytes. Axes that stay side by side are one; what is then contiguous is copied
 * as it is, the rest moves in square tiles, so that both sides stay in the first-level cache. */
#include <string.h>

#include "kernels/kernel.h"

enum { TILE = 16, PARALLEL_FROM = 1 << 15 };

typedef struct transpose_state {
    int rank;                                           /* of the output with axes put together */
    int64_t dims[SKIVE_MAX_RANK], from[SKIVE_MAX_RANK]; /* sizes, and the input's stride of each, in elements */
    int64_t to[SKIVE_MAX_RANK];                         /* the output's */
    int64_t outer;                                      /* combinations of the axes that are not moved in tiles */
    int across;                                         /* the output axis that is the input's last; -1: the last one */
    size_t size;
    int threads;
} transpose_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    if (skive_dtype_bits(n->in[0].type.dtype) < 8) return skv_decline(why, "4-bit elements");
    return true;
}

/* perm[i]: the input axis that is output axis i. */
static void read_perm(const skv_kernel_node *n, int *perm) {
    size_t count;
    const int rank = n->in[0].type.rank;
    const int64_t *given = skv_attr_ints(n->node, "perm", &count);
    for (int i = 0; i < rank; i++) perm[i] = given ? (int)given[i] : rank - 1 - i;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    int perm[SKIVE_MAX_RANK], before = -2;
    int64_t strides[SKIVE_MAX_RANK], stride = 1;
    transpose_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    n->in[0].layout = SKV_PLAIN;
    read_perm(n, perm);
    for (int d = x->rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= x->dims[d].size;
    }
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[perm[i]].size == 1) continue;
        if (st->rank && before >= 0 && strides[before] == strides[perm[i]] * x->dims[perm[i]].size) {
            st->dims[st->rank - 1] *= x->dims[perm[i]].size;
            st->from[st->rank - 1] = strides[perm[i]];
        } else {
            st->dims[st->rank] = x->dims[perm[i]].size;
            st->from[st->rank++] = strides[perm[i]];
        }
        before = perm[i];
    }
    if (st->rank == 0) st->dims[0] = st->from[0] = 1, st->rank = 1;
    st->across = -1;
    stride = 1;
    for (int d = st->rank - 1; d >= 0; d--) {
        st->to[d] = stride;
        stride *= st->dims[d];
        if (st->from[d] == 1 && d != st->rank - 1) st->across = d;
    }
    st->outer = 1;
    for (int d = 0; d < st->rank - 1; d++)
        if (d != st->across) st->outer *= st->dims[d];
    st->size = (size_t)skive_dtype_bits(x->dtype) / 8;
    st->threads = skv_type_count(x) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

/* y[i][j] = x[j][i]: i along the axis that was the input's last, j along the output's last. */
#define MOVE(T)                                                                                       \
    static void move_##T(const T *x, int64_t from, T *y, int64_t to, int64_t across, int64_t along) { \
        for (int64_t i0 = 0; i0 < across; i0 += TILE) {                                               \
            const int64_t i1 = i0 + TILE < across ? i0 + TILE : across;                               \
            for (int64_t j0 = 0; j0 < along; j0 += TILE) {                                            \
                const int64_t j1 = j0 + TILE < along ? j0 + TILE : along;                             \
                for (int64_t i = i0; i < i1; i++)                                                     \
                    for (int64_t j = j0; j < j1; j++) y[i * to + j] = x[j * from + i];                \
            }                                                                                         \
        }                                                                                             \
    }
MOVE(uint8_t)
MOVE(uint16_t)
MOVE(uint32_t)
MOVE(uint64_t)

static void one_slice(const transpose_state *st, int64_t index, const char *x, char *y) {
    const int last = st->rank - 1;
    int64_t from = 0, to = 0;
    for (int d = last - 1; d >= 0; d--) {
        if (d == st->across) continue;
        from += index % st->dims[d] * st->from[d];
        to += index % st->dims[d] * st->to[d];
        index /= st->dims[d];
    }
    const void *src = x + (size_t)from * st->size;
    void *dst = y + (size_t)to * st->size;
    if (st->across < 0) { /* the output's last axis is the input's */
        memcpy(dst, src, (size_t)st->dims[last] * st->size);
        return;
    }
    const int64_t across = st->dims[st->across], along = st->dims[last];
    switch (st->size) {
    case 1: move_uint8_t(src, st->from[last], dst, st->to[st->across], across, along); break;
    case 2: move_uint16_t(src, st->from[last], dst, st->to[st->across], across, along); break;
    case 4: move_uint32_t(src, st->from[last], dst, st->to[st->across], across, along); break;
    default: move_uint64_t(src, st->from[last], dst, st->to[st->across], across, along); break;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const transpose_state *st = c->n->state;
    const char *x = c->in[0];
    char *y = c->out[0];
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < st->outer; i++) one_slice(st, i, x, y);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_TRANSPOSE, SKV_OP_NONE};

const skv_kernel skv_kernel_transpose = {
    .name = "transpose",
    .brief = "axes permuted, in tiles",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
