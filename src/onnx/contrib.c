/* Operators of old opsets and of the domain com.microsoft, which onnxruntime's tools put into models, are replaced by
 * equivalent standard nodes. A form without an equivalent (packed past, padding masks, ...) is kept and reported as
 * unsupported. */
#include <math.h>
#include <string.h>

#include "onnx/contrib.h"
#include "onnx/onnx_import.h"
#include "ops/common_nn.h"

typedef skv_contrib rewriting;

static skive_value *in(const rewriting *r, size_t i) { return skv_node_in(r->n, i); }
static bool wanted(const rewriting *r, uint32_t o) {
    const skive_value *v = o < r->n->n_outputs ? r->n->outputs[o] : NULL;
    return v && skv_value_is_read(v);
}
static skive_value *two(rewriting *r, const char *op, skive_value *x, skive_value *y) {
    return skv_emit(&r->b, op, SKV_IN(x, y), SKV_NONE);
}
static skive_value *plus(rewriting *r, skive_value *x, skive_value *y) { return x && y ? two(r, "Add", x, y) : x; }
static skive_value *scalar(rewriting *r, const skive_value *like, double x) {
    return skv_emit_scalar(&r->b, !like || like->type.dtype == SKIVE_DTYPE_NONE ? SKIVE_F32 : like->type.dtype, x);
}

/* The same arithmetic as the standard operators, which later got the same element types. */
static void same_grid_op(rewriting *r, const char *op) {
    const skv_attr_list axis = SKV_ATTRS(SKV_INT("axis", skv_attr_int(r->n, "axis", 1)));
    r->out[0] = skv_emit(&r->b, op, in(r, 2) ? SKV_IN(in(r, 0), in(r, 1), in(r, 2)) : SKV_IN(in(r, 0), in(r, 1)), axis);
}
static void quantize_linear(rewriting *r) { same_grid_op(r, "QuantizeLinear"); }
static void dequantize_linear(rewriting *r) { same_grid_op(r, "DequantizeLinear"); }

static void gelu(rewriting *r) { r->out[0] = skv_emit(&r->b, "Gelu", SKV_IN(in(r, 0)), SKV_NONE); }
static void bias_gelu(rewriting *r) {
    r->out[0] = skv_emit(&r->b, "Gelu", SKV_IN(plus(r, in(r, 0), in(r, 1))), SKV_NONE);
}
static void fast_gelu(rewriting *r) {
    r->out[0] = skv_emit(&r->b, "Gelu", SKV_IN(plus(r, in(r, 0), in(r, 1))), SKV_ATTRS(SKV_STR("approximate", "tanh")));
}
static void quick_gelu(rewriting *r) {
    skive_value *x = in(r, 0), *by = scalar(r, x, skv_attr_float(r->n, "alpha", 1.702));
    r->out[0] = two(r, "Mul", x, skv_emit(&r->b, "Sigmoid", SKV_IN(two(r, "Mul", x, by)), SKV_NONE));
}

static void simplified_norm(rewriting *r) {
    if (wanted(r, 1)) return;
    r->out[0] = skv_emit(&r->b, "RMSNormalization", SKV_IN(in(r, 0), in(r, 1)),
                         SKV_ATTRS(SKV_INT("axis", skv_attr_int(r->n, "axis", -1)),
                                   SKV_FLT("epsilon", skv_attr_float(r->n, "epsilon", 1e-5))));
}

static skive_value *skipped_sum(rewriting *r, size_t bias) {
    skive_value *sum = plus(r, two(r, "Add", in(r, 0), in(r, 1)), in(r, bias));
    if (wanted(r, 3)) r->out[3] = sum;
    return sum;
}
static skive_value *layer_norm(rewriting *r, skive_value *x, skive_value *scale, skive_value *bias) {
    const skv_attr_list attrs =
        SKV_ATTRS(SKV_INT("axis", -1), SKV_FLT("epsilon", skv_attr_float(r->n, "epsilon", 1e-12)));
    return skv_emit(&r->b, "LayerNormalization", bias ? SKV_IN(x, scale, bias) : SKV_IN(x, scale), attrs);
}
static void skip_norm(rewriting *r) {
    if (!wanted(r, 1) && !wanted(r, 2)) r->out[0] = layer_norm(r, skipped_sum(r, 4), in(r, 2), in(r, 3));
}
static void skip_simplified_norm(rewriting *r) {
    if (wanted(r, 1) || wanted(r, 2)) return;
    r->out[0] = skv_emit(&r->b, "RMSNormalization", SKV_IN(skipped_sum(r, 3), in(r, 2)),
                         SKV_ATTRS(SKV_INT("axis", -1), SKV_FLT("epsilon", skv_attr_float(r->n, "epsilon", 1e-12))));
}

