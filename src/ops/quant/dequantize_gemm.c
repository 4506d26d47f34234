/* DequantizeGemm(A, W, C?, Z?, scale?, zero_point?): FusedGemm whose second factor is stored in few bits:
 *
 *     Y = activation(A W' + beta C + Z)
 *
 * W' is DequantizeLinear(W, scale, zero_point) with the attributes axis and block_size, or W itself where it is float16
 * or bfloat16; transB turns it. A may have more than two axes, those before the last being rows. The reference computes
 * the product in double and rounds once. */
#include "ops/quant/common_quantize.h"

#include <string.h>

#include "ops/common_activation.h"
#include "ops/matrix/common_gemm.h"

static const skv_attr_spec attrs[] = {
    {"activation", SKV_ATTR_STRING, SKV_OPTIONAL},
    {"activation_alpha", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"activation_beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"axis", SKV_ATTR_INT, SKV_OPTIONAL},
    {"beta", SKV_ATTR_FLOAT, SKV_OPTIONAL},
    {"block_size", SKV_ATTR_INT, SKV_OPTIONAL},
    {"transB", SKV_ATTR_INT, SKV_OPTIONAL},
};

enum { A, W, C, Z, SCALE, ZERO, INPUTS };

static skive_status check_types(skv_infer *c) {
    const skive_type *w = skv_in_type(c, W);
    const bool scaled = c->n_in > SCALE && c->in[SCALE];
    SKV_TRY(skv_want_float(c, A));
    if (w && w->dtype != SKIVE_DTYPE_NONE && !skv_is_half_dtype(w->dtype) && !skv_is_quantized_dtype(w->dtype))
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "DequantizeGemm: W is %s, which has no scale",
                              skive_dtype_name(w->dtype));
    if (w && w->dtype != SKIVE_DTYPE_NONE && skv_is_half_dtype(w->dtype) == scaled)
        return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE, "DequantizeGemm: W of type %s and %s", skive_dtype_name(w->dtype),
                              scaled ? "a scale" : "no scale");
    SKV_TRY(skv_want_same_dtype(c, A, C));
    SKV_TRY(skv_want_same_dtype(c, A, Z));
    SKV_TRY(skv_want_same_dtype(c, A, SCALE));
    return skv_want_same_dtype(c, W, ZERO);
}

/* The scales against W: as in DequantizeLinear. */
static skive_status check_scales(skv_infer *c) {
    if (c->n_in <= SCALE || !c->in[SCALE]) return SKIVE_OK;
    skv_infer view = *c;
    const skive_type *in[3] = {c->in[W], c->in[SCALE], c->n_in > ZERO ? c->in[ZERO] : NULL};
    view.in = in;
    view.n_in = 3;
    return skv_infer_scales(&view);
}

static skive_status infer(skv_infer *c) {
    skv_activation act;
    SKV_TRY(check_types(c));
    SKV_TRY(check_scales(c));
    SKV_TRY(skv_want_rank(c, A, 2, SKIVE_MAX_RANK));
    SKV_TRY(skv_want_rank(c, W, 2, 2));
    c->out[0].dtype = c->in[A] ? c->in[A]->dtype : SKIVE_DTYPE_NONE;
    if (skv_in_ranked(c, A)) {
        const bool turned = skv_attr_int(c->node, "transB", 0) != 0;
        const int last = c->in[A]->rank - 1;
        int64_t rows = 1;
        const int64_t k = skv_in_dim(c, A, last), have = skv_in_dim(c, W, turned ? 1 : 0);
        if (k >= 0 && have >= 0 && k != have)
            return SKV_INFER_FAIL(c, SKIVE_ERR_SHAPE,
                                  "DequantizeGemm: the inner dimension of A is %lld, that of W %lld", (long long)k,
                                  (long long)have);
        c->out[0] = *c->in[A];
        c->out[0].dims[last] = skv_in_ranked(c, W) ? c->in[W]->dims[turned ? 0 : 1] : skv_dim_of(-1);
        for (int d = 0; d < last; d++) {
            const int64_t size = skv_in_dim(c, A, d);
            rows = rows < 0 || size < 0 ? -1 : skv_mul_sat(rows, size);
        }
        SKV_TRY(skv_infer_gemm_bias(c, rows, c->out[0].dims[last].size));
    }
    SKV_TRY(skv_want_like_output(c, Z, "the residual"));
    return skv_activation_read(c->ctx, c->node, &act);
}

static const skive_tensor *input(const skv_eval *c, size_t i) { return i < c->n_in ? c->in[i] : NULL; }

