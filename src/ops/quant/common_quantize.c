/* Shared by QuantizeLinear and DequantizeLinear; see common_quantize.h. */
#include "ops/quant/common_quantize.h"

static skive_status fail_axis(skv_infer *c, int64_t axis, int rank) {
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: axis %lld does not exist in %d dimensions", c->node->op_type,
                          (long long)axis, rank);
}

static bool may_be_single(const skive_type *t) {
    return t->rank == 0 || (t->rank == 1 && (t->dims[0].size == 1 || t->dims[0].size < 0));
}

static skive_status infer_blocks(skv_infer *c, int64_t block) {
    const skive_type *x = c->in[0], *s = c->in[1];
    int64_t axis = skv_attr_int(c->node, "axis", 1), at = skv_axis(axis, x->rank);
    if (at < 0) return fail_axis(c, axis, x->rank);
    bool fits = s->rank == x->rank;
    for (int a = 0; fits && a < x->rank; a++) {
        int64_t have = skv_in_dim(c, 1, a), want = skv_in_dim(c, 0, a);
        if (a == at && want >= 0) want = want / block + (want % block != 0);
        fits = have < 0 || want < 0 || have == want;
    }
    if (fits) return SKIVE_OK;
    char left[256], right[256];
    skv_type_text(s, left, sizeof left);
    skv_type_text(x, right, sizeof right);
    return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: scales %s do not match blocks of %lld along axis %lld of %s",
                          c->node->op_type, left, (long long)block, (long long)axis, right);
}

skive_status skv_infer_scales(skv_infer *c) {
    SKV_TRY(skv_want_float(c, 1));
    int64_t block = skv_attr_int(c->node, "block_size", 0);
    if (block < 0) return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: block_size is negative", c->node->op_type);
    if (skv_in_ranked(c, 2) && skv_in_ranked(c, 1) && !(may_be_single(c->in[1]) && may_be_single(c->in[2])))
        SKV_TRY(skv_want_same_shape(c, 1, 2));
    if (!skv_in_ranked(c, 0) || !skv_in_ranked(c, 1)) return SKIVE_OK;
    const skive_type *x = c->in[0], *s = c->in[1];
    if (block) return infer_blocks(c, block);
    if (s->rank == 0 || (s->rank == 1 && s->dims[0].size == 1)) return SKIVE_OK;
    if (s->rank != 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: the scale has %d dimensions, expected 0 or 1 without block_size",
                              c->node->op_type, s->rank);
    int64_t axis = skv_attr_int(c->node, "axis", 1), at = skv_axis(axis, x->rank);
    if (at < 0) return s->dims[0].size < 0 ? SKIVE_OK : fail_axis(c, axis, x->rank); /* may turn out to be one scale */
    int64_t have = s->dims[0].size, want = x->dims[at].size;
    if (have >= 0 && want >= 0 && have != want)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "%s: %lld scales do not match %lld channels along axis %lld",
                              c->node->op_type, (long long)have, (long long)want, (long long)axis);
    return SKIVE_OK;
}

skive_status skv_scale_map_of(const skv_eval *c, const skive_tensor *x, const skive_tensor *scale, skv_scale_map *out) {
    int64_t block = skv_attr_int(c->node, "block_size", 0), count = skive_tensor_count(x);
    *out = (skv_scale_map){1, 1, count, 0, 1};
    if (!block && (scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1))) return SKIVE_OK;
    int64_t axis = skv_axis(skv_attr_int(c->node, "axis", 1), x->rank);
    if (axis < 0 || block < 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "%s: axis or block_size is out of range",
                           c->node->op_type);
    *out = (skv_scale_map){1, x->dims[axis], 1, block, 1};
    for (int a = 0; a < x->rank; a++) {
        if (a < axis) out->outer *= x->dims[a];
        if (a > axis) out->inner *= x->dims[a];
    }
    if (block) out->blocks = out->length / block + (out->length % block != 0);
    return SKIVE_OK;
}

void skv_scale_runs(const skv_scale_map *m, void (*run)(void *user, int64_t first, int64_t n, int64_t s), void *user) {
    const int64_t rows = m->outer * m->length;
    if (m->block && m->inner > 1) { /* neighbours have different scales */
        for (int64_t e = 0; e < rows * m->inner; e++)
            run(user, e, 1, skv_scale_index(m, e / m->inner / m->length, e / m->inner % m->length, e % m->inner));
        return;
    }
    for (int64_t o = 0; o < m->outer; o++) {
        /* along the axis: a block at a time if elements of one are neighbours, else an index at a time */
        for (int64_t i = 0; i < m->length; i += m->block ? m->block : 1) {
            const int64_t left = m->length - i, n = !m->block ? m->inner : left < m->block ? left : m->block;
            const int64_t first = (o * m->length + i) * m->inner, s = skv_scale_index(m, o, i, 0);
            for (int64_t k = 0; k < n; k += SKV_SCALE_RUN)
                run(user, first + k, n - k < SKV_SCALE_RUN ? n - k : SKV_SCALE_RUN, s);
        }
    }
}

