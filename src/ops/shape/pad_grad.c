/* PadGrad(dY, X, pads, axes?) {mode}: every element of dY is added to the element of X from which it was copied, in the
 * shape of X. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"
#include "ops/shape/common_pad.h"

static const skv_attr_spec attrs[] = {{"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_want_float(c, 0));
    SKV_TRY(skv_infer_gradient(c, SKV_OP_PAD, SKV_FORWARD_IN(1, 2, -1, 3), 0));
    c->out[0] = *c->in[1];
    return SKIVE_OK;
}

/* Sums are kept in double and rounded once. */
static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *dx = c->out[0];
    const skv_pad_mode mode = skv_pad_mode_of(c->node);
    int64_t strides[SKIVE_MAX_RANK], index[SKIVE_MAX_RANK] = {0};
    double *sum = NULL;
    skv_pads p;
    SKV_TRY(skv_pads_read(c, 2, 3, dx->rank, &p));
    bool fits = dy->rank == dx->rank;
    for (int d = 0; fits && d < dx->rank; d++) {
        int64_t size;
        fits = skv_add_i64(p.before[d] + p.after[d], dx->dims[d], &size) && dy->dims[d] == size;
    }
    if (!fits)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the gradient does not have the padded shape");
    skv_dims_strides(dx->rank, dx->dims, strides);
    const int64_t n = skive_tensor_count(dy), total = skive_tensor_count(dx);
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)total, sizeof *sum, &sum));
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = skv_pad_source(mode, &p, dx->rank, dx->dims, strides, index);
        if (at >= 0) sum[at] += skv_load_f64(dy->dtype, dy->data, (size_t)i);
        for (int d = dy->rank - 1; d >= 0 && ++index[d] == dy->dims[d]; d--) index[d] = 0;
    }
    for (int64_t i = 0; i < total; i++) skv_store_f64(dx->dtype, dx->data, (size_t)i, sum[i]);
    skv_free(c->ctx, sum);
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "edge",
     CASE_ATTRS(CASE_STR("mode", "edge")),
     CASE_IN({CASE_F32(5), CASE_VALUES(1, 2, 4, 8, 16)}, {CASE_F32(2)}, CASE_LIST(2, 1, 2)),
     .n_out = 1,
     CASE_EXPECT(3, 28),
     .no_grad = true},
    {.name = "constant",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 4, 8)}, {CASE_F32(2)}, CASE_LIST(2, 1, 1), CASE_LIST(1, 0)),
     .n_out = 1,
     CASE_EXPECT(2, 4),
     .no_grad = true},
};

const skv_op skv_op_pad_grad = {
    .name = "PadGrad",
    .brief = "gradient of Pad",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 3,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
