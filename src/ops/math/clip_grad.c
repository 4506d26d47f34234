/* ClipGrad(dY, X, low?, high?): dY where low <= X <= high, else 0. */
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_infer_gradient(c, SKV_OP_CLIP, SKV_FORWARD_IN(1, 2, 3), 0));
    return skv_infer_pair(c);
}

static skive_status run(const skv_eval *c) {
    double bounds[2] = {-INFINITY, INFINITY};
    for (size_t i = 2; i < c->n_in && i < 4; i++) {
        const skive_tensor *t = c->in[i];
        if (t) bounds[i - 2] = skv_load_f64(t->dtype, t->data, 0);
    }
    const skive_tensor *g = c->in[0], *x = c->in[1], *dx = c->out[0];
    size_t n = (size_t)skive_tensor_count(x);
    for (size_t i = 0; i < n; i++) {
        double at = skv_load_f64(x->dtype, x->data, i);
        bool passes = at >= bounds[0] && at <= bounds[1];
        skv_store_f64(dx->dtype, dx->data, i, passes ? skv_load_f64(g->dtype, g->data, i) : 0);
    }
    return SKIVE_OK;
}

static void couple(skv_couple *c) {
    skv_couple_same_axes(c, 0);
    skv_couple_same_axes(c, 1);
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(4), CASE_VALUES(-1, 0.5, 6, 7)},
             {CASE_SCALAR(SKIVE_F32, 0)}, {CASE_SCALAR(SKIVE_F32, 6)}),
     .n_out = 1,
     CASE_EXPECT(0, 2, 3, 0),
     .no_grad = true},
    {.name = "high only",
     CASE_IN({CASE_F32(2), CASE_VALUES(1, 2)}, {CASE_F32(2), CASE_VALUES(-9, 9)}, CASE_ABSENT,
             {CASE_SCALAR(SKIVE_F32, 6)}),
     .n_out = 1,
     CASE_EXPECT(1, 0),
     .no_grad = true},
};

const skv_op skv_op_clip_grad = {
    .name = "ClipGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Clip",
    .since = 1,
    .min_in = 2,
    .max_in = 4,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .pointwise = true,
};