static void embed_norm(rewriting *r) {
    skive_value *ids = in(r, 0), *segments = in(r, 1), *places = in(r, 8), *at;
    if (wanted(r, 1)) { /* the number of valid tokens of each sequence */
        if (!in(r, 7)) return;
        skive_value *mask = skv_emit(&r->b, "Cast", SKV_IN(in(r, 7)), SKV_ATTRS(SKV_INT("to", SKIVE_I32)));
        skive_value *axis = skv_emit_ints(&r->b, (const int64_t[]){1}, 1);
        r->out[1] = skv_emit(&r->b, "ReduceSum", SKV_IN(mask, axis), SKV_ATTRS(SKV_INT("keepdims", 0)));
    }
    if (places) {
        at = two(r, "Gather", in(r, 3), places);
    } else { /* the first ones, as many as ids in a sequence */
        skive_value *length = skv_emit(&r->b, "Shape", SKV_IN(ids), SKV_ATTRS(SKV_INT("start", 1), SKV_INT("end", 2)));
        skive_value *zero = skv_emit_ints(&r->b, (const int64_t[]){0}, 1);
        at = skv_emit(&r->b, "Slice", SKV_IN(in(r, 3), zero, length, zero), SKV_NONE);
    }
    skive_value *sum = two(r, "Add", two(r, "Gather", in(r, 2), ids), at);
    if (segments && in(r, 4)) sum = two(r, "Add", sum, two(r, "Gather", in(r, 4), segments));
    if (wanted(r, 2)) r->out[2] = sum;
    r->out[0] = layer_norm(r, sum, in(r, 5), in(r, 6));
}

static skive_value *last_two_swapped(rewriting *r, skive_value *x) {
    int64_t perm[SKIVE_MAX_RANK];
    const int rank = x->type.rank;
    for (int i = 0; i < rank; i++) perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    return skv_emit(&r->b, "Transpose", SKV_IN(x), SKV_ATTRS(SKV_INTS("perm", perm, (size_t)rank)));
}
static void fused_mat_mul(rewriting *r) {
    skive_value *x[2] = {in(r, 0), in(r, 1)};
    const int64_t turn[2] = {skv_attr_int(r->n, "transA", 0), skv_attr_int(r->n, "transB", 0)};
    if (skv_attr_int(r->n, "transBatchA", 0) || skv_attr_int(r->n, "transBatchB", 0)) return;
    for (int i = 0; i < 2; i++) {
        if (!x[i]) return;
        if (!turn[i] || x[i]->type.rank == 1) continue; /* a vector is not transposed */
        if (x[i]->type.rank < 2) return;
        x[i] = last_two_swapped(r, x[i]);
    }
    const double alpha = skv_attr_float(r->n, "alpha", 1);
    r->out[0] = two(r, "MatMul", x[0], x[1]);
    if (alpha != 1 && r->out[0]) r->out[0] = two(r, "Mul", r->out[0], scalar(r, x[0], alpha));
}

