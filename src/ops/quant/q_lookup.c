/* QLookup(x, table): y = table[x], one byte for another. x is uint8 of any shape, table uint8 [256]. It is any function
 * of one element between a DequantizeLinear and a QuantizeLinear, and the step from one grid to another. */
#include "ops/common_nn.h"

enum { ENTRIES = 256 };

static skive_status infer(skv_infer *c) {
    if (c->in[0]->dtype != SKIVE_U8 || c->in[1]->dtype != SKIVE_U8)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "QLookup: both inputs must be uint8");
    SKV_TRY(skv_want_vector(c, 1, ENTRIES, "the table"));
    skv_out_like(c, 0, 0);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    if (!c->out[0]) return SKIVE_OK;
    const uint8_t *x = c->in[0]->data, *table = c->in[1]->data;
    uint8_t *y = c->out[0]->data;
    const int64_t count = skive_tensor_count(c->out[0]);
    for (int64_t i = 0; i < count; i++) y[i] = table[x[i]];
    return SKIVE_OK;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    (void)in;
    return (skv_range){0, 255};
}

#define FOUR(i)    255 - (i), 254 - (i), 253 - (i), 252 - (i)
#define SIXTEEN(i) FOUR(i), FOUR((i) + 4), FOUR((i) + 8), FOUR((i) + 12)
#define ALL(i)     SIXTEEN(i), SIXTEEN((i) + 16), SIXTEEN((i) + 32), SIXTEEN((i) + 48)

static const skv_op_case cases[] = {
    {.name = "by hand: 255 - x",
     CASE_IN({CASE_TYPED(SKIVE_U8, 2, 2), CASE_VALUES(0, 1, 40, 255)},
             {CASE_TYPED(SKIVE_U8, 256), CASE_VALUES(ALL(0), ALL(64), ALL(128), ALL(192))}),
     .n_out = 1,
     CASE_EXPECT(255, 254, 215, 0)},
    {.name = "four axes", CASE_IN({CASE_TYPED(SKIVE_U8, 2, 3, 4, 5)}, {CASE_TYPED(SKIVE_U8, 256)}), .n_out = 1},
    {.name = "empty", CASE_IN({CASE_TYPED(SKIVE_U8, 0, 3)}, {CASE_TYPED(SKIVE_U8, 256)}), .n_out = 1},
};

const skv_op skv_op_q_lookup = {
    .name = "QLookup",
    .domain = SKV_DOMAIN,
    .brief = "one byte for another, by a table",
    .since = 1,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .range = range,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
