/* See common_random.h. */
#include "ops/random/common_random.h"

#include <string.h>

#include "ops/common_shape.h"

skv_random skv_random_of(const skv_eval *c) {
    const skv_attr *seed = skv_node_attr(c->node, "seed");
    skv_random r = {.key = skive_context_seed(c->ctx),
                    .stream = skv_hash64(c->node->name, strlen(c->node->name), c->step)};
    if (seed) memcpy(&r.key, &seed->f, sizeof r.key);
    return r;
}

static skive_status want_real(skv_infer *c) {
    if (skv_dtype_is_float(c->out[0].dtype) || c->out[0].dtype == SKIVE_DTYPE_NONE) return SKIVE_OK;
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': random numbers of type %s are not supported", c->node->name,
                          skive_dtype_name(c->out[0].dtype));
}

skive_status skv_random_infer_shape(skv_infer *c) {
    size_t n = 0;
    const int64_t *shape = skv_attr_ints(c->node, "shape", &n);
    if (n > SKIVE_MAX_RANK)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a shape of %zu dimensions is not supported",
                              c->node->name, n);
    c->out[0] = (skive_type){.dtype = (skive_dtype)skv_attr_int(c->node, "dtype", SKIVE_F32), .rank = (int)n};
    for (size_t d = 0; d < n; d++) {
        if (shape[d] < 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the size %lld is not valid", c->node->name,
                                  (long long)shape[d]);
        c->out[0].dims[d] = skv_dim(shape[d]);
    }
    SKV_TRY(want_real(c));
    return skv_infer_limit(c, &c->out[0]);
}

skive_status skv_random_infer_like(skv_infer *c) {
    c->out[0] = *skv_infer_in(c, 0);
    if (skv_node_attr(c->node, "dtype")) c->out[0].dtype = (skive_dtype)skv_attr_int(c->node, "dtype", SKIVE_F32);
    return want_real(c);
}

skive_status skv_random_normal_run(const skv_eval *c) {
    const skv_random r = skv_random_of(c);
    const skive_tensor *y = c->out[0];
    const double mean = skv_attr_float(c->node, "mean", 0), scale = skv_attr_float(c->node, "scale", 1);
    for (size_t i = 0; i < (size_t)skive_tensor_count(y); i++)
        skv_store_f64(y->dtype, y->data, i, mean + scale * skv_rng_normal(r.key, r.stream, i));
    return SKIVE_OK;
}

skive_status skv_random_uniform_run(const skv_eval *c) {
    const skv_random r = skv_random_of(c);
    const skive_tensor *y = c->out[0];
    const double low = skv_attr_float(c->node, "low", 0), high = skv_attr_float(c->node, "high", 1);
    for (size_t i = 0; i < (size_t)skive_tensor_count(y); i++)
        skv_store_f64(y->dtype, y->data, i, low + (high - low) * skv_rng_uniform(r.key, r.stream, i));
    return SKIVE_OK;
}
