/* HashedGemmGradInput(dY [m][rows], buckets [k]) {rows, columns, seed} -> dX [m][columns] = dY W. */
#include "share/hashed/matrix.h"

static const skv_attr_spec attrs[] = {SKV_HASHED_ATTRS};

static skive_status infer(skv_infer *c) {
    skive_dim m;
    SKV_TRY(skv_hashed_want_matrix(c, 0, "rows", &m));
    SKV_TRY(skv_hashed_want_buckets(c, 1));
    c->out[0] = (skive_type){.dtype = c->in[0] ? c->in[0]->dtype : SKIVE_DTYPE_NONE,
                             .rank = 2,
                             .dims = {m, skv_dim_of(skv_attr_int(c->node, "columns", 0))}};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_doubles dy = {0}, b = {0};
    skv_result dx = {0};
    skive_status status;
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &b));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &dx));
    const skv_hashed h = skv_hashed_of(c->node, (int64_t)b.n);
    const int64_t m = c->in[0]->dims[0];
    for (int64_t i = 0; m > 0 && dx.p && i < h.rows; i++) {
        for (int64_t j = 0; j < h.columns; j++) {
            const double w = skv_hashed_weight(&h, b.p, i, j);
            for (int64_t s = 0; s < m; s++) dx.p[s * h.columns + j] += dy.p[s * h.rows + i] * w;
        }
    }
    skv_result_store(&dx);
done:
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &b);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "one bucket, seed 5: W = 2 -2; 2 -2",
     CASE_ATTRS(CASE_INT("rows", 2), CASE_INT("columns", 2), CASE_INT("seed", 5)),
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 10)}, {CASE_F32(1), CASE_VALUES(2)}),
     .n_out = 1,
     CASE_EXPECT(22, -22),
     .no_grad = true},
    {.name = "random",
     CASE_ATTRS(CASE_INT("rows", 4), CASE_INT("columns", 3), CASE_INT("seed", 9)),
     CASE_IN({CASE_F32(2, 4)}, {CASE_F32(3)}),
     .n_out = 1,
     CASE_OUT(2, 3),
     .no_grad = true},
};

const skv_op skv_op_hashed_gemm_grad_input = {
    .name = "HashedGemmGradInput",
    .domain = SKV_DOMAIN,
    .brief = "gradient of HashedGemm for its input",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_hashed_cost,
    SKV_LIST(cases),
};
