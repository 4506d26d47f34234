/* LRNGrad(dY, X) {as LRN}: with D[i] = bias + alpha / size * (sum of x^2 over the channels around i),
 *
 *     dx[j] = dy[j] D[j]^-beta - 2 alpha beta / size * x[j] * sum over the windows i that contain j of
 *             dy[i] x[i] D[i]^(-beta - 1) */
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"size", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
                                      {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
                                      {"bias", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_LRN, SKV_FORWARD_IN(1), 0));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

/* The sum of v over `before` channels before element i and `after` channels after it. */
static double around(const double *v, int64_t i, int64_t inner, int64_t channels, int64_t before, int64_t after) {
    const int64_t channel = i / inner % channels, first = channel > before ? channel - before : 0,
                  last = after < channels - 1 - channel ? channel + after : channels - 1;
    double sum = 0;
    for (int64_t k = first; k <= last; k++) sum += v[i + (k - channel) * inner];
    return sum;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *t = c->in[1];
    const int64_t size = skv_attr_int(c->node, "size", 1), before = (size - 1) / 2, after = size - 1 - before,
                  channels = t->dims[1], n = skive_tensor_count(t);
    const double alpha = skv_attr_float(c->node, "alpha", 1e-4) / (double)size,
                 beta = skv_attr_float(c->node, "beta", 0.75), bias = skv_attr_float(c->node, "bias", 1);
    skv_doubles dy = {0}, x = {0};
    skv_result dx = {0};
    double *squares = NULL, *spread = NULL;
    int64_t inner = 1;
    skive_status status;
    for (int d = 2; d < t->rank; d++) inner *= t->dims[d];
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_doubles_read(c->ctx, t, &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    SKV_GO(status, out, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *squares, &squares));
    SKV_GO(status, out, skv_alloc_array(c->ctx, (size_t)n + 1, sizeof *spread, &spread));
    for (int64_t i = 0; i < n; i++) squares[i] = x.p[i] * x.p[i];
    for (int64_t i = 0; i < n; i++) {
        const double d = bias + alpha * around(squares, i, inner, channels, before, after);
        dx.p[i] = dy.p[i] * pow(d, -beta);
        spread[i] = dy.p[i] * x.p[i] * pow(d, -beta - 1);
    }
    /* j lies in the windows of the channels from `after` before it to `before` after it */
    for (int64_t j = 0; j < n; j++)
        dx.p[j] -= 2 * alpha * beta * x.p[j] * around(spread, j, inner, channels, after, before);
    skv_result_store(&dx);
out:
    skv_free(c->ctx, squares);
    skv_free(c->ctx, spread);
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "by hand", /* D = 1 + x0^2 + x1^2 = 6 for both; dx0 = 1/6 - 2 * 1 * (1 / 36), dx1 = -2 * 2 * (1 / 36) */
     CASE_ATTRS(CASE_INT("size", 3), CASE_FLT("alpha", 3), CASE_FLT("beta", 1)),
     CASE_IN({CASE_F32(1, 2, 1), CASE_VALUES(1, 0)}, {CASE_F32(1, 2, 1), CASE_VALUES(1, 2)}),
     .n_out = 1,
     CASE_EXPECT(0.1111111111111111, -0.1111111111111111)},
};

const skv_op skv_op_lrn_grad = {
    .name = "LRNGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of LRN",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
