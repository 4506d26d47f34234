/* Cast: the same values in another element type. Floats are truncated to integers (saturating where C leaves it
 * undefined), integers wrap, any nonzero value is true. The gradient is cast back; through integers it is zero. */
#include "ops/cases.h"
#include "ops/math/common_cast.h"

static const skv_attr_spec attrs[] = {{"to", SKV_ATTR_INT, SKV_REQUIRED},
                                      {"saturate", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"round_mode", SKV_ATTR_STRING, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    int64_t to = skv_attr_int(c->node, "to", 0);
    SKV_TRY(skv_cast_check(c));
    if (to <= 0 || to > INT32_MAX || !skv_dtype_valid((skive_dtype)to))
        return SKV_INFER_FAIL(c, SKIVE_ERR_UNSUPPORTED, "a cast to element type %lld is not supported", (long long)to);
    c->out[0] = *skv_infer_in(c, 0);
    c->out[0].dtype = (skive_dtype)to;
    return SKIVE_OK;
}

static void couple(skv_couple *c) { skv_couple_same_axes(c, 0); }

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 9, 13, 21); }

static const skv_op_case cases[] = {
    {.name = "float to int64 truncates",
     CASE_IN({CASE_F32(4), CASE_VALUES(1.75, -1.75, 0.5, 3)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_I64)),
     CASE_EXPECT(1, -1, 0, 3),
     .no_grad = true},
    {.name = "float to int8 beyond its range",
     CASE_IN({CASE_F32(7), CASE_VALUES(127.5, 128, -129, 300, 70000, 3e9, -1e19)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_I8)),
     CASE_EXPECT(127, -128, 127, 44, 112, 0, 0),
     .no_grad = true},
    {.name = "float to uint16 beyond its range",
     CASE_IN({CASE_F32(4), CASE_VALUES(-1, 65536, 65537, -40000)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_U16)),
     CASE_EXPECT(65535, 0, 1, 25536),
     .no_grad = true},
    {.name = "float to int4 beyond its range",
     CASE_IN({CASE_F32(6), CASE_VALUES(7.5, 8, -9, 31, -1, 100)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_I4)),
     CASE_EXPECT(7, -8, 7, -1, -1, 4),
     .no_grad = true},
    {.name = "float to uint4 beyond its range",
     CASE_IN({CASE_F32(5), CASE_VALUES(15.5, 16, -1, -9, 31)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_U4)),
     CASE_EXPECT(15, 0, 15, 7, 15),
     .no_grad = true},
    {.name = "float to uint2 beyond its range",
     CASE_IN({CASE_F32(5), CASE_VALUES(3.5, 4, -1, 2, 7)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_U2)),
     CASE_EXPECT(3, 0, 3, 2, 3),
     .no_grad = true},
    {.name = "int2 to float",
     CASE_IN({CASE_TYPED(SKIVE_I2, 5), CASE_VALUES(1, -2, -1, 0, 1)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_F32)),
     CASE_EXPECT(1, -2, -1, 0, 1),
     .no_grad = true},
    {.name = "float to float4e2m1", /* ties to the even code, saturation */
     CASE_IN({CASE_F32(8), CASE_VALUES(0.25, 0.75, -2.5, 3.5, 5, 100, -0.3, 1.3)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_F4E2M1)),
     CASE_EXPECT(0, 1, -2, 4, 4, 6, -0.5, 1.5),
     .no_grad = true},
    {.name = "float to float8e8m0, up",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 1.1, 0.75, 3)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_F8E8M0)),
     CASE_EXPECT(1, 2, 1, 4),
     .no_grad = true},
    {.name = "float to float8e8m0, nearest",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 1.1, 0.75, 2.9)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_F8E8M0), CASE_STR("round_mode", "nearest")),
     CASE_EXPECT(1, 1, 1, 2),
     .no_grad = true},
    {.name = "int64 to uint8 wraps",
     CASE_IN({CASE_I64(3), CASE_VALUES(256, -1, 7)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_U8)),
     CASE_EXPECT(0, 255, 7),
     .no_grad = true},
    {.name = "to bool",
     CASE_IN({CASE_F32(3), CASE_VALUES(0.25, 0, -1)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_BOOL)),
     CASE_EXPECT(1, 0, 1),
     .no_grad = true},
    {.name = "bool to float",
     CASE_IN({CASE_BOOL(2), CASE_VALUES(1, 0)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("to", SKIVE_F32)),
     CASE_EXPECT(1, 0),
     .no_grad = true},
    {.name = "to double", CASE_IN({CASE_F32(2, 2)}), .n_out = 1, CASE_ATTRS(CASE_INT("to", SKIVE_F64)), CASE_OUT(2, 2)},
};

const skv_op skv_op_cast = {
    .name = "Cast",
    .domain = "",
    .brief = "another element type",
    .since = 9,
    .min_in = 1,
    .max_in = 1,
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
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .pointwise = true,
};