/* Attention on heads that are concatenated in the last axis. */
static skive_value *attend(rewriting *r, skive_value *const qkv[3], skive_value *mask) {
    const int64_t heads = skv_attr_int(r->n, "num_heads", 0);
    const double scale = skv_attr_float(r->n, "scale", 0);
    const skv_attr_init attrs[] = {SKV_INT("q_num_heads", heads), SKV_INT("kv_num_heads", heads),
                                   SKV_INT("is_causal", skv_attr_int(r->n, "unidirectional", 0)),
                                   SKV_FLT("scale", scale)};
    return skv_emit(&r->b, "Attention", mask ? SKV_IN(qkv[0], qkv[1], qkv[2], mask) : SKV_IN(qkv[0], qkv[1], qkv[2]),
                    (skv_attr_list){attrs, scale != 0 ? 4 : 3});
}
static bool only_inputs(const rewriting *r, uint32_t allowed) {
    for (uint32_t i = 0; i < r->n->n_inputs; i++) {
        if (r->n->inputs[i] && !(allowed >> i & 1)) return false;
    }
    return skv_attr_int(r->n, "num_heads", 0) > 0 && !wanted(r, 1) && !wanted(r, 2);
}
/* The three equal parts of x along its last axis. */
static bool thirds(rewriting *r, skive_value *x, int64_t width, skive_value *out[3]) {
    if (width < 3 || width % 3 != 0) return false;
    skive_value *sizes = skv_emit_ints(&r->b, (const int64_t[]){width / 3, width / 3, width / 3}, 3);
    return skv_emit_n(&r->b, "Split", SKV_IN(x, sizes), SKV_ATTRS(SKV_INT("axis", -1)), out, 3) != NULL;
}
static int64_t width_of(const skive_value *v) {
    return v && v->type.rank > 0 ? v->type.dims[v->type.rank - 1].size : -1;
}
/* The mask added to the scores: from 1 and 0 for each key (and each query), or from the number of keys of each
 * sequence; `keys` [b][tokens]... The `bias` is added to it. NULL: an unknown form. */
static skive_value *score_mask(rewriting *r, skive_value *mask, skive_value *keys, skive_value *bias) {
    const skive_dtype real = keys->type.dtype == SKIVE_DTYPE_NONE ? SKIVE_F32 : keys->type.dtype;
    const int rank = mask->type.rank;
    static const int64_t axes[] = {1, 2};
    if (rank < 1 || rank > 3 || keys->type.rank != 3) return NULL;
    if (rank == 1) {
        const int64_t batch = keys->type.dims[0].size, given = mask->type.dims[0].size;
        if (given >= 0 && batch >= 0 && given != batch) return NULL; /* with first positions, or those of queries too */
        skive_value *one = skv_emit_scalar(&r->b, SKIVE_I64, 1);
        skive_value *tokens = two(r, "Gather", skv_emit(&r->b, "Shape", SKV_IN(keys), SKV_NONE), one);
        skive_value *place =
            skv_emit(&r->b, "Range", SKV_IN(skv_emit_scalar(&r->b, SKIVE_I64, 0), tokens, one), SKV_NONE);
        skive_value *count = skv_emit(&r->b, "Cast", SKV_IN(mask), SKV_ATTRS(SKV_INT("to", SKIVE_I64)));
        mask = two(r, "Less", place, two(r, "Unsqueeze", count, skv_emit_ints(&r->b, axes, 1)));
    }
    mask = skv_emit(&r->b, "Cast", SKV_IN(mask), SKV_ATTRS(SKV_INT("to", real)));
    mask = two(r, "Mul", two(r, "Sub", skv_emit_scalar(&r->b, real, 1), mask),
               skv_emit_scalar(&r->b, real, skv_attr_float(r->n, "mask_filter_value", -10000)));
    mask = two(r, "Unsqueeze", mask, skv_emit_ints(&r->b, axes, rank == 3 ? 1 : 2));
    return bias ? two(r, "Add", bias, mask) : mask;
}

