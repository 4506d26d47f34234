/* SoftmaxCrossEntropyLoss: NegativeLogLikelihoodLoss of LogSoftmax over axis 1, which is the second output. */
#include "ops/loss/common_nll.h"
#include "ops/common_elementwise.h"

static skive_status infer(skv_infer *c) {
    if (c->n_out > 1) skv_out_like(c, 1, 0);
    return skv_nll_loss_type(c, 0, &c->out[0]);
}

/* In place over axis 1. */
static void log_softmax(double *x, int64_t outer, int64_t classes, int64_t inner) {
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            double *row = x + o * classes * inner + i, most = -INFINITY, sum = 0;
            for (int64_t k = 0; k < classes; k++) most = fmax(most, row[k * inner]);
            for (int64_t k = 0; k < classes; k++) sum += exp(row[k * inner] - most);
            for (int64_t k = 0; k < classes; k++) row[k * inner] -= most + log(sum);
        }
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *log_p = c->n_out > 1 ? c->out[1] : NULL;
    const size_t n = (size_t)skive_tensor_count(x);
    skv_nll_walk w;
    double *p = NULL;
    SKV_TRY(skv_nll_start(c, 0, &w));
    SKV_TRY(skv_alloc_array(c->ctx, n + 1, sizeof *p, &p));
    for (size_t i = 0; i < n; i++) p[i] = skv_load_f64(x->dtype, x->data, i);
    log_softmax(p, x->dims[0], w.classes, w.inner);
    if (c->out[0]) skv_nll_store(&w, p, c->out[0]);
    for (size_t i = 0; log_p && i < n; i++) skv_store_f64(log_p->dtype, log_p->data, i, p[i]);
    skv_free(c->ctx, p);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    if (!c->need[0]) return SKIVE_OK;
    skive_value *log_p = skv_emit(c->b, "LogSoftmax", SKV_IN(n->inputs[0]), SKV_ATTRS(SKV_INT("axis", 1)));
    skive_value *d = c->dout[0] ? skv_nll_emit_grad(c, log_p) : NULL;
    if (n->n_outputs > 1 && c->dout[1]) d = d ? skv_g2(c->b, "Add", d, c->dout[1]) : c->dout[1];
    c->din[0] = skv_emit(c->b, "LogSoftmaxGrad", SKV_IN(d, log_p), SKV_ATTRS(SKV_INT("axis", 1)));
    return c->b->status;
}

static int needs_opset(const skive_node *n) {
    (void)n;
    return 13;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 3), CASE_VALUES(1, 2, 3)}, {CASE_I64(1), CASE_VALUES(1), .constant = true}),
     .n_out = 2,
     CASE_EXPECT(1.4076059644443801)},
    {.name = "pixels, weighted, one ignored",
     CASE_IN({CASE_F32(2, 3, 2)}, {CASE_I64(2, 2), CASE_VALUES(0, 2, 9, 1), .constant = true},
             {CASE_F32(3), CASE_VALUES(1, 2, 3), .constant = true}),
     CASE_ATTRS(CASE_INT("ignore_index", 9)),
     .n_out = 1},
    {.name = "none",
     CASE_IN({CASE_F32(2, 3)}, {CASE_I64(2), CASE_VALUES(0, 2), .constant = true}),
     CASE_ATTRS(CASE_STR("reduction", "none")),
     .n_out = 2,
     CASE_OUT(2)},
};

const skv_op skv_op_softmax_cross_entropy_loss = {
    .name = "SoftmaxCrossEntropyLoss",
    .domain = "",
    .brief = "loss of scores against labels",
    .since = 12,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 2,
    .attrs = skv_nll_attrs,
    .n_attrs = SKV_COUNT(skv_nll_attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
