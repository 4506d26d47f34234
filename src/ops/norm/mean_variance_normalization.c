/* MeanVarianceNormalization: (x - mean) / (sqrt(variance) + 1e-9) over the axes, [0, 2, 3] by default. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"axes", SKV_ATTR_INTS, SKV_OPTIONAL}};

static bool axes_of(const skive_node *n, int rank, uint32_t *mask) {
    static const int64_t usual[] = {0, 2, 3};
    size_t count;
    const int64_t *axes = skv_attr_ints(n, "axes", &count);
    if (!axes) axes = usual, count = 3;
    return count <= SKIVE_MAX_RANK && skv_axes_mask(axes, (int)count, rank, mask);
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    uint32_t mask;
    SKV_TRY(skv_want_float(c, 0));
    if (x->rank >= 0 && !axes_of(c->node, x->rank, &mask))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': axes outside an input of rank %d", c->node->name,
                              x->rank);
    return skv_infer_same(c);
}

/* The number of the group of normalised elements that contains the element at `index`. */
static size_t cell_of(const skive_tensor *x, const int64_t *index, uint32_t mask) {
    int64_t cell = 0;
    for (int d = 0; d < x->rank; d++)
        if (!(mask >> d & 1u)) cell = cell * x->dims[d] + index[d];
    return (size_t)cell;
}

static void step(const skive_tensor *x, int64_t *index) {
    for (int d = x->rank - 1; d >= 0 && ++index[d] == x->dims[d]; d--) index[d] = 0;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t n = skive_tensor_count(x);
    int64_t index[SKIVE_MAX_RANK] = {0}, cells = 1;
    uint32_t mask = 0;
    double *sums = NULL;
    (void)axes_of(c->node, x->rank, &mask);
    for (int d = 0; d < x->rank; d++)
        if (!(mask >> d & 1u)) cells *= x->dims[d];
    SKV_TRY(skv_alloc_array(c->ctx, (size_t)cells * 2 + 1, sizeof *sums, &sums));
    double *mean = sums, *square = sums + cells;
    const double share = n ? (double)cells / (double)n : 0;
    for (int64_t i = 0; i < n; i++, step(x, index))
        mean[cell_of(x, index, mask)] += skv_load_f64(x->dtype, x->data, (size_t)i) * share;
    for (int64_t i = 0; i < n; i++, step(x, index)) {
        const size_t cell = cell_of(x, index, mask);
        const double d = skv_load_f64(x->dtype, x->data, (size_t)i) - mean[cell];
        square[cell] += d * d * share;
    }
    for (int64_t i = 0; i < n; i++, step(x, index)) {
        const size_t cell = cell_of(x, index, mask);
        skv_store_f64(y->dtype, y->data, (size_t)i,
                      (skv_load_f64(x->dtype, x->data, (size_t)i) - mean[cell]) / (sqrt(square[cell]) + 1e-9));
    }
    skv_free(c->ctx, sums);
    return SKIVE_OK;
}

/* With s the deviation, d = s + 1e-9 and y = (x - mean) / d: dx = (dy - mean(dy)) / d - (x - mean) mean(dy y) / (s d).
 * Where s is 0, so is x - mean. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skv_builder *b = c->b;
    skive_value *x = n->inputs[0], *dy = c->dout[0];
    int64_t axes[SKIVE_MAX_RANK];
    size_t count = 0;
    uint32_t mask;
    if (!c->need[0]) return SKIVE_OK;
    if (x->type.rank < 0 || !axes_of(n, x->type.rank, &mask))
        return skv_fail_at(b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "MeanVarianceNormalization: the gradient needs a known rank");
    for (int d = 0; d < x->type.rank; d++)
        if (mask >> d & 1u) axes[count++] = d;
    skive_value *over = skv_emit_ints(b, axes, count), *away = skv_g2(b, "Sub", x, skv_g2(b, "ReduceMean", x, over));
    skive_value *s = skv_g1(b, "Sqrt", skv_g2(b, "ReduceMean", skv_g2(b, "Mul", away, away), over));
    skive_value *d = skv_g2(b, "Add", s, skv_emit_scalar(b, x->type.dtype, 1e-9));
    skive_value *safe = skv_g2(b, "Max", s, skv_emit_scalar(b, x->type.dtype, 1e-30));
    skive_value *share = skv_g2(b, "ReduceMean", skv_g2(b, "Mul", dy, n->outputs[0]), over);
    skive_value *first = skv_g2(b, "Div", skv_g2(b, "Sub", dy, skv_g2(b, "ReduceMean", dy, over)), d);
    skive_value *second = skv_g2(b, "Div", skv_g2(b, "Mul", skv_g2(b, "Div", away, safe), share), d);
    c->din[0] = skv_g2(b, "Sub", first, second);
    return b->status;
}

static int needs_opset(const skive_node *n) { return skv_needs_for_dtype(n, 9, 13, 0); }

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0));
    uint32_t mask;
    if (!x || x->rank < 0 || !axes_of(skv_couple_node(c), x->rank, &mask)) return;
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (mask >> a & 1u) skv_couple_mixes(c, SKV_CIN(0, a), "mean and variance are over this axis");
    }
}

static const skv_op_case cases[] = {
    {.name = "rows",
     CASE_IN({CASE_F32(2, 2), CASE_VALUES(1, 3, 2, 6)}),
     CASE_ATTRS(CASE_INTS("axes", 1)),
     .n_out = 1,
     CASE_EXPECT(-1, 1, -1, 1)},
    {.name = "usual axes",
     CASE_IN({CASE_F32(2, 1, 2, 1), CASE_VALUES(1, 3, 1, 3)}),
     .n_out = 1,
     CASE_EXPECT(-1, 1, -1, 1)},
    {.name = "channels", CASE_IN({CASE_F32(2, 3, 2, 2)}), .n_out = 1, CASE_OUT(2, 3, 2, 2)},
};

const skv_op skv_op_mean_variance_normalization = {
    .name = "MeanVarianceNormalization",
    .domain = "",
    .brief = "mean 0 and variance 1 over axes",
    .since = 9,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .needs_opset = needs_opset,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
