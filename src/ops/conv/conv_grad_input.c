/* ConvGradInput(dY, W, X) -> dX: the gradient of a convolution by its input. Of X only the shape is read.
 *
 *     dX[n][c][i] = sum over m, o, k with i = o * stride + k * dilation - pad of W[m][c][k] * dY[n][m][o] */
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
    SKV_TRY(skv_infer_conv(&view, 2, 1, &s, &known));
    SKV_TRY(skv_want_shape(c, 0, &forward));
    skv_out_like(c, 0, 2);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    skv_conv_shape s;
    skv_doubles dy = {0}, w = {0};
    skv_result dx = {0};
    skive_status status;
    SKV_TRY(skv_conv_shape_of(c, c->in[2], c->in[1], &s));
    SKV_TRY(skv_conv_want_dy(c, &s, c->in[0]));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &w));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    if (dx.p) skv_conv_backward_input(skv_threads(c->ctx), &s, dy.p, w.p, dx.p);
    skv_result_store(&dx);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_doubles_free(c->ctx, &w);
    skv_result_free(c->ctx, &dx);
    return status;
}

static void cost(const skive_node *n, skive_cost *out) { skv_conv_grad_cost(n, skv_node_in(n, 1), out); }

/* dY = 1 everywhere: every input element collects the weights of the windows it lies in. */
static const double dy[] = {1, 1, 1, 1}, w[] = {1, 2, 3, 4};
static const double dx[] = {1, 3, 2, 4, 10, 6, 3, 7, 4};
static const skv_case_in in[] = {{.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 2, 2}, .values = dy},
                                 {.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 2, 2}, .values = w},
                                 {.dtype = SKIVE_F32, .rank = 4, .dims = {1, 1, 3, 3}}};
static const int64_t strides[] = {2}, pads[] = {1, 1};
static const skv_attr_init at_strided[] = {A_INTS("strides", strides), A_INTS("pads", pads), A_INT("group", 2)};
/* Each of two groups: x of 4, window of 2, output positions start at -1, 1, 3. */
static const double dy_s[] = {1, 2, 3, 10, 20, 30}, w_s[] = {5, 7, 1, -1};
static const double dx_s[] = {7, 10, 14, 15, -10, 20, -20, 30};
static const skv_case_in in_strided[] = {{.dtype = SKIVE_F32, .rank = 3, .dims = {1, 2, 3}, .values = dy_s},
                                         {.dtype = SKIVE_F32, .rank = 3, .dims = {2, 1, 2}, .values = w_s},
                                         {.dtype = SKIVE_F32, .rank = 3, .dims = {1, 2, 4}}};
static const skv_op_case cases[] = {
    {.name = "ones", CASE_IN_OF(in), .n_out = 1, CASE_EXPECT_OF(dx)},
    {.name = "strides, groups, padding",
     CASE_ATTRS_OF(at_strided),
     CASE_IN_OF(in_strided),
     .n_out = 1,
     CASE_EXPECT_OF(dx_s)},
};

const skv_op skv_op_conv_grad_input = {
    .name = "ConvGradInput",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Conv by its input",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = cost,
    SKV_LIST(cases),
};
