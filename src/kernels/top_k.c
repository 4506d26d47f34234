/* TopK of float32 along any axis. An element and its place are one 64-bit integer whose order is that of the result:
 * the larger (or smaller) number first, NaN above every number, of equal ones the first. A heap holds the best so far;
 * stretches of the axis in which nothing is better than its worst are passed over. */
#include <string.h>

#include "kernels/kernel.h"

enum { PARALLEL_FROM = 1 << 14, STRETCH = 32 };

typedef struct top_state {
    int64_t outer, n, k, inner;
    bool largest;
    size_t each; /* bytes of scratch a thread */
    int threads;
} top_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    const skive_type *x = &n->in[0].type;
    if (!skv_kernel_f32(&n->in[0])) return skv_decline(why, "not float32, or empty");
    if (x->rank < 1) return skv_decline(why, "a scalar");
    const int64_t axis = skv_axis(skv_attr_int(n->node, "axis", -1), x->rank);
    const skive_type *y = &n->out[n->out[0].absent ? 1 : 0].type;
    if (x->dims[axis].size > INT32_MAX) return skv_decline(why, "an axis of more than 2^31 elements");
    if (y->rank != x->rank || y->dims[axis].size < 1 || y->dims[axis].size > x->dims[axis].size)
        return skv_decline(why, "none, or more than there are");
    return true;
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *x = &n->in[0].type;
    const int axis = (int)skv_axis(skv_attr_int(n->node, "axis", -1), x->rank);
    top_state *st = NULL;
    size_t keys, heap;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    n->skips_input_data[1] = true; /* k is in the type of the output */
    skv_around_axis(x, axis, &st->outer, &st->n, &st->inner);
    st->k = n->out[n->out[0].absent ? 1 : 0].type.dims[axis].size;
    st->largest = skv_attr_int(n->node, "largest", 1) != 0;
    st->threads = skv_type_count(x) < PARALLEL_FROM ? 1 : n->threads;
    if (st->threads > st->outer * st->inner) st->threads = (int)(st->outer * st->inner);
    if (!skv_mul_size((size_t)st->n, sizeof(int32_t), &keys) || !skv_mul_size((size_t)st->k, sizeof(int64_t), &heap) ||
        !skv_add_size(skv_align_up(heap, 64), skv_align_up(keys, 64), &st->each) ||
        !skv_mul_size(st->each, (size_t)st->threads, &n->scratch_bytes)) {
        skv_free(n->ctx, st);
        return SKV_FAIL(n->ctx, SKIVE_ERR_LIMIT, "too many elements");
    }
    n->state = st;
    return SKIVE_OK;
}

/* Integers in the order of the numbers. */
static void make_keys(const float *x, int64_t n, int64_t step, bool largest, int32_t *key) {
    const int32_t turn = largest ? 0 : -1;
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i * step] + 0.0f; /* both zeros are one */
        int32_t bits;
        memcpy(&bits, &v, sizeof bits);
        bits ^= (int32_t)((uint32_t)(bits >> 31) >> 1);
        key[i] = (v != v ? INT32_MAX : bits) ^ turn;
    }
}

static inline int64_t joined(int32_t key, int64_t at) {
    return (int64_t)((uint64_t)(uint32_t)key << 32 | (uint32_t) ~(uint32_t)at);
}

/* heap[0] is the least. */
static void sift(int64_t *heap, int64_t n, int64_t at) {
    for (;;) {
        int64_t least = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (heap[child] < heap[least]) least = child;
        if (least == at) return;
        const int64_t t = heap[at];
        heap[at] = heap[least];
        heap[least] = t;
        at = least;
    }
}

static void select_best(const int32_t *key, int64_t n, int64_t k, int64_t *heap) {
    for (int64_t i = 0; i < k; i++) heap[i] = joined(key[i], i);
    for (int64_t i = k / 2; i-- > 0;) sift(heap, k, i);
    for (int64_t first = k; first < n; first += STRETCH) {
        const int64_t end = n - first < STRETCH ? n : first + STRETCH;
        const int32_t worst = (int32_t)(heap[0] >> 32);
        int any = 0;
        for (int64_t i = first; i < end; i++) any |= key[i] > worst;
        for (int64_t i = first; any && i < end; i++) {
            const int64_t here = joined(key[i], i);
            if (here < heap[0]) continue;
            heap[0] = here;
            sift(heap, k, 0);
        }
    }
    for (int64_t m = k - 1; m > 0; m--) { /* the least goes to the end */
        const int64_t t = heap[0];
        heap[0] = heap[m];
        heap[m] = t;
        sift(heap, m, 0);
    }
}

static void one_row(const skv_kernel_call *c, const top_state *st, int64_t row, char *scratch) {
    int64_t *heap = (int64_t *)(void *)scratch;
    int32_t *key = (int32_t *)(void *)(scratch + skv_align_up((size_t)st->k * sizeof *heap, 64));
    const int64_t o = row / st->inner, i = row % st->inner;
    const float *x = (const float *)c->in[0] + o * st->n * st->inner + i;
    float *y = c->n->out[0].absent ? NULL : c->out[0];
    int64_t *place = c->n->n_out > 1 && !c->n->out[1].absent ? c->out[1] : NULL;
    make_keys(x, st->n, st->inner, st->largest, key);
    select_best(key, st->n, st->k, heap);
    for (int64_t j = 0; j < st->k; j++) {
        const int64_t from = (int64_t)(uint32_t) ~(uint32_t)heap[j], to = (o * st->k + j) * st->inner + i;
        if (y) y[to] = x[from * st->inner];
        if (place) place[to] = from;
    }
}

static skive_status run(const skv_kernel_call *c) {
    const top_state *st = c->n->state;
    const int64_t rows = st->outer * st->inner;
    const int threads = st->threads;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++)
        for (int64_t r = rows * t / threads; r < rows * (t + 1) / threads; r++)
            one_row(c, st, r, (char *)c->scratch + (size_t)t * st->each);
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_TOP_K, SKV_OP_NONE};

const skv_kernel skv_kernel_top_k_f32 = {
    .name = "top_k_f32",
    .brief = "the largest or smallest elements along an axis",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
