/* LRN: local response normalisation across channels (Krizhevsky et al., 2012): y = x / (bias + alpha / size * sum of
 * x^2 over the `size` channels around)^beta. */
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"size", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
                                      {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
                                      {"bias", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 2, SKIVE_MAX_RANK));
    if (skv_attr_int(c->node, "size", 0) < 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the size is below 1", c->node->name);
    return skv_infer_same(c);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t size = skv_attr_int(c->node, "size", 1), channels = x->dims[1], before = (size - 1) / 2,
                  after = size - 1 - before;
    const double alpha = skv_attr_float(c->node, "alpha", 1e-4), beta = skv_attr_float(c->node, "beta", 0.75),
                 bias = skv_attr_float(c->node, "bias", 1);
    int64_t inner = 1;
    for (int d = 2; d < x->rank; d++) inner *= x->dims[d];
    for (int64_t i = 0; i < skive_tensor_count(x); i++) {
        const int64_t channel = i / inner % channels;
        const int64_t first = channel > before ? channel - before : 0,
                      last = after < channels - 1 - channel ? channel + after : channels - 1;
        double sum = 0;
        for (int64_t k = first; k <= last; k++) {
            const double v = skv_load_f64(x->dtype, x->data, (size_t)(i + (k - channel) * inner));
            sum += v * v;
        }
        skv_store_f64(y->dtype, y->data, (size_t)i,
                      skv_load_f64(x->dtype, x->data, (size_t)i) / pow(bias + alpha / (double)size * sum, beta));
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "LRNGrad", SKV_IN(c->dout[0], c->node->inputs[0]), skv_attrs_copy(c->node, buffer));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    for (int a = 0; x && a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (a == 1) skv_couple_fix(c, SKV_CIN(0, a), "LRN reads the channels beside");
    }
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 1, 13, 0); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 3, 1), CASE_VALUES(1, 2, 3)}),
     CASE_ATTRS(CASE_INT("size", 3), CASE_FLT("alpha", 3), CASE_FLT("beta", 1), CASE_FLT("bias", 2)),
     .n_out = 1,
     CASE_EXPECT(0.14285714285714285, 0.125, 0.2)},
    {.name = "an even window over more channels",
     CASE_IN({CASE_F32(2, 5, 3)}),
     CASE_ATTRS(CASE_INT("size", 4), CASE_FLT("alpha", 2), CASE_FLT("beta", 0.6), CASE_FLT("bias", 1.5)),
     .n_out = 1,
     CASE_OUT(2, 5, 3)},
};

const skv_op skv_op_lrn = {
    .name = "LRN",
    .domain = "",
    .brief = "local response normalisation",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
