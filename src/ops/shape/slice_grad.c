/* SliceGrad(dY, X, starts, ends, axes?, steps?): zeros of X's shape with dY at the positions of the slice. */
#include "ops/cases.h"
#include "ops/common_nn.h"
#include "ops/shape/common_slice.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_SLICE, SKV_FORWARD_IN(1, 2, 3, 4, 5), 0));
    c->out[0] = *c->in[1];
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0];
    skive_tensor *dx = c->out[0];
    skv_slice s;
    int64_t to[SKIVE_MAX_RANK], from[SKIVE_MAX_RANK], first = 0;
    SKV_TRY(skv_slice_read(c, 2, dx, &s));
    bool fits = dy->rank == dx->rank && dy->dtype == dx->dtype;
    for (int d = 0; fits && d < dx->rank; d++) fits = dy->dims[d] == s.count[d];
    if (!fits)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "node '%s': the gradient does not have the shape of the slice", c->node->name);
    memset(dx->data, 0, skive_tensor_bytes(dx));
    if (skive_tensor_count(dy) == 0) return SKIVE_OK;
    skv_dims_strides(dx->rank, dx->dims, to);
    skv_dims_strides(dy->rank, dy->dims, from);
    for (int d = 0; d < dx->rank; d++) {
        first += s.start[d] * to[d];
        to[d] *= s.step[d];
    }
    skv_copy_strided(dx->dtype, dx->rank, dy->dims, dx->data, first, to, dy->data, 0, from);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2), CASE_VALUES(8, 9)}, {CASE_F32(4)}, CASE_LIST(1, 3), CASE_LIST(1, -9), CASE_LIST(1, 0),
             CASE_LIST(1, -2)),
     .n_out = 1,
     CASE_EXPECT(0, 9, 0, 8),
     .no_grad = true},
};

const skv_op skv_op_slice_grad = {
    .name = "SliceGrad",
    .brief = "gradient of Slice",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 4,
    .max_in = 6,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
