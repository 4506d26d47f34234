/* TensorProto to storage. Every size is checked against the shape before memory is allocated. */
#include <string.h>

#include "base/endian.h"
#include "onnx/onnx.h"
#include "tensor/strings.h"

bool skv_onnx_dtype_known(int32_t data_type) { return data_type > 0 && skive_dtype_bits((skive_dtype)data_type) != 0; }

const char *skv_onnx_dtype_text(int32_t data_type) {
    static const char *const names[] = {
        [0] = "undefined", [14] = "complex64", [15] = "complex128", [27] = "float6e2m3", [28] = "float6e3m2"};
    if (skv_onnx_dtype_known(data_type)) return skive_dtype_name((skive_dtype)data_type);
    if (data_type >= 0 && (size_t)data_type < SKV_COUNT(names) && names[data_type]) return names[data_type];
    return "an unknown type";
}

/* ---- shape ---- */

typedef struct shape {
    skive_dtype dtype;
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
    int64_t count;
    size_t bytes;
} shape;

static skive_status read_shape(skv_onnx_source *source, const char *what, const char *name, int32_t data_type,
                               size_t rank, const int64_t *dims, shape *out) {
    skive_context *ctx = source->ctx;
    if (rank > SKIVE_MAX_RANK) {
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, name, "%s %s has %zu dimensions; at most %d are supported", what,
                           name, rank, SKIVE_MAX_RANK);
    }
    *out = (shape){.dtype = (skive_dtype)data_type, .rank = (int)rank};
    for (size_t i = 0; i < rank; i++) {
        out->dims[i] = dims[i];
        if (dims[i] < 0) {
            return skv_fail_at(ctx, SKIVE_ERR_FORMAT, name, "%s %s: dimension %zu is %lld", what, name, i,
                               (long long)dims[i]);
        }
    }
    if (!skv_dims_count(out->rank, out->dims, &out->count) || !skv_dtype_bytes(out->dtype, out->count, &out->bytes)) {
        char text[SKV_DIMS_TEXT];
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, name, "%s %s: shape %s overflows", what, name,
                           skv_dims_text(out->rank, out->dims, text, sizeof text));
    }
    if (out->bytes > source->options.max_tensor_bytes) {
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, name,
                           "%s %s has %zu bytes, more than the limit of %llu (option max_tensor_bytes)", what, name,
                           out->bytes, (unsigned long long)source->options.max_tensor_bytes);
    }
    return SKIVE_OK;
}

static skive_status wrong_size(skv_onnx_source *source, const char *what, const char *name, const shape *s, size_t need,
                               size_t have, const char *unit) {
    char text[SKV_DIMS_TEXT];
    return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, name, "%s %s: shape %s of %s needs %zu %s, but the file has %zu",
                       what, name, skv_dims_text(s->rank, s->dims, text, sizeof text), skive_dtype_name(s->dtype), need,
                       unit, have);
}

/* ---- data ---- */

/* Numbers at an address that is not one of their type move down over the tag and the length of their own field, three
 * bytes at least from 128 bytes on, which the checker has read: a copy beside the file would double it. */
static void align(skv_map *map, const shape *s, const Onnx__TensorProto *t, skv_onnx_ref *ref) {
    enum { HEADER = 3, LEAST = 128 };
    const size_t width = skv_dtype_align(s->dtype), off = (uintptr_t)(skv_map_data(map) + ref->offset) % width;
    if (off == 0 || off > HEADER || ref->length < LEAST || SKV_BIG_ENDIAN) return;
    skv_map_move(map, (size_t)ref->offset, (size_t)ref->length, off);
    ref->offset -= off;
    memcpy(t->raw_data.data, ref, sizeof *ref); /* for whoever reads the tensor again */
}

/* Bytes as stored in the file. */
static skive_status from_raw(skv_onnx_source *source, const char *what, const char *name, const shape *s,
                             const Onnx__TensorProto *t, skv_storage **out) {
    skv_onnx_ref ref;
    if (t->raw_data.len != sizeof ref)
        return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, name, "%s %s is damaged", what, name);
    memcpy(&ref, t->raw_data.data, sizeof ref);
    bool fits =
        ref.field == 9 || (ref.field == 4 && s->dtype == SKIVE_F32) || (ref.field == 10 && s->dtype == SKIVE_F64);
    if (!fits || t->n_float_data || t->n_double_data) {
        return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, name, "%s %s: its data does not have its type %s", what, name,
                           skive_dtype_name(s->dtype));
    }
    if (ref.length != s->bytes) return wrong_size(source, what, name, s, s->bytes, (size_t)ref.length, "bytes");
    if (source->map) align(source->map, s, t, &ref);
    if (source->map)
        return skv_storage_map(source->ctx, s->dtype, s->rank, s->dims, source->map, (size_t)ref.offset, out);
    return skv_storage_from_bytes(source->ctx, s->dtype, s->rank, s->dims, source->bytes + ref.offset, out);
}

