/* Kernels of support vector machines. */
#include "ops/ml/common_svm.h"

#include <math.h>
#include <string.h>

#include "ops/ml/common_ml.h"

skive_status skv_svm_bad(skive_context *ctx, const skive_node *n, const char *what) {
    return skv_fail_at(ctx, SKIVE_ERR_GRAPH, n->name, "node '%s' (%s): %s", n->name, n->op_type, what);
}

static const double *floats(const skive_node *n, const char *name, size_t *count) {
    const skv_attr *a = skv_node_attr(n, name);
    *count = a && a->type == SKV_ATTR_FLOATS ? a->n : 0;
    return *count ? a->floats : NULL;
}

skive_status skv_svm_read(skive_context *ctx, const skive_node *n, int64_t vectors, int64_t rows, skv_svm *s) {
    static const char *const names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    const char *kernel = skv_attr_string(n, "kernel_type", "LINEAR");
    size_t n_params, n_support, k = 0;
    *s = (skv_svm){.vectors = vectors};
    while (k < SKV_COUNT(names) && strcmp(names[k], kernel) != 0) k++;
    if (k == SKV_COUNT(names)) return skv_svm_bad(ctx, n, "kernel_type is none of LINEAR, POLY, RBF and SIGMOID");
    s->kernel = vectors ? (int)k : SKV_SVM_LINEAR;
    const double *params = floats(n, "kernel_params", &n_params);
    if (n_params != 3 && (n_params != 0 || s->kernel != SKV_SVM_LINEAR))
        return skv_svm_bad(ctx, n, "kernel_params are gamma, coef0 and degree");
    if (params) s->gamma = params[0], s->coef0 = params[1], s->degree = params[2];
    s->coefficients = floats(n, "coefficients", &s->n_coefficients);
    s->rho = floats(n, "rho", &s->n_rho);
    s->support = floats(n, "support_vectors", &n_support);
    if (!s->coefficients || !s->rho) return skv_svm_bad(ctx, n, "no coefficients, or no rho");
    const size_t over = vectors ? n_support : s->n_coefficients, by = (size_t)(vectors ? vectors : rows);
    if (vectors < 0 || by < 1 || over == 0 || over % by != 0)
        return skv_svm_bad(ctx, n,
                           vectors ? "support_vectors are not so many rows" : "coefficients are not so many rows");
    s->features = (int64_t)(over / by);
    return SKIVE_OK;
}

void skv_svm_turn(const skv_svm *s, double *turned) {
    for (int64_t v = 0; v < s->vectors; v++)
        for (int64_t f = 0; f < s->features; f++) turned[f * s->vectors + v] = s->support[v * s->features + f];
}

/* x to a power that is a small whole number in most models. */
static double power(double x, double y) {
    if (y == 2) return x * x;
    return y == 3 ? x * x * x : pow(x, y);
}

void skv_svm_row(const skv_svm *s, const double *turned, const double *x, double *k) {
    const int64_t n = s->vectors;
    memset(k, 0, (size_t)n * sizeof *k);
    for (int64_t f = 0; f < s->features; f++) {
        const double *v = turned + f * n, xf = x[f];
        if (s->kernel == SKV_SVM_RBF)
            for (int64_t i = 0; i < n; i++) k[i] += (xf - v[i]) * (xf - v[i]);
        else
            for (int64_t i = 0; i < n; i++) k[i] += xf * v[i];
    }
    for (int64_t i = 0; i < n && s->kernel != SKV_SVM_LINEAR; i++) {
        if (s->kernel == SKV_SVM_RBF)
            k[i] = exp(-s->gamma * k[i]);
        else
            k[i] = s->kernel == SKV_SVM_POLY ? power(s->gamma * k[i] + s->coef0, s->degree)
                                             : tanh(s->gamma * k[i] + s->coef0);
    }
}

skive_status skv_svm_want_rows(skv_infer *c, int64_t features) {
    SKV_TRY(skv_want_rank(c, 0, 2, 2));
    const int64_t width = skv_in_dim(c, 0, 1);
    if (width < 0 || width == features) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': rows have %lld features, the model was made for %lld",
                          c->node->name, (long long)width, (long long)features);
}
