/* FusedBatchNormGrad(dY, X, scale, batch_mean, batch_inv_std, Y) -> dX, dScale, dB, dZ: the gradient of FusedBatchNorm
 * with Relu: dZ is dY where Y > 0 and else 0, and the others are BatchNormalizationGrad's of dZ. */
#include "ops/common_nn.h"

extern const skv_op skv_op_batch_normalization_grad;

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_op_batch_normalization_grad.infer(c));
    SKV_TRY(skv_want_float(c, 5));
    SKV_TRY(skv_want_same_shape(c, 5, 1));
    if (c->n_out > 3) skv_out_like(c, 3, 1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *y = c->in[5], *in[5];
    skive_tensor dz;
    skv_eval inner = *c;
    SKV_TRY(skive_tensor_copy(c->ctx, dy, &dz));
    const int64_t n = skive_tensor_count(&dz);
    for (int64_t i = 0; i < n; i++) {
        if (!(skive_tensor_get(y, i) > 0)) skive_tensor_set(&dz, i, 0.0);
    }
    for (size_t i = 0; i < 5; i++) in[i] = i ? c->in[i] : &dz;
    inner.in = in;
    inner.n_in = 5;
    inner.n_out = c->n_out < 3 ? c->n_out : 3;
    const skive_status status = skv_op_batch_normalization_grad.run(&inner);
    for (int64_t i = 0; i < n && c->n_out > 3 && c->out[3]; i++)
        skive_tensor_set(c->out[3], i, skive_tensor_get(&dz, i));
    skive_tensor_free(c->ctx, &dz);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 7; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    /* As BatchNormalizationGrad's case by hand, with a gradient of 7 that does not pass. */
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 1, 2), CASE_VALUES(1, 7, 0, 3)}, {CASE_F32(2, 1, 2), CASE_VALUES(1, 5, 1, 5)},
             {CASE_F32(1), CASE_VALUES(2)}, {CASE_F32(1), CASE_VALUES(3)}, {CASE_F32(1), CASE_VALUES(0.5)},
             {CASE_F32(2, 1, 2), CASE_VALUES(1, 0, 0, 2)}),
     .n_out = 4,
     CASE_EXPECT(0.5, -1.5, -0.5, 1.5)},
};

const skv_op skv_op_fused_batch_norm_grad = {
    .name = "FusedBatchNormGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of BatchNormalization followed by Relu",
    .since = 1,
    .min_in = 6,
    .max_in = 6,
    .min_out = 1,
    .max_out = 4,
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
