/* GlobalLpPool: the p-norm of each channel over all its positions, which stay as axes of size 1. */
#include "ops/conv/common_conv.h"
#include "ops/norm/common_norm_order.h"

static const skv_attr_spec attrs[] = {{"p", SKV_ATTR_INT, SKV_OPTIONAL}};

static skive_status import(skive_graph *g, skive_node *n, int from) {
    (void)g;
    return from < 2 ? skv_import_norm_order(n) : SKIVE_OK;
}

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_want_norm_order(c, INT32_MAX));
    SKV_TRY(skv_want_rank(c, 0, 3, SKIVE_MAX_RANK));
    skv_out_like(c, 0, 0);
    for (int a = 2; a < c->out[0].rank; a++) c->out[0].dims[a] = skv_dim_of(1);
    return SKIVE_OK;
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const double order = (double)skv_attr_int(c->node, "p", 2);
    const int64_t planes = x->dims[0] * x->dims[1], size = planes ? skive_tensor_count(x) / planes : 0;
    for (int64_t p = 0; p < planes; p++) {
        double sum = 0.0;
        for (int64_t i = p * size; i < (p + 1) * size; i++)
            sum += skv_norm_term(skv_load_f64(x->dtype, x->data, (size_t)i), order);
        skv_store_f64(y->dtype, y->data, (size_t)p, skv_norm_root(sum, order));
    }
    return SKIVE_OK;
}

/* That of an LpPool whose window is the whole plane. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skive_type *x = &n->inputs[0]->type;
    int64_t window[SKIVE_MAX_RANK];
    bool known = x->rank >= 3 && x->rank <= 2 + SKV_SPATIAL;
    if (!c->need[0]) return SKIVE_OK;
    for (int a = 2; known && a < x->rank; a++) {
        window[a - 2] = x->dims[a].size;
        known = x->dims[a].size > 0;
    }
    if (!known)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "GlobalLpPool: the gradient needs known spatial sizes, at most %d of them", SKV_SPATIAL);
    c->din[0] = skv_emit(
        c->b, "LpPoolGrad", SKV_IN(c->dout[0], n->inputs[0], n->outputs[0]),
        SKV_ATTRS(SKV_INTS("kernel_shape", window, (size_t)(x->rank - 2)), SKV_INT("p", skv_attr_int(n, "p", 2))));
    return c->b->status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *x = skv_node_in(n, 0);
    if (x) out->operations = skv_add_sat(out->operations, skv_type_count(&x->type));
}

static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(3, -4, 5, 12)}),
     .n_out = 1,
     CASE_EXPECT(5, 13),
     CASE_OUT(1, 2, 1)},
    {.name = "p = 1", CASE_ATTRS(CASE_INT("p", 1)), CASE_IN({CASE_F32(2, 2, 2, 3)}), .n_out = 1, CASE_OUT(2, 2, 1, 1)},
    {.name = "p = 4", CASE_ATTRS(CASE_INT("p", 4)), CASE_IN({CASE_F32(1, 2, 2, 3)}), .n_out = 1},
};

const skv_op skv_op_global_lp_pool = {
    .name = "GlobalLpPool",
    .domain = "",
    .brief = "p-norm of each channel",
    .since = 2,
    .min_in = 1,
    .max_in = 1,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = skv_couple_pool,
    .cost = cost,
    SKV_LIST(cases),
};
