/* HashedGemmGradBuckets(dY [m][rows], X [m][columns], buckets [k]) {rows, columns, seed} -> [k]: the elements of dY'
 * X, with the signs of the virtual matrix, added up by bucket. */
#include "share/hashed/matrix.h"

static const skv_attr_spec attrs[] = {SKV_HASHED_ATTRS};

static skive_status infer(skv_infer *c) {
    skive_dim m, other;
    SKV_TRY(skv_hashed_want_matrix(c, 0, "rows", &m));
    SKV_TRY(skv_hashed_want_matrix(c, 1, "columns", &other));
    SKV_TRY(skv_hashed_want_buckets(c, 2));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    if (m.size >= 0 && other.size >= 0 && m.size != other.size)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: dY has %lld rows, but X has %lld", c->node->op_type,
                              (long long)m.size, (long long)other.size);
    skv_out_like(c, 0, 2);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_doubles dy = {0}, x = {0};
    skv_result db = {0};
    skive_status status;
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &x));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &db));
    const skv_hashed h = skv_hashed_of(c->node, skive_tensor_count(c->in[2]));
    const int64_t m = c->in[0]->dims[0];
    for (int64_t i = 0; m > 0 && db.p && i < h.rows; i++) {
        for (int64_t j = 0; j < h.columns; j++) {
            const int32_t at = skv_hashed_index(&h, (uint32_t)(i * h.columns + j));
            double sum = 0;
            for (int64_t s = 0; s < m; s++) sum += dy.p[s * h.rows + i] * x.p[s * h.columns + j];
            if ((uint32_t)at < h.buckets)
                db.p[at] += sum;
            else
                db.p[(uint32_t)at - h.buckets] -= sum;
        }
    }
    skv_result_store(&db);
done:
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &db);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "one bucket, seed 5: 3 - 4 + 30 - 40",
     CASE_ATTRS(CASE_INT("rows", 2), CASE_INT("columns", 2), CASE_INT("seed", 5)),
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 10)}, {CASE_F32(1, 2), CASE_VALUES(3, 4)}, {CASE_F32(1)}),
     .n_out = 1,
     CASE_EXPECT(-11),
     .no_grad = true},
    {.name = "random",
     CASE_ATTRS(CASE_INT("rows", 4), CASE_INT("columns", 3), CASE_INT("seed", 9)),
     CASE_IN({CASE_F32(2, 4)}, {CASE_F32(2, 3)}, {CASE_F32(3)}),
     .n_out = 1,
     CASE_OUT(3),
     .no_grad = true},
};

const skv_op skv_op_hashed_gemm_grad_buckets = {
    .name = "HashedGemmGradBuckets",
    .domain = SKV_DOMAIN,
    .brief = "gradient of HashedGemm for its shared values",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_hashed_cost,
    SKV_LIST(cases),
};
