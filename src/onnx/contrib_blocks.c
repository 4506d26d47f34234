/* MatMulNBits and GatherBlockQuantized of com.microsoft, in which language models keep weights of 2, 4 or 8 bits with a
 * scale for each block along a row: as DequantizeLinear in blocks and MatMul, or Gather of rows and DequantizeLinear of
 * those. Weights are unpacked into the element type of their width, and widened to bytes before a Gather. */
#include <string.h>

#include "onnx/contrib.h"
#include "ops/common_nn.h"
#include "ops/common_shape.h"
#include "tensor/storage.h"

static skive_value *in(const skv_contrib *r, size_t i) { return skv_node_in(r->n, i); }

static skive_dtype unsigned_of(int64_t bits) {
    return bits == 2 ? SKIVE_U2 : bits == 4 ? SKIVE_U4 : bits == 8 ? SKIVE_U8 : SKIVE_DTYPE_NONE;
}

/* Rows of `each` bytes to a matrix of elements of `bits` bits, the first of a byte in its lowest bits; packed NULL: all
 * of them have the value in the middle of the range, which stands for 0. */
static skive_value *unpacked(skv_contrib *r, const uint8_t *packed, size_t each, const int64_t dims[2], int64_t bits) {
    skv_storage *s = NULL;
    if (r->b.status != SKIVE_OK) return NULL;
    r->b.status = skv_storage_create(r->b.graph->ctx, unsigned_of(bits), 2, dims, &s);
    if (r->b.status != SKIVE_OK) return NULL;
    size_t at = 0;
    for (int64_t i = 0; i < dims[0]; i++) {
        for (int64_t j = 0; j < dims[1]; j++, at++)
            skv_store_narrow((unsigned)bits, s->tensor.data, at,
                             packed ? skv_load_narrow((unsigned)bits, packed + (size_t)i * each, (size_t)j)
                                    : 1u << (bits - 1));
    }
    return skv_emit_param(&r->b, NULL, s);
}

static size_t row_bytes(int64_t n, int64_t bits) { return (size_t)((n * bits + 7) / 8); }

/* A constant of `n` elements in the shape [rows][columns]. */
static skive_value *as_matrix(skv_contrib *r, skive_value *v, int64_t rows, int64_t columns) {
    if (v->type.rank == 2) return v;
    return skv_emit(&r->b, "Reshape", SKV_IN(v, skv_emit_ints(&r->b, (const int64_t[]){rows, columns}, 2)), SKV_NONE);
}

/* A, B [N][blocks][bytes], scales, [zero points], [order of the columns], [bias] */
void skv_contrib_mat_mul_nbits(skv_contrib *r) {
    const skive_node *n = r->n;
    const int64_t k = skv_attr_int(n, "K", 0), rows = skv_attr_int(n, "N", 0), bits = skv_attr_int(n, "bits", 4),
                  block = skv_attr_int(n, "block_size", 0);
    const skive_tensor *b = skv_node_constant(n, 1), *scales = skv_node_constant(n, 2), *zero = skv_node_constant(n, 3);
    if (in(r, 4) || skv_attr_int(n, "weight_prepacked", 0)) return; /* columns in another order, another layout */
    if (unsigned_of(bits) == SKIVE_DTYPE_NONE || k < 1 || rows < 1 || block < 16 || block > INT32_MAX ||
        k > INT32_MAX || rows > INT32_MAX || block * bits % 8 != 0)
        return;
    const int64_t blocks = (k + block - 1) / block;
    const size_t whole = (size_t)(blocks * (block * bits / 8)), zeros = row_bytes(blocks, bits);
    if (!b || b->dtype != SKIVE_U8 || skive_tensor_bytes(b) / (size_t)rows != whole ||
        skive_tensor_bytes(b) % (size_t)rows != 0)
        return;
    if (!scales || skive_tensor_count(scales) != rows * blocks || !skv_dtype_is_float(scales->dtype)) return;
    if (in(r, 3) && (!zero || zero->dtype != SKIVE_U8 || skive_tensor_bytes(zero) != (size_t)rows * zeros)) return;
    skive_value *weight = unpacked(r, b->data, whole, (const int64_t[]){rows, k}, bits);
    skive_value *points = unpacked(r, zero ? zero->data : NULL, zeros, (const int64_t[]){rows, blocks}, bits);
    skive_value *w = skv_emit(&r->b, "DequantizeLinear", SKV_IN(weight, as_matrix(r, in(r, 2), rows, blocks), points),
                              SKV_ATTRS(SKV_INT("axis", 1), SKV_INT("block_size", block)));
    skive_value *turned =
        skv_emit(&r->b, "Transpose", SKV_IN(w), SKV_ATTRS(SKV_INTS("perm", ((const int64_t[]){1, 0}), 2)));
    skive_value *y = skv_emit(&r->b, "MatMul", SKV_IN(in(r, 0), turned), SKV_NONE);
    r->out[0] = in(r, 5) ? skv_emit(&r->b, "Add", SKV_IN(y, in(r, 5)), SKV_NONE) : y;
}

