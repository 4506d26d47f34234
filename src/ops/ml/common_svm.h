/* What the two support vector machines of ai.onnx.ml share. */
#ifndef SKV_OPS_COMMON_SVM_H
#define SKV_OPS_COMMON_SVM_H

#include "graph/op.h"

enum { SKV_SVM_LINEAR, SKV_SVM_POLY, SKV_SVM_RBF, SKV_SVM_SIGMOID };
typedef struct skv_svm {
    int kernel;
    double gamma, coef0, degree;
    int64_t vectors, features;
    const double *coefficients, *rho, *support; /* support [vectors][features] */
    size_t n_coefficients, n_rho;
} skv_svm;

/* ERR_GRAPH naming the node if numbers are missing or their counts contradict each other. `vectors` 0: a linear model
 * with `rows` rows of coefficients. */
skive_status skv_svm_read(skive_context *ctx, const skive_node *n, int64_t vectors, int64_t rows, skv_svm *s);
/* k[vectors]: the kernel's value of a row with each vector, by the transposed vectors [features][vectors]. */
void skv_svm_row(const skv_svm *s, const double *turned, const double *x, double *k);
void skv_svm_turn(const skv_svm *s, double *turned);
/* Input 0 is [n][features or more]. */
skive_status skv_svm_want_rows(skv_infer *c, int64_t features);
skive_status skv_svm_bad(skive_context *ctx, const skive_node *n, const char *what);

#endif
