/* StringConcat: text joined element by element, with broadcasting. */
#include "ops/cases.h"
#include "ops/strings/common_strings.h"

static skive_status infer(skv_infer *c) {
    for (size_t i = 0; i < 2; i++) SKV_TRY(skv_infer_want(c, i, SKIVE_STRING));
    SKV_TRY(skv_infer_broadcast(c, 2, &c->out[0]));
    c->out[0].dtype = SKIVE_STRING;
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    skv_walk w;
    SKV_TRY(skv_walk_start(&w, c, y->rank, y->dims, c->in, 2));
    for (size_t i = 0; i < (size_t)w.count; i++, skv_walk_next(&w))
        SKV_TRY(skv_room_join(c->ctx, c->strings, skv_string_at(a, w.at[0]), skv_string_at(b, w.at[1]),
                              skv_string_slot(y, i)));
    return SKIVE_OK;
}

static const skv_op_case cases[] = {
    {.name = "broadcast",
     CASE_IN({CASE_STRING(2, 1), CASE_TEXT("ab", "")}, {CASE_STRING(2), CASE_TEXT("x", "grün")}),
     .n_out = 1,
     CASE_EXPECT_TEXT("abx", "abgrün", "x", "grün"),
     CASE_OUT(2, 2),
     .no_grad = true},
};

const skv_op skv_op_string_concat = {
    .name = "StringConcat",
    .domain = "",
    .brief = "text joined element by element",
    .since = 20,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    .strings = SKV_STRINGS(0) | SKV_STRINGS(1),
    SKV_LIST(cases),
};
