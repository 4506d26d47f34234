/* Transpose, DepthToSpace and SpaceToDepth of elements of 1, 2, 4 or 8 bytes. Axes that stay side by side are one; what
 * is then contiguous is copied as it is, the rest moves in square tiles, so that both sides stay in the first-level
 * cache, and within them in squares of whole vectors. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/turn.h"
#include "ops/shape/common_block.h"

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
    if (skv_type_count(&n->in[0].type) < 1) return skv_decline(why, "empty");
    return true;
}

/* The input's axes and perm[i]: the one that is output axis i. */
static int read_axes(const skv_kernel_node *n, int64_t *dims, int *perm) {
    const skive_type *x = &n->in[0].type;
    int64_t sizes[SKIVE_MAX_RANK];
    size_t count;
    for (int d = 0; d < x->rank; d++) sizes[d] = x->dims[d].size;
    if (skv_node_is(n->node, SKV_OP_DEPTH_TO_SPACE)) return skv_depth_to_space_axes(n->node, sizes, dims, perm);
    if (skv_node_is(n->node, SKV_OP_SPACE_TO_DEPTH)) return skv_space_to_depth_axes(n->node, sizes, dims, perm);
    const int64_t *given = skv_attr_ints(n->node, "perm", &count);
    for (int i = 0; i < x->rank; i++) {
        dims[i] = sizes[i];
        perm[i] = given ? (int)given[i] : x->rank - 1 - i;
    }
    return x->rank;
}

/* With the channels last, those of one position stay together: [N][H][W][b][b][C] to [N][H][b][W][b][C]. */
static bool in_positions(const skv_kernel_node *n) {
    return skv_node_is(n->node, SKV_OP_DEPTH_TO_SPACE) && n->in[0].layout == SKV_NHWC && n->in[0].type.rank == 4 &&
           strcmp(skv_attr_string(n->node, "mode", "DCR"), "DCR") == 0;
}

static int position_axes(const skv_kernel_node *n, int64_t *dims, int *perm) {
    enum { RANK = 6 };
    static const int order[RANK] = {0, 1, 3, 2, 4, 5};
    const skive_dim *x = n->in[0].type.dims;
    const int64_t block = skv_attr_int(n->node, "blocksize", 1);
    const int64_t sizes[RANK] = {x[0].size, x[2].size, x[3].size, block, block, x[1].size / (block * block)};
    memcpy(dims, sizes, sizeof sizes);
    memcpy(perm, order, sizeof order);
    return RANK;
}

