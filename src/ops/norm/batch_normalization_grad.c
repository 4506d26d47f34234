/* BatchNormalizationGrad(dY, X, scale, batch_mean, batch_inv_std) -> dX, dScale, dB: the gradient of BatchNormalization
 * in training. With x' = (X - mean) * inv_std, channel by channel over its N elements:
 *
 *     dB = sum dY;  dScale = sum dY x';  dX = scale * inv_std / N * (N dY - dB - x' dScale) */
#include "ops/common_nn.h"

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_rank(c, 1, 2, SKIVE_MAX_RANK));
    SKV_TRY(skv_want_same_shape(c, 0, 1));
    for (size_t i = 2; i < 5; i++) SKV_TRY(skv_want_vector(c, i, skv_in_dim(c, 1, 1), "a channel's statistic"));
    skv_out_like(c, 0, 1);
    for (size_t o = 1; o < c->n_out; o++) skv_out_like(c, o, 2);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    enum { DY, X, SCALE, MEAN, INV, INPUTS };
    skv_doubles in[INPUTS] = {{0}};
    skv_result out[3] = {{0}};
    skive_status status = SKIVE_OK;
    const skive_tensor *x = c->in[X];
    for (size_t i = 0; i < INPUTS; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    for (size_t i = 0; i < 3; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &out[i]));
    int64_t batch = x->dims[0], channels = x->dims[1], plane = 1;
    for (int a = 2; a < x->rank; a++) plane *= x->dims[a];
    double count = (double)batch * (double)plane;
    for (int64_t ch = 0; ch < channels; ch++) {
        double mean = in[MEAN].p[ch], inv = in[INV].p[ch], db = 0.0, ds = 0.0;
        for (int64_t n = 0; n < batch; n++) {
            const double *dy = in[DY].p + (n * channels + ch) * plane, *xs = in[X].p + (n * channels + ch) * plane;
            for (int64_t i = 0; i < plane; i++) {
                db += dy[i];
                ds += dy[i] * ((xs[i] - mean) * inv);
            }
        }
        if (out[1].p) out[1].p[ch] = ds;
        if (out[2].p) out[2].p[ch] = db;
        if (!out[0].p) continue;
        double gain = in[SCALE].p[ch] * inv;
        for (int64_t n = 0; n < batch; n++) {
            const double *dy = in[DY].p + (n * channels + ch) * plane, *xs = in[X].p + (n * channels + ch) * plane;
            double *dx = out[0].p + (n * channels + ch) * plane;
            for (int64_t i = 0; i < plane; i++)
                dx[i] = gain * (dy[i] - db / count - (xs[i] - mean) * inv * (ds / count));
        }
    }
    for (size_t i = 0; i < 3; i++) skv_result_store(&out[i]);
done:
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t i = 0; i < 3; i++) skv_result_free(c->ctx, &out[i]);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 6; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    /* x' = -1, 1, -1, 1; dB = 4, dScale = 2: dX = 2 * 0.5 * (dY - 1 - x' / 2) */
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 1, 2), CASE_VALUES(1, 0, 0, 3)}, {CASE_F32(2, 1, 2), CASE_VALUES(1, 5, 1, 5)},
             {CASE_F32(1), CASE_VALUES(2)}, {CASE_F32(1), CASE_VALUES(3)}, {CASE_F32(1), CASE_VALUES(0.5)}),
     .n_out = 3,
     CASE_EXPECT(0.5, -1.5, -0.5, 1.5)},
    {.name = "a constant batch", /* x' = 0: only the mean of dY is taken out */
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 6)}, {CASE_F32(2, 2), CASE_VALUES(7, 8, 7, 8)},
             {CASE_F32(2), CASE_VALUES(1, 2)}, {CASE_F32(2), CASE_VALUES(7, 8)}, {CASE_F32(2), CASE_VALUES(10, 10)}),
     .n_out = 1,
     CASE_EXPECT(-10, -40, 10, 40)},
};

const skv_op skv_op_batch_normalization_grad = {
    .name = "BatchNormalizationGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of BatchNormalization in training",
    .since = 1,
    .min_in = 5,
    .max_in = 5,
    .min_out = 1,
    .max_out = 3,
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
