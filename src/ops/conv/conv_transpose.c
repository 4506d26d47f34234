/* ConvTranspose: each input element adds the window, scaled by it, to the output: the gradient of a convolution by its
 * input, with a bias.
 *
 *     y[n][m][i * stride + k * dilation - pad] = b[m] + sum over c, i, k of x[n][c][i] * w[c][m][k] */
#include "ops/conv/common_conv_transpose.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {
    {"auto_pad", SKV_ATTR_STRING, SKV_OPTIONAL},     {"dilations", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"group", SKV_ATTR_INT, SKV_OPTIONAL},           {"kernel_shape", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"output_padding", SKV_ATTR_INTS, SKV_OPTIONAL}, {"output_shape", SKV_ATTR_INTS, SKV_OPTIONAL},
    {"pads", SKV_ATTR_INTS, SKV_OPTIONAL},           {"strides", SKV_ATTR_INTS, SKV_OPTIONAL},
};

static skive_status infer(skv_infer *c) {
    int64_t xd[SKIVE_MAX_RANK], wd[SKIVE_MAX_RANK];
    const skive_type *x = c->in[0], *w = c->in[1];
    skv_conv_shape s;
    for (size_t i = 0; i < c->n_in; i++) SKV_TRY(skv_want_float(c, i));
    SKV_TRY(skv_want_same_dtype(c, 0, 1));
    SKV_TRY(skv_want_same_dtype(c, 0, 2));
    SKV_TRY(skv_want_rank(c, 0, 3, 2 + SKV_SPATIAL));
    SKV_TRY(skv_want_rank(c, 1, 3, 2 + SKV_SPATIAL));
    skive_type *y = &c->out[0];
    y->dtype = x->dtype;
    if (x->rank < 0 && w->rank < 0) return SKIVE_OK;
    const int rank = x->rank >= 0 ? x->rank : w->rank;
    const skive_type none = {.rank = 0};
    skv_type_sizes(x->rank >= 0 ? x : &none, xd);
    skv_type_sizes(w->rank >= 0 ? w : &none, wd);
    SKV_TRY(skv_conv_transpose_make(c->ctx, c->node, rank, xd, w->rank >= 0 ? w->rank : rank, wd, &s));
    SKV_TRY(skv_want_vector(c, 2, s.c, "the bias"));
    y->rank = rank;
    y->dims[0] = x->rank >= 0 ? x->dims[0] : skv_dim_unknown();
    y->dims[1] = skv_dim(s.c);
    for (int i = 0; i < rank - 2; i++) y->dims[2 + i] = skv_dim(s.g.in[SKV_SPATIAL - s.g.spatial + i]);
    return skv_infer_limit(c, y);
}

static skive_status run(const skv_eval *c) {
    skv_conv_shape s;
    skv_doubles x = {0}, w = {0}, b = {0};
    skv_result y = {0};
    skive_status status;
    SKV_TRY(
        skv_conv_transpose_make(c->ctx, c->node, c->in[0]->rank, c->in[0]->dims, c->in[1]->rank, c->in[1]->dims, &s));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[0], &x));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->in[1], &w));
    SKV_GO(status, out, skv_doubles_read(c->ctx, c->n_in > 2 ? c->in[2] : NULL, &b));
    SKV_GO(status, out, skv_result_open(c->ctx, c->out[0], &y));
    if (y.n) skv_conv_backward_input(skv_threads(c->ctx), &s, x.p, w.p, y.p);
    const int64_t plane = skv_volume(s.g.in);
    for (int64_t p = 0; b.p && p < s.n * s.c; p++)
        for (int64_t i = 0; i < plane; i++) y.p[p * plane + i] += b.p[p % s.c];
    skv_result_store(&y);
out:
    skv_doubles_free(c->ctx, &x);
    skv_doubles_free(c->ctx, &w);
    skv_doubles_free(c->ctx, &b);
    skv_result_free(c->ctx, &y);
    return status;
}

/* ---- gradient: that of a transposed convolution is a convolution ---- */

/* The convolution from dY to dX. Elements of dY after the last window have no effect: *dy becomes the part before
 * them. */
static skive_status as_convolution(const skv_grad *c, const skv_conv_shape *s, skive_value **dy, int64_t *pads) {
    const int spatial = s->g.spatial, first = SKV_SPATIAL - spatial;
    int64_t starts[SKV_SPATIAL] = {0}, ends[SKV_SPATIAL], axes[SKV_SPATIAL];
    bool cut = false;
    for (int i = 0; i < spatial; i++) {
        const int a = first + i;
        const int64_t reach =
            (s->g.out[a] - 1) * s->g.stride[a] + (s->g.kernel[a] - 1) * s->g.dilation[a] + 1 - s->g.pad_lo[a];
        if (s->g.in[a] < 0 || s->g.out[a] < 0 || s->g.kernel[a] < 0 || reach < 1)
            return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, c->node->name,
                               "ConvTranspose: the gradient needs known spatial sizes");
        pads[i] = s->g.pad_lo[a];
        pads[spatial + i] = reach > s->g.in[a] ? reach - s->g.in[a] : 0;
        ends[i] = reach < s->g.in[a] ? reach : s->g.in[a];
        axes[i] = 2 + i;
        cut = cut || reach < s->g.in[a];
    }
    if (cut) {
        const size_t n = (size_t)spatial;
        *dy = skv_emit(
            c->b, "Slice",
            SKV_IN(*dy, skv_emit_ints(c->b, starts, n), skv_emit_ints(c->b, ends, n), skv_emit_ints(c->b, axes, n)),
            SKV_NONE);
    }
    return c->b->status;
}

