/* Creating, copying and freeing tensors, and access to single elements. */
#include "tensor/strings.h"

int64_t skive_tensor_count(const skive_tensor *tensor) {
    int64_t count;
    if (!tensor || tensor->rank < 0 || tensor->rank > SKIVE_MAX_RANK) return -1;
    return skv_dims_count(tensor->rank, tensor->dims, &count) ? count : -1;
}

size_t skive_tensor_bytes(const skive_tensor *tensor) {
    size_t bytes;
    int64_t count = skive_tensor_count(tensor);
    return count >= 0 && skv_dtype_bytes(tensor->dtype, count, &bytes) ? bytes : 0;
}

static skive_status create(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, bool zeroed,
                           skive_tensor *out) {
    char text[SKV_DIMS_TEXT];
    int64_t count;
    size_t bytes;
    if (!skv_dtype_valid(dtype)) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "%d is not an element type", (int)dtype);
    if (rank < 0 || (rank > 0 && !dims)) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "the shape of the tensor is missing");
    if (rank > SKIVE_MAX_RANK) {
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a tensor of %d dimensions is not supported; at most %d are", rank,
                        SKIVE_MAX_RANK);
    }
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) {
            return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "shape %s has a negative dimension",
                            skv_dims_text(rank, dims, text, sizeof text));
        }
    }
    if (!skv_dims_count(rank, dims, &count) || !skv_dtype_bytes(dtype, count, &bytes)) {
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "shape %s has more elements than can be addressed",
                        skv_dims_text(rank, dims, text, sizeof text));
    }
    SKV_TRY(zeroed ? skv_alloc_array(ctx, bytes, 1, &out->data) : skv_alloc(ctx, bytes, &out->data));
    out->dtype = dtype;
    out->rank = rank;
    for (int i = 0; i < rank; i++) out->dims[i] = dims[i];
    return SKIVE_OK;
}

skive_status skive_tensor_create(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                 skive_tensor *out) {
    SKV_NEED(ctx, "ctx, dims, out", ctx, dims || rank < 1, out);
    skive_tensor made; /* dims may lie inside *out */
    memset(&made, 0, sizeof made);
    skive_status status = create(ctx, dtype, rank, dims, true, &made);
    *out = made; /* empty after a failure */
    return status;
}

skive_status skv_tensor_create_open(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                    skive_tensor *out) {
    return create(ctx, dtype, rank, dims, false, out);
}

/* Elements and text in one block. */
static skive_status copy_strings(skive_context *ctx, const skive_tensor *tensor, skive_tensor *out) {
    size_t bytes;
    char *room;
    if (!skv_strings_bytes(tensor, &bytes))
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a tensor of strings has more text than can be addressed");
    SKV_TRY(skv_strings_create(ctx, tensor->rank, tensor->dims, bytes, out, &room));
    skv_strings_join(tensor, room);
    const int64_t n = skive_tensor_count(out);
    for (int64_t i = 0; i < n; i++) {
        ((const char **)out->data)[i] = *room ? room : NULL;
        room += strlen(room) + 1;
    }
    return SKIVE_OK;
}

skive_status skive_tensor_copy(skive_context *ctx, const skive_tensor *tensor, skive_tensor *out) {
    SKV_NEED(ctx, "ctx, tensor, out", ctx, tensor, out);
    skive_tensor copy; /* so that out may be the same variable as the tensor, and is unchanged on failure */
    memset(&copy, 0, sizeof copy);
    if (tensor->dtype == SKIVE_STRING && tensor->data) {
        SKV_TRY(copy_strings(ctx, tensor, &copy));
        *out = copy;
        return SKIVE_OK;
    }
    SKV_TRY(create(ctx, tensor->dtype, tensor->rank, tensor->dims, false, &copy));
    size_t bytes = skive_tensor_bytes(&copy);
    if (bytes && !tensor->data) {
        skive_tensor_free(ctx, &copy);
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "a tensor to copy has no data");
    }
    if (bytes && copy.data) memcpy(copy.data, tensor->data, bytes);
    *out = copy;
    return SKIVE_OK;
}

void skive_tensor_free(skive_context *ctx, skive_tensor *tensor) {
    if (!ctx || !tensor) return;
    skv_free(ctx, tensor->data);
    memset(tensor, 0, sizeof *tensor);
}

double skive_tensor_get(const skive_tensor *tensor, int64_t index) {
    if (index < 0 || index >= skive_tensor_count(tensor) || !tensor->data) return (double)NAN;
    return skv_load_f64(tensor->dtype, tensor->data, (size_t)index);
}

void skive_tensor_set(skive_tensor *tensor, int64_t index, double value) {
    if (index < 0 || index >= skive_tensor_count(tensor) || !tensor->data) return;
    skv_store_f64(tensor->dtype, tensor->data, (size_t)index, value);
}

const char *skive_tensor_string(const skive_tensor *tensor, int64_t index) {
    if (!tensor || tensor->dtype != SKIVE_STRING || !tensor->data) return NULL;
    if (index < 0 || index >= skive_tensor_count(tensor)) return NULL;
    return skv_string_at(tensor, (size_t)index);
}

skive_tensor skv_tensor_view(skive_dtype dtype, int rank, const int64_t *dims, const void *data) {
    skive_tensor t;
    memset(&t, 0, sizeof t);
    t.dtype = dtype;
    t.rank = rank;
    for (int i = 0; i < rank && i < SKIVE_MAX_RANK; i++) t.dims[i] = dims[i];
    memcpy(&t.data, &data, sizeof data); /* the caller must not write through a view of constant data */
    return t;
}

bool skv_tensor_same_shape(const skive_tensor *a, const skive_tensor *b) {
    return skv_dims_equal(a->rank, a->dims, b->rank, b->dims);
}

bool skv_tensor_same(const skive_tensor *a, const skive_tensor *b) {
    if (a->dtype != b->dtype || !skv_tensor_same_shape(a, b)) return false;
    const int64_t n = skive_tensor_count(a);
    for (int64_t i = 0; a->dtype == SKIVE_STRING && i < n; i++)
        if (strcmp(skv_string_at(a, (size_t)i), skv_string_at(b, (size_t)i)) != 0) return false;
    if (a->dtype == SKIVE_STRING) return true;
    size_t bytes = skive_tensor_bytes(a);
    return bytes == 0 || memcmp(a->data, b->data, bytes) == 0;
}

void skv_tensor_fill(skive_tensor *tensor, double value) {
    int64_t count = skive_tensor_count(tensor);
    for (int64_t i = 0; i < count; i++) skv_store_f64(tensor->dtype, tensor->data, (size_t)i, value);
}

/* A block of f32 whose products with 0 are all 0 contains neither; only the elements of other blocks are checked one by
 * one. */
void skv_count_nonfinite(const skive_tensor *t, int64_t *nans, int64_t *infinities) {
    const size_t n = (size_t)skive_tensor_count(t), block = 4096;
    *nans = *infinities = 0;
    if (!skv_dtype_is_float(t->dtype)) return;
    for (size_t first = 0; first < n; first += block) {
        const size_t last = n - first < block ? n : first + block;
        if (t->dtype == SKIVE_F32) {
            const float *x = t->data;
            float bad = 0;
#pragma omp simd reduction(+ : bad)
            for (size_t i = first; i < last; i++) bad += x[i] * 0.0f;
            if (bad >= 0) continue;
        }
        for (size_t i = first; i < last; i++) {
            const double x = skv_load_f64(t->dtype, t->data, i);
            *nans += isnan(x) ? 1 : 0;
            *infinities += isinf(x) ? 1 : 0;
        }
    }
}