/* Data of uint8 that hold several elements, which lie along the last axis; NULL if that cannot be. */
static skive_value *unpacked_rows(skv_contrib *r, size_t i, int64_t last, int64_t bits) {
    const skive_tensor *t = skv_node_constant(r->n, i);
    if (!t || t->rank < 1 || t->rank > SKIVE_MAX_RANK || last < 1) return NULL;
    const size_t each = (size_t)t->dims[t->rank - 1];
    if (each != row_bytes(last, bits) || each == 0) return NULL;
    int64_t dims[SKIVE_MAX_RANK];
    for (int d = 0; d < t->rank; d++) dims[d] = d == t->rank - 1 ? last : t->dims[d];
    const int64_t flat[2] = {skive_tensor_count(t) / (int64_t)each, last};
    skive_value *v = unpacked(r, t->data, each, flat, bits);
    if (t->rank == 2) return v;
    return skv_emit(&r->b, "Reshape", SKV_IN(v, skv_emit_ints(&r->b, dims, (size_t)t->rank)), SKV_NONE);
}

/* Zero points of uint8 data without any: the value in the middle, in the shape of the scales. */
static skive_value *middles(skv_contrib *r, const skive_tensor *scales, skive_dtype dtype) {
    skv_storage *s = NULL;
    if (r->b.status != SKIVE_OK) return NULL;
    r->b.status = skv_storage_create(r->b.graph->ctx, dtype, scales->rank, scales->dims, &s);
    if (r->b.status != SKIVE_OK) return NULL;
    skv_tensor_fill(&s->tensor, 1 << (skive_dtype_bits(dtype) - 1));
    return skv_emit_param(&r->b, NULL, s);
}

/* Gather of ONNX has no elements of fewer than 8 bits: those become bytes before. */
static skive_value *as_bytes(skv_contrib *r, skive_value *v) {
    if (!v || skive_dtype_bits(v->type.dtype) >= 8) return v;
    const skive_dtype wide = skv_dtype_is_signed(v->type.dtype) ? SKIVE_I8 : SKIVE_U8;
    return skv_emit(&r->b, "Cast", SKV_IN(v), SKV_ATTRS(SKV_INT("to", wide)));
}

/* data, indices, scales, [zero points] */
void skv_contrib_gather_block_quantized(skv_contrib *r) {
    const skive_node *n = r->n;
    const skive_tensor *scales = skv_node_constant(n, 2);
    const skive_type *data = &in(r, 0)->type, *indices = &in(r, 1)->type;
    const int64_t block = skv_attr_int(n, "block_size", 128), bits = skv_attr_int(n, "bits", 4);
    if (!scales || scales->rank < 1 || data->rank != scales->rank || indices->rank < 0 || block < 16 ||
        block > INT32_MAX)
        return;
    const int64_t along = skv_axis(skv_attr_int(n, "gather_axis", 0), data->rank),
                  quantized = skv_axis(skv_attr_int(n, "quantize_axis", 1), data->rank);
    if (along < 0 || quantized < 0 || along == quantized) return;
    skive_value *parts[3] = {in(r, 0), in(r, 2), in(r, 3)};
    const bool packed = data->dtype == SKIVE_U8 && bits != 8;
    if (packed) {
        const int64_t bytes = data->dims[data->rank - 1].size, blocks = scales->dims[scales->rank - 1];
        if (unsigned_of(bits) == SKIVE_DTYPE_NONE || quantized != data->rank - 1 || bytes < 1 || bytes > INT32_MAX)
            return;
        parts[0] = unpacked_rows(r, 0, bytes * 8 / bits, bits);
        if (in(r, 3)) parts[2] = unpacked_rows(r, 3, blocks, bits);
        if (!parts[0] || (in(r, 3) && !parts[2])) return;
    }
    if (!in(r, 3) && data->dtype == SKIVE_U8) parts[2] = middles(r, scales, unsigned_of(bits));
    parts[0] = as_bytes(r, parts[0]);
    parts[2] = as_bytes(r, parts[2]);
    const skv_attr_list axis = SKV_ATTRS(SKV_INT("axis", along));
    for (int i = 0; i < 3; i++)
        if (parts[i]) parts[i] = skv_emit(&r->b, "Gather", SKV_IN(parts[i], in(r, 1)), axis);
    const int64_t at = quantized > along ? quantized + indices->rank - 1 : quantized;
    const skv_attr_list how = SKV_ATTRS(SKV_INT("axis", at), SKV_INT("block_size", block));
    r->out[0] = skv_emit(&r->b, "DequantizeLinear",
                         parts[2] ? SKV_IN(parts[0], parts[1], parts[2]) : SKV_IN(parts[0], parts[1]), how);
}
