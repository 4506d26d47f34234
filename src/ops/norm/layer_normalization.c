/* LayerNormalization (Ba, Kiros & Hinton, 2016): each row of the axes from `axis` on gets mean 0 and variance 1, then
 * scale and bias: y = (x - mean) * inv_std_dev * scale + B, inv_std_dev = 1 / sqrt(var + epsilon). Mean and InvStdDev
 * are float32, or float64 for float64 input. */
#include "ops/norm/common_layer_norm.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"epsilon", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"stash_type", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    skv_out_like(c, 0, 0);
    const skive_type *x = skv_in_type(c, 0);
    if (!x) return SKIVE_OK;
    skive_dtype wide = x->dtype == SKIVE_F64 ? SKIVE_F64 : SKIVE_F32;
    for (size_t o = 1; o < c->n_out; o++) c->out[o].dtype = wide;
    if (x->rank < 0) return SKIVE_OK;
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", -1), x->rank);
    if (axis < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "LayerNormalization: axis %lld does not exist in %d dimensions",
                              (long long)skv_attr_int(c->node, "axis", -1), x->rank);
    SKV_TRY(skv_layer_want_scale(c, 0, 1, axis));
    SKV_TRY(skv_layer_want_scale(c, 0, 2, axis));
    for (size_t o = 1; o < c->n_out; o++) {
        c->out[o] = *x;
        c->out[o].dtype = wide;
        for (int64_t a = axis; a < x->rank; a++) c->out[o].dims[a] = skv_dim_of(1);
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *bias = c->n_in > 2 ? c->in[2] : NULL;
    skv_layer_rows rows = {0}, bias_rows = {0};
    skv_doubles x = {0}, scale = {0}, b = {0};
    skv_result out[3] = {{0}};
    skive_status status;
    double epsilon = skv_attr_float(c->node, "epsilon", 1e-5);
    SKV_GO(status, done, skv_layer_rows_of(c, c->in[0], c->in[1], &rows));
    if (bias) SKV_GO(status, done, skv_layer_rows_of(c, c->in[0], bias, &bias_rows));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &scale));
    SKV_GO(status, done, skv_doubles_read(c->ctx, bias, &b));
    for (size_t i = 0; i < 3; i++)
        SKV_GO(status, done, skv_result_open(c->ctx, i < c->n_out ? c->out[i] : NULL, &out[i]));
    for (int64_t r = 0; r < rows.outer; r++) {
        const double *from = x.p + r * rows.inner;
        double sum = 0.0, square = 0.0;
        for (int64_t i = 0; i < rows.inner; i++) sum += from[i];
        double mean = sum / (double)rows.inner;
        for (int64_t i = 0; i < rows.inner; i++) square += (from[i] - mean) * (from[i] - mean);
        double inverse = 1.0 / sqrt(square / (double)rows.inner + epsilon);
        if (out[1].p) out[1].p[r] = mean;
        if (out[2].p) out[2].p[r] = inverse;
        if (!out[0].p) continue;
        double *to = out[0].p + r * rows.inner;
        for (int64_t i = 0; i < rows.inner; i++)
            to[i] = (from[i] - mean) * inverse * scale.p[rows.scale_of[i]] +
                    (bias && b.p ? b.p[bias_rows.scale_of[i]] : 0.0);
    }
    for (size_t i = 0; i < 3; i++) skv_result_store(&out[i]);
done:
    skv_free(c->ctx, rows.scale_of);
    skv_free(c->ctx, bias_rows.scale_of);
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &scale);
    skv_doubles_free(c->ctx, &b);
    for (size_t i = 0; i < 3; i++) skv_result_free(c->ctx, &out[i]);
    return status;
}

static skive_status grad(skv_grad *c) {
    SKV_TRY(skv_grad_only_first(c, 1));
    skive_node *n = c->node;
    if (!c->dout[0]) return SKIVE_OK;
    if (c->need[0] || c->need[1]) {
        SKV_TRY(skv_node_need_outputs(n, 3));
        skive_value *out[2] = {NULL, NULL};
        skv_emit_n(c->b, "LayerNormalizationGrad",
                   SKV_IN(c->dout[0], n->inputs[0], n->inputs[1], n->outputs[1], n->outputs[2]),
                   SKV_ATTRS(SKV_INT("axis", skv_attr_int(n, "axis", -1))), out, 2);
        for (int i = 0; i < 2; i++)
            if (c->need[i]) c->din[i] = out[i];
    }
    if (n->n_inputs > 2 && c->need[2]) c->din[2] = skv_grad_unbroadcast(c->b, c->dout[0], n->inputs[2]);
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    if (!x || x->rank < 1) return;
    const int64_t axis = skv_axis(skv_attr_int(skv_couple_node(c), "axis", -1), x->rank);
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        for (int o = 1; o < 3 && a < axis; o++) skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(o, a));
        if (a < axis) continue;
        skv_couple_mixes(c, SKV_CIN(0, a), "LayerNormalization takes mean and variance over this axis");
        for (int i = 1; i < 3; i++) {
            const skive_type *s = skv_couple_type(c, SKV_CIN(i, 0));
            const int own = s ? a - (x->rank - s->rank) : -1;
            if (own >= 0) skv_couple_same(c, SKV_CIN(i, own), SKV_COUT(0, a));
        }
    }
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 6; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* rows 1 3 and 2 6: mean 2 and 4, deviation 1 and 2 */
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 3, 2, 6)}, {CASE_F32(2), CASE_VALUES(10, 20)},
             {CASE_F32(2), CASE_VALUES(1, 2)}),
     CASE_ATTRS(CASE_FLT("epsilon", 0)),
     .n_out = 3,
     CASE_EXPECT(-9, 22, -9, 22)},
    {.name = "two axes",
     CASE_IN({CASE_F32(3, 2, 4)}, {CASE_F32(2, 4)}, {CASE_F32(2, 4)}),
     CASE_ATTRS(CASE_INT("axis", 1)),
     .n_out = 3},
    {.name = "without bias", CASE_IN({CASE_F32(2, 3, 5)}, {CASE_F32(5)}), .n_out = 1},
    {.name = "scale broadcast",
     CASE_IN({CASE_F32(2, 2, 3)}, {CASE_F32(3)}, {CASE_F32(2, 1)}),
     CASE_ATTRS(CASE_INT("axis", -2)),
     .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_SCALE},
    {.role = SKV_ROLE_SHIFT},
};

const skv_op skv_op_layer_normalization = {
    .name = "LayerNormalization",
    .domain = "",
    .brief = "normalization of each row by its mean and variance",
    .since = 17,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 3,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
