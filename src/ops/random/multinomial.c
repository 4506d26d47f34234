/* Multinomial: for each row of unnormalised log-probabilities [n][classes], sample_size classes drawn from that
 * distribution. */
#include <math.h>

#include "ops/random/common_random.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    const int64_t size = skv_attr_int(c->node, "sample_size", 1), dtype = skv_attr_int(c->node, "dtype", SKIVE_I32);
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_rank(c, 0, 2, 2));
    if (size < 0 || (dtype != SKIVE_I32 && dtype != SKIVE_I64))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld samples of element type %lld are not supported",
                              c->node->name, (long long)size, (long long)dtype);
    if (skv_in_ranked(c, 0) && skv_in_dim(c, 0, 1) == 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': no classes to draw from", c->node->name);
    c->out[0] = (skive_type){.dtype = (skive_dtype)dtype, .rank = 2, .dims = {skv_dim_unknown(), skv_dim(size)}};
    if (skv_in_ranked(c, 0)) c->out[0].dims[0] = c->in[0]->dims[0];
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skv_random r = skv_random_of(c);
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t classes = x->dims[1], size = y->dims[1];
    for (int64_t n = 0; n < x->dims[0]; n++) {
        double top = -INFINITY, sum = 0;
        for (int64_t k = 0; k < classes; k++) top = fmax(top, skive_tensor_get(x, n * classes + k));
        for (int64_t k = 0; k < classes; k++) sum += exp(skive_tensor_get(x, n * classes + k) - top);
        for (int64_t i = 0; i < size; i++) {
            double left = sum * skv_rng_uniform(r.key, r.stream, (uint64_t)(n * size + i));
            int64_t k = 0;
            while (k + 1 < classes && (left -= exp(skive_tensor_get(x, n * classes + k) - top)) >= 0) k++;
            skv_store_i64(y->dtype, y->data, (size_t)(n * size + i), k);
        }
    }
    return SKIVE_OK;
}

static const skv_attr_spec attrs[] = {
    {"dtype", SKV_ATTR_INT, SKV_OPTIONAL},
    {"sample_size", SKV_ATTR_INT, SKV_OPTIONAL},
    {"seed", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static const skv_op_case cases[] = {
    {.name = "one class is certain",
     CASE_ATTRS(CASE_INT("sample_size", 3)),
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(-1000, 0, -1000, 5, -1000, -1000)}),
     .n_out = 1,
     CASE_EXPECT(1, 1, 1, 0, 0, 0),
     CASE_OUT(2, 3),
     .no_grad = true},
};

const skv_op skv_op_multinomial = {
    .name = "Multinomial",
    .domain = "",
    .brief = "classes drawn from unnormalised log-probabilities",
    .since = 7,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
    .random = true,
};
