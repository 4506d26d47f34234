/* InstanceNormalization: mean 0 and variance 1 of each channel of each sample, then scale and bias. */
#include "ops/norm/common_group_norm.h"

static const skv_attr_spec attrs[] = {{"epsilon", SKV_ATTR_FLOAT, SKV_OPTIONAL}};

static skive_status run(const skv_eval *c) { return skv_group_norm_run(c, c->in[0]->dims[1]); }

static skive_status grad(skv_grad *c) {
    const skive_type *x = &c->node->inputs[0]->type;
    return skv_group_norm_grad(c, x->rank >= 2 ? x->dims[1].size : 0);
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    for (int a = 0; x && a < x->rank; a++) skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
    for (int a = 2; x && a < x->rank; a++)
        skv_couple_mixes(c, SKV_CIN(0, a), "InstanceNormalization takes mean and variance over this axis");
    for (int i = 1; i < 3 && x && x->rank >= 2; i++) skv_couple_same(c, SKV_CIN(i, 0), SKV_COUT(0, 1));
}

static int needs_opset(const skive_node *n) { return n->inputs[0]->type.dtype == SKIVE_BF16 ? 22 : 6; }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_ATTRS(CASE_FLT("epsilon", 0)),
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(1, 3, 10, 30)}, {CASE_F32(2), CASE_VALUES(1, 2)},
             {CASE_F32(2), CASE_VALUES(0.5, 1)}),
     .n_out = 1,
     CASE_EXPECT(-0.5, 1.5, -1, 3),
     .no_grad = true},
    {.name = "random", CASE_IN({CASE_F32(2, 3, 2, 2)}, {CASE_F32(3)}, {CASE_F32(3)}), .n_out = 1},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_SCALE},
    {.role = SKV_ROLE_SHIFT},
};

const skv_op skv_op_instance_normalization = {
    .name = "InstanceNormalization",
    .domain = "",
    .brief = "mean 0 and variance 1 of each channel of each sample",
    .since = 6,
    .min_in = 3,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    SKV_LIST(inputs),
    .infer = skv_group_norm_infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
