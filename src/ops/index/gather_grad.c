/* GatherGrad(dY, indices, X) {axis}: slices of dY accumulated at their indices, in the shape of X. */
#include "ops/cases.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_GATHER, SKV_FORWARD_IN(2, 1), 0));
    c->out[0] = *c->in[2];
    return SKIVE_OK;
}

/* Sums are kept in double and rounded once. */
static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *index = c->in[1], *dx = c->out[0];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), dx->rank);
    const int64_t n = skive_tensor_count(index), size = axis < 0 ? 0 : dx->dims[axis], total = skive_tensor_count(dx);
    int64_t outer = 1, inner = 1;
    double *sum = NULL;
    skive_status status = SKIVE_OK;
    for (int d = 0; d < axis; d++) outer *= dx->dims[d];
    for (int d = axis + 1; d < dx->rank; d++) inner *= dx->dims[d];
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)total, sizeof *sum, &sum));
    for (int64_t k = 0; k < n && status == SKIVE_OK; k++) {
        int64_t i = skv_load_i64(index->dtype, index->data, (size_t)k);
        if (i < 0) i += size;
        if (i < 0 || i >= size) {
            status = skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                                 "node '%s': an index is out of range for a dimension of %lld", c->node->name,
                                 (long long)size);
            continue;
        }
        for (int64_t o = 0; o < outer; o++) {
            for (int64_t j = 0; j < inner; j++)
                sum[(o * size + i) * inner + j] += skv_load_f64(dy->dtype, dy->data, (size_t)((o * n + k) * inner + j));
        }
    }
    for (int64_t i = 0; i < total && status == SKIVE_OK; i++) skv_store_f64(dx->dtype, dx->data, (size_t)i, sum[i]);
    skv_free(c->ctx, sum);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(3, 1), CASE_VALUES(1, 2, 4)}, {CASE_I64(3), CASE_VALUES(1, -1, 1), .constant = true},
             {CASE_F32(3, 1)}),
     .n_out = 1,
     CASE_EXPECT(0, 5, 2),
     .no_grad = true},
};

const skv_op skv_op_gather_grad = {
    .name = "GatherGrad",
    .brief = "gradient of Gather",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
