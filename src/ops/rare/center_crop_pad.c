/* CenterCropPad: axes cropped or padded with zeros at both ends to the requested sizes. For an odd difference the
 * smaller part comes first. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"

static const skv_attr_spec attrs[] = {{"axes", SKV_ATTR_INTS, SKV_OPTIONAL}};

/* The axes named, in their order; *n is their number. False if one is outside or given twice. */
static bool axes_of(const skive_node *node, int rank, int64_t axes[SKIVE_MAX_RANK], int *n) {
    size_t count = 0;
    uint32_t mask;
    const int64_t *list = skv_attr_ints(node, "axes", &count);
    *n = list ? (int)(count < SKIVE_MAX_RANK ? count : SKIVE_MAX_RANK) : rank;
    if (count > (size_t)rank || (list && !skv_axes_mask(list, *n, rank, &mask))) return false;
    for (int i = 0; i < *n; i++) axes[i] = list ? skv_axis(list[i], rank) : i;
    return true;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = c->in[0];
    skive_type *y = &c->out[0];
    int64_t axes[SKIVE_MAX_RANK], sizes[SKIVE_MAX_RANK];
    int n, n_sizes;
    *y = *x;
    SKV_TRY(skv_infer_ints(c, 1, "the shape", sizes, SKIVE_MAX_RANK, &n_sizes));
    if (x->rank < 0) return SKIVE_OK;
    if (!axes_of(c->node, x->rank, axes, &n))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                              "CenterCropPad: an axis is outside an input of rank %d, or given twice", x->rank);
    const int64_t listed = n_sizes >= 0 ? n_sizes : skv_infer_list_length(c, 1);
    if (listed >= 0 && listed != n)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "CenterCropPad: %lld sizes are given for %d axes", (long long)listed,
                              n);
    for (int i = 0; i < n; i++) {
        if (n_sizes >= 0 && sizes[i] < 0)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "CenterCropPad: the size %lld is not valid", (long long)sizes[i]);
        y->dims[axes[i]] = n_sizes >= 0 ? skv_dim(sizes[i]) : skv_dim_unknown();
    }
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    int64_t from[SKIVE_MAX_RANK], to[SKIVE_MAX_RANK], both[SKIVE_MAX_RANK], source = 0, target = 0;
    const size_t bytes = skive_tensor_bytes(y);
    if (bytes) memset(y->data, 0, bytes);
    skv_dims_strides(x->rank, x->dims, from);
    skv_dims_strides(y->rank, y->dims, to);
    for (int d = 0; d < x->rank; d++) {
        const int64_t less = x->dims[d] - y->dims[d];
        both[d] = less > 0 ? y->dims[d] : x->dims[d];
        if (less > 0) source += less / 2 * from[d];
        if (less < 0) target += -less / 2 * to[d];
    }
    skv_copy_strided(y->dtype, y->rank, both, y->data, target, to, x->data, source, from);
    return SKIVE_OK;
}

/* The inverse: cropped parts get zeros, padded parts are cropped. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skive_type *x = &n->inputs[0]->type;
    int64_t axes[SKIVE_MAX_RANK];
    int count;
    if (!c->need[0]) return SKIVE_OK;
    if (x->rank < 0 || !axes_of(n, x->rank, axes, &count))
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "CenterCropPad: the gradient needs a known rank");
    skive_value *shape = skv_g1(c->b, "Shape", n->inputs[0]);
    skive_value *sizes = skv_g2(c->b, "Gather", shape, skv_emit_ints(c->b, axes, (size_t)count));
    c->din[0] =
        skv_emit(c->b, "CenterCropPad", SKV_IN(c->dout[0], sizes), SKV_ATTRS(SKV_INTS("axes", axes, (size_t)count)));
    return c->b->status;
}

static void couple(skv_couple *c) {
    if (skv_couple_constant(c, 1)) skv_couple_same_axes(c, 0);
}

static skive_status shrink(const skv_shrink *s) {
    int64_t axes[SKIVE_MAX_RANK];
    int n;
    if (!axes_of(skv_shrink_node(s), skv_shrink_type(s, SKV_CIN(0, 0))->rank, axes, &n)) return SKIVE_OK;
    return skv_shrink_sizes(s, 1, axes);
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)n;
    return (skv_range){fmin(in[0].lo, 0.0), fmax(in[0].hi, 0.0)};
}

static const skv_op_case cases[] = {
    {.name = "one axis cropped, one padded",
     CASE_IN({CASE_F32(4, 2), CASE_VALUES(1, 2, 3, 4, 5, 6, 7, 8)}, CASE_LIST(2, 1, 5)),
     .n_out = 1,
     CASE_EXPECT(0, 3, 4, 0, 0),
     CASE_OUT(1, 5)},
    {.name = "axes",
     CASE_ATTRS(CASE_INTS("axes", -1, 0)),
     CASE_IN({CASE_F32(2, 3, 5)}, CASE_LIST(2, 2, 5)),
     .n_out = 1,
     CASE_OUT(5, 3, 2)},
    {.name = "int64",
     CASE_IN({CASE_I64(3), CASE_VALUES(7, 8, 9), .constant = true}, CASE_LIST(1, 2)),
     .n_out = 1,
     CASE_EXPECT(7, 8),
     .no_grad = true},
};

const skv_op skv_op_center_crop_pad = {
    .name = "CenterCropPad",
    .domain = "",
    .brief = "cropped or padded with zeros at both ends",
    .since = 18,
    .min_in = 2,
    .max_in = 2,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .range = range,
    .cost = skv_cost_none,
    .strings = SKV_STRINGS(0),
    SKV_LIST(cases),
};
