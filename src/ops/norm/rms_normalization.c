/* RMSNormalization (Zhang & Sennrich, 2019): each row of the axes from `axis` on is divided by the root of its mean
 * square, then scaled: y = x / sqrt(mean(x^2) + epsilon) * scale. */
#include "ops/norm/common_layer_norm.h"

static const skv_attr_spec attrs[] = {
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"epsilon", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"stash_type", SKV_ATTR_INT, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    skv_out_like(c, 0, 0);
    if (!skv_in_ranked(c, 0)) return SKIVE_OK;
    const int64_t given = skv_attr_int(c->node, "axis", -1), axis = skv_axis(given, c->in[0]->rank);
    if (axis < 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "RMSNormalization: axis %lld does not exist in %d dimensions",
                              (long long)given, c->in[0]->rank);
    return skv_layer_want_scale(c, 0, 1, axis);
}

static skive_status run(const skv_eval *c) {
    skv_layer_rows rows = {0};
    skv_doubles x = {0}, scale = {0};
    skv_result out = {0};
    skive_status status;
    const double epsilon = skv_attr_float(c->node, "epsilon", 1e-5);
    SKV_GO(status, done, skv_layer_rows_of(c, c->in[0], c->in[1], &rows));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[1], &scale));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &out));
    for (int64_t r = 0; out.p && r < rows.outer; r++) {
        const double *from = x.p + r * rows.inner;
        double square = 0;
        for (int64_t i = 0; i < rows.inner; i++) square += from[i] * from[i];
        const double inverse = 1 / sqrt(square / (double)rows.inner + epsilon);
        for (int64_t i = 0; i < rows.inner; i++)
            out.p[r * rows.inner + i] = from[i] * inverse * scale.p[rows.scale_of[i]];
    }
    skv_result_store(&out);
done:
    skv_free(c->ctx, rows.scale_of);
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &scale);
    skv_result_free(c->ctx, &out);
    return status;
}

static skive_value *row_mean(skv_grad *c, skive_value *v) {
    int64_t axes[SKIVE_MAX_RANK];
    const int rank = c->node->inputs[0]->type.rank;
    size_t n = 0;
    for (int64_t a = skv_axis(skv_attr_int(c->node, "axis", -1), rank); a >= 0 && a < rank; a++) axes[n++] = a;
    return skv_emit(c->b, "ReduceMean", SKV_IN(v, skv_emit_ints(c->b, axes, n)), SKV_ATTRS(SKV_INT("keepdims", 1)));
}

static skive_value *mul(skv_grad *c, skive_value *a, skive_value *b) {
    return skv_emit(c->b, "Mul", SKV_IN(a, b), SKV_NONE);
}

/* With r = 1 / sqrt(mean(x^2) + epsilon), n = x r, g = dY scale: dX = r (g - n mean(g n)), dScale = sum over rows of
 * dY n. */
static skive_status grad(skv_grad *c) {
    skive_value *x = c->node->inputs[0], *scale = c->node->inputs[1], *dy = c->dout[0];
    if (!dy || (!c->need[0] && !c->need[1])) return SKIVE_OK;
    skive_value *epsilon = skv_emit_scalar(c->b, x->type.dtype, skv_attr_float(c->node, "epsilon", 1e-5));
    skive_value *sum = skv_emit(c->b, "Add", SKV_IN(row_mean(c, mul(c, x, x)), epsilon), SKV_NONE);
    skive_value *r = skv_emit(c->b, "Reciprocal", SKV_IN(skv_emit(c->b, "Sqrt", SKV_IN(sum), SKV_NONE)), SKV_NONE);
    skive_value *n = mul(c, x, r);
    if (c->need[0]) {
        skive_value *g = mul(c, dy, scale), *along = mul(c, n, row_mean(c, mul(c, g, n)));
        c->din[0] = mul(c, r, skv_emit(c->b, "Sub", SKV_IN(g, along), SKV_NONE));
    }
    if (c->need[1]) c->din[1] = skv_grad_unbroadcast(c->b, mul(c, dy, n), scale);
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *s = skv_couple_type(c, SKV_CIN(1, 0));
    if (!x || x->rank < 1) return;
    const int64_t axis = skv_axis(skv_attr_int(skv_couple_node(c), "axis", -1), x->rank);
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (a < axis) continue;
        skv_couple_mixes(c, SKV_CIN(0, a), "RMSNormalization takes the mean square over this axis");
        const int own = s ? a - (x->rank - s->rank) : -1;
        if (own >= 0) skv_couple_same(c, SKV_CIN(1, own), SKV_COUT(0, a));
    }
}

static void cost(const skive_node *n, skive_cost *out) {
    for (int i = 0; i < 4; i++) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* mean squares 25 and 1 */
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 7, 1, -1)}, {CASE_F32(2), CASE_VALUES(5, 10)}),
     CASE_ATTRS(CASE_FLT("epsilon", 0)),
     .n_out = 1,
     CASE_EXPECT(1, 14, 5, -10)},
    {.name = "two axes", CASE_IN({CASE_F32(3, 2, 4)}, {CASE_F32(2, 4)}), CASE_ATTRS(CASE_INT("axis", 1)), .n_out = 1},
    {.name = "last axis", CASE_IN({CASE_F32(2, 3, 5)}, {CASE_F32(5)}), .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_SCALE},
};

const skv_op skv_op_rms_normalization = {
    .name = "RMSNormalization",
    .domain = "",
    .brief = "normalization of each row by its root mean square",
    .since = 23,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = cost,
    SKV_LIST(cases),
};
