/* Trilu: the upper or lower triangle of the last two axes, zero elsewhere; the optional second input moves the
 * diagonal. */
#include <string.h>

#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"upper", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    if (x->rank >= 0 && x->rank < 2)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a tensor of rank %d has no triangle", c->node->name,
                              x->rank);
    return skv_infer_same(c);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const bool upper = skv_attr_int(c->node, "upper", 1) != 0;
    int64_t k = 0;
    int n;
    SKV_TRY(skv_eval_ints(c, 1, "the diagonal", &k, 1, &n));
    const int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1], count = skive_tensor_count(x);
    if (k > columns) k = columns; /* larger values change nothing, and sums stay in range */
    if (k < -rows) k = -rows;
    memset(y->data, 0, skive_tensor_bytes(y));
    for (int64_t i = 0; i < count; i++) {
        const int64_t column = i % columns, row = i / columns % rows;
        if (upper ? column >= row + k : column <= row + k)
            skv_copy_element(x->dtype, y->data, (size_t)i, x->data, (size_t)i);
    }
    return SKIVE_OK;
}

static skive_status grad(skv_grad *c) {
    skive_node *n = c->node;
    if (c->need[0])
        c->din[0] = skv_emit(c->b, "Trilu", SKV_IN(c->dout[0], skv_node_in(n, 1)),
                             SKV_ATTRS(SKV_INT("upper", skv_attr_int(n, "upper", 1))));
    return c->b->status;
}

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    for (int d = 0; x && d < x->rank - 2; d++) skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, d));
}

static const skv_op_case cases[] = {
    {.name = "upper",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 0, 5, 6)},
    {.name = "lower, diagonal moved",
     CASE_IN({CASE_F32(3, 3), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9)}, {CASE_SCALAR(SKIVE_I64, -1), .constant = true}),
     CASE_ATTRS(CASE_INT("upper", 0)),
     .n_out = 1,
     CASE_EXPECT(0, 0, 0, 4, 0, 0, 7, 8, 0)},
    {.name = "several", CASE_IN({CASE_F32(3, 2, 2)}), .n_out = 1, CASE_OUT(3, 2, 2)},
    {.name = "far diagonal",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 2, 3, 4)}, {CASE_SCALAR(SKIVE_I64, 9), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0, 0, 0, 0)},
};

const skv_op skv_op_trilu = {
    .name = "Trilu",
    .domain = "",
    .brief = "upper or lower triangle of matrices",
    .since = 14,
    .min_in = 1,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
