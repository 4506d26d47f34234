/* ReshapeLike(x, like): x's elements in the shape of `like`, of which only the shape is read. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    c->out[0] = *c->in[1];
    c->out[0].dtype = c->in[0]->dtype;
    if (skv_type_is_static(c->in[0]) && skv_type_is_static(c->in[1]) &&
        skv_type_count(c->in[0]) != skv_type_count(c->in[1])) {
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the numbers of elements differ", c->node->name);
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    if (c->need[0]) c->din[0] = skv_emit(c->b, "ReshapeLike", SKV_IN(c->dout[0], c->node->inputs[0]), SKV_NONE);
    return c->b->status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 3, 4)}, {CASE_F32(2, 2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4),
     CASE_OUT(2, 2)},
};

const skv_op skv_op_reshape_like = {
    .name = "ReshapeLike",
    .brief = "elements in another value's shape",
    .domain = SKV_DOMAIN,
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = skv_run_copy,
    .grad = grad,
    .range = skv_range_first,
    .cost = skv_cost_none,
    SKV_LIST(cases),
    .motion = SKV_RESHAPES,
};