static skive_status from_strings(skv_onnx_source *source, const char *what, const char *name, const shape *s,
                                 const Onnx__TensorProto *t, skv_storage **out) {
    skive_tensor tensor = {0};
    size_t bytes = 0, at = 0;
    char *text = NULL;
    if (t->has_raw_data)
        return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, name, "%s %s: strings as raw bytes", what, name);
    if (t->n_string_data != (size_t)s->count)
        return wrong_size(source, what, name, s, (size_t)s->count, t->n_string_data, "strings");
    for (size_t i = 0; i < t->n_string_data; i++) {
        const ProtobufCBinaryData *d = &t->string_data[i];
        if (d->len && memchr(d->data, 0, d->len))
            return skv_fail_at(source->ctx, SKIVE_ERR_UNSUPPORTED, name, "%s %s: string %zu has a zero byte in it",
                               what, name, i);
        if (!skv_add_size(bytes, d->len + 1, &bytes))
            return skv_fail_at(source->ctx, SKIVE_ERR_LIMIT, name, "%s %s has too much text", what, name);
    }
    SKV_TRY(skv_alloc(source->ctx, bytes + 1, &text));
    for (size_t i = 0; i < t->n_string_data; i++) {
        const ProtobufCBinaryData *d = &t->string_data[i];
        if (d->len) memcpy(text + at, d->data, d->len);
        at += d->len;
        text[at++] = '\0';
    }
    skive_status status = skv_strings_parse(source->ctx, s->rank, s->dims, text, bytes, &tensor);
    skv_free(source->ctx, text);
    if (status != SKIVE_OK) return skv_fail_prefix(source->ctx, status, "%s %s", what, name);
    status = skv_storage_take(source->ctx, &tensor, out);
    skive_tensor_free(source->ctx, &tensor);
    return status;
}

/* One entry per element, or for types of less than a byte one entry per byte. */
static skive_status from_fields(skv_onnx_source *source, const char *what, const char *name, const shape *s,
                                const Onnx__TensorProto *t, skv_storage **out) {
    size_t need = (size_t)s->count, have;
    switch (s->dtype) {
    case SKIVE_F32: have = t->n_float_data; break;
    case SKIVE_F64: have = t->n_double_data; break;
    case SKIVE_I64: have = t->n_int64_data; break;
    case SKIVE_U32:
    case SKIVE_U64: have = t->n_uint64_data; break;
    default: have = t->n_int32_data; break;
    }
    if (skive_dtype_bits(s->dtype) < 8) need = s->bytes;
    if (have != need) return wrong_size(source, what, name, s, need, have, "entries");
    SKV_TRY(skv_storage_create(source->ctx, s->dtype, s->rank, s->dims, out));
    void *data = (*out)->tensor.data;
    if (need == 0) return SKIVE_OK;
    switch (s->dtype) {
    case SKIVE_F32: memcpy(data, t->float_data, need * sizeof(float)); break;
    case SKIVE_F64: memcpy(data, t->double_data, need * sizeof(double)); break;
    case SKIVE_I64: memcpy(data, t->int64_data, need * sizeof(int64_t)); break;
    case SKIVE_I32: memcpy(data, t->int32_data, need * sizeof(int32_t)); break;
    case SKIVE_U64: memcpy(data, t->uint64_data, need * sizeof(uint64_t)); break;
    case SKIVE_U32:
        for (size_t i = 0; i < need; i++) ((uint32_t *)data)[i] = (uint32_t)t->uint64_data[i];
        break;
    case SKIVE_I16:
    case SKIVE_U16:
    case SKIVE_F16:
    case SKIVE_BF16: /* the bits of a half */
        for (size_t i = 0; i < need; i++) ((uint16_t *)data)[i] = (uint16_t)t->int32_data[i];
        break;
    case SKIVE_BOOL:
        for (size_t i = 0; i < need; i++) ((uint8_t *)data)[i] = t->int32_data[i] != 0;
        break;
    case SKIVE_F8E4M3FN:
    case SKIVE_F8E4M3FNUZ:
    case SKIVE_F8E5M2:
    case SKIVE_F8E5M2FNUZ: /* the bits */
    case SKIVE_F8E8M0:
    case SKIVE_F4E2M1:
    case SKIVE_U2:
    case SKIVE_I2:
    case SKIVE_I8:
    case SKIVE_U8:
    case SKIVE_U4:
    case SKIVE_I4:
        for (size_t i = 0; i < need; i++) ((uint8_t *)data)[i] = (uint8_t)t->int32_data[i];
        break;
    case SKIVE_STRING:
    case SKIVE_DTYPE_NONE: break;
    }
    return SKIVE_OK;
}

