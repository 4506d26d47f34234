/* MatMul of many pairs of matrices in f32, as attention has them: the pairs are shared among the threads, each product
 * runs on one, so that the result does not depend on how many there are. Batch axes are broadcast. */
#include "kernels/kernel.h"
#include "kernels/sgemm.h"

typedef struct batch_state {
    int64_t m, n, k, count;
    int axes;                                               /* of batches */
    int64_t dims[SKIVE_MAX_RANK];                           /* of the result's batches */
    int64_t a_step[SKIVE_MAX_RANK], b_step[SKIVE_MAX_RANK]; /* floats; 0 where broadcast */
    size_t scratch;                                         /* of one thread */
} batch_state;

static bool applicable(const skv_kernel_node *n, skv_why *why) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i].absent || !skv_kernel_f32(&n->in[i]))
            return skv_decline(why, "input %zu is not float32, or empty", i);
    }
    if (n->in[0].type.rank < 2 || n->in[1].type.rank < 3) return skv_decline(why, "no batches of matrices");
    if (!skv_kernel_f32(&n->out[0])) return skv_decline(why, "empty output");
    return true;
}

/* Steps of an operand along the result's batch axes; its own axes are the last ones. */
static void steps_of(const batch_state *st, const skive_type *t, int64_t *step) {
    const int own = t->rank - 2, missing = st->axes - own;
    int64_t size = t->dims[t->rank - 2].size * t->dims[t->rank - 1].size;
    for (int d = st->axes - 1; d >= 0; d--) {
        const int64_t length = d < missing ? 1 : t->dims[d - missing].size;
        step[d] = length > 1 ? size : 0;
        size *= length;
    }
}

static skive_status prepare(skv_kernel_node *n) {
    const skive_type *a = &n->in[0].type, *b = &n->in[1].type, *y = &n->out[0].type;
    batch_state *st = NULL;
    size_t all;
    SKV_TRY(skv_alloc_array(n->ctx, 1, sizeof *st, &st));
    for (size_t i = 0; i < n->n_in; i++) n->in[i].layout = SKV_PLAIN;
    st->m = a->dims[a->rank - 2].size;
    st->k = a->dims[a->rank - 1].size;
    st->n = b->dims[b->rank - 1].size;
    st->axes = y->rank - 2;
    st->count = 1;
    for (int d = 0; d < st->axes; d++) st->count *= st->dims[d] = y->dims[d].size;
    steps_of(st, a, st->a_step);
    steps_of(st, b, st->b_step);
    st->scratch = (skv_sgemm_scratch(st->n, st->k, 1) + 63) / 64 * 64;
    skive_status status = SKIVE_OK;
    for (int t = 0; t < n->threads && status == SKIVE_OK; t++) status = skv_scratch_add(n, st->scratch, &all);
    if (status == SKIVE_OK)
        n->state = st;
    else
        skv_free(n->ctx, st);
    return status;
}

static void one(const batch_state *st, const float *a, const float *b, int64_t i, float *y, void *scratch) {
    int64_t rest = i;
    for (int d = st->axes - 1; d >= 0; d--) {
        a += rest % st->dims[d] * st->a_step[d];
        b += rest % st->dims[d] * st->b_step[d];
        rest /= st->dims[d];
    }
    const skv_sgemm product = {.m = st->m,
                               .n = st->n,
                               .k = st->k,
                               .a = a,
                               .b = b,
                               .lda = st->k,
                               .ldb = st->n,
                               .ldc = st->n,
                               .c = y + i * st->m * st->n,
                               .alpha = 1};
    skv_sgemm_run(&product, 1, scratch);
}

static skive_status run(const skv_kernel_call *c) {
    const batch_state *st = c->n->state;
    const int threads = c->n->threads;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        for (int64_t i = st->count * t / threads; i < st->count * (t + 1) / threads; i++)
            one(st, c->in[0], c->in[1], i, c->out[0], (char *)c->scratch + (size_t)t * st->scratch);
    }
    return SKIVE_OK;
}

static void destroy(skive_context *ctx, void *state) { skv_free(ctx, state); }

static const skv_op_kind ops[] = {SKV_OP_MAT_MUL, SKV_OP_NONE};

const skv_kernel skv_kernel_gemm_batch_f32 = {
    .name = "gemm_batch_f32",
    .brief = "many products of matrices, as in attention",
    .ops = ops,
    .isa = SKV_ISA_SCALAR,
    .applicable = applicable,
    .prepare = prepare,
    .run = run,
    .destroy = destroy,
};
