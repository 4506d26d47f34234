/* MaxUnpool: elements at the positions where MaxPool found them, zero elsewhere. Indices refer to the pooled tensor, or
 * to the tensor of `output_shape` if that is larger. */
#include <string.h>

#include "ops/conv/common_conv.h"
#include "ops/common_elementwise.h"
#include "ops/index/common_index.h"

static const skv_attr_spec attrs[] = {{"kernel_shape", SKV_ATTR_INTS, SKV_REQUIRED},
                                      {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},
                                      {"strides", SKV_ATTR_INTS, SKV_OPTIONAL}};

/* The size given by the attributes; false if they do not match. */
static bool unpooled(const skive_node *n, int rank, const int64_t *x, int64_t *y) {
    size_t n_kernel, n_pads, n_strides;
    const int64_t *kernel = skv_attr_ints(n, "kernel_shape", &n_kernel), *pads = skv_attr_ints(n, "pads", &n_pads),
                  *strides = skv_attr_ints(n, "strides", &n_strides);
    const size_t spatial = (size_t)rank - 2;
    if (rank < 3 || n_kernel != spatial || (pads && n_pads != 2 * spatial) || (strides && n_strides != spatial))
        return false;
    y[0] = x[0];
    y[1] = x[1];
    for (size_t d = 0; d < spatial; d++) {
        const int64_t stride = strides ? strides[d] : 1, before = pads ? pads[d] : 0,
                      after = pads ? pads[d + spatial] : 0;
        if (kernel[d] < 1 || kernel[d] > INT32_MAX || stride < 1 || stride > INT32_MAX || before < 0 ||
            before > INT32_MAX || after < 0 || after > INT32_MAX)
            return false;
        if (x[d + 2] > INT32_MAX) return false;
        y[d + 2] = x[d + 2] < 0 ? -1 : (x[d + 2] - 1) * stride + kernel[d] - before - after;
        if (x[d + 2] >= 0 && y[d + 2] < 0) return false;
    }
    return true;
}

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    int64_t sizes[SKIVE_MAX_RANK], shape[SKIVE_MAX_RANK];
    int n;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_infer_want(c, 1, SKIVE_I64));
    SKV_TRY(skv_want_same_shape(c, 0, 1));
    SKV_TRY(skv_infer_ints(c, 2, "the output shape", shape, SKIVE_MAX_RANK, &n));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    c->out[0].rank = x->rank;
    skv_type_sizes(x, sizes);
    if (c->n_in > 2 && c->in[2]) {
        if (n >= 0 && n != x->rank)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                                  "node '%s': an output shape of %d dimensions does not match the input", c->node->name,
                                  n);
        for (int d = 0; d < x->rank; d++) {
            if (n >= 0 && shape[d] < 0)
                return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a negative dimension", c->node->name);
            c->out[0].dims[d] = skv_dim(n >= 0 ? shape[d] : -1);
        }
        return skv_infer_limit(c, &c->out[0]);
    }
    if (!unpooled(c->node, x->rank, sizes, shape))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': kernel, pads and strides do not match the input",
                              c->node->name);
    for (int d = 0; d < x->rank; d++) c->out[0].dims[d] = d < 2 ? x->dims[d] : skv_dim(shape[d]);
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const int64_t n = skive_tensor_count(x), total = skive_tensor_count(y);
    int64_t natural[SKIVE_MAX_RANK], strides[SKIVE_MAX_RANK];
    memset(y->data, 0, skive_tensor_bytes(y));
    /* Indices refer to a tensor of the size given by the attributes; a larger output shape only adds elements at the
     * ends. */
    const bool moved =
        unpooled(c->node, x->rank, x->dims, natural) && !skv_dims_equal(x->rank, natural, y->rank, y->dims);
    skv_dims_strides(y->rank, y->dims, strides);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = ((const int64_t *)c->in[1]->data)[i], rest = at;
        if (moved) {
            at = 0;
            for (int d = y->rank - 1; d >= 0 && rest >= 0; d--) {
                if (natural[d] < 1)
                    return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the windows do not match the input");
                at += rest % natural[d] * strides[d];
                rest /= natural[d];
            }
        }
        SKV_TRY(skv_index_resolve(c, at, total, &at));
        skv_copy_element(x->dtype, y->data, (size_t)at, x->data, (size_t)i);
    }
    return SKIVE_OK;
}

/* The elements of dY that the indices name, in a tensor of the size that they count in. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skive_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    int64_t sizes[SKIVE_MAX_RANK], natural[SKIVE_MAX_RANK], starts[SKIVE_MAX_RANK] = {0};
    static const int64_t flat[] = {-1};
    skive_value *dy = c->dout[0];
    if (!c->need[0]) return SKIVE_OK;
    if (!skv_type_is_static(x) || !skv_type_is_static(y))
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "MaxUnpool: the gradient needs known shapes");
    skv_type_sizes(x, sizes);
    if (unpooled(n, x->rank, sizes, natural)) {
        bool larger = false;
        for (int d = 0; d < x->rank; d++) larger = larger || natural[d] < y->dims[d].size;
        if (larger)
            dy = skv_g3(c->b, "Slice", dy, skv_emit_ints(c->b, starts, (size_t)x->rank),
                        skv_emit_ints(c->b, natural, (size_t)x->rank));
    }
    skive_value *one = skv_emit_ints(c->b, flat, 1);
    skive_value *found =
        skv_g2(c->b, "GatherElements", skv_g2(c->b, "Reshape", dy, one), skv_g2(c->b, "Reshape", n->inputs[1], one));
    c->din[0] = skv_g2(c->b, "Reshape", found, skv_emit_ints(c->b, sizes, (size_t)x->rank));
    return c->b->status;
}

static const int64_t kernel[] = {2, 2};
static const skv_op_case cases[] = {
    {.name = "by hand",
     CASE_ATTRS(A_INTS("kernel_shape", kernel), A_INTS("strides", kernel)),
     CASE_IN({CASE_F32(1, 1, 2, 2), CASE_VALUES(1, 2, 3, 4)},
             {CASE_I64(1, 1, 2, 2), CASE_VALUES(5, 7, 13, 15), .constant = true}),
     .n_out = 1,
     CASE_EXPECT(0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4),
     CASE_OUT(1, 1, 4, 4)},
    {.name = "a larger shape",
     CASE_ATTRS(A_INTS("kernel_shape", kernel), A_INTS("strides", kernel)),
     CASE_IN({CASE_F32(1, 1, 1, 2), CASE_VALUES(5, 6)}, {CASE_I64(1, 1, 1, 2), CASE_VALUES(4, 3), .constant = true},
             CASE_LIST(4, 1, 1, 3, 5)),
     .n_out = 1,
     CASE_EXPECT(0, 0, 0, 6, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
};

const skv_op skv_op_max_unpool = {
    .name = "MaxUnpool",
    .domain = "",
    .brief = "elements at the positions where MaxPool found them",
    .since = 11,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = skv_cost_none,
    SKV_LIST(cases),
};
