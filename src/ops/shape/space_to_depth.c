/* SpaceToDepth: blocks of positions become channels; mode DCR (the place in the block counts first) or CRD (the channel
 * does). */
#include <string.h>

#include "ops/cases.h"
#include "ops/shape/common_block.h"

static const skv_attr_spec attrs[] = {{"blocksize", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static bool is_crd(const skive_node *n) { return strcmp(skv_attr_string(n, "mode", "DCR"), "CRD") == 0; }

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int64_t block, depth = -1;
    const char *mode = skv_attr_string(c->node, "mode", "DCR");
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': mode is \"%s\"; it may be DCR or CRD", c->node->name,
                              mode);
    SKV_TRY(skv_block_size(c, &block));
    c->out[0] = *x;
    if (x->rank != 4) return SKIVE_OK;
    for (int d = 2; d < 4; d++) {
        if (x->dims[d].size >= 0 && x->dims[d].size % block != 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld positions cannot be divided into blocks of %lld",
                                  c->node->name, (long long)x->dims[d].size, (long long)block);
        c->out[0].dims[d] = skv_dim(x->dims[d].size < 0 ? -1 : x->dims[d].size / block);
    }
    if (x->dims[1].size >= 0 && !skv_mul_i64(x->dims[1].size, block * block, &depth)) depth = -1;
    c->out[0].dims[1] = skv_dim(depth);
    return skv_infer_limit(c, &c->out[0]);
}

int skv_space_to_depth_axes(const skive_node *n, const int64_t *x, int64_t dims[6], int order[6]) {
    const int64_t b = skv_attr_int(n, "blocksize", 1), six[6] = {x[0], x[1], x[2] / b, b, x[3] / b, b};
    static const int dcr[6] = {0, 3, 5, 1, 2, 4}, crd[6] = {0, 1, 3, 5, 2, 4};
    memcpy(dims, six, sizeof six);
    memcpy(order, is_crd(n) ? crd : dcr, sizeof dcr);
    return 6;
}

static skive_status run(const skv_eval *c) {
    int64_t dims[6];
    int order[6];
    skv_space_to_depth_axes(c->node, c->in[0]->dims, dims, order);
    skv_block_permute(c->in[0]->dtype, dims, order, c->in[0]->data, c->out[0]->data);
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "DepthToSpace", SKV_IN(c->dout[0]),
                             SKV_ATTRS(SKV_INT("blocksize", skv_attr_int(n, "blocksize", 1)),
                                       SKV_STR("mode", is_crd(n) ? "CRD" : "DCR")));
    return c->b->status;
}

static int needs_opset(const skive_node *n) { return is_crd(n) ? 28 : skv_needs_for_dtype(n, 1, 13, 0); }

static void couple(skv_couple *c) {
    const int64_t block = skv_attr_int(skv_couple_node(c), "blocksize", 1);
    const skv_slot places = skv_couple_factor(c, block * block);
    skv_couple_same(c, SKV_CIN(0, 0), SKV_COUT(0, 0));
    if (block > 1) skv_couple_fix(c, places, "SpaceToDepth makes them of positions");
    if (is_crd(skv_couple_node(c)))
        skv_couple_product(c, SKV_COUT(0, 1), 0, SKV_CIN(0, 1), places);
    else
        skv_couple_product(c, SKV_COUT(0, 1), 0, places, SKV_CIN(0, 1));
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_ATTRS(CASE_INT("blocksize", 2)),
     CASE_IN({CASE_F32(1, 2, 2, 2), CASE_VALUES(0, 1, 2, 3, 4, 5, 6, 7)}),
     .n_out = 1,
     CASE_EXPECT(0, 4, 1, 5, 2, 6, 3, 7),
     CASE_OUT(1, 8, 1, 1)},
    {.name = "CRD",
     CASE_ATTRS(CASE_INT("blocksize", 2), CASE_STR("mode", "CRD")),
     CASE_IN({CASE_F32(1, 2, 2, 2), CASE_VALUES(0, 1, 2, 3, 4, 5, 6, 7)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 2, 3, 4, 5, 6, 7),
     CASE_OUT(1, 8, 1, 1)},
    {.name = "CRD, several blocks",
     CASE_ATTRS(CASE_INT("blocksize", 2), CASE_STR("mode", "CRD")),
     CASE_IN({CASE_F32(1, 2, 4, 2)}),
     .n_out = 1,
     CASE_OUT(1, 8, 2, 1)},
};

const skv_op skv_op_space_to_depth = {
    .name = "SpaceToDepth",
    .domain = "",
    .brief = "blocks of positions to channels",
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
