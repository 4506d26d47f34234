/* DepthToSpace: channels become blocks of positions; mode DCR (depth, column, row order of the channels) or CRD. */
#include <string.h>

#include "ops/cases.h"
#include "ops/shape/common_block.h"

static const skv_attr_spec attrs[] = {{"blocksize", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static bool is_crd(const skive_node *n) { return strcmp(skv_attr_string(n, "mode", "DCR"), "CRD") == 0; }

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    const char *mode = skv_attr_string(c->node, "mode", "DCR");
    int64_t block, area;
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': mode is \"%s\"; it may be DCR or CRD", c->node->name,
                              mode);
    SKV_TRY(skv_block_size(c, &block));
    c->out[0] = *x;
    if (x->rank != 4) return SKIVE_OK;
    area = block * block;
    if (x->dims[1].size >= 0 && x->dims[1].size % area != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld channels cannot be divided into blocks of %lld",
                              c->node->name, (long long)x->dims[1].size, (long long)area);
    c->out[0].dims[1] = skv_dim(x->dims[1].size < 0 ? -1 : x->dims[1].size / area);
    for (int d = 2; d < 4; d++) {
        int64_t size = -1;
        if (x->dims[d].size >= 0 && !skv_mul_i64(x->dims[d].size, block, &size)) size = -1;
        c->out[0].dims[d] = skv_dim(size);
    }
    return skv_infer_limit(c, &c->out[0]);
}

int skv_depth_to_space_axes(const skive_node *n, const int64_t *x, int64_t dims[6], int order[6]) {
    const int64_t b = skv_attr_int(n, "blocksize", 1), depth = x[1] / (b * b);
    const int64_t dcr[6] = {x[0], b, b, depth, x[2], x[3]}, crd[6] = {x[0], depth, b, b, x[2], x[3]};
    static const int dcr_order[6] = {0, 3, 4, 1, 5, 2}, crd_order[6] = {0, 1, 4, 2, 5, 3};
    memcpy(dims, is_crd(n) ? crd : dcr, sizeof dcr);
    memcpy(order, is_crd(n) ? crd_order : dcr_order, sizeof dcr_order);
    return 6;
}

static skive_status run(const skv_eval *c) {
    int64_t dims[6];
    int order[6];
    skv_depth_to_space_axes(c->node, c->in[0]->dims, dims, order);
    skv_block_permute(c->in[0]->dtype, dims, order, c->in[0]->data, c->out[0]->data);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    const skive_type *t = &c->node->inputs[0]->type;
    int64_t x[4], dims[6], turned[6], back[6];
    int order[6];
    if (!c->need[0]) return SKIVE_OK;
    if (!skv_type_is_static(t))
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                           "node '%s': the gradient needs a known shape", c->node->name);
    for (int d = 0; d < 4; d++) x[d] = t->dims[d].size;
    skv_depth_to_space_axes(c->node, x, dims, order);
    for (int d = 0; d < 6; d++) {
        turned[d] = dims[order[d]];
        back[order[d]] = d;
    }
    c->din[0] = skv_block_emit(c->b, c->dout[0], turned, back, x);
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 11, 13, 0); }

static void couple(skv_couple *c) {
    const int64_t block = skv_attr_int(skv_couple_node(c), "blocksize", 1);
    const skv_slot places = skv_couple_factor(c, block * block), depth = SKV_COUT(0, 1);
    skv_couple_same(c, SKV_CIN(0, 0), SKV_COUT(0, 0));
    if (block > 1) skv_couple_fix(c, places, "DepthToSpace makes positions of them");
    if (is_crd(skv_couple_node(c)))
        skv_couple_product(c, SKV_CIN(0, 1), 0, depth, places);
    else
        skv_couple_product(c, SKV_CIN(0, 1), 0, places, depth);
}

static const skv_op_case cases[] = {
    {.name = "DCR",
     CASE_ATTRS(CASE_INT("blocksize", 2)),
     CASE_IN({CASE_F32(1, 8, 1, 1), CASE_VALUES(0, 1, 2, 3, 4, 5, 6, 7)}),
     .n_out = 1,
     CASE_EXPECT(0, 2, 4, 6, 1, 3, 5, 7),
     CASE_OUT(1, 2, 2, 2)},
    {.name = "CRD",
     CASE_ATTRS(CASE_INT("blocksize", 2), CASE_STR("mode", "CRD")),
     CASE_IN({CASE_F32(1, 8, 1, 1), CASE_VALUES(0, 1, 2, 3, 4, 5, 6, 7)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 2, 3, 4, 5, 6, 7)},
};

const skv_op skv_op_depth_to_space = {
    .name = "DepthToSpace",
    .domain = "",
    .brief = "channels to blocks of positions",
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
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .motion = SKV_REORDERS,
};
