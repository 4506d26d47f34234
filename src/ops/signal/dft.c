/* DFT: the discrete Fourier transform along one axis of real ([..., 1]) or complex ([..., 2]) numbers; to a given
 * length, cut or padded with zeros; optionally one-sided for a real signal. The one-sided inverse makes the real signal
 * of the bins that a one-sided transform gave. */
#include "ops/cases.h"
#include "ops/common_elementwise.h"
#include "ops/signal/common_dft.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"

static const skv_attr_spec attrs[] = {{"inverse", SKV_ATTR_INT, SKV_OPTIONAL},
                                      {"onesided", SKV_ATTR_INT, SKV_OPTIONAL}};

/* Opset 17 had the axis as an attribute, 1 by default; since 20 it is an input, -2 by default. */
static skive_status import(skive_graph *g, skive_node *n, int from) {
    if (from >= 20) return SKIVE_OK;
    skv_builder b = skv_build(g);
    skive_value *axis = skv_emit_scalar(&b, SKIVE_I64, (double)skv_attr_int(n, "axis", 1));
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(n, 2, axis));
    skv_node_remove_attr(n, "axis");
    return SKIVE_OK;
}

static bool is_inverse(const skive_node *n) { return skv_attr_int(n, "inverse", 0) != 0; }
static bool is_onesided(const skive_node *n) { return skv_attr_int(n, "onesided", 0) != 0; }
static bool makes_real(const skive_node *n) { return is_inverse(n) && is_onesided(n); }

/* Elements along the axis of the result. */
static int64_t bins_of(const skive_node *n, int64_t length) {
    return is_onesided(n) && !is_inverse(n) ? length / 2 + 1 : length;
}

/* The length of the signal unless it is given; of bins from which a real signal is made, an even one. */
static int64_t length_of(const skive_node *n, int64_t have) { return makes_real(n) ? 2 * (have - 1) : have; }

static skive_status infer(skv_infer *c) {
    const skive_type *x = skv_infer_in(c, 0);
    const bool has_length = c->n_in > 1 && c->in[1], has_axis = c->n_in > 2 && c->in[2];
    int64_t length = -1, axis = -2;
    int n, n_axis, at;
    SKV_TRY(skv_want_float(c, 0));
    SKV_TRY(skv_infer_ints(c, 1, "the length", &length, 1, &n));
    SKV_TRY(skv_infer_ints(c, 2, "the axis", &axis, 1, &n_axis));
    if (n == 1 && length < 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the length %lld is not valid", c->node->name,
                              (long long)length);
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return SKIVE_OK;
    const int64_t parts = x->rank >= 2 ? x->dims[x->rank - 1].size : 0;
    if (x->rank < 2 || (parts >= 0 && parts != 1 && parts != 2))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the last axis must have 1 (real) or 2 (complex) elements",
                              c->node->name);
    c->out[0] = *x;
    if (parts == 1 && makes_real(c->node))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a one-sided inverse transform needs complex numbers",
                              c->node->name);
    c->out[0].dims[x->rank - 1] = skv_dim(makes_real(c->node) ? 1 : 2);
    if (has_axis && n_axis != 1) {
        for (int d = 0; d < x->rank - 1; d++) c->out[0].dims[d] = skv_dim_unknown();
        return SKIVE_OK;
    }
    SKV_TRY(skv_infer_axis(c, "axis", axis, x->rank, &at));
    if (at == x->rank - 1)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': the last axis is that of real and imaginary parts",
                              c->node->name);
    if (!has_length) {
        length = x->dims[at].size;
        if (length >= 0 && makes_real(c->node)) {
            if (length < 2 || length > SKV_MAX_ELEMENTS)
                return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "node '%s': a real signal cannot be made of %lld bins",
                                      c->node->name, (long long)length);
            length = length_of(c->node, length);
        }
    }
    c->out[0].dims[at] = skv_dim(length < 0 ? -1 : bins_of(c->node, length));
    return skv_infer_limit(c, &c->out[0]);
}