/* W as numbers of its own, of the scale's type. */
static skive_status decode(const skv_eval *c, skive_tensor *out) {
    const skive_tensor *w = c->in[W], *in[3] = {w, input(c, SCALE), input(c, ZERO)};
    skive_tensor *to[1] = {out};
    SKV_TRY(skive_tensor_create(c->ctx, in[1] ? in[1]->dtype : SKIVE_F32, 2, w->dims, out));
    if (!in[1]) {
        for (int64_t i = 0; i < skive_tensor_count(w); i++) ((float *)out->data)[i] = (float)skive_tensor_get(w, i);
        return SKIVE_OK;
    }
    skv_eval view = *c;
    view.in = in;
    view.n_in = 3;
    view.out = to;
    return skv_op_find("DequantizeLinear", "")->run(&view);
}

/* FusedGemm of the decoded weights, the rows of A one behind the other. */
static skive_status run(const skv_eval *c) {
    skive_tensor w = {0}, a = *c->in[A];
    const skive_tensor *in[4] = {&a, &w, input(c, C), input(c, Z)};
    skv_eval view = *c;
    a.rank = 2;
    a.dims[1] = c->in[A]->dims[c->in[A]->rank - 1];
    a.dims[0] = 1;
    for (int d = 0; d < c->in[A]->rank - 1; d++) a.dims[0] *= c->in[A]->dims[d];
    view.in = in;
    view.n_in = 4;
    skive_status status = decode(c, &w);
    if (status == SKIVE_OK) status = skv_op_find("FusedGemm", SKV_DOMAIN)->run(&view);
    skive_tensor_free(c->ctx, &w);
    return status;
}

static skv_range range(const skive_node *n, const skv_range *in) {
    (void)in;
    return skv_activation_range(n);
}

static void cost(const skive_node *n, skive_cost *out) {
    const skive_value *a = skv_node_in(n, A);
    if (!a || n->n_outputs < 1 || !n->outputs[0]) return;
    out->macs =
        skv_add_sat(out->macs, skv_mul_sat(skv_dim_or_1(a, a->type.rank - 1), skv_type_count(&n->outputs[0]->type)));
    for (int i = C; i <= Z; i++)
        if (skv_node_in(n, (size_t)i)) skv_cost_per_element(n, out);
    if (*skv_attr_string(n, "activation", "")) skv_cost_per_element(n, out);
}

static const skv_op_case cases[] = {
    /* W' = 2 -4, 3 -1: (1 2) gives 8 -6, and with C 9 -4 */
    {.name = "int4 in blocks, bias, Relu",
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 2)}, {CASE_TYPED(SKIVE_I4, 2, 2), CASE_VALUES(2, -4, 3, -1)},
             {CASE_F32(2), CASE_VALUES(1, 2)}, CASE_ABSENT, {CASE_F32(1, 2), CASE_VALUES(1, 1), .constant = true}),
     CASE_ATTRS(CASE_INT("axis", 0), CASE_INT("block_size", 2), CASE_STR("activation", "Relu")),
     .n_out = 1,
     CASE_EXPECT(9, 0),
     .no_grad = true},
    /* rows of W are columns: 0.5 (7 - 8, 9 - 8) = -0.5 0.5 and 2 (8 - 7, 10 - 7) = 2 6; rows (1 3) and (2 -1), plus Z
     * */
    {.name = "uint4, scale and zero point a column, turned, residual",
     CASE_IN({CASE_F32(2, 1, 2), CASE_VALUES(1, 3, 2, -1)}, {CASE_TYPED(SKIVE_U4, 2, 2), CASE_VALUES(7, 9, 8, 10)},
             CASE_ABSENT, {CASE_F32(2, 1, 2), CASE_VALUES(1, 1, 1, 1)},
             {CASE_F32(2), CASE_VALUES(0.5, 2), .constant = true}, {CASE_TYPED(SKIVE_U4, 2), CASE_VALUES(8, 7)}),
     CASE_ATTRS(CASE_INT("axis", 0), CASE_INT("transB", 1)),
     .n_out = 1,
     CASE_EXPECT(2, 21, -0.5, -1),
     .no_grad = true},
    {.name = "float16",
     CASE_IN({CASE_F32(1, 2), CASE_VALUES(1, 2)}, {CASE_TYPED(SKIVE_F16, 2, 1), CASE_VALUES(0.5, -0.25)}),
     .n_out = 1,
     CASE_EXPECT(0),
     .no_grad = true},
};

const skv_op skv_op_dequantize_gemm = {
    .name = "DequantizeGemm",
    .domain = SKV_DOMAIN,
    .brief = "matrix product of float32 and weights stored in few bits",
    .since = 1,
    .min_in = 2,
    .max_in = INPUTS,
    .min_out = 1,
    .max_out = 1,
    SKV_LIST(attrs),
    .infer = infer,
    .run = run,
    .range = range,
    .cost = cost,
    SKV_LIST(cases),
};
