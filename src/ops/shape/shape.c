/* Shape: the dimensions of its input as int64, or those from `start` to before `end`. Only the shape of the input is
 * read. Its gradient is zero. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"start", SKV_ATTR_INT, SKV_OPTIONAL}, {"end", SKV_ATTR_INT, SKV_OPTIONAL}};

/* The requested range of axes: ends out of range are clamped, as ONNX specifies. */
static void part(const skive_node *n, int rank, int *first, int *count) {
    int64_t start = skv_attr_int(n, "start", 0), end = skv_attr_int(n, "end", rank);
    if (start < 0) start = start < -(int64_t)rank ? 0 : start + rank;
    if (end < 0) end = end < -(int64_t)rank ? 0 : end + rank;
    if (start > rank) start = rank;
    if (end > rank) end = rank;
    *first = (int)start;
    *count = end > start ? (int)(end - start) : 0;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int first, count = -1;
    if (x->rank >= 0) part(c->node, x->rank, &first, &count);
    c->out[0] = (skive_type){.dtype = SKIVE_I64, .rank = 1, .dims = {skv_dim(count)}};
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    int first, count;
    part(c->node, c->in[0]->rank, &first, &count);
    if (skive_tensor_count(c->out[0]) != count)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "the rank of the input differs from the planned one");
    for (int i = 0; i < count; i++) ((int64_t *)c->out[0]->data)[i] = c->in[0]->dims[first + i];
    return SKIVE_OK;
}

static int needs_opset(const skive_node *n) {
    return skv_node_attr(n, "start") || skv_node_attr(n, "end") ? 15 : skv_needs_for_dtype(n, 1, 13, 21);
}

static const skv_op_case cases[] = {
    {.name = "all", CASE_IN({CASE_F32(2, 3, 4)}), .n_out = 1, CASE_EXPECT(2, 3, 4), CASE_OUT(3), .no_grad = true},
    {.name = "part",
     CASE_IN({CASE_F32(2, 3, 4)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("start", -2), CASE_INT("end", -1)),
     CASE_EXPECT(3),
     CASE_OUT(1),
     .no_grad = true},
    {.name = "beyond",
     CASE_IN({CASE_F32(2, 3)}),
     .n_out = 1,
     CASE_ATTRS(CASE_INT("start", -9), CASE_INT("end", 9)),
     CASE_EXPECT(2, 3),
     .no_grad = true},
};

const skv_op skv_op_shape = {
    .name = "Shape",
    .domain = "",
    .brief = "the dimensions of a tensor",
    .since = 1,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = skv_grad_zero,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
