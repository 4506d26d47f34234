/* See common_arg.h. */
#include "ops/index/common_arg.h"

#include "ops/common_elementwise.h"

const skv_attr_spec skv_arg_attrs[3] = {{"axis", SKV_ATTR_INT, SKV_OPTIONAL},
                                        {"keepdims", SKV_ATTR_INT, SKV_OPTIONAL},
                                        {"select_last_index", SKV_ATTR_INT, SKV_OPTIONAL}};

skive_status skv_arg_infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    int axis;
    SKV_TRY(skv_infer_want_numeric(c, 0));
    y->dtype = SKIVE_I64;
    if (x->rank < 0) return SKIVE_OK;
    SKV_TRY(skv_infer_axis(c, "axis", skv_attr_int(c->node, "axis", 0), x->rank, &axis));
    if (x->dims[axis].size == 0)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': an empty axis has no largest or smallest element",
                              c->node->name);
    y->rank = 0;
    for (int d = 0; d < x->rank; d++) {
        if (d != axis)
            y->dims[y->rank++] = x->dims[d];
        else if (skv_attr_int(c->node, "keepdims", 1))
            y->dims[y->rank++] = skv_dim(1);
    }
    return SKIVE_OK;
}

/* Order of two elements: -1, 0, 1; 2 where one of them is NaN, which is never chosen over what came before. */
static int compare(const skive_tensor *x, size_t i, size_t j) {
    if (skv_dtype_is_float(x->dtype)) {
        const double a = skv_load_f64(x->dtype, x->data, i), b = skv_load_f64(x->dtype, x->data, j);
        return a > b ? 1 : a == b ? 0 : a < b ? -1 : 2;
    }
    const int64_t a = skv_load_bits(x->dtype, x->data, i), b = skv_load_bits(x->dtype, x->data, j);
    return a == b ? 0 : (x->dtype == SKIVE_U64 ? (uint64_t)a > (uint64_t)b : a > b) ? 1 : -1;
}

skive_status skv_arg_run(const skv_eval *c, int wanted) {
    const skive_tensor *x = c->in[0];
    const int axis = (int)skv_axis(skv_attr_int(c->node, "axis", 0), x->rank);
    const bool last = skv_attr_int(c->node, "select_last_index", 0) != 0;
    int64_t outer = 1, inner = 1, *y = c->out[0]->data;
    for (int d = 0; d < axis; d++) outer *= x->dims[d];
    for (int d = axis + 1; d < x->rank; d++) inner *= x->dims[d];
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            int64_t best = 0;
            const size_t first = (size_t)(o * x->dims[axis] * inner + i);
            for (int64_t k = 1; k < x->dims[axis]; k++) {
                const int order = compare(x, first + (size_t)(k * inner), first + (size_t)(best * inner));
                if (order == wanted || (last && order == 0)) best = k;
            }
            y[o * inner + i] = best;
        }
    }
    return SKIVE_OK;
}

void skv_arg_couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    const int64_t axis = x ? skv_axis(skv_attr_int(skv_couple_node(c), "axis", 0), x->rank) : -1;
    const bool keep = skv_attr_int(skv_couple_node(c), "keepdims", 1) != 0;
    for (int d = 0, to = 0; axis >= 0 && d < x->rank; d++) {
        if (d == axis) {
            skv_couple_fix(c, SKV_CIN(0, d), "the result counts along this axis");
            to += keep;
        } else {
            skv_couple_same(c, SKV_CIN(0, d), SKV_COUT(0, to++));
        }
    }
}