static void multi_head(rewriting *r) { /* query key value [bias] [mask] [attention bias] */
    skive_value *qkv[3] = {in(r, 0), in(r, 1), in(r, 2)}, *parts[3];
    if (!only_inputs(r, 0x3f) || !qkv[1] || !qkv[2] || qkv[0]->type.rank != 3 || qkv[1]->type.rank != 3) return;
    if (in(r, 3)) {
        if (width_of(qkv[0]) < 1 || 3 * width_of(qkv[0]) != width_of(in(r, 3))) return;
        if (!thirds(r, in(r, 3), width_of(in(r, 3)), parts)) return;
        for (int i = 0; i < 3; i++) qkv[i] = two(r, "Add", qkv[i], parts[i]);
    }
    skive_value *mask = in(r, 4) ? score_mask(r, in(r, 4), in(r, 1), in(r, 5)) : in(r, 5);
    if (mask || !in(r, 4)) r->out[0] = attend(r, qkv, mask);
}
static void joint_attention(rewriting *r) { /* input weights bias [mask] - [attention bias] */
    skive_value *parts[3];
    if (!only_inputs(r, 0x2f) || skv_node_attr(r->n, "qkv_hidden_sizes") || skv_attr_int(r->n, "do_rotary", 0)) return;
    const int64_t width = width_of(in(r, 1));
    if (width < 3 || width % 3 != 0) return;
    if (!thirds(r, plus(r, two(r, "MatMul", in(r, 0), in(r, 1)), in(r, 2)), width, parts)) return;
    skive_value *mask = in(r, 3) ? score_mask(r, in(r, 3), in(r, 0), in(r, 5)) : in(r, 5);
    if (mask || !in(r, 3)) r->out[0] = attend(r, parts, mask);
}

/* The activation of a fused operator, its parameters from a list or from separate attributes; NULL if it is unknown. */
static skive_value *activated(rewriting *r, skive_value *x) {
    size_t n = 0;
    const skv_attr *list = skv_node_attr(r->n, "activation_params");
    const char *name = skv_attr_string(r->n, "activation", "");
    if (list) n = list->n;
    const double a = n > 0 ? list->floats[0] : skv_attr_float(r->n, "activation_alpha", 0),
                 b = n > 1 ? list->floats[1] : skv_attr_float(r->n, "activation_beta", 0);
    if (strcmp(name, "Relu") == 0 || strcmp(name, "Tanh") == 0 || strcmp(name, "Sigmoid") == 0)
        return skv_emit(&r->b, name, SKV_IN(x), SKV_NONE);
    if (strcmp(name, "LeakyRelu") == 0) return skv_emit(&r->b, name, SKV_IN(x), SKV_ATTRS(SKV_FLT("alpha", a)));
    if (strcmp(name, "HardSigmoid") == 0)
        return skv_emit(&r->b, name, SKV_IN(x), SKV_ATTRS(SKV_FLT("alpha", a), SKV_FLT("beta", b)));
    if (strcmp(name, "Clip") == 0) return skv_emit(&r->b, name, SKV_IN(x, scalar(r, x, a), scalar(r, x, b)), SKV_NONE);
    return NULL;
}
static skv_attr_list without_activation(const rewriting *r, skv_attr_init buffer[SKV_ATTRS_COPY]) {
    skv_attr_list all = skv_attrs_copy(r->n, buffer);
    size_t kept = 0;
    for (size_t i = 0; i < all.n; i++)
        if (strncmp(buffer[i].name, "activation", 10) != 0) buffer[kept++] = buffer[i];
    all.n = kept;
    return all;
}
static void fused_conv(rewriting *r) { /* x, w, [bias], [addend] */
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skive_value *y = skv_emit(&r->b, "Conv", SKV_IN(in(r, 0), in(r, 1), in(r, 2)), without_activation(r, buffer));
    if (y) r->out[0] = activated(r, plus(r, y, in(r, 3)));
}
static void fused_gemm(rewriting *r) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    skive_value *y = skv_emit(&r->b, "Gemm", SKV_IN(in(r, 0), in(r, 1), in(r, 2)), without_activation(r, buffer));
    if (y) r->out[0] = activated(r, y);
}
static void plain_layer_norm(rewriting *r) {
    if (wanted(r, 1) || wanted(r, 2)) return;
    r->out[0] = skv_emit(&r->b, "LayerNormalization", SKV_IN(in(r, 0), in(r, 1), in(r, 2)),
                         SKV_ATTRS(SKV_INT("axis", skv_attr_int(r->n, "axis", -1)),
                                   SKV_FLT("epsilon", skv_attr_float(r->n, "epsilon", 1e-5))));
}

