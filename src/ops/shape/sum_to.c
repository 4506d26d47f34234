/* SumTo(x, like): x summed over the axes along which `like` would be broadcast to it, in the shape of `like`. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0], *y = c->in[1];
    SKV_TRY(skv_infer_want_float(c, 0));
    bool fits = x->rank < 0 || y->rank <= x->rank;
    for (int d = 0; fits && x->rank >= 0 && d < y->rank; d++) {
        const int64_t have = x->dims[d + x->rank - y->rank].size, want = y->dims[d].size;
        fits = have < 0 || want < 0 || want == 1 || have == want;
    }
    if (!fits) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the shapes do not match", c->node->name);
    c->out[0] = *c->in[1];
    c->out[0].dtype = c->in[0]->dtype;
    return SKIVE_OK;
}

/* Loops over x with an offset into the result that does not change along summed axes; sums are kept in double. */
static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    skive_tensor *y = c->out[0];
    const int64_t n = skive_tensor_count(x), m = skive_tensor_count(y);
    int64_t strides[SKIVE_MAX_RANK], step[SKIVE_MAX_RANK] = {0}, index[SKIVE_MAX_RANK] = {0}, at = 0;
    double *sum = NULL;
    skv_dims_strides(y->rank, y->dims, strides);
    for (int d = 0; d < x->rank; d++) {
        const int k = d - (x->rank - y->rank);
        step[d] = k < 0 || y->dims[k] == 1 ? 0 : strides[k];
    }
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)m, sizeof *sum, &sum));
    for (int64_t i = 0; i < n; i++) {
        sum[at] += skive_tensor_get(x, i);
        for (int d = x->rank - 1; d >= 0; d--) {
            at += step[d];
            if (++index[d] < x->dims[d]) break;
            at -= step[d] * x->dims[d];
            index[d] = 0;
        }
    }
    for (int64_t i = 0; i < m; i++) skive_tensor_set(y, i, sum[i]);
    skv_free(c->ctx, sum);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "bias",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 10, 20, 30)}, {CASE_F32(3)}),
     .n_out = 1,
     CASE_EXPECT(11, 22, 33),
     .no_grad = true},
    {.name = "kept dimension",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 10, 20, 30)}, {CASE_F32(2, 1)}),
     .n_out = 1,
     CASE_EXPECT(6, 60),
     .no_grad = true},
    {.name = "to a scalar",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {.dtype = SKIVE_F32}),
     .n_out = 1,
     CASE_EXPECT(10),
     .no_grad = true},
};

const skv_op skv_op_sum_to = {
    .name = "SumTo",
    .brief = "gradient of broadcasting",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
