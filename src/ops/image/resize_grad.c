/* ResizeGrad(dY, X, roi?, scales?, sizes?) -> dX: each dY is distributed, with the weights of Resize, to the elements
 * from which its output was computed. Of X only the shape is read. */
#include "ops/image/common_resize.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {SKV_RESIZE_ATTRS};
static const skv_resize_operands operands = {2, 3, 4};

static skive_status infer(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_infer_gradient(c, SKV_OP_RESIZE, SKV_FORWARD_IN(1, 2, 3, 4), 0));
    skv_out_like(c, 0, 1);
    return SKIVE_OK;
}

/* Outputs with the extrapolation value have no gradient. */
static void clear_outside(double *dy, const skive_tensor *t, const skv_resize *r, const skv_resize_taps *taps) {
    const int64_t n = skive_tensor_count(t);
    int64_t index[SKIVE_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) {
        bool outside = false;
        for (int d = 0; d < r->rank; d++) outside = outside || (taps[d].outside && taps[d].outside[index[d]]);
        if (outside) dy[i] = 0.0;
        for (int d = r->rank - 1; d >= 0 && ++index[d] == t->dims[d]; d--) index[d] = 0;
    }
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *dy = c->in[0], *x = c->in[1];
    skv_resize_taps taps[SKIVE_MAX_RANK] = {{0}};
    skv_resize r;
    skv_doubles from = {0};
    skv_result dx = {0};
    double *here = NULL;
    int64_t dims[SKIVE_MAX_RANK];
    skive_status status;
    SKV_TRY(skv_resize_of(c, operands, x, &r));
    bool fits = dy->rank == r.rank;
    for (int d = 0; fits && d < r.rank; d++) fits = dy->dims[d] == r.axis[d].out;
    if (!fits)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name,
                           "ResizeGrad: the gradient does not have the resized shape");
    SKV_GO(status, done, skv_doubles_read(c->ctx, dy, &from));
    SKV_GO(status, done, skv_result_open(c->ctx, c->out[0], &dx));
    SKV_GO(status, done, skv_alloc_array(c->ctx, from.n, sizeof *here, &here));
    if (from.n) memcpy(here, from.p, from.n * sizeof *here);
    for (int d = 0; d < r.rank; d++)
        if (!r.axis[d].copied) SKV_GO(status, done, skv_resize_taps_make(c->ctx, c->node, &r, d, &taps[d]));
    clear_outside(here, dy, &r, taps);
    memcpy(dims, dy->dims, sizeof dims);
    for (int d = r.rank - 1; d >= 0; d--) {
        const skv_resize_axis *a = &r.axis[d];
        int64_t outer = 1, inner = 1;
        double *to = NULL;
        size_t count;
        if (a->copied) continue;
        for (int k = 0; k < d; k++) outer *= dims[k];
        for (int k = d + 1; k < r.rank; k++) inner *= dims[k];
        if (!skv_mul_size((size_t)(outer * inner), (size_t)a->in, &count))
            status = skv_fail_at(c->ctx, SKIVE_ERR_LIMIT, c->node->name, "ResizeGrad: too many elements");
        else
            status = skv_alloc_array(c->ctx, count, sizeof *to, &to);
        if (status != SKIVE_OK) goto done;
        if (from.n) skv_resize_apply_transposed(skv_threads(c->ctx), &taps[d], a, outer, inner, here, to);
        skv_free(c->ctx, here);
        here = to;
        dims[d] = a->in;
    }
    if (dx.n) memcpy(dx.p, here, dx.n * sizeof *here);
    skv_result_store(&dx);
done:
    for (int d = 0; d < r.rank; d++) skv_resize_taps_free(c->ctx, &taps[d]);
    skv_free(c->ctx, here);
    skv_doubles_free(c->ctx, &from);
    skv_result_free(c->ctx, &dx);
    return status;
}

static const skv_op_case cases[] = {
    {.name = "nearest",
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 4, 8)}, {CASE_F32(2)}, CASE_ABSENT,
             {CASE_F32(1), CASE_VALUES(2), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(3, 12)},
    {.name = "linear",
     CASE_ATTRS(CASE_STR("mode", "linear")),
     CASE_IN({CASE_F32(4), CASE_VALUES(1, 2, 4, 8)}, {CASE_F32(2)}, CASE_ABSENT, CASE_ABSENT, CASE_LIST(1, 4)),
     .n_out = 1,
     CASE_EXPECT(3.5, 11.5)},
};

const skv_op skv_op_resize_grad = {
    .name = "ResizeGrad",
    .domain = SKV_DOMAIN,
    .brief = "gradient of Resize",
    .since = 1,
    .min_in = 2,
    .max_in = 5,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .cost = skv_cost_per_element,
    SKV_LIST(cases),
};