/* Input, positions (of each token, or of the first only), cosines, sines. */
static void rotary(rewriting *r) {
    skive_value *x = in(r, 0), *positions = in(r, 1), *cosines = in(r, 2);
    const skive_type *t = &x->type;
    int64_t heads = skv_attr_int(r->n, "num_heads", 0);
    if (skv_attr_int(r->n, "is_packed_batching", 0) || skv_attr_float(r->n, "scale", 1) != 1) return;
    if ((t->rank != 3 && t->rank != 4) || (positions->type.rank != 1 && positions->type.rank != 2)) return;
    if (t->rank == 3 && heads == 0) { /* then the size of a head follows from the caches */
        const int64_t half = cosines->type.rank == 2 ? cosines->type.dims[1].size : -1;
        if (half < 1 || t->dims[2].size < 1) return;
        heads = t->dims[2].size / (2 * half);
    }
    if (positions->type.rank == 1) {
        const int64_t axes[2] = {0, t->rank == 4 ? 2 : 1}, first = 0;
        skive_value *sizes =
            two(r, "Gather", skv_emit(&r->b, "Shape", SKV_IN(x), SKV_NONE), skv_emit_ints(&r->b, axes, 2));
        skive_value *tokens = skv_emit(&r->b, "Gather", SKV_IN(sizes, skv_emit_scalar(&r->b, SKIVE_I64, 1)), SKV_NONE);
        skive_value *count = skv_emit(
            &r->b, "Range", SKV_IN(skv_emit_scalar(&r->b, SKIVE_I64, 0), tokens, skv_emit_scalar(&r->b, SKIVE_I64, 1)),
            SKV_NONE);
        skive_value *row = two(r, "Unsqueeze", two(r, "Add", count, positions), skv_emit_ints(&r->b, &first, 1));
        positions = two(r, "Expand", row, sizes);
    }
    r->out[0] =
        skv_emit(&r->b, "RotaryEmbedding", SKV_IN(x, cosines, in(r, 3), positions),
                 SKV_ATTRS(SKV_INT("num_heads", heads), SKV_INT("interleaved", skv_attr_int(r->n, "interleaved", 0)),
                           SKV_INT("rotary_embedding_dim", skv_attr_int(r->n, "rotary_embedding_dim", 0))));
}

/* Of opsets 9 and 10. */
static void scatter(rewriting *r) {
    r->out[0] = skv_emit(&r->b, "ScatterElements", SKV_IN(in(r, 0), in(r, 1), in(r, 2)),
                         SKV_ATTRS(SKV_INT("axis", skv_attr_int(r->n, "axis", 0))));
}

/* ---- quantized operators: each is defined as its float form between DequantizeLinear and QuantizeLinear ---- */

