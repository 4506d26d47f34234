/* Col2Im: blocks put back where a convolution's window would have read them; where they overlap they are added. */
#include "ops/rare/common_col2im.h"

static const skv_attr_spec attrs[] = {
    {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    int64_t image[SKIVE_MAX_RANK], block[SKIVE_MAX_RANK];
    int n, n_block;
    skv_col2im s;
    SKV_TRY(skv_want_rank(c, 0, 3, 3));
    SKV_TRY(skv_want_float(c, 0));
    y->dtype = x->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the image's shape", image, SKIVE_MAX_RANK, &n));
    SKV_TRY(skv_infer_ints(c, 2, "the block's shape", block, SKIVE_MAX_RANK, &n_block));
    if (n < 0 || n_block < 0) return SKIVE_OK;
    if (n != n_block)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "Col2Im: an image of %d axes does not match a block of %d", n,
                              n_block);
    const int64_t columns[3] = {skv_in_dim(c, 0, 0), skv_in_dim(c, 0, 1), skv_in_dim(c, 0, 2)};
    SKV_TRY(skv_col2im_make(c->ctx, c->node, x->rank == 3 ? columns : NULL, image, block, n, &s));
    y->rank = 2 + n;
    y->dims[0] = x->rank == 3 ? x->dims[0] : skv_dim_unknown();
    y->dims[1] = skv_dim(s.c);
    for (int d = 0; d < n; d++) y->dims[2 + d] = skv_dim(image[d]);
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    skv_col2im s;
    skv_doubles x = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(skv_col2im_read(c, 1, c->in[0]->dims, &s));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    skv_col2im_gather(skv_threads(c->ctx), &s, x.p, y.p);
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_result_free(c->ctx, &y);
    return status;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (c->need[0])
        c->din[0] =
            skv_emit(c->b, "Col2ImGrad", SKV_IN(c->dout[0], n->inputs[1], n->inputs[2]), skv_attrs_copy(n, buffer));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const int64_t all = skv_couple_length(c, SKV_CIN(0, 1)), channels = skv_couple_length(c, SKV_COUT(0, 1));
    skv_couple_same(c, SKV_CIN(0, 0), SKV_COUT(0, 0));
    if (all < 1 || channels < 1 || all % channels != 0) return;
    const skv_slot places = skv_couple_factor(c, all / channels);
    if (all > channels) skv_couple_fix(c, places, "these are the positions of a block");
    skv_couple_product(c, SKV_CIN(0, 1), 0, SKV_COUT(0, 1), places);
}

static const skv_op_case cases[] = {
    {.name = "blocks that overlap", /* windows of two at 0, 1, 2 of four numbers: 1 4 | 2 5 | 3 6 */
     CASE_IN({CASE_F32(1, 2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(1, 4), CASE_LIST(1, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 6, 8, 6),
     CASE_OUT(1, 1, 4)},
    {.name = "pads, strides, dilations",
     CASE_ATTRS(CASE_INTS("pads", 1, 0, 1, 2), CASE_INTS("strides", 2, 1), CASE_INTS("dilations", 1, 2)),
     CASE_IN({CASE_F32(2, 12, 9)}, CASE_LIST(2, 5, 5), CASE_LIST(2, 2, 3)),
     .n_out = 1,
     CASE_OUT(2, 2, 5, 5)},
};

const skv_op skv_op_col2im = {
    .name = "Col2Im",
    .domain = "",
    .brief = "blocks summed into an image",
    .since = 18,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
