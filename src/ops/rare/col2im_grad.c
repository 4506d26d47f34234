/* Col2ImGrad(dY, image, block) -> dX: every element of a block gets the gradient of the element it was added to. */
#include "ops/rare/common_col2im.h"

static const skv_attr_spec attrs[] = {
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    const skive_type *dy = c->in[0];
    int64_t image[SKIVE_MAX_RANK], block[SKIVE_MAX_RANK];
    int n, n_block;
    skv_col2im s;
    SKV_TRY(skv_want_float(c, 0));
    c->out[0].dtype = dy->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the image's shape", image, SKIVE_MAX_RANK, &n));
    SKV_TRY(skv_infer_ints(c, 2, "the block's shape", block, SKIVE_MAX_RANK, &n_block));
    if (n < 0 || n_block < 0 || dy->rank < 0) return SKIVE_OK;
    bool fits = n == n_block && dy->rank == 2 + n;
    for (int d = 0; fits && d < n; d++) fits = dy->dims[2 + d].size < 0 || dy->dims[2 + d].size == image[d];
    if (!fits)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "Col2ImGrad: the gradient does not have the shape of the image");
    SKV_TRY(skv_col2im_make(c->ctx, c->node, NULL, image, block, n, &s));
    int64_t channels = -1;
    if (dy->dims[1].size >= 0 && !skv_mul_i64(dy->dims[1].size, s.taps, &channels))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "Col2ImGrad: too many columns");
    c->out[0].rank = 3;
    c->out[0].dims[0] = dy->dims[0];
    c->out[0].dims[1] = channels >= 0 ? skv_dim(channels) : skv_dim_unknown();
    c->out[0].dims[2] = skv_dim(s.positions);
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    skv_col2im s;
    skv_doubles dy = {0};
    skv_result dx = {0};
    skive_status status;
    SKV_TRY(skv_col2im_read(c, 1, c->out[0]->dims, &s));
    bool fits = c->in[0]->rank == 2 + s.g.spatial && c->out[0]->rank == 3 && c->in[0]->dims[1] == s.c;
    for (int d = 0; fits && d < s.g.spatial; d++) fits = c->in[0]->dims[2 + d] == s.g.in[SKV_SPATIAL - s.g.spatial + d];
    if (!fits || c->in[0]->dims[0] != s.n) /* the shapes may have become known only now */
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "Col2ImGrad: the gradient does not have the shape of the image");
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &dy));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &dx));
    skv_col2im_spread(skv_threads(c->ctx), &s, dy.p, dx.p);
    skv_result_store(&dx);
out:
    skv_doubles_free(c->ctx, &dy);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 1, 4), CASE_VALUES(1, 2, 3, 4)}, CASE_LIST(1, 4), CASE_LIST(1, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 2, 3, 4),
     CASE_OUT(1, 2, 3)},
};

const skv_op skv_op_col2im_grad = {
    .name = "Col2ImGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Col2Im",
    .since = 1,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
