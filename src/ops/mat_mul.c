/* MatMul: matrix product over the last two axes, the axes before them broadcast (NumPy's matmul). A vector on the left is
 * a row, one on the right a column; the axis so added is not in the result. */
#include "ops/common_nn.h"

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
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, node->name, "MatMul: A has %lld inner elements, B has %lld",
                           (long long)k_a, (long long)k_b);
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

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < 2; i++) {
        const skive_type *t = skv_in_type(c, i);
        bool whole =
            t && (t->dtype == SKIVE_I32 || t->dtype == SKIVE_I64 || t->dtype == SKIVE_U32 || t->dtype == SKIVE_U64);
        if (!whole) SKV_TRY(skv_want_float(c, i));
    }
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    skive_type *y = &c->out[0];
    if (c->in[0]) y->dtype = c->in[0]->dtype;
    if (!skv_in_ranked(c, 0) || !skv_in_ranked(c, 1)) return SKIVE_OK;
    int64_t a[SKIVE_MAX_RANK], b[SKIVE_MAX_RANK];
    product p;
    skv_type_sizes(c->in[0], a);
    skv_type_sizes(c->in[1], b);
    int a_rank = c->in[0]->rank, b_rank = c->in[1]->rank, rank = 0;
    SKV_TRY(describe(c->ctx, c->node, a_rank, a, b_rank, b, &p));
    for (int i = 0; i < p.rank; i++) y->dims[rank++] = skv_dim_of(p.batch[i]);
    /* A symbol survives where only one side has the axis. */
    for (int i = 0; i < p.rank; i++) {
        int ai = i - (p.rank - (a_rank - 2)), bi = i - (p.rank - (b_rank - 2));
        if (p.batch[i] < 0 && p.b_batch[i] == 1 && ai >= 0) y->dims[i] = c->in[0]->dims[ai];
        if (p.batch[i] < 0 && p.a_batch[i] == 1 && bi >= 0) y->dims[i] = c->in[1]->dims[bi];
    }
    if (!p.a_row) y->dims[rank++] = c->in[0]->dims[a_rank - 2];
    if (!p.b_column) y->dims[rank++] = c->in[1]->dims[b_rank - 1];
    y->rank = rank;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    product p;
    skv_doubles a = {0}, b = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(describe(c->ctx, c->node, c->in[0]->rank, c->in[0]->dims, c->in[1]->rank, c->in[1]->dims, &p));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &a));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &b));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    if (!y.n) goto out;
    int64_t batches = 1;
    for (int i = 0; i < p.rank; i++) batches *= p.batch[i];
    for (int64_t q = 0; q < batches; q++) {
        int64_t rest = q, ai = 0, bi = 0, a_step = 1, b_step = 1;
        for (int i = p.rank - 1; i >= 0; i--) {
            int64_t at = rest % p.batch[i];
            rest /= p.batch[i];
            ai += p.a_batch[i] == 1 ? 0 : at * a_step;
            bi += p.b_batch[i] == 1 ? 0 : at * b_step;
            a_step *= p.a_batch[i];
            b_step *= p.b_batch[i];
        }
        skv_gemm_f64(skv_threads(c->ctx), false, false, p.m, p.n, p.k, a.p + ai * p.m * p.k, b.p + bi * p.k * p.n,
                     y.p + q * p.m * p.n);
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &a);
    skv_doubles_free(c->ctx, &b);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_value *add_axis(skv_builder *b, skive_value *v, int64_t axis) {
    return skv_emit(b, "Unsqueeze", SKV_IN(v, skv_emit_ints(b, &axis, 1)), SKV_NONE);
}

static skive_value *turn(skv_builder *b, skive_value *v, int rank) {
    int64_t perm[SKIVE_MAX_RANK];
    for (int i = 0; i < rank; i++) perm[i] = i;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    return skv_emit(b, "Transpose", SKV_IN(v), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)rank)));
}

/* dA = dY B^T and dB = A^T dY, vectors being turned into matrices first and back last. */
static skive_status grad(skv_grad *c) {
    skv_builder *b = c->b;
    skive_value *x = c->node->inputs[0], *w = c->node->inputs[1], *dy = c->dout[0];
    int x_rank = x->type.rank, w_rank = w->type.rank;
    if (x_rank < 1 || w_rank < 1)
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                           "MatMul: the gradient needs inputs of known rank");
    bool row = x_rank == 1, column = w_rank == 1;
    skive_value *x2 = row ? add_axis(b, x, 0) : x, *w2 = column ? add_axis(b, w, 1) : w;
    if (column) dy = add_axis(b, dy, -1);
    if (row) dy = add_axis(b, dy, -2);
    if (c->need[0]) {
        skive_value *d = skv_emit(b, "MatMul", SKV_IN(dy, turn(b, w2, column ? 2 : w_rank)), SKV_NONE);
        d = skv_grad_unbroadcast(b, d, x2);
        if (row) d = skv_emit(b, "Squeeze", SKV_IN(d, skv_emit_ints(b, (const int64_t[]){0}, 1)), SKV_NONE);
        c->din[0] = d;
    }
    if (c->need[1]) {
        skive_value *d = skv_emit(b, "MatMul", SKV_IN(turn(b, x2, row ? 2 : x_rank), dy), SKV_NONE);
        d = skv_grad_unbroadcast(b, d, w2);
        if (column) d = skv_emit(b, "Squeeze", SKV_IN(d, skv_emit_ints(b, (const int64_t[]){1}, 1)), SKV_NONE);
        c->din[1] = d;
    }
    return b->status;
}

