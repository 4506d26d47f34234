/* BitShift: a shifted by b bits to the left or the right. The standard has unsigned types only; signed ones are
 * accepted as well, and a shift to the right keeps the sign, as in the standard's reference. Its gradient is zero. */
#include <string.h>

#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"direction", SKV_ATTR_STRING, SKV_REQUIRED}};

static skive_status infer(skv_infer *c) {
    const char *direction = skv_attr_string(c->node, "direction", "");
    for (size_t i = 0; i < 2; i++) SKV_TRY(skv_infer_want_integer(c, i));
    if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': the direction '%s' is neither LEFT nor RIGHT",
                              c->node->name, direction);
    return skv_infer_broadcast(c, 2, &c->out[0]);
}

static uint64_t left_u(uint64_t a, uint64_t b) { return b < 64 ? a << b : 0; }
static uint64_t right_u(uint64_t a, uint64_t b) { return b < 64 ? a >> b : 0; }
static int64_t left(int64_t a, int64_t b) { return (int64_t)left_u((uint64_t)a, (uint64_t)b); }
static int64_t right(int64_t a, int64_t b) {
    const int64_t flip = a < 0 ? -1 : 0; /* the right shift of negative numbers is implementation-defined in C */
    return (int64_t)right_u((uint64_t)(a ^ flip), (uint64_t)b) ^ flip;
}

static skive_status run(const skv_eval *c) {
    static const skv_binary to_left = {.f = NULL, .i = left, .u = left_u},
                            to_right = {.f = NULL, .i = right, .u = right_u};
    return skv_binary_run(c, strcmp(skv_attr_string(c->node, "direction", ""), "LEFT") == 0 ? &to_left : &to_right);
}

static const skv_op_case cases[] = {
    {.name = "left",
     CASE_IN({CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(16, 200, 1)}, {CASE_TYPED(SKIVE_U8, 3), CASE_VALUES(1, 1, 9)}),
     CASE_ATTRS(CASE_STR("direction", "LEFT")),
     .n_out = 1,
     CASE_EXPECT(32, 144, 0),
     .no_grad = true},
    {.name = "right",
     CASE_IN({CASE_TYPED(SKIVE_U64, 2), CASE_VALUES(16, 200)}, {CASE_TYPED(SKIVE_U64, 1), CASE_VALUES(3)}),
     CASE_ATTRS(CASE_STR("direction", "RIGHT")),
     .n_out = 1,
     CASE_EXPECT(2, 25),
     .no_grad = true},
    {.name = "right, negative",
     CASE_IN({CASE_I64(4), CASE_VALUES(-1, -16, -100, -16)}, {CASE_I64(4), CASE_VALUES(1, 2, 5, 70)}),
     CASE_ATTRS(CASE_STR("direction", "RIGHT")),
     .n_out = 1,
     CASE_EXPECT(-1, -4, -4, -1),
     .no_grad = true},
};

const skv_op skv_op_bit_shift = {
    .name = "BitShift",
    .brief = "shifted bits",
    SKV_BINARY_OP,
    SKV_LIST(attrs),
    .since = 11,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    SKV_LIST(cases),
};
