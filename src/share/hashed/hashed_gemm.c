/* HashedGemm(x [m][columns], buckets [k], bias [rows]) {rows, columns, seed} -> y [m][rows]: y = x W' + bias with the
 * virtual matrix W of matrix.h. */
#include "share/hashed/matrix.h"

static const skv_attr_spec attrs[] = {SKV_HASHED_ATTRS};

static skive_status infer(skv_infer *c) {
    skive_dim m;
    const int64_t rows = skv_attr_int(c->node, "rows", 0);
    SKV_TRY(skv_hashed_want_matrix(c, 0, "columns", &m));
    SKV_TRY(skv_hashed_want_buckets(c, 1));
    SKV_TRY(skv_want_vector(c, 2, rows, "bias"));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    c->out[0] =
        (skive_type){.dtype = c->in[0] ? c->in[0]->dtype : SKIVE_DTYPE_NONE, .rank = 2, .dims = {m, skv_dim_of(rows)}};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_doubles x = {0}, b = {0}, bias = {0};
    skv_result y = {0};
    skive_status status;
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &b));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->n_in > 2 ? c->in[2] : NULL, &bias));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &y));
    const skv_hashed h = skv_hashed_of(c->node, (int64_t)b.n);
    const int64_t m = c->in[0]->dims[0];
    for (int64_t i = 0; m > 0 && y.p && i < h.rows; i++) {
        for (int64_t j = 0; j < h.columns; j++) {
            const double w = skv_hashed_weight(&h, b.p, i, j);
            for (int64_t s = 0; s < m; s++) y.p[s * h.rows + i] += x.p[s * h.columns + j] * w;
        }
        for (int64_t s = 0; bias.p && s < m; s++) y.p[s * h.rows + i] += bias.p[i];
    }
    skv_result_store(&y);
done:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &b);
    skv_doubles_free(c->ctx, &bias);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    skive_value *dy = c->dout[0], *x = c->node->inputs[0], *buckets = c->node->inputs[1];
    if (c->need[0]) c->din[0] = skv_hashed_emit(c, "HashedGemmGradInput", SKV_IN(dy, buckets));
    if (c->need[1]) c->din[1] = skv_hashed_emit(c, "HashedGemmGradBuckets", SKV_IN(dy, x, buckets));
    if (c->node->n_inputs > 2 && c->need[2]) c->din[2] = skv_grad_unbroadcast(c->b, dy, c->node->inputs[2]);
    return c->b->status;
}

/* One bucket: only signs are hashed. XXH32 of 0, 1, 2, 3 with seed 0xfffffffa is even, odd, even, odd. */
static const skv_op_case cases[] = {
    {.name = "one bucket, seed 5",
     CASE_ATTRS(CASE_INT("rows", 2), CASE_INT("columns", 2), CASE_INT("seed", 5)),
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 10)}, {CASE_F32(1), CASE_VALUES(2)}, {CASE_F32(2), CASE_VALUES(100, 200)}),
     .n_out = 1,
     CASE_EXPECT(82, 182),
     CASE_OUT(1, 2)},
    {.name = "random",
     CASE_ATTRS(CASE_INT("rows", 5), CASE_INT("columns", 7), CASE_INT("seed", 1)),
     CASE_IN({CASE_F32(3, 7)}, {CASE_F32(4)}, {CASE_F32(5)}),
     .n_out = 1,
     CASE_OUT(3, 5)},
    {.name = "without bias, more buckets than weights",
     CASE_ATTRS(CASE_INT("rows", 2), CASE_INT("columns", 3), CASE_INT("seed", 4294967295)),
     CASE_IN({CASE_F32(2, 3)}, {CASE_F32(11)}),
     .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_WEIGHT, .channels = "neurons"},
    {.role = SKV_ROLE_BIAS, .axes = true, .out_axis = 0, .in_axis = -1},
};

const skv_op skv_op_hashed_gemm = {
    .name = "HashedGemm",
    .domain = SKV_DOMAIN,
    .brief = "product with a matrix whose weights share values by hash",
    .since = 1,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_hashed_cost,
    SKV_LIST(cases),
};
