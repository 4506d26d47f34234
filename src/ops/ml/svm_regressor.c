/* SVMRegressor: a sum of kernels with the support vectors, or of the features; with one_class its sign. */
#include "ops/ml/common_ml.h"
#include "ops/ml/common_svm.h"

static const skv_attr_spec attrs[] = {
    {"coefficients", SKV_ATTR_FLOATS, SKV_REQUIRED},    {"kernel_params", SKV_ATTR_FLOATS, SKV_OPTIONAL},
    {"kernel_type", SKV_ATTR_STRING, SKV_OPTIONAL},     {"n_supports", SKV_ATTR_INT, SKV_OPTIONAL},
    {"one_class", SKV_ATTR_INT, SKV_OPTIONAL},          {"rho", SKV_ATTR_FLOATS, SKV_REQUIRED},
    {"support_vectors", SKV_ATTR_FLOATS, SKV_OPTIONAL},
};

static skive_status read_svm(skive_context *ctx, const skive_node *n, skv_svm *s) {
    SKV_TRY(skv_svm_read(ctx, n, skv_attr_int(n, "n_supports", 0), 1, s));
    const int64_t terms = s->vectors ? s->vectors : s->features;
    return s->n_coefficients == (size_t)terms ? SKIVE_OK : skv_svm_bad(ctx, n, "not one coefficient for each vector");
}

static skive_status infer(skv_infer *c) {
    skv_svm s;
    SKV_TRY(read_svm(c->ctx, c->node, &s));
    SKV_TRY(skv_svm_want_rows(c, s.features));
    const skive_type *x = skv_in_type(c, 0);
    c->out[0].dtype = SKIVE_F32;
    c->out[0].rank = 2;
    c->out[0].dims[0] = x->rank == 2 ? x->dims[0] : skv_dim_of(-1);
    c->out[0].dims[1] = skv_dim_of(1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_svm s;
    skv_doubles x = {0};
    double *turned = NULL, *k = NULL;
    float *y = c->out[0]->data;
    skive_status status;
    SKV_TRY(read_svm(c->ctx, c->node, &s));
    SKV_GO(status, done, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)(s.vectors * s.features) + 1, sizeof *turned, &turned));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)s.vectors + 1, sizeof *k, &k));
    skv_svm_turn(&s, turned);
    for (int64_t i = 0; i < c->in[0]->dims[0]; i++) {
        const double *row = x.p + i * s.features;
        double sum = 0;
        if (s.vectors) skv_svm_row(&s, turned, row, k);
        for (size_t j = 0; j < s.n_coefficients; j++) sum += s.coefficients[j] * (s.vectors ? k : row)[j];
        sum += s.rho[0];
        y[i] = !skv_attr_int(c->node, "one_class", 0) ? (float)sum : sum > 0 ? 1.0f : -1.0f;
    }
done:
    skv_free(c->ctx, turned);
    skv_free(c->ctx, k);
    skv_doubles_free(c->ctx, &x);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_type *x = n->n_inputs && n->inputs[0] ? &n->inputs[0]->type : NULL;
    const int64_t vectors = skv_attr_int(n, "n_supports", 0);
    if (x && x->rank == 2)
        out->macs = skv_add_sat(out->macs, skv_mul_sat(skv_type_count(x), vectors > 0 ? vectors : 1));
}

static const skv_op_case cases[] = {
    {.name = "radial",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 0, 0)}),
     CASE_ATTRS(CASE_STR("kernel_type", "RBF"), CASE_FLTS("kernel_params", 0.5, 0, 0), CASE_INT("n_supports", 2),
                CASE_FLTS("support_vectors", 1, 2, 1, 1), CASE_FLTS("coefficients", 2, -1), CASE_FLTS("rho", 0.25)),
     .n_out = 1, /* 2 - e^-0.5 + 0.25; 2 e^-2.5 - e^-1 + 0.25 */
     CASE_EXPECT(1.6434693402873666, 0.046290556071135454),
     CASE_OUT(2, 1),
     .no_grad = true},
    {.name = "polynomial",
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 2)}),
     CASE_ATTRS(CASE_STR("kernel_type", "POLY"), CASE_FLTS("kernel_params", 0.5, 1, 3), CASE_INT("n_supports", 1),
                CASE_FLTS("support_vectors", 2, 1), CASE_FLTS("coefficients", 2), CASE_FLTS("rho", -1)),
     .n_out = 1, /* 2 * 3^3 - 1 */
     CASE_EXPECT(53),
     .no_grad = true},
    {.name = "linear, its sign",
     CASE_IN({CASE_TYPED(SKIVE_I64, 2, 2), CASE_VALUES(1, 2, 3, 1)}),
     CASE_ATTRS(CASE_FLTS("coefficients", 1, -1), CASE_FLTS("rho", 0.5), CASE_INT("one_class", 1)),
     .n_out = 1,
     CASE_EXPECT(-1, 1),
     .no_grad = true},
};

const skv_op skv_op_svm_regressor = {
    .name = "SVMRegressor",
    .domain = SKV_ML_DOMAIN,
    .brief = "support vector regression, or membership of one class",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
