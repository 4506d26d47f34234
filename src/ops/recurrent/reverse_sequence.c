/* ReverseSequence: the first sequence_lens[b] entries of each sequence in reverse; the rest is unchanged. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"

static const skv_attr_spec attrs[] = {{"batch_axis", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"time_axis", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const int64_t batch = skv_attr_int(c->node, "batch_axis", 1), time = skv_attr_int(c->node, "time_axis", 0);
    if (!((batch == 0 && time == 1) || (batch == 1 && time == 0)))
        return SKV_INFER_FAIL(c, SKIVE_ERR_GRAPH, "node '%s': batch_axis %lld and time_axis %lld are not 0 and 1",
                              c->node->name, (long long)batch, (long long)time);
    SKV_TRY(skv_infer_want(c, 1, SKIVE_I64));
    SKV_TRY(skv_want_rank(c, 0, 2, SKIVE_MAX_RANK));
    SKV_TRY(skv_want_vector(c, 1, skv_in_dim(c, 0, (int)batch), "the lengths"));
    return skv_infer_same(c);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *lengths = c->in[1], *y = c->out[0];
    const int batch_axis = (int)skv_attr_int(c->node, "batch_axis", 1), time_axis = 1 - batch_axis;
    const int64_t batch = x->dims[batch_axis], time = x->dims[time_axis];
    int64_t inner = 1;
    for (int d = 2; d < x->rank; d++) inner *= x->dims[d];
    for (int64_t b = 0; b < batch; b++) {
        const int64_t length = ((const int64_t *)lengths->data)[b];
        if (length < 0 || length > time)
            return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                               "node '%s': a sequence length of %lld is out of range for %lld steps", c->node->name,
                               (long long)length, (long long)time);
        for (int64_t t = 0; t < time; t++) {
            const int64_t from = t < length ? length - 1 - t : t;
            const int64_t to_row = batch_axis ? t * batch + b : b * time + t,
                          from_row = batch_axis ? from * batch + b : b * time + from;
            for (int64_t i = 0; i < inner; i++)
                skv_copy_element(x->dtype, y->data, (size_t)(to_row * inner + i), x->data,
                                 (size_t)(from_row * inner + i));
        }
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "ReverseSequence", SKV_IN(c->dout[0], n->inputs[1]),
                             SKV_ATTRS(SKV_INT("batch_axis", skv_attr_int(n, "batch_axis", 1)),
                                       SKV_INT("time_axis", skv_attr_int(n, "time_axis", 0))));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    for (int d = 2; x && d < x->rank; d++) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
}

static const skv_op_case cases[] = {
    {.name = "time first",
     CASE_IN({CASE_F32(3, 2), CASE_VALUES(1, 2, 3, 4, 5, 6)}, {CASE_I64(2), CASE_VALUES(3, 2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(5, 4, 3, 2, 1, 6)},
    {.name = "batch first",
     CASE_ATTRS(CASE_INT("batch_axis", 0), CASE_INT("time_axis", 1)),
     CASE_IN({CASE_F32(2, 3, 2)}, {CASE_I64(2), CASE_VALUES(0, 3), .constant = true}),
     .n_out = 1},
};

const skv_op skv_op_reverse_sequence = {
    .name = "ReverseSequence",
    .domain = "",
    .brief = "sequences in reverse, each to its length",
    .since = 10,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .range = skv_range_first,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
