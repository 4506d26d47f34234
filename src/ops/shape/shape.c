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

/* Elements of the result that anything reads, as a mask; all where it is not known. */
static uint32_t read_elements(const skive_value *y) {
    uint32_t mask = 0;
    if (y->output_uses || skv_value_is_captured(y) || y->type.rank != 1 || y->type.dims[0].size < 0) return UINT32_MAX;
    const int64_t n = y->type.dims[0].size;
    for (uint32_t i = 0; i < y->n_uses; i++) {
        const skive_node *by = y->uses[i].node;
        int64_t list[SKIVE_MAX_RANK];
        const skive_tensor *t = skv_node_constant(by, 1);
        const int count = t ? skv_read_ints(t, list, SKIVE_MAX_RANK) : -1;
        if (!skv_node_is(by, SKV_OP_GATHER) || y->uses[i].index != 0 || count < 0) return UINT32_MAX;
        for (int k = 0; k < count; k++) {
            const int64_t at = skv_axis(list[k], (int)n);
            if (at >= 0) mask |= 1u << at;
        }
    }
    return mask;
}

/* An axis whose size nothing reads may lose channels. */
static void couple(skv_couple *c) {
    const skive_node *n = skv_couple_node(c);
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    int first, count;
    if (!x || x->rank < 0 || !n->outputs[0]) return;
    part(n, x->rank, &first, &count);
    const uint32_t mask = read_elements(n->outputs[0]);
    for (int d = 0; d < x->rank; d++) {
        if (d >= first && d < first + count && mask >> (d - first) & 1u)
            skv_couple_fix(c, SKV_CIN(0, d), "its size is computed with");
        else
            skv_couple_free(c, SKV_CIN(0, d));
    }
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
    .couple = couple,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
