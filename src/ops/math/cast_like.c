/* CastLike: the first input in the element type of the second, of which only the type is used. */
#include "ops/cases.h"
#include "ops/math/common_cast.h"

static const skv_attr_spec attrs[] = {{"saturate", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"round_mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_cast_check(c));
    c->out[0] = *skv_infer_in(c, 0);
    c->out[0].dtype = skv_infer_in(c, 1)->dtype;
    return SKIVE_OK;
}

static void couple(skv_couple *c) {
    const skive_type *like = skv_couple_type(c, SKV_CIN(1, 0));
    skv_couple_same_axes(c, 0);
    for (int a = 0; like && a < like->rank; a++) skv_couple_free(c, SKV_CIN(1, a));
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 15, 15, 21); }

static const skv_op_case cases[] = {
    {.name = "to int64",
     CASE_IN({CASE_F32(2), CASE_VALUES(1.75, -1.75)}, {CASE_I64(1), CASE_VALUES(9)}),
     .n_out = 1,
     CASE_EXPECT(1, -1),
     .no_grad = true},
    {.name = "the same type",
     CASE_IN({CASE_F32(2), CASE_VALUES(1.75, -1.75)}, {CASE_F32(3)}),
     .n_out = 1,
     CASE_EXPECT(1.75, -1.75)},
};

const skv_op skv_op_cast_like = {
    .name = "CastLike",
    .domain = "",
    .brief = "the same values in another value's element type",
    .since = 15,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = skv_cast_run,
    .grad = skv_cast_grad,
    .couple = couple,
    .range = skv_cast_range,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(0) | SKV_STRINGS(1),
    SKV_LIST(cases),
};