static skive_status prepare(skv_kernel_node *n) {
    int perm[SKIVE_MAX_RANK] = {0}, before = -2;
    int64_t dims[SKIVE_MAX_RANK] = {0}, strides[SKIVE_MAX_RANK] = {0}, stride = 1;
    transpose_state *st = NULL;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    n->state = st;
    if (!in_positions(n)) n->in[0].layout = SKV_PLAIN;
    n->out[0].layout = n->in[0].layout;
    const int rank = n->in[0].layout == SKV_PLAIN ? read_axes(n, dims, perm) : position_axes(n, dims, perm);
    for (int d = rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= dims[d];
    }
    for (int i = 0; i < rank; i++) {
        if (dims[perm[i]] == 1) continue;
        if (st->rank && before >= 0 && strides[before] == strides[perm[i]] * dims[perm[i]]) {
            st->dims[st->rank - 1] *= dims[perm[i]];
            st->from[st->rank - 1] = strides[perm[i]];
        } else {
            st->dims[st->rank] = dims[perm[i]];
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
    st->size = (size_t)skive_dtype_bits(n->in[0].type.dtype) / 8;
    st->threads = skv_type_count(&n->in[0].type) < PARALLEL_FROM ? 1 : n->threads;
    return SKIVE_OK;
}

/* A square of whole vectors: when each of N rows has been interleaved with the one N / 2 further, log2 N times, rows
 * are columns. */
#define FIRST_2   0, 2
#define SECOND_2  1, 3
#define FIRST_4   0, 4, 1, 5
#define SECOND_4  2, 6, 3, 7
#define FIRST_8   0, 8, 1, 9, 2, 10, 3, 11
#define SECOND_8  4, 12, 5, 13, 6, 14, 7, 15
#define FIRST_16  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define SQUARE(T, N)                                                                                           \
    typedef T square_##T##_vector __attribute__((vector_size(16)));                                            \
    static inline __attribute__((always_inline)) void square_##T(const T *x, int64_t from, T *y, int64_t to) { \
        square_##T##_vector a[N], b[N];                                                                        \
        for (int j = 0; j < N; j++) memcpy(&a[j], x + j * from, sizeof a[j]);                                  \
        for (int round = 1; round < N; round *= 2) {                                                           \
            for (int k = 0; k < N / 2; k++) {                                                                  \
                b[2 * k] = __builtin_shufflevector(a[k], a[k + N / 2], FIRST_##N);                             \
                b[2 * k + 1] = __builtin_shufflevector(a[k], a[k + N / 2], SECOND_##N);                        \
            }                                                                                                  \
            for (int k = 0; k < N; k++) a[k] = b[k];                                                           \
        }                                                                                                      \
        for (int i = 0; i < N; i++) memcpy(y + i * to, &a[i], sizeof a[i]);                                    \
    }
SQUARE(uint8_t, 16)
SQUARE(uint16_t, 8)
SQUARE(uint32_t, 4)
SQUARE(uint64_t, 2)

/* y[i][j] = x[j][i]: i along the axis that was the input's last, j along the output's last. */
#define MOVE(T)                                                                                                  \
    static void rest_##T(const T *x, int64_t from, T *y, int64_t to, int64_t across, int64_t along) {            \
        for (int64_t i = 0; i < across; i++)                                                                     \
            for (int64_t j = 0; j < along; j++) y[i * to + j] = x[j * from + i];                                 \
    }                                                                                                            \
    static void three_##T(const T *restrict x, int64_t from, T *restrict y, int64_t n) {                         \
        const T *a = x, *b = x + from, *c = x + 2 * from;                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                        \
            y[3 * i] = a[i];                                                                                     \
            y[3 * i + 1] = b[i];                                                                                 \
            y[3 * i + 2] = c[i];                                                                                 \
        }                                                                                                        \
    }                                                                                                            \
    static void two_##T(const T *restrict x, T *restrict y, int64_t to, int64_t n) {                             \
        T *restrict z = y + to;                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                        \
            y[i] = x[2 * i];                                                                                     \
            z[i] = x[2 * i + 1];                                                                                 \
        }                                                                                                        \
    }                                                                                                            \
    static void move_##T(const T *x, int64_t from, T *y, int64_t to, int64_t across, int64_t along) {            \
        enum { N = 16 / sizeof(T) };                                                                             \
        if (along == 3 && to == 3) {                                                                             \
            three_##T(x, from, y, across);                                                                       \
            return;                                                                                              \
        }                                                                                                        \
        if (across == 2 && from == 2) { /* every second element: SpaceToDepth */                                 \
            two_##T(x, y, to, along);                                                                            \
            return;                                                                                              \
        }                                                                                                        \
        const int64_t whole_i = across / N * N, whole_j = along / N * N;                                         \
        for (int64_t i0 = 0; i0 < whole_i; i0 += TILE) {                                                         \
            const int64_t i1 = i0 + TILE < whole_i ? i0 + TILE : whole_i;                                        \
            for (int64_t j0 = 0; j0 < whole_j; j0 += TILE) {                                                     \
                const int64_t j1 = j0 + TILE < whole_j ? j0 + TILE : whole_j;                                    \
                for (int64_t i = i0; i < i1; i += N)                                                             \
                    for (int64_t j = j0; j < j1; j += N) square_##T(x + j * from + i, from, y + i * to + j, to); \
            }                                                                                                    \
        }                                                                                                        \
        rest_##T(x + whole_j * from, from, y + whole_j, to, whole_i, along - whole_j);                           \
        rest_##T(x + whole_i, from, y + whole_i * to, to, across - whole_i, along);                              \
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
    if (across == 3 && st->from[last] == 3) {
        skv_turn(st->size, src, 3, dst, st->to[st->across], along, 3);
        return;
    }
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

static const skv_op_kind ops[] = {SKV_OP_TRANSPOSE, SKV_OP_DEPTH_TO_SPACE, SKV_OP_SPACE_TO_DEPTH, SKV_OP_NONE};

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
