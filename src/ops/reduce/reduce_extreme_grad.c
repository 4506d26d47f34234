/* ReduceExtremeGrad(dY, X, Y): dY at the first element of each cell that equals the extreme Y, 0 elsewhere. dY and Y
 * have X's rank, with 1 along the reduced axes. */
#include "ops/cases.h"
#include "ops/reduce/common_reduce.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_reduce_want_cells(c, 0));
    SKV_TRY(skv_reduce_want_cells(c, 2));
    c->out[0] = *c->in[1];
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *x = c->in[1], *y = c->in[2];
    const int64_t n = skive_tensor_count(x);
    uint8_t *taken = NULL;
    skv_walk w;
    SKV_TRY(skv_walk_start(&w, c, x->rank, x->dims, c->in, 3));
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)skive_tensor_count(y), 1, &taken));
    for (int64_t i = 0; i < n; i++, skv_walk_next(&w)) {
        const bool first =
            !taken[w.at[2]] && skive_tensor_get(x, (int64_t)w.at[1]) == skive_tensor_get(y, (int64_t)w.at[2]);
        if (first) taken[w.at[2]] = 1;
        skive_tensor_set(c->out[0], i, first ? skive_tensor_get(dy, (int64_t)w.at[0]) : 0.0);
    }
    skv_free(c->ctx, taken);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "a tie",
     CASE_IN({CASE_F32(2, 1), CASE_VALUES(10, 20)}, {CASE_F32(2, 3), CASE_VALUES(1, 5, 5, 7, 2, 1)},
             {CASE_F32(2, 1), CASE_VALUES(5, 7)}),
     .n_out = 1,
     CASE_EXPECT(0, 10, 0, 20, 0, 0),
     .no_grad = true},
};

const skv_op skv_op_reduce_extreme_grad = {
    .name = "ReduceExtremeGrad",
    .brief = "gradient of ReduceMax and ReduceMin",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