static skive_status run(const skv_eval *c) {
    const skive_tensor *x = c->in[0], *y = c->out[0];
    const bool inverse = is_inverse(c->node), real = makes_real(c->node);
    int64_t axis = -2, length = 0, outer = 1, inner = 1;
    int n;
    SKV_TRY(skv_eval_ints(c, 2, "the axis", &axis, 1, &n));
    const int a = (int)skv_axis(axis, x->rank);
    length = length_of(c->node, x->dims[a]);
    SKV_TRY(skv_eval_ints(c, 1, "the length", &length, 1, &n));
    const int64_t parts = x->dims[x->rank - 1], have = x->dims[a], bins = y->dims[a];
    if (length < 1 || bins != bins_of(c->node, length))
        return skv_fail_at(c->ctx, SKIVE_ERR_SHAPE, c->node->name, "the length differs from the planned one");
    for (int d = 0; d < a; d++) outer *= x->dims[d];
    for (int d = a + 1; d < x->rank - 1; d++) inner *= x->dims[d];
    double *table = NULL, *in = NULL, *out = NULL;
    skive_status status;
    SKV_GO(status, done, skv_dft_table(c->ctx, length, &table));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)length + 1, 2 * sizeof(double), &in));
    SKV_GO(status, done, skv_alloc_array(c->ctx, (size_t)bins + 1, 2 * sizeof(double), &out));
    for (int64_t o = 0; o < outer * inner; o++) {
        const int64_t from = o / inner * have * inner + o % inner, to = o / inner * bins * inner + o % inner;
        for (int64_t i = 0; i < length; i++) {
            /* The other half of the bins of a real signal are the conjugates of the first; the bin of the mean and, in
             * an even length, that in the middle count as real. */
            const bool mirrored = real && i > length / 2;
            const int64_t k = mirrored ? length - i : i;
            const size_t at = (size_t)((from + k * inner) * parts);
            in[2 * i] = k < have ? skv_load_f64(x->dtype, x->data, at) : 0;
            in[2 * i + 1] = k < have && parts == 2 ? skv_load_f64(x->dtype, x->data, at + 1) : 0;
            if (mirrored) in[2 * i + 1] = -in[2 * i + 1];
            if (real && (i == 0 || 2 * i == length)) in[2 * i + 1] = 0;
        }
        skv_dft(in, length, bins, inverse, table, out);
        for (int64_t k = 0; real && k < bins; k++)
            skv_store_f64(y->dtype, y->data, (size_t)(to + k * inner), out[2 * k]);
        for (int64_t k = 0; !real && k < 2 * bins; k++)
            skv_store_f64(y->dtype, y->data, (size_t)((to + k / 2 * inner) * 2 + k % 2), out[k]);
    }
done:
    skv_free(c->ctx, table);
    skv_free(c->ctx, in);
    skv_free(c->ctx, out);
    return status;
}

/* What a real signal has as a gradient is the real part. */
static skive_value *like_parts(skv_builder *b, skive_value *d, int64_t parts) {
    static const int64_t zero[] = {0}, one[] = {1}, last[] = {-1};
    if (parts == 2) return d;
    return skv_emit(b, "Slice",
                    SKV_IN(d, skv_emit_ints(b, zero, 1), skv_emit_ints(b, one, 1), skv_emit_ints(b, last, 1)),
                    SKV_NONE);
}

/* `d` along an axis with `have` elements, cut or filled with zeros to `want`. */
static skive_value *resized(skv_builder *b, skive_value *d, int rank, int axis, int64_t have, int64_t want) {
    const int64_t first[] = {0}, to[] = {want}, at[] = {axis};
    int64_t pads[2 * SKIVE_MAX_RANK] = {0};
    if (have > want)
        return skv_emit(b, "Slice",
                        SKV_IN(d, skv_emit_ints(b, first, 1), skv_emit_ints(b, to, 1), skv_emit_ints(b, at, 1)),
                        SKV_NONE);
    pads[rank + axis] = want - have;
    return have < want ? skv_g2(b, "Pad", d, skv_emit_ints(b, pads, 2 * (size_t)rank)) : d;
}

/* The transform is linear: its gradient is the transform in the other direction, without or with the division by the
 * length. Bins that a one-sided transform left out are zeros. */
