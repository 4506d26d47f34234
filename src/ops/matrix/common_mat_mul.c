/* See common_mat_mul.h. */
#include "ops/matrix/common_mat_mul.h"

/* The operands as matrices with batch axes in front. Sizes are -1 where unknown. */
typedef struct product {
    int rank;                                                 /* batch axes */
    int64_t batch[SKIVE_MAX_RANK];                            /* broadcast */
    int64_t a_batch[SKIVE_MAX_RANK], b_batch[SKIVE_MAX_RANK]; /* aligned to the right, filled up with 1 */
    int64_t m, k, n;
    bool a_row, b_column; /* a vector */
} product;

static skive_status describe(skive_context *ctx, const skive_node *node, int a_rank, const int64_t *a, int b_rank,
                             const int64_t *b, product *p) {
    if (a_rank < 1 || b_rank < 1)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "MatMul: a scalar cannot be multiplied as a matrix");
    *p = (product){.a_row = a_rank == 1, .b_column = b_rank == 1};
    int a_lead = a_rank > 2 ? a_rank - 2 : 0, b_lead = b_rank > 2 ? b_rank - 2 : 0;
    p->m = p->a_row ? 1 : a[a_rank - 2];
    p->n = p->b_column ? 1 : b[b_rank - 1];
    int64_t k_a = a[a_rank - 1], k_b = b[p->b_column ? 0 : b_rank - 2];
    if (k_a >= 0 && k_b >= 0 && k_a != k_b)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name,
                           "MatMul: the inner dimension of A is %lld, but that of B is %lld", (long long)k_a,
                           (long long)k_b);
    p->k = k_a >= 0 ? k_a : k_b;
    p->rank = a_lead > b_lead ? a_lead : b_lead;
    for (int i = 0; i < p->rank; i++) {
        int ai = i - (p->rank - a_lead), bi = i - (p->rank - b_lead);
        int64_t x = ai >= 0 ? a[ai] : 1, y = bi >= 0 ? b[bi] : 1;
        if (x > 1 && y > 1 && x != y)
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "MatMul: batch sizes %lld and %lld do not broadcast",
                               (long long)x, (long long)y);
        if ((x == 0 && y > 1) || (y == 0 && x > 1))
            return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "MatMul: batch sizes %lld and %lld do not broadcast",
                               (long long)x, (long long)y);
        p->a_batch[i] = x;
        p->b_batch[i] = y;
        p->batch[i] = x == 1 ? y : y == 1 ? x : x < 0 ? (y > 1 ? y : -1) : y < 0 ? (x > 1 ? x : -1) : x;
    }
    return SKIVE_OK;
}

skive_status skv_infer_mat_mul(skv_infer *c, size_t a_in, size_t b_in) {
    skive_type *y = &c->out[0];
    if (!skv_in_ranked(c, a_in) || !skv_in_ranked(c, b_in)) return SKIVE_OK;
    int64_t a[SKIVE_MAX_RANK], b[SKIVE_MAX_RANK];
    product p;
    skv_type_sizes(c->in[a_in], a);
    skv_type_sizes(c->in[b_in], b);
    int a_rank = c->in[a_in]->rank, b_rank = c->in[b_in]->rank, rank = 0;
    SKV_TRY(describe(c->ctx, c->node, a_rank, a, b_rank, b, &p));
    for (int i = 0; i < p.rank; i++) y->dims[rank++] = skv_dim_of(p.batch[i]);
    /* A symbol survives where only one side has the axis. */
    for (int i = 0; i < p.rank; i++) {
        int ai = i - (p.rank - (a_rank - 2)), bi = i - (p.rank - (b_rank - 2));
        if (p.batch[i] < 0 && p.b_batch[i] == 1 && ai >= 0) y->dims[i] = c->in[a_in]->dims[ai];
        if (p.batch[i] < 0 && p.a_batch[i] == 1 && bi >= 0) y->dims[i] = c->in[b_in]->dims[bi];
    }
    if (!p.a_row) y->dims[rank++] = c->in[a_in]->dims[a_rank - 2];
    if (!p.b_column) y->dims[rank++] = c->in[b_in]->dims[b_rank - 1];
    y->rank = rank;
    return SKIVE_OK;
}

skive_status skv_mat_mul_f64(const skv_eval *c, const skive_tensor *at, const double *a, const skive_tensor *bt,
                             const double *b, double *y) {
    product p;
    SKV_TRY(describe(c->ctx, c->node, at->rank, at->dims, bt->rank, bt->dims, &p));
    int64_t batches = 1;
    for (int i = 0; i < p.rank; i++) batches *= p.batch[i];
    for (int64_t q = 0; y && q < batches; q++) {
        int64_t rest = q, ai = 0, bi = 0, a_step = 1, b_step = 1;
        for (int i = p.rank - 1; i >= 0; i--) {
            int64_t at_i = rest % p.batch[i];
            rest /= p.batch[i];
            ai += p.a_batch[i] == 1 ? 0 : at_i * a_step;
            bi += p.b_batch[i] == 1 ? 0 : at_i * b_step;
            a_step *= p.a_batch[i];
            b_step *= p.b_batch[i];
        }
        skv_gemm_f64(skv_threads(c->ctx), false, false, p.m, p.n, p.k, a + ai * p.m * p.k, b + bi * p.k * p.n,
                     y + q * p.m * p.n);
    }
    return SKIVE_OK;
}

void skv_couple_mat_mul(skv_couple *c, int first, int second) {
    const skive_type *a = skv_couple_type(c, SKV_CIN(first, 0)), *b = skv_couple_type(c, SKV_CIN(second, 0));
    const skive_type *y = skv_couple_type(c, SKV_COUT(0, 0));
    if (!a || !b || !y || a->rank < 1 || b->rank < 1 || y->rank < 0) return;
    bool row = a->rank == 1, column = b->rank == 1;
    skv_couple_same(c, SKV_CIN(first, a->rank - 1), SKV_CIN(second, column ? 0 : b->rank - 2));
    if (!row) skv_couple_same(c, SKV_CIN(first, a->rank - 2), SKV_COUT(0, y->rank - (column ? 1 : 2)));
    if (!column) skv_couple_same(c, SKV_CIN(second, b->rank - 1), SKV_COUT(0, y->rank - 1));
    int lead = y->rank - !row - !column;
    for (int i = 0; i < a->rank - 2; i++)
        if (a->dims[i].size != 1) skv_couple_same(c, SKV_CIN(first, i), SKV_COUT(0, lead - (a->rank - 2) + i));
    for (int i = 0; i < b->rank - 2; i++)
        if (b->dims[i].size != 1) skv_couple_same(c, SKV_CIN(second, i), SKV_COUT(0, lead - (b->rank - 2) + i));
}
