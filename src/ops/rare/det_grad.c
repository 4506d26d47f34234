/* DetGrad(dY, X): dY times the cofactors of each matrix, the determinants of what is left without a row and a column
 * (Jacobi's formula, in the form that also holds for singular matrices). */
#include "ops/common_nn.h"
#include "ops/common_shape.h"
#include "ops/rare/common_det.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_DET, SKV_FORWARD_IN(1), 0));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

static void without(const double *a, int64_t n, int64_t row, int64_t column, double *out) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            if (i != row && j != column) *out++ = a[i * n + j];
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *t = c->in[1];
    const int64_t n = t->dims[t->rank - 1], count = skive_tensor_count(c->in[0]);
    skv_doubles dy = {0}, x = {0};
    skv_result dx = {0};
    double *minor = NULL;
    skive_status status;
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_doubles_read(c->ctx, t, &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    SKV_GO(status, out, skv_alloc_array(c->ctx, (size_t)(n * n) + 1, sizeof *minor, &minor));
    for (int64_t i = 0; i < count * n * n; i++) {
        const int64_t row = i / n % n, column = i % n;
        without(x.p + i / (n * n) * n * n, n, row, column, minor);
        dx.p[i] = dy.p[i / (n * n)] * ((row + column) % 2 ? -1 : 1) * skv_determinant(minor, n - 1);
    }
    skv_result_store(&dx);
out:
    skv_free(c->ctx, minor);
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "one of them singular",
     CASE_IN({CASE_F32(2), CASE_VALUES(2, 1)}, {CASE_F32(2, 2, 2), CASE_VALUES(1, 2, 3, 4, 1, 2, 2, 4)}),
     .n_out = 1,
     CASE_EXPECT(8, -6, -4, 2, 4, -2, -2, 1)},
};

const skv_op skv_op_det_grad = {
    .name = "DetGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Det",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
