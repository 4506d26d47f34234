/* MaxPoolPlace(X) -> Y, I: MaxPool whose windows neither overlap nor meet padding, and for each the row-major index in
 * the window of the first largest element (uint8; 255 if there is none: the window holds NaN, and so does Y). */
#include <math.h>

#include "ops/pool/common_pool_place.h"

static const skv_attr_spec attrs[] = {{"pool_shape", SKV_ATTR_INTS, SKV_REQUIRED}};

static skive_status infer(skv_infer *c) {
    int64_t pool[2];
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 4, 4));
    if (!skv_pool_shape(c->node, pool))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': pool_shape is not two sizes", c->node->name);
    skv_out_like(c, 0, 0);
    for (int d = 2; c->out[0].rank == 4 && d < 4; d++) {
        const int64_t size = skv_in_dim(c, 0, d);
        c->out[0].dims[d] = (skive_dim){size < 0 ? -1 : size / pool[d - 2], NULL};
    }
    if (c->n_out > 1) {
        c->out[1] = c->out[0];
        c->out[1].dtype = SKIVE_U8;
    }
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0];
    skive_tensor *places = c->n_out > 1 ? c->out[1] : NULL;
    int64_t pool[2];
    skv_doubles in = {0};
    skv_result y = {0};
    skive_status status;
    if (!skv_pool_shape(c->node, pool))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "node '%s': pool_shape is not two sizes",
                           c->node->name);
    const int64_t h = x->dims[2], w = x->dims[3], oh = h / pool[0], ow = w / pool[1];
    SKV_GO(status, out, skv_doubles_read(c->ctx, x, &in));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    for (int64_t i = 0; i < x->dims[0] * x->dims[1] * oh * ow; i++) {
        const double *from = in.p + (i / (oh * ow) * h + i / ow % oh * pool[0]) * w + i % ow * pool[1];
        double top = -INFINITY;
        int64_t place = SKV_PLACE_NONE;
        for (int64_t t = 0; t < pool[0] * pool[1]; t++) {
            const double v = from[t / pool[1] * w + t % pool[1]];
            if (!(v > top || isnan(v) || (place == SKV_PLACE_NONE && v == top))) continue;
            top = v;
            place = t;
        }
        if (isnan(top)) place = SKV_PLACE_NONE; /* as MaxPoolGrad, which finds no element that equals it */
        if (y.p) y.p[i] = top;
        if (places) ((uint8_t *)places->data)[i] = (uint8_t)place;
    }
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &in);
    skv_result_free(c->ctx, &y);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "the first of two; what is left over",
     CASE_ATTRS(CASE_INTS("pool_shape", 2, 2)),
     CASE_IN({CASE_F32(1, 1, 2, 5), CASE_VALUES(1, 4, 7, 7, 99, 4, 3, 2, 7, 99)}),
     .n_out = 2,
     CASE_EXPECT(4, 7),
     CASE_OUT(1, 1, 1, 2),
     .no_grad = true},
};

const skv_op skv_op_max_pool_place = {
    .name = "MaxPoolPlace",
    .domain = SKV_DOMAIN,
    .brief = "MaxPool and the positions of the largest elements",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 2,
    .max_out = 2,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