skv_grid_params skv_scale_params(const skive_tensor *scale, const skive_tensor *zero_point, int64_t s) {
    const bool integer = zero_point && !skv_dtype_is_float8(zero_point->dtype);
    return (skv_grid_params){.scale = (float)skv_load_f64(scale->dtype, scale->data, (size_t)s),
                             .zero_point =
                                 integer ? (int32_t)skv_load_i64(zero_point->dtype, zero_point->data, (size_t)s) : 0};
}

bool skv_is_quantized_dtype(skive_dtype dtype) { return skv_grid_of_dtype(dtype) != NULL; }

void skv_couple_scales(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 0)), *s = skv_couple_type(c, SKV_CIN(1, 0));
    if (!x || !s || x->rank < 0) return;
    const skive_node *n = skv_couple_node(c);
    int64_t block = skv_attr_int(n, "block_size", 0), at = skv_axis(skv_attr_int(n, "axis", 1), x->rank);
    bool zero_points = skv_node_in(n, 2) != NULL;
    for (int a = 0; a < x->rank; a++) {
        skv_couple_same(c, SKV_CIN(0, a), SKV_COUT(0, a));
        if (block && a == at) {
            skv_couple_fix(c, SKV_CIN(0, a), "this axis is quantized in blocks");
            skv_couple_fix(c, SKV_CIN(1, a), "this axis is quantized in blocks");
            if (zero_points) skv_couple_fix(c, SKV_CIN(2, a), "this axis is quantized in blocks");
        } else if (block && s->rank == x->rank) {
            skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(1, a));
            if (zero_points) skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(2, a));
        } else if (!block && a == at && s->rank == 1 && s->dims[0].size == x->dims[a].size && s->dims[0].size != 1) {
            skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(1, 0));
            if (zero_points) skv_couple_same(c, SKV_CIN(0, a), SKV_CIN(2, 0));
        }
    }
}

int skv_quantize_needs_opset(const skive_node *n, skive_dtype integer, skive_dtype scale) {
    bool wide = integer == SKIVE_U16 || integer == SKIVE_I16 || integer == SKIVE_U4 || integer == SKIVE_I4;
    if (wide || skv_attr_int(n, "block_size", 0) || skv_attr_int(n, "output_dtype", 0)) return 21;
    if (skv_dtype_is_float8(integer)) return 19;
    return scale == SKIVE_F16 || scale == SKIVE_BF16 ? 19 : 13;
}

const skv_input_spec skv_quantize_inputs[SKV_QUANTIZE_INPUTS] = {
    {.role = SKV_ROLE_DATA}, {.role = SKV_ROLE_CONSTANT}, {.role = SKV_ROLE_CONSTANT}};

skive_status skv_fake_quantizer_of(skive_context *ctx, const skive_node *node, skv_quantizer *out) {
    const char *text = skv_attr_string(node, "grid", "");
    const skive_status status = skv_quantizer_parse(ctx, text, out);
    if (status == SKIVE_ERR_ARGUMENT || (status == SKIVE_OK && skv_grid_has_option(out->grid, "levels")))
        return skv_fail_at(ctx, SKIVE_ERR_GRAPH, node->name, "%s: \"%.40s\" is not a number grid with fixed levels",
                           node->op_type, text);
    return status;
}

skive_value *skv_fake_quantize_gradient(skv_grad *c, const char *grid) {
    const skive_node *n = c->node;
    skv_attr_init attrs[3] = {SKV_STR("grid", grid)};
    size_t count = 1;
    if (skv_node_attr(n, "axis")) attrs[count++] = SKV_INT("axis", skv_attr_int(n, "axis", 1));
    if (skv_node_attr(n, "block_size")) attrs[count++] = SKV_INT("block_size", skv_attr_int(n, "block_size", 0));
    return skv_emit(c->b, "FakeQuantizeGrad", SKV_IN(n->inputs[0], n->inputs[1], c->dout[0], skv_node_in(n, 2)),
                    (skv_attr_list){attrs, count});
}

bool skv_same_scales(const skive_node *q, const skive_node *d) {
    if (q->inputs[1] == d->inputs[1]) return true;
    const skive_tensor *a = skv_value_tensor(q->inputs[1]), *b = skv_value_tensor(d->inputs[1]);
    return a && b && skv_tensor_same(a, b);
}