static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    skive_value *dy = c->dout[0], *x = n->inputs[0], *w = n->inputs[1], *near = dy;
    int64_t xd[SKIVE_MAX_RANK], wd[SKIVE_MAX_RANK], pads[2 * SKV_SPATIAL] = {0};
    skv_conv_shape s;
    if (x->type.rank < 3 || w->type.rank != x->type.rank)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "ConvTranspose: the gradient needs known ranks");
    const int spatial = x->type.rank - 2, first = SKV_SPATIAL - spatial;
    if (c->need[0] || c->need[1]) {
        skv_type_sizes(&x->type, xd);
        skv_type_sizes(&w->type, wd);
        SKV_TRY(skv_conv_transpose_make(c->b->graph->ctx, n, x->type.rank, xd, w->type.rank, wd, &s));
        SKV_TRY(as_convolution(c, &s, &near, pads));
        const size_t k = (size_t)spatial;
        const skv_attr_list attr =
            SKV_ATTRS(SKV_INTS("pads", pads, 2 * k), SKV_INTS("strides", s.g.stride + first, k),
                      SKV_INTS("dilations", s.g.dilation + first, k), SKV_INT("group", s.groups));
        if (c->need[0]) c->din[0] = skv_emit(c->b, "Conv", SKV_IN(near, w), attr);
        if (c->need[1]) c->din[1] = skv_emit(c->b, "ConvGradWeight", SKV_IN(x, near, w), attr);
    }
    if (n->n_inputs > 2 && c->need[2]) {
        const int64_t axes[] = {0, 2, 3, 4};
        c->din[2] = skv_emit(c->b, "ReduceSum", SKV_IN(dy, skv_emit_ints(c->b, axes, (size_t)spatial + 1)),
                             SKV_ATTRS(SKV_INT("keepdims", 0)));
    }
    return c->b->status;
}

/* ---- coupling, cost ---- */

static void couple(skv_couple *c) {
    const skive_type *x = skv_couple_type(c, SKV_CIN(0, 1)), *w = skv_couple_type(c, SKV_CIN(1, 0));
    if (!x || !w || x->rank < 3 || w->rank != x->rank) {
        skv_couple_fix_all(c, "the sizes of a convolution are unknown");
        return;
    }
    skv_couple_same(c, SKV_CIN(0, 0), SKV_COUT(0, 0));
    for (int a = 2; a < x->rank; a++) {
        skv_couple_fix(c, SKV_CIN(0, a), "a convolution slides over this axis");
        skv_couple_fix(c, SKV_CIN(1, a), "this is the window of a convolution");
        skv_couple_fix(c, SKV_COUT(0, a), "a convolution slides over this axis");
    }
    const skv_slot in = SKV_CIN(0, 1), out = SKV_COUT(0, 1), per_out = SKV_CIN(1, 1);
    const int64_t groups = skv_attr_int(skv_couple_node(c), "group", 1), channels = skv_couple_length(c, in);
    skv_couple_same(c, SKV_CIN(2, 0), out);
    skv_couple_same(c, in, SKV_CIN(1, 0));
    if (groups <= 1) {
        skv_couple_same(c, per_out, out);
        return;
    }
    if (channels < 0 || channels % groups != 0 || skv_couple_length(c, per_out) < 1) {
        skv_couple_fix(c, in, "the sizes of a grouped convolution are unknown");
        skv_couple_fix(c, out, "the sizes of a grouped convolution are unknown");
        return;
    }
    const skv_slot per_in = skv_couple_factor(c, channels / groups);
    skv_couple_free(c, per_out);
    const skv_slot group = skv_couple_factor(c, groups);
    skv_couple_product(c, in, 0, group, per_in);
    skv_couple_product(c, out, 0, group, per_out);
}

static skive_status shrink(const skv_shrink *s) { return skv_shrink_groups(s, 0); }