static void couple(skv_couple *c) {
    const skive_type *a = skv_couple_type(c, SKV_CIN(0, 0)), *b = skv_couple_type(c, SKV_CIN(1, 0));
    const skive_type *y = skv_couple_type(c, SKV_COUT(0, 0));
    if (!a || !b || !y || a->rank < 1 || b->rank < 1 || y->rank < 0) return;
    bool row = a->rank == 1, column = b->rank == 1;
    skv_couple_same(c, SKV_CIN(0, a->rank - 1), SKV_CIN(1, column ? 0 : b->rank - 2));
    if (!row) skv_couple_same(c, SKV_CIN(0, a->rank - 2), SKV_COUT(0, y->rank - (column ? 1 : 2)));
    if (!column) skv_couple_same(c, SKV_CIN(1, b->rank - 1), SKV_COUT(0, y->rank - 1));
    int lead = y->rank - !row - !column;
    for (int i = 0; i < a->rank - 2; i++)
        if (a->dims[i].size != 1) skv_couple_same(c, SKV_CIN(0, i), SKV_COUT(0, lead - (a->rank - 2) + i));
    for (int i = 0; i < b->rank - 2; i++)
        if (b->dims[i].size != 1) skv_couple_same(c, SKV_CIN(1, i), SKV_COUT(0, lead - (b->rank - 2) + i));
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *a = skv_node_in(n, 0);
    if (!a || n->n_outputs < 1 || !n->outputs[0]) return;
    out->macs =
        skv_add_sat(out->macs, skv_mul_sat(skv_dim_or_1(a, a->type.rank - 1), skv_type_count(&n->outputs[0]->type)));
}

static const double a23[] = {1, 2, 3, 4, 5, 6}, b32[] = {7, 8, 9, 10, 11, 12}, y22[] = {58, 64, 139, 154};
static const int64_t out22[] = {2, 2}, out2[] = {2}, out_batch[] = {2, 3, 2, 2};
static const skv_case_in in_2d[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .values = a23},
                                    {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 2}, .values = b32}};
static const double v3[] = {1, 0, -1}, v_left[] = {-4, -4}, v_right[] = {-2, -2}, dot[] = {2};
static const skv_case_in in_left[] = {{.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3},
                                      {.dtype = SKIVE_F32, .rank = 2, .dims = {3, 2}, .values = b32}};
static const skv_case_in in_right[] = {{.dtype = SKIVE_F32, .rank = 2, .dims = {2, 3}, .values = a23},
                                       {.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3}};
static const skv_case_in in_dot[] = {{.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3},
                                     {.dtype = SKIVE_F32, .rank = 1, .dims = {3}, .values = v3}};
static const skv_case_in in_batch[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {2, 1, 2, 4}},
                                       {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 4, 2}}};
static const skv_case_in in_weight[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {2, 3, 4}},
                                        {.dtype = SKIVE_F32, .rank = 2, .dims = {4, 5}}};
static const skv_case_in in_vector[] = {{.dtype = SKIVE_F32, .rank = 1, .dims = {4}},
                                        {.dtype = SKIVE_F32, .rank = 3, .dims = {3, 4, 2}}};
/* Each batch of two takes the one matrix on the right. */
static const double a221[] = {1, 2, 3, 4}, b112[] = {5, 6}, y222[] = {5, 6, 10, 12, 15, 18, 20, 24};
static const skv_case_in in_share[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {2, 2, 1}, .values = a221},
                                       {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 1, 2}, .values = b112}};
static const skv_op_case cases[] = {
    {.name = "2-d", CASE_IN_OF(in_2d), .n_out = 1, CASE_EXPECT_OF(y22), CASE_DIMS_OF(out22)},
    {.name = "vector on the left", CASE_IN_OF(in_left), .n_out = 1, CASE_EXPECT_OF(v_left), CASE_DIMS_OF(out2)},
    {.name = "vector on the right", CASE_IN_OF(in_right), .n_out = 1, CASE_EXPECT_OF(v_right), CASE_DIMS_OF(out2)},
    {.name = "two vectors", CASE_IN_OF(in_dot), .n_out = 1, CASE_EXPECT_OF(dot)},
    {.name = "a batch with one matrix", CASE_IN_OF(in_share), .n_out = 1, CASE_EXPECT_OF(y222)},
    {.name = "batches broadcast", CASE_IN_OF(in_batch), .n_out = 1, CASE_DIMS_OF(out_batch)},
    {.name = "a batch with a weight", CASE_IN_OF(in_weight), .n_out = 1},
    {.name = "a vector with a batch", CASE_IN_OF(in_vector), .n_out = 1},
};

const skv_op skv_op_mat_mul = {
    .name = "MatMul",
    .domain = "",
    .brief = "matrix product with batch axes",
    .since = 9,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