static skive_status grad(skv_grad *c) {
    const skive_node *n = c->node;
    const skive_type *x = &n->inputs[0]->type;
    const skive_tensor *of_length = skv_node_constant(n, 1), *of_axis = skv_node_constant(n, 2);
    const bool inverse = skv_attr_int(n, "inverse", 0) != 0;
    int64_t axis = -2, length = 0;
    if (!c->need[0]) return SKIVE_OK;
    if (makes_real(n))
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "DFT: the one-sided inverse transform has no gradient");
    if (of_axis) (void)skv_read_ints(of_axis, &axis, 1);
    const int at = x->rank > 1 ? (int)skv_axis(axis, x->rank) : -1;
    const bool computed = (skv_node_in(n, 1) && !of_length) || (skv_node_in(n, 2) && !of_axis);
    if (at < 0 || computed || x->dims[at].size < 1 || x->dims[x->rank - 1].size < 1)
        return skv_fail_at(c->b->graph->ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                           "DFT: the gradient needs a known shape, and length and axis as constants");
    const int64_t have = x->dims[at].size;
    length = have;
    if (of_length) (void)skv_read_ints(of_length, &length, 1);
    const int64_t axis_list[] = {at};
    skive_value *size = skv_emit_ints(c->b, &length, 1), *along = skv_emit_ints(c->b, axis_list, 1);
    static const int64_t scalar[] = {0};
    size = skv_g2(c->b, "Squeeze", size, skv_emit_ints(c->b, scalar, 1));
    along = skv_g2(c->b, "Squeeze", along, skv_emit_ints(c->b, scalar, 1));
    skive_value *d = skv_emit(c->b, "DFT", SKV_IN(c->dout[0], size, along), SKV_ATTRS(SKV_INT("inverse", !inverse)));
    const double factor = inverse ? 1 / (double)length : (double)length;
    d = skv_g2(c->b, "Mul", d, skv_emit_scalar(c->b, x->dtype, factor));
    c->din[0] = resized(c->b, like_parts(c->b, d, x->dims[x->rank - 1].size), x->rank, at, length, have);
    return c->b->status;
}

static void cost(const skive_node *n, skive_cost *out) {
    const int64_t count = skv_type_count(&n->outputs[0]->type), length = skv_type_count(&n->inputs[0]->type);
    out->macs = skv_add_sat(out->macs, skv_mul_sat(count, length));
}

static const skv_op_case cases[] = {
    {.name = "real",
     CASE_IN({CASE_F32(1, 4, 1), CASE_VALUES(1, 2, 3, 4)}),
     .n_out = 1,
     CASE_EXPECT(10, 0, -2, 2, -2, 0, -2, -2),
     CASE_OUT(1, 4, 2)},
    {.name = "one side, padded",
     CASE_IN({CASE_F32(1, 2, 1), CASE_VALUES(1, 2)}, {CASE_SCALAR(SKIVE_I64, 4), .constant = true}),
     CASE_ATTRS(CASE_INT("onesided", 1)),
     .n_out = 1,
     CASE_EXPECT(3, 0, 1, -2, -1, 0),
     CASE_OUT(1, 3, 2)},
    {.name = "back",
     CASE_IN({CASE_F32(1, 4, 2), CASE_VALUES(10, 0, -2, 2, -2, 0, -2, -2)}),
     CASE_ATTRS(CASE_INT("inverse", 1)),
     .n_out = 1,
     CASE_EXPECT(1, 0, 2, 0, 3, 0, 4, 0)},
    {.name = "cut, along another axis",
     CASE_IN({CASE_F32(5, 2, 2)}, {CASE_SCALAR(SKIVE_I64, 3), .constant = true},
             {CASE_SCALAR(SKIVE_I64, 0), .constant = true}),
     .n_out = 1,
     CASE_OUT(3, 2, 2)},
    {.name = "one side, odd length",
     CASE_IN({CASE_F32(2, 5, 1)}),
     CASE_ATTRS(CASE_INT("onesided", 1)),
     .n_out = 1,
     CASE_OUT(2, 3, 2)},
    {.name = "back, padded",
     CASE_IN({CASE_F32(2, 3, 2)}, {CASE_SCALAR(SKIVE_I64, 6), .constant = true}),
     CASE_ATTRS(CASE_INT("inverse", 1)),
     .n_out = 1,
     CASE_OUT(2, 6, 2)},
    {.name = "one-sided, back",
     CASE_IN({CASE_F32(1, 3, 2), CASE_VALUES(10, 0, -2, 2, -2, 0)}),
     CASE_ATTRS(CASE_INT("inverse", 1), CASE_INT("onesided", 1)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3, 4),
     CASE_OUT(1, 4, 1),
     .no_grad = true},
    {.name = "one-sided, back to an odd length", /* of 1, 2, 3 */
     CASE_IN({CASE_F32(1, 2, 2), CASE_VALUES(6, 0, -1.5, 0.8660254037844386)},
             {CASE_SCALAR(SKIVE_I64, 3), .constant = true}),
     CASE_ATTRS(CASE_INT("inverse", 1), CASE_INT("onesided", 1)),
     .n_out = 1,
     CASE_EXPECT(1, 2, 3),
     CASE_OUT(1, 3, 1),
     .no_grad = true},
};

const skv_op skv_op_dft = {
    .name = "DFT",
    .domain = "",
    .brief = "discrete Fourier transform",
    .since = 20,
    .min_in = 1,
    .max_in = 3,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .import = import,
    .infer = infer,
    .run = run,
    .grad = grad,
    .cost = cost,
    SKV_LIST(cases),
};
