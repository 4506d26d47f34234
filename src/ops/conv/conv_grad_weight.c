/* ConvGradWeight(dY, X, W) -> dW, dB: the gradient of a convolution by its weight and bias. Of W only the shape is
 * read.
 *
 *     dW[m][c][k] = sum over n, o of dY[n][m][o] * X[n][c][o * stride + k * dilation - pad]
 *     dB[m] = sum of dY[.][m][.] */
#include "ops/conv/common_conv.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL}, {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"group", SKV_ATTR_INT, SKV_OPTIONAL},       {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},       {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    skv_infer view = *c;
    skive_type forward = {.rank = -1};
    skv_conv_shape s;
    bool known;
    view.out = &forward;
    view.n_out = 1;
    SKV_TRY(skv_infer_conv(&view, 1, 2, &s, &known));
    SKV_TRY(skv_want_shape(c, 0, &forward));
    skv_out_like(c, 0, 2);
    if (c->n_out > 1) {
        int64_t m = known ? s.m : -1;
        c->out[1] = (skive_type){.dtype = c->out[0].dtype, .rank = 1, .dims = {{m, NULL}}};
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_conv_shape s;
    skv_doubles dy = {0}, x = {0};
    skv_result dw = {0}, db = {0};
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[1], c->in[2], &s));
    SKV_TRY(skv_conv_want_dy(c, &s, c->in[0]));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dw));
    SKV_GO(status, out, skv_result_open(c->ctx, c->n_out > 1 ? c->out[1] : NULL, &db));
    if (dw.p) skv_conv_backward_weight(skv_threads(c->ctx), &s, dy.p, x.p, dw.p);
    if (db.p) {
        int64_t plane = skv_volume(s.g.out);
        for (int64_t i = 0; i < s.n * s.m; i++)
            for (int64_t j = 0; j < plane; j++) db.p[i % s.m] += dy.p[i * plane + j];
    }
    skv_result_store(&dw);
    skv_result_store(&db);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &dw);
    skv_result_free(c->ctx, &db);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_conv_grad_cost(n, skv_node_in(n, 2), out); }

/* dY = 1 everywhere: every tap collects the inputs it meets. */
static const double dy[] = {1, 1, 1, 1}, x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const double dw[] = {12, 16, 24, 28};
static const skv_case_in in[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 2, 2}, .values = dy},
                                 {.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 3, 3}, .values = x},
                                 {.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 2, 2}}};
static const int64_t strides[] = {2}, pads[] = {1, 1};
static const skv_attr_init at_strided[] = {A_INTS("strides", strides), A_INTS("pads", pads), A_INT("group", 2)};
/* Each of two groups: x of 4, window of 2, output positions start at -1, 1, 3. */
static const double dy_s[] = {1, 2, 3, 10, 20, 30}, x_s[] = {1, 2, 3, 4, 1, 0, 0, 1};
static const double dw_s[] = {16, 7, 30, 10};
static const skv_case_in in_strided[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {1, 2, 3}, .values = dy_s},
                                         {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 2, 4}, .values = x_s},
                                         {.dtype = SKIVE_F32, .rank = 3, .dims = {2, 1, 2}}};
static const skv_op_case cases[] = {
    {.name = "ones", CASE_IN_OF(in), .n_out = 2, CASE_EXPECT_OF(dw)},
    {.name = "strides, groups, padding",
     CASE_ATTRS_OF(at_strided),
     CASE_IN_OF(in_strided),
     .n_out = 1,
     CASE_EXPECT_OF(dw_s)},
};

const skv_op skv_op_conv_grad_weight = {
    .name = "ConvGradWeight",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Conv by its weight and bias",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