/* Every input element meets every tap of its group's filters. */
static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *x = skv_node_in(n, 0), *w = skv_node_in(n, 1);
    if (!x || !w) return;
    int64_t taps = 1;
    for (int a = 1; a < w->type.rank; a++) taps = skv_mul_sat(taps, skv_dim_or_1(w, a));
    out->macs = skv_add_sat(out->macs, skv_mul_sat(taps, skv_type_count(&x->type)));
    if (skv_node_in(n, 2)) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    {.name = "one window", /* each element of x times the window 1 10 */
     CASE_IN({CASE_F32(1, 1, 3), CASE_VALUES(1, 2, 3)}, {CASE_F32(1, 1, 2), CASE_VALUES(1, 10)},
             {CASE_F32(1), CASE_VALUES(100)}),
     .n_out = 1,
     CASE_EXPECT(101, 112, 123, 130),
     CASE_OUT(1, 1, 4)},
    {.name = "two dimensions", /* "convtranspose" of the ONNX specification */
     CASE_IN({CASE_F32(1, 1, 3, 3), CASE_VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8)},
             {CASE_F32(1, 2, 3, 3), CASE_VALUES(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)}),
     .n_out = 1,
     CASE_EXPECT(0, 1, 3, 3, 2, 3, 8, 15, 12, 7, 9, 21, 36, 27, 15, 9, 20, 33, 24, 13, 6, 13, 21, 15, 8, /**/
                 0, 1, 3, 3, 2, 3, 8, 15, 12, 7, 9, 21, 36, 27, 15, 9, 20, 33, 24, 13, 6, 13, 21, 15, 8),
     CASE_OUT(1, 2, 5, 5)},
    {.name = "dilations", /* "convtranspose_dilations" */
     CASE_ATTRS(CASE_INTS("dilations", 2, 2)),
     CASE_IN({CASE_F32(1, 1, 3, 3), CASE_VALUES(3, 8, 1, 9, 5, 7, 3, 2, 6)},
             {CASE_F32(1, 1, 2, 2), CASE_VALUES(7, 2, 1, 9)}),
     .n_out = 1,
     CASE_EXPECT(21, 56, 13, 16, 2, 63, 35, 67, 10, 14, 24, 22, 76, 76, 21, 9, 5, 88, 45, 63, 3, 2, 33, 18, 54)},
    {.name = "SAME_UPPER: two elements fewer than there are", /* of 1 1+10 10.. the whole is 1 10 2 20 30 300 */
     CASE_ATTRS(CASE_STR("auto_pad", "SAME_UPPER"), CASE_INTS("strides", 2)),
     CASE_IN({CASE_F32(1, 1, 2), CASE_VALUES(1, 2)}, {CASE_F32(1, 1, 3), CASE_VALUES(1, 10, 100)}),
     .n_out = 1,
     CASE_EXPECT(1, 10, 102, 20),
     CASE_OUT(1, 1, 4)},
    {.name = "output_shape and bias",
     CASE_ATTRS(CASE_INTS("output_shape", 10, 8), CASE_INTS("strides", 3, 2), CASE_INTS("output_padding", 1, 1)),
     CASE_IN({CASE_F32(1, 1, 3, 3)}, {CASE_F32(1, 2, 3, 3)}, {CASE_F32(2)}),
     .n_out = 1,
     CASE_OUT(1, 2, 10, 8)},
    {.name = "more than the windows reach",
     CASE_ATTRS(CASE_INTS("output_shape", 9), CASE_INTS("strides", 2)),
     CASE_IN({CASE_F32(2, 2, 3)}, {CASE_F32(2, 1, 3)}, {CASE_F32(1)}),
     .n_out = 1,
     CASE_OUT(2, 1, 9)},
    {.name = "groups, strides, padding",
     CASE_ATTRS(CASE_INT("group", 2), CASE_INTS("strides", 2, 1), CASE_INTS("pads", 1, 0, 0, 1),
                CASE_INTS("output_padding", 1, 0)),
     CASE_IN({CASE_F32(2, 4, 3, 4)}, {CASE_F32(4, 3, 3, 2)}, {CASE_F32(6)}),
     .n_out = 1,
     CASE_OUT(2, 6, 7, 4)},
    {.name = "three axes",
     CASE_ATTRS(CASE_INTS("strides", 1, 2, 2)),
     CASE_IN({CASE_F32(1, 2, 2, 2, 2)}, {CASE_F32(2, 1, 2, 2, 2)}),
     .n_out = 1,
     CASE_OUT(1, 1, 3, 4, 4)},
};

static const skv_input_spec inputs[] = {
    {.role = SKV_ROLE_DATA},
    {.role = SKV_ROLE_WEIGHT,
     .axes = true,
     .out_axis = 1,
     .in_axis = 0,
     .data_axis = 1,
     .result_axis = 1,
     .channels = "filters"},
    {.role = SKV_ROLE_BIAS, .axes = true, .out_axis = 0, .in_axis = -1},
};

const skv_op skv_op_conv_transpose = {
    .name = "ConvTranspose",
    .domain = "",
    .brief = "transposed convolution",
    .since = 11,
    .min_in = 2,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    SKV_LIST(inputs),
    .infer = infer,
    .run = run,
    .grad = grad,
    .couple = couple,
    .shrink = shrink,
    .cost = cost,
    SKV_LIST(cases),
};
