/* GroupNormalization, in the form of opset 21: mean 0 and variance 1 of each group of channels of each sample, then a
 * scale and a bias per channel. */
#include "ops/common_elementwise.h"
#include "ops/norm/common_group_norm.h"

static const skv_attr_spec attrs[] = {{"num_groups", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"epsilon", SKV_ATTR_FLOAT, SKV_OPTIONAL},
                                      {"stash_type", SKV_ATTR_INT, SKV_OPTIONAL}};

/* Opset 18 had a scale and a bias per group: each is repeated for the channels of its group. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    const skive_type *x = skv_node_in(n, 0) ? &n->inputs[0]->type : NULL;
    const int64_t groups = skv_attr_int(n, "num_groups", 0);
    if (from >= 21 || n->n_inputs != 3 || groups < 1) return SKIVE_OK;
    if (!x || x->rank < 2 || x->dims[1].size < 0 || x->dims[1].size % groups != 0)
        return skv_fail_at(g->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "node '%s': GroupNormalization of opset 18 on an unknown number of channels", n->name);
    const int64_t column[2] = {groups, 1}, wide[2] = {groups, x->dims[1].size / groups}, flat = -1;
    skv_builder b = skv_build(g);
    for (uint32_t i = 1; i < 3; i++) {
        skive_value *v = skv_g2(&b, "Reshape", n->inputs[i], skv_emit_ints(&b, column, 2));
        v = skv_g2(&b, "Reshape", skv_g2(&b, "Expand", v, skv_emit_ints(&b, wide, 2)), skv_emit_ints(&b, &flat, 1));
        SKV_TRY(b.status);
        SKV_TRY(skv_node_set_input(n, i, v));
    }
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const int64_t groups = skv_attr_int(c->node, "num_groups", 0),
                  channels = skv_in_ranked(c, 0) ? skv_in_dim(c, 0, 1) : -1;
    if (groups < 1 || (channels >= 0 && channels % groups != 0))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld channels cannot be divided into %lld groups",
                              c->node->name, (long long)channels, (long long)groups);
    return skv_group_norm_infer(c);
}

static skive_status run(const skv_eval *c) { return skv_group_norm_run(c, skv_attr_int(c->node, "num_groups", 1)); }

static skive_status grad(skv_grad *c) { return skv_group_norm_grad(c, skv_attr_int(c->node, "num_groups", 1)); }

/* As many channels go in each group, or whole groups do. */
static void couple(skv_couple *c) {
    static const char *const what = "GroupNormalization takes mean and variance over the channels of a group";
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const int64_t groups = skv_attr_int(skv_couple_node(c), "num_groups", 1);
    if (!x || x->rank < 2 || x->dims[1].size < 1 || groups < 1 || x->dims[1].size % groups != 0) return;
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (a >= 1) skv_couple_mixes(c, SKV_CIN(0, a), what);
    }
    for (int i = 1; i < 3; i++) skv_couple_same(c, SKV_CIN(i, 0), SKV_COUT(0, 1));
    const skv_slot of_group = skv_couple_factor(c, x->dims[1].size / groups), group = skv_couple_factor(c, groups);
    skv_couple_product(c, SKV_CIN(0, 1), 0, group, of_group);
}

static skive_status shrink(const skv_shrink *s) {
    const int64_t groups = skv_attr_int(skv_shrink_node(s), "num_groups", 1);
    const skv_remaining x = skv_shrink_remaining(s, SKV_CIN(0, 1));
    const int64_t left = skv_remaining_parts(&x, groups);
    return left != groups ? skv_node_set_attr(skv_shrink_node(s), &SKV_INT("num_groups", left)) : SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_ATTRS(CASE_INT("num_groups", 1), CASE_FLT("epsilon", 0)),
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(1, 3, 1, 3)}, {CASE_F32(2), CASE_VALUES(1, 2)},
             {CASE_F32(2), CASE_VALUES(0.5, 1)}),
     .n_out = 1,
     CASE_EXPECT(-0.5, 1.5, -1, 3),
     .no_grad = true},
    {.name = "random",
     CASE_ATTRS(CASE_INT("num_groups", 2)),
     CASE_IN({CASE_F32(2, 4, 3)}, {CASE_F32(4)}, {CASE_F32(4)}),
     .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_SCALE},
    {.role = SKV_ROLE_SHIFT},
};

const skv_op skv_op_group_normalization = {
    .name = "GroupNormalization",
    .domain = "",
    .brief = "mean 0 and variance 1 of groups of channels",
    .since = 21,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