static skive_value *real(rewriting *r, size_t x) {
    return skv_emit(&r->b, "DequantizeLinear", SKV_IN(in(r, x), in(r, x + 1), in(r, x + 2)), SKV_NONE);
}
static void quantized(rewriting *r, skive_value *y, size_t scale) {
    r->out[0] = skv_emit(&r->b, "QuantizeLinear", SKV_IN(y, in(r, scale), in(r, scale + 1)), SKV_NONE);
}
static void q_add(rewriting *r) { quantized(r, two(r, "Add", real(r, 0), real(r, 3)), 6); }
static void q_mul(rewriting *r) { quantized(r, two(r, "Mul", real(r, 0), real(r, 3)), 6); }
static void q_sigmoid(rewriting *r) { quantized(r, skv_emit(&r->b, "Sigmoid", SKV_IN(real(r, 0)), SKV_NONE), 3); }
static void q_leaky_relu(rewriting *r) {
    quantized(r,
              skv_emit(&r->b, "LeakyRelu", SKV_IN(real(r, 0)),
                       SKV_ATTRS(SKV_FLT("alpha", skv_attr_float(r->n, "alpha", 0.01)))),
              3);
}
static void q_softmax(rewriting *r) {
    if (skv_attr_int(r->n, "opset", 13) < 13) return;
    quantized(
        r, skv_emit(&r->b, "Softmax", SKV_IN(real(r, 0)), SKV_ATTRS(SKV_INT("axis", skv_attr_int(r->n, "axis", -1)))),
        3);
}
static void q_global_average_pool(rewriting *r) {
    if (!skv_attr_int(r->n, "channels_last", 0))
        quantized(r, skv_emit(&r->b, "GlobalAveragePool", SKV_IN(real(r, 0)), SKV_NONE), 3);
}
static void q_average_pool(rewriting *r) {
    skv_attr_init buffer[SKV_ATTRS_COPY];
    if (skv_attr_int(r->n, "channels_last", 0)) return;
    skv_attr_list attrs = skv_attrs_copy(r->n, buffer);
    for (size_t i = 0; i < attrs.n; i++)
        if (strcmp(buffer[i].name, "channels_last") == 0) buffer[i] = buffer[--attrs.n];
    quantized(r, skv_emit(&r->b, "AveragePool", SKV_IN(real(r, 0)), attrs), 3);
}
static void q_concat(rewriting *r) { /* scale, zero point of the result, then tensor, scale, zero point of each part */
    skive_value *parts[SKV_OP_MAX_IO];
    const size_t n = (r->n->n_inputs - 2) / 3;
    if (r->n->n_inputs % 3 != 2 || n == 0 || n > SKV_OP_MAX_IO) return;
    for (size_t i = 0; i < n; i++) parts[i] = real(r, 2 + 3 * i);
    skive_value *y =
        skv_emit(&r->b, "Concat", (skv_in_list){parts, n}, SKV_ATTRS(SKV_INT("axis", skv_attr_int(r->n, "axis", 0))));
    quantized(r, y, 0);
}
static void
q_gemm(rewriting *r) { /* A, its scale and zero point, B and its, C in int32, the result's; without these it is float */
    skive_value *bias = in(r, 6);
    if (bias)
        bias = skv_emit(&r->b, "DequantizeLinear", SKV_IN(bias, two(r, "Mul", in(r, 1), in(r, 4))),
                        SKV_ATTRS(SKV_INT("axis", 0)));
    const int64_t axis = skv_attr_int(r->n, "transB", 0) ? 0 : 1;
    skive_value *b =
        skv_emit(&r->b, "DequantizeLinear", SKV_IN(in(r, 3), in(r, 4), in(r, 5)), SKV_ATTRS(SKV_INT("axis", axis)));
    const skv_attr_list attrs = SKV_ATTRS(SKV_FLT("alpha", skv_attr_float(r->n, "alpha", 1)),
                                          SKV_INT("transA", skv_attr_int(r->n, "transA", 0)),
                                          SKV_INT("transB", skv_attr_int(r->n, "transB", 0)));
    skive_value *y = skv_emit(&r->b, "Gemm", bias ? SKV_IN(real(r, 0), b, bias) : SKV_IN(real(r, 0), b), attrs);
    if (in(r, 7))
        quantized(r, y, 7);
    else
        r->out[0] = y;
}
/* A in float, B quantized with scale, zero point and bias: A is quantized by its own range. */
static void dynamic_mat_mul(rewriting *r) {
    skive_value *q[3];
    if (!skv_emit_n(&r->b, "DynamicQuantizeLinear", SKV_IN(in(r, 0)), SKV_NONE, q, 3)) return;
    skive_value *sum = skv_emit(&r->b, "MatMulInteger", SKV_IN(q[0], in(r, 1), q[2], in(r, 3)), SKV_NONE);
    skive_value *y = skv_emit(&r->b, "Cast", SKV_IN(sum), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    r->out[0] = plus(r, two(r, "Mul", y, two(r, "Mul", q[1], in(r, 2))), in(r, 4));
}
static void mat_mul_to_float(rewriting *r) { /* A, B, their scales, their zero points, bias */
    skive_value *sum = skv_emit(&r->b, "MatMulInteger", SKV_IN(in(r, 0), in(r, 1), in(r, 4), in(r, 5)), SKV_NONE);
    skive_value *y = skv_emit(&r->b, "Cast", SKV_IN(sum), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
    r->out[0] = plus(r, two(r, "Mul", y, two(r, "Mul", in(r, 2), in(r, 3))), in(r, 6));
}

static const struct {
    const char *op, *domain;
    uint32_t least_inputs;
    void (*rewrite)(rewriting *r);
} known[] = {
    {"Gelu", "com.microsoft", 1, gelu},
    {"BiasGelu", "com.microsoft", 2, bias_gelu},
    {"FastGelu", "com.microsoft", 1, fast_gelu},
    {"QuickGelu", "com.microsoft", 1, quick_gelu},
    {"SimplifiedLayerNormalization", "", 2, simplified_norm},
    {"SimplifiedLayerNormalization", "com.microsoft", 2, simplified_norm},
    {"SkipLayerNormalization", "com.microsoft", 3, skip_norm},
    {"SkipSimplifiedLayerNormalization", "com.microsoft", 3, skip_simplified_norm},
    {"EmbedLayerNormalization", "com.microsoft", 7, embed_norm},
    {"LayerNormalization", "com.microsoft", 2, plain_layer_norm},
    {"FusedConv", "com.microsoft", 2, fused_conv},
    {"FusedGemm", "com.microsoft", 2, fused_gemm},
    {"FusedMatMul", "com.microsoft", 2, fused_mat_mul},
    {"MultiHeadAttention", "com.microsoft", 3, multi_head},
    {"Attention", "com.microsoft", 2, joint_attention},
    {"RotaryEmbedding", "com.microsoft", 4, rotary},
    {"Scatter", "", 3, scatter},
    {"QuantizeLinear", "com.microsoft", 2, quantize_linear},
    {"DequantizeLinear", "com.microsoft", 2, dequantize_linear},
    {"QLinearAdd", "com.microsoft", 2, q_add},
    {"QLinearMul", "com.microsoft", 2, q_mul},
    {"QLinearSigmoid", "com.microsoft", 2, q_sigmoid},
    {"QLinearLeakyRelu", "com.microsoft", 2, q_leaky_relu},
    {"QLinearSoftmax", "com.microsoft", 2, q_softmax},
    {"QLinearGlobalAveragePool", "com.microsoft", 2, q_global_average_pool},
    {"QLinearAveragePool", "com.microsoft", 2, q_average_pool},
    {"QLinearConcat", "com.microsoft", 2, q_concat},
    {"QGemm", "com.microsoft", 5, q_gemm},
    {"DynamicQuantizeMatMul", "com.microsoft", 3, dynamic_mat_mul},
    {"MatMulIntegerToFloat", "com.microsoft", 4, mat_mul_to_float},
    {"MatMulNBits", "com.microsoft", 3, skv_contrib_mat_mul_nbits},
    {"GatherBlockQuantized", "com.microsoft", 3, skv_contrib_gather_block_quantized},
};

skive_status skv_contrib_replace(skv_contrib *r, skive_node *n) {
    const char *names[SKV_OP_MAX_IO] = {NULL};
    for (uint32_t o = 0; o < n->n_outputs && o < SKV_OP_MAX_IO; o++) {
        if (!n->outputs[o] || !r->out[o]) continue;
        names[o] = n->outputs[o]->name;
        SKV_TRY(skv_value_replace_uses(n->outputs[o], r->out[o], true));
    }
    SKV_TRY(skv_graph_remove_node(n));
    for (uint32_t o = 0; o < SKV_OP_MAX_IO; o++) {
        if (names[o]) SKV_TRY(skv_value_rename(r->out[o], names[o]));
    }
    return SKIVE_OK;
}

skive_status skv_onnx_import_contrib(skive_node *n) {
    for (size_t k = 0; k < SKV_COUNT(known); k++) {
        if (strcmp(known[k].op, n->op_type) != 0 || strcmp(known[k].domain, n->domain) != 0) continue;
        rewriting r = {.b = skv_build(n->graph), .n = n};
        for (uint32_t i = 0; i < known[k].least_inputs; i++) {
            const bool optional = known[k].rewrite == embed_norm && (i == 1 || i == 4);
            if (!skv_node_in(n, i) && !optional) return SKIVE_OK; /* the check of the graph reports it */
        }
        known[k].rewrite(&r);
        if (r.b.status != SKIVE_OK) return skv_fail_prefix(n->graph->ctx, r.b.status, "%s", n->name);
        return r.out[0] ? skv_contrib_replace(&r, n) : SKIVE_OK;
    }
    return SKIVE_OK;
}
