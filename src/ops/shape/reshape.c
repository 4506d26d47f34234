/* Reshape: the same elements with another shape. A 0 in the shape copies the input's dimension (unless allowzero), one
 * -1 is inferred. */
#include "ops/cases.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"allowzero", SKV_ATTR_INT, SKV_OPTIONAL}};

/* Computes the -1 if everything else is known, from the elements or from symbols that cancel. */
static skive_status fill_open(skv_infer *c, const skive_type *x, skive_type *y, int open) {
    int64_t known = 1, total = 1;
    int symbolic_in = 0, symbolic_out = 0;
    for (int d = 0; d < y->rank; d++) {
        if (d == open) continue;
        if (y->dims[d].size < 0)
            symbolic_out++;
        else if (!skv_mul_i64(known, y->dims[d].size, &known))
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the shape is too large", c->node->name);
    }
    const skive_dim *symbol = NULL;
    for (int d = 0; d < x->rank; d++) {
        if (x->dims[d].size < 0) {
            symbolic_in++;
            symbol = &x->dims[d];
        } else if (!skv_mul_i64(total, x->dims[d].size, &total)) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the input is too large", c->node->name);
        }
    }
    if (x->rank < 0) return SKIVE_OK;
    if (symbolic_in == 0 && symbolic_out == 0) {
        if (open < 0 ? total != known : known == 0 || total % known != 0) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': %lld elements do not match the requested shape",
                                  c->node->name, (long long)total);
        }
        if (open >= 0) y->dims[open] = skv_dim(total / known);
    } else if (open >= 0 && symbolic_in == 1 && known == total && symbolic_out == 0) {
        y->dims[open] = *symbol; /* the unknown dimension is what is left */
    } else if (open >= 0 && symbolic_in == symbolic_out && known > 0 && total % known == 0) {
        y->dims[open] = skv_dim(total / known); /* zeros copied every unknown dimension */
    }
    return SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    int64_t shape[SKIVE_MAX_RANK];
    int n, open = -1;
    skive_type *y = &c->out[0];
    y->dtype = x->dtype;
    SKV_TRY(skv_infer_ints(c, 1, "the shape", shape, SKIVE_MAX_RANK, &n));
    if (n < 0) {
        const int64_t length = skv_infer_list_length(c, 1);
        if (length > SKIVE_MAX_RANK)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': rank %lld exceeds %d", c->node->name,
                                  (long long)length, SKIVE_MAX_RANK);
        y->rank = length >= 0 ? (int)length : -1;
        for (int d = 0; d < y->rank; d++) y->dims[d] = skv_dim_unknown();
        return y->rank == 0 ? fill_open(c, x, y, open) : SKIVE_OK;
    }
    const bool zeros = skv_attr_int(c->node, "allowzero", 0) != 0;
    y->rank = n;
    for (int d = 0; d < n; d++) {
        y->dims[d] = skv_dim(shape[d]);
        if (shape[d] == 0 && !zeros) {
            if (x->rank >= 0 && d >= x->rank)
                return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                                      "node '%s': the shape copies dimension %d of an input of rank %d", c->node->name,
                                      d, x->rank);
            y->dims[d] = x->rank >= 0 ? x->dims[d] : skv_dim_unknown();
        } else if (shape[d] == -1) {
            if (open >= 0)
                return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the shape has more than one -1", c->node->name);
            open = d;
            y->dims[d] = skv_dim_unknown();
        } else if (shape[d] < 0) {
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the dimension %lld in the shape is not valid",
                                  c->node->name, (long long)shape[d]);
        }
    }
    SKV_TRY(fill_open(c, x, y, open));
    return skv_infer_limit(c, y);
}

static void couple(skv_couple *c) {
    if (skv_couple_constant(c, 1)) skv_couple_reshape(c);
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_sizes(s, 1, NULL); }

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(2, 3), CASE_VALUES(1, 2, 3, 4, 5, 6)}, CASE_LIST(2, 3, 2)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4, 5, 6),
     CASE_OUT(3, 2)},
    {.name = "copied and open", CASE_IN({CASE_F32(2, 3, 4)}, CASE_LIST(2, 0, -1)), .n_out = 1, CASE_OUT(2, 12)},
    {.name = "to a scalar",
     CASE_IN({CASE_F32(1, 1)}, {.dtype = SKIVE_I64, .rank = 1, .dims = {0}, .constant = true}),
     .n_out = 1},
    {.name = "zero allowed",
     CASE_ATTRS(CASE_INT("allowzero", 1)),
     CASE_IN({CASE_F32(0, 3)}, CASE_LIST(2, 3, 0)),
     .n_out = 1,
     CASE_OUT(3, 0),
     .no_grad = true},
};

static int needs_opset(const skive_node *n) {
    return skv_needs_for_dtype(n, skv_attr_int(n, "allowzero", 0) ? 14 : 5, 13, 21);
}

const skv_op skv_op_reshape = {
    .name = "Reshape",
    .brief = "the same elements with another shape",
    .domain = "",
    .since = 5,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = skv_run_copy,
    .grad = skv_grad_reshape,
    .couple = couple,
    .shrink = shrink,
    .range = skv_range_first,
    .bounds = skv_bound_reshape,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
    .motion = SKV_RESHAPES,
};