skive_status skv_onnx_storage(skv_onnx_source *source, const char *what, const char *name, const Onnx__TensorProto *t,
                              skv_storage **out) {
    shape s;
    *out = NULL;
    SKV_TRY(read_shape(source, what, name, t->data_type, t->n_dims, t->dims, &s));
    if (t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        skv_map *map;
        size_t offset;
        if (t->has_raw_data || t->n_float_data || t->n_double_data || t->n_int32_data || t->n_int64_data ||
            t->n_uint64_data || t->n_string_data || s.dtype == SKIVE_STRING)
            return skv_fail_at(source->ctx, SKIVE_ERR_FORMAT, name,
                               s.dtype == SKIVE_STRING ? "%s %s has strings as external data"
                                                       : "%s %s has both external data and data in the model",
                               what, name);
        SKV_TRY(skv_onnx_external_find(source, name, t, s.bytes, &map, &offset));
        return skv_storage_map(source->ctx, s.dtype, s.rank, s.dims, map, offset, out);
    }
    if (s.dtype == SKIVE_STRING) return from_strings(source, what, name, &s, t, out);
    if (t->has_raw_data) return from_raw(source, what, name, &s, t, out);
    return from_fields(source, what, name, &s, t, out);
}

/* ---- sparse ---- */

#define MAX_DENSIFIED ((size_t)1 << 30) /* a few bytes of a file can claim any shape */

/* The position of sparse entry `k`, from linear [nnz] or coordinate [nnz, rank] indices; -1 if outside. */
static int64_t dense_index(const shape *s, const skive_tensor *indices, int64_t k) {
    const int64_t *at = indices->data;
    if (indices->rank == 1) return at[k] >= 0 && at[k] < s->count ? at[k] : -1;
    int64_t linear = 0;
    for (int d = 0; d < s->rank; d++) {
        int64_t i = at[k * s->rank + d];
        if (i < 0 || i >= s->dims[d]) return -1;
        linear = linear * s->dims[d] + i; /* below s->count, which did not overflow */
    }
    return linear;
}

skive_status skv_onnx_densify(skv_onnx_source *source, const char *name, const Onnx__SparseTensorProto *sparse,
                              skv_storage **out) {
    skive_context *ctx = source->ctx;
    skv_storage *values = NULL, *indices = NULL, *dense = NULL;
    shape s;
    skive_status status;
    *out = NULL;
    if (!sparse->values || !sparse->indices || sparse->indices->data_type != SKIVE_I64) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, name, "sparse tensor %s has no values or no int64 indices", name);
    }
    if (!skv_onnx_dtype_known(sparse->values->data_type) ||
        skive_dtype_bits((skive_dtype)sparse->values->data_type) < 8 ||
        sparse->values->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__STRING) {
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, name, "sparse tensor %s: element type %s is not supported", name,
                           skv_onnx_dtype_text(sparse->values->data_type));
    }
    SKV_TRY(read_shape(source, "sparse tensor", name, sparse->values->data_type, sparse->n_dims, sparse->dims, &s));
    if (s.bytes > MAX_DENSIFIED) {
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, name,
                           "sparse tensor %s needs %zu bytes in dense form; at most %zu are supported", name, s.bytes,
                           MAX_DENSIFIED);
    }
    SKV_GO(status, done, skv_onnx_storage(source, "values of sparse tensor", name, sparse->values, &values));
    SKV_GO(status, done, skv_onnx_storage(source, "indices of sparse tensor", name, sparse->indices, &indices));
    const skive_tensor *v = &values->tensor, *at = &indices->tensor;
    bool linear = at->rank == 1, coordinates = at->rank == 2 && at->dims[1] == s.rank;
    if (v->rank != 1 || !(linear || coordinates) || at->dims[0] != v->dims[0]) {
        status = skv_fail_at(ctx, SKIVE_ERR_FORMAT, name,
                             "sparse tensor %s: the shapes of values and indices do not match", name);
        goto done;
    }
    SKV_GO(status, done, skv_storage_create(ctx, s.dtype, s.rank, s.dims, &dense));
    size_t width = (size_t)skive_dtype_bits(s.dtype) / 8;
    for (int64_t k = 0; k < v->dims[0]; k++) {
        int64_t to = dense_index(&s, at, k);
        if (to < 0) {
            status = skv_fail_at(ctx, SKIVE_ERR_FORMAT, name, "sparse tensor %s: index %lld is outside its shape", name,
                                 (long long)k);
            goto done;
        }
        memcpy((char *)dense->tensor.data + (size_t)to * width, (const char *)v->data + (size_t)k * width, width);
    }
    *out = dense;
    dense = NULL;
done:
    skv_storage_release(values);
    skv_storage_release(indices);
    skv_storage_release(dense);
    return status;
}
