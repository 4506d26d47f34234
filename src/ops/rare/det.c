/* Det: determinants of the matrices in the last two axes, by elimination with row exchanges. */
#include "ops/common_nn.h"
#include "ops/common_elementwise.h"
#include "ops/common_shape.h"
#include "ops/rare/common_det.h"

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    SKV_TRY(skv_want_float(c, 0));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    const int64_t rows = x->rank >= 2 ? x->dims[x->rank - 2].size : 0,
                  columns = x->rank >= 2 ? x->dims[x->rank - 1].size : 0;
    if (x->rank < 2 || (rows >= 0 && columns >= 0 && rows != columns))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the last two axes are not a square matrix",
                              c->node->name);
    c->out[0].rank = x->rank - 2;
    for (int d = 0; d < x->rank - 2; d++) c->out[0].dims[d] = x->dims[d];
    return SKIVE_OK;
}

double skv_determinant(double *a, int64_t n) {
    double det = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t r = k + 1; r < n; r++)
            if (fabs(a[r * n + k]) > fabs(a[pivot * n + k])) pivot = r;
        if (a[pivot * n + k] == 0) return 0;
        if (pivot != k) det = -det;
        for (int64_t j = k; pivot != k && j < n; j++) {
            const double t = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = t;
        }
        det *= a[k * n + k];
        for (int64_t r = k + 1; r < n; r++) {
            const double f = a[r * n + k] / a[k * n + k];
            for (int64_t j = k; j < n; j++) a[r * n + j] -= f * a[k * n + j];
        }
    }
    return det;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t n = x->dims[x->rank - 1], count = skive_tensor_count(y);
    double *a = NULL;
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)(n * n) + 1, sizeof *a, &a));
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < n * n; k++) a[k] = skv_load_f64(x->dtype, x->data, (size_t)(i * n * n + k));
        skv_store_f64(y->dtype, y->data, (size_t)i, skv_determinant(a, n));
    }
    skv_free(c->ctx, a);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_g2(c->b, "DetGrad", c->dout[0], c->node->inputs[0]);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 22, 0); }

static const skv_op_case cases[] = {
    {.name = "rows to be exchanged", CASE_IN({CASE_F32(2, 2), CASE_VALUES(0, 2, 3, 4)}), .n_out = 1, CASE_EXPECT(-6)},
    {.name = "two of them, one singular",
     CASE_IN({CASE_F32(2, 2, 2), CASE_VALUES(1, 2, 3, 4, 1, 2, 2, 4)}),
     .n_out = 1,
     CASE_EXPECT(-2, 0),
     CASE_OUT(2)},
    {.name = "3x3", CASE_IN({CASE_F32(2, 3, 3)}), .n_out = 1, CASE_OUT(2)},
};

const skv_op skv_op_det = {
    .name = "Det",
    .domain = "",
    .brief = "determinants",
    .since = 11,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
