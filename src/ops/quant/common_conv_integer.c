/* See common_conv_integer.h. */
#include "ops/quant/common_conv_integer.h"

#include "ops/conv/common_conv.h"

skive_status skv_infer_conv_integer(skv_infer *c) {
    skv_conv_shape s;
    bool known;
    SKV_TRY(skv_infer_want_8bit(c, SKV_CI_X));
    SKV_TRY(skv_infer_want_8bit(c, SKV_CI_W));
    SKV_TRY(skv_want_same_dtype(c, SKV_CI_X, SKV_CI_X_ZERO));
    SKV_TRY(skv_want_same_dtype(c, SKV_CI_W, SKV_CI_W_ZERO));
    SKV_TRY(skv_infer_conv(c, SKV_CI_X, SKV_CI_W, &s, &known));
    SKV_TRY(skv_infer_want_parameter(c, SKV_CI_X_ZERO, 1, "the zero point of x"));
    return skv_infer_want_parameter(c, SKV_CI_W_ZERO, known ? s.m : -1, "the zero point of w");
}

skive_status skv_conv_integer(const skv_eval *c, double **sums) {
    skv_conv_shape s;
    double *x = NULL, *w = NULL;
    skive_status status;
    *sums = NULL;
    SKV_TRY(skv_conv_shape_of(c, c->in[SKV_CI_X], c->in[SKV_CI_W], &s));
    SKV_GO(status, done,
           skv_centred(c, c->in[SKV_CI_X], c->n_in > SKV_CI_X_ZERO ? c->in[SKV_CI_X_ZERO] : NULL, -1, &x));
    SKV_GO(status, done, skv_centred(c, c->in[SKV_CI_W], c->n_in > SKV_CI_W_ZERO ? c->in[SKV_CI_W_ZERO] : NULL, 0, &w));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)skive_tensor_count(c->out[0]) + 1, sizeof **sums, sums));
    skv_conv_forward(skv_threads(c->ctx), &s, x, w, NULL, *sums);
done:
    skv_free(c->ctx, x);
    skv_free(c->ctx, w);
    return status;
}
