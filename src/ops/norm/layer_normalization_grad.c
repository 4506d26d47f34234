/* LayerNormalizationGrad(dY, X, scale, mean, inv_std_dev) -> dX, dScale, dB: the gradient of LayerNormalization. With
 * x' = (X - mean) * inv_std_dev, g = dY * scale and row means over the normalized axes:
 *
 *     dX = inv_std_dev * (g - mean(g) - x' * mean(g x'));  dScale = sum over rows of dY x';  dB = sum over rows of dY
 *
 * dScale and dB have the shape of scale. */
#include "ops/norm/common_layer_norm.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_same_shape(c, 0, 1));
    SKV_TRY(skv_want_same_shape(c, 3, 4));
    if (skv_in_ranked(c, 1)) {
        const skive_type *x = c->in[1];
        int64_t axis = skv_axis(skv_attr_int(c->node, "axis", -1), x->rank);
        if (axis < 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "LayerNormalizationGrad: axis is out of range");
        SKV_TRY(skv_layer_want_scale(c, 1, 2, axis));
        bool fits = !skv_in_ranked(c, 3) || c->in[3]->rank == x->rank;
        for (int a = 0; fits && skv_in_ranked(c, 3) && a < x->rank; a++) {
            int64_t have = skv_in_dim(c, 3, a), want = a < axis ? skv_in_dim(c, 1, a) : 1;
            fits = have < 0 || want < 0 || have == want;
        }
        if (!fits) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "LayerNormalizationGrad: the means do not match the rows");
    }
    skv_out_like(c, 0, 1);
    for (size_t o = 1; o < c->n_out; o++) skv_out_like(c, o, 2);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    enum { DY, X, SCALE, MEAN, INV, INPUTS };
    skv_layer_rows rows = {0};
    skv_doubles in[INPUTS] = {{0}};
    skv_result out[3] = {{0}};
    skive_status status;
    SKV_GO(status, done, skv_layer_rows_of(c, c->in[X], c->in[SCALE], &rows));
    for (size_t i = 0; i < INPUTS; i++) SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[i], &in[i]));
    for (size_t i = 0; i < 3; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &out[i]));
    for (int64_t r = 0; r < rows.outer; r++) {
        const double *dy = in[DY].p + r * rows.inner, *x = in[X].p + r * rows.inner;
        double mean = in[MEAN].p[r], inv = in[INV].p[r], g_sum = 0.0, gx_sum = 0.0;
        for (int64_t i = 0; i < rows.inner; i++) {
            double normal = (x[i] - mean) * inv, g = dy[i] * in[SCALE].p[rows.scale_of[i]];
            g_sum += g;
            gx_sum += g * normal;
            if (out[1].p) out[1].p[rows.scale_of[i]] += dy[i] * normal;
            if (out[2].p) out[2].p[rows.scale_of[i]] += dy[i];
        }
        if (!out[0].p) continue;
        double *dx = out[0].p + r * rows.inner, count = (double)rows.inner;
        for (int64_t i = 0; i < rows.inner; i++) {
            double normal = (x[i] - mean) * inv, g = dy[i] * in[SCALE].p[rows.scale_of[i]];
            dx[i] = inv * (g - g_sum / count - normal * (gx_sum / count));
        }
    }
    for (size_t i = 0; i < 3; i++) skv_result_store(&out[i]);
done:
    skv_free(c->ctx, rows.scale_of);
    for (size_t i = 0; i < INPUTS; i++) skv_doubles_free(c->ctx, &in[i]);
    for (size_t i = 0; i < 3; i++) skv_result_free(c->ctx, &out[i]);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 8; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    /* x' = -1 1; g = 4 -2; mean(g) = 1, mean(g x') = -3: dX = 0.5 * (4 - 1 - 3, -2 - 1 + 3) */
    {.name = "two elements", /* always 0: a row of two has no freedom left */
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(2, -1)}, {CASE_F32(1, 2), CASE_VALUES(1, 5)},
             {CASE_F32(2), CASE_VALUES(2, 2)}, {CASE_F32(1, 1), CASE_VALUES(3)}, {CASE_F32(1, 1), CASE_VALUES(0.5)}),
     .n_out = 3,
     CASE_EXPECT(0, 0)},
    /* x' = -1 -1 1 1; g = dY = 1 0 0 2; mean(g) = 0.75, mean(g x') = 0.25 */
    {.name = "four elements",
     CASE_IN({CASE_F32(1, 4), CASE_VALUES(1, 0, 0, 2)}, {CASE_F32(1, 4), CASE_VALUES(1, 1, 3, 3)},
             {CASE_F32(4), CASE_VALUES(1, 1, 1, 1)}, {CASE_F32(1, 1), CASE_VALUES(2)},
             {CASE_F32(1, 1), CASE_VALUES(1)}),
     .n_out = 2,
     CASE_EXPECT(0.5, -0.5, -1, 1)},
};

const skv_op skv_op_layer_normalization_grad = {
    .name = "LayerNormalizationGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of LayerNormalization",
    .since = 1,
    .min_in = 5,
    .max_in = 5,
    .min_out = 1,
    .max_out = 3,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
