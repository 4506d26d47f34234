/* Bernoulli: 1 with the probability given by the input, else 0. */
#include "ops/random/common_random.h"
#include "ops/common_shape.h"

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    c->out[0] = *skv_infer_in(c, 0);
    const int64_t dtype = skv_attr_int(c->node, "dtype", c->out[0].dtype);
    if (dtype != SKIVE_DTYPE_NONE && (dtype < 0 || dtype > INT32_MAX || !skv_dtype_valid((skive_dtype)dtype)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': unknown element type %lld", c->node->name,
                              (long long)dtype);
    c->out[0].dtype = (skive_dtype)dtype;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skv_random r = skv_random_of(c);
    const skive_tensor *x = c->in[0], *y = c->out[0];
    for (size_t i = 0; i < (size_t)skive_tensor_count(y); i++)
        skv_store_f64(y->dtype, y->data, i,
                      skv_rng_uniform(r.key, r.stream, i) < skv_load_f64(x->dtype, x->data, i) ? 1 : 0);
    return SKIVE_OK;
}

static const skv_attr_spec attrs[] = {
    {"dtype", SKV_ATTR_INT, SKV_OPTIONAL},
    {"seed", SKV_ATTR_FLOAT, SKV_OPTIONAL},
};

static const skv_op_case cases[] = {
    {.name = "certain",
     CASE_IN({CASE_F32(4), CASE_VALUES(0, 1, 1, 0)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 1, 0),
     .no_grad = true},
};

const skv_op skv_op_bernoulli = {
    .name = "Bernoulli",
    .domain = "",
    .brief = "1 with the given probability, else 0",
    .since = 15,
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
