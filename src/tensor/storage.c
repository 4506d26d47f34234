/* Reference-counted parameter storages: creation, sharing, data in a file's buffer, copy on write. */
#include <string.h>

#include "base/endian.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

static skive_status create_empty(skive_context *ctx, skv_storage **out) {
    skv_storage *s;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    atomic_init(&s->refs, 1);
    s->ctx = ctx;
    s->form = &skv_form_dense;
    s->owned = true;
    *out = s;
    return SKIVE_OK;
}

skive_status skv_storage_create(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                skv_storage **out) {
    SKV_TRY(create_empty(ctx, out));
    skive_status status = skive_tensor_create(ctx, dtype, rank, dims, &(*out)->tensor);
    if (status != SKIVE_OK) {
        skv_storage_release(*out);
        *out = NULL;
    }
    return status;
}

skive_status skv_storage_from_tensor(skive_context *ctx, const skive_tensor *tensor, skv_storage **out) {
    SKV_TRY(create_empty(ctx, out));
    skive_status status = skive_tensor_copy(ctx, tensor, &(*out)->tensor);
    if (status != SKIVE_OK) {
        skv_storage_release(*out);
        *out = NULL;
    }
    return status;
}

skive_status skv_storage_from_bytes(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                    const void *bytes, skv_storage **out) {
    const skive_tensor view = skv_tensor_view(dtype, rank, dims, bytes);
    SKV_TRY(skv_storage_from_tensor(ctx, &view, out));
    skv_little_endian((*out)->tensor.data, skive_tensor_bytes(&view), skv_dtype_align(dtype));
    return SKIVE_OK;
}

skive_status skv_storage_take(skive_context *ctx, skive_tensor *tensor, skv_storage **out) {
    SKV_TRY(create_empty(ctx, out));
    (*out)->tensor = *tensor;
    memset(tensor, 0, sizeof *tensor);
    return SKIVE_OK;
}

skive_status skv_storage_map(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, skv_map *map,
                             size_t offset, skv_storage **out) {
    char text[SKV_DIMS_TEXT];
    int64_t count;
    size_t bytes, end;
    *out = NULL;
    if (rank < 0 || rank > SKIVE_MAX_RANK || !skv_dtype_valid(dtype)) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "invalid tensor: element type %d with %d dimensions", (int)dtype,
                        rank);
    }
    if (!skv_dims_count(rank, dims, &count) || !skv_dtype_bytes(dtype, count, &bytes) ||
        !skv_add_size(offset, bytes, &end) || end > skv_map_size(map)) {
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "%s%s at byte %zu extends beyond the end of the file (%zu bytes)",
                        skive_dtype_name(dtype), skv_dims_text(rank, dims, text, sizeof text), offset,
                        skv_map_size(map));
    }
    const unsigned char *data = skv_map_data(map) + offset;
    const size_t width = skv_dtype_align(dtype);
    if ((uintptr_t)data % width != 0 || (SKV_BIG_ENDIAN && width > 1))
        return skv_storage_from_bytes(ctx, dtype, rank, dims, data, out);
    SKV_TRY(create_empty(ctx, out));
    (*out)->tensor = skv_tensor_view(dtype, rank, dims, data);
    (*out)->owned = false;
    (*out)->map = map;
    skv_map_retain(map);
    return SKIVE_OK;
}

skive_status skv_storage_take_coded(skive_context *ctx, skv_coded *coded, skv_storage **out) {
    SKV_TRY(create_empty(ctx, out));
    skive_status status = skv_alloc(ctx, sizeof *coded, &(*out)->coded);
    if (status != SKIVE_OK) {
        skv_storage_release(*out);
        *out = NULL;
        return status;
    }
    (*out)->tensor = skv_tensor_view(coded->dtype, coded->rank, coded->dims, NULL);
    (*out)->form = coded->form;
    *(*out)->coded = *coded;
    *coded = (skv_coded){0};
    return SKIVE_OK;
}

skive_status skv_storage_inflate(skive_context *ctx, const skv_storage *storage, skive_tensor *out) {
    const skive_tensor *t = &storage->tensor;
    if (!storage->coded) return skive_tensor_copy(ctx, t, out);
    SKV_TRY(skive_tensor_create(ctx, t->dtype, t->rank, t->dims, out));
    storage->form->restore(storage->coded, out);
    return SKIVE_OK;
}

skv_storage *skv_storage_retain(skv_storage *storage) {
    if (storage) atomic_fetch_add_explicit(&storage->refs, 1, memory_order_relaxed);
    return storage;
}

void skv_storage_release(skv_storage *storage) {
    if (!storage || atomic_fetch_sub_explicit(&storage->refs, 1, memory_order_acq_rel) != 1) return;
    if (storage->owned) skive_tensor_free(storage->ctx, &storage->tensor);
    if (storage->coded) skv_coded_free(storage->ctx, storage->coded);
    skv_free(storage->ctx, storage->coded);
    skv_map_release(storage->map);
    skv_free(storage->ctx, storage);
}

skive_status skv_storage_make_unique(skive_context *ctx, skv_storage **storage) {
    skv_storage *old = *storage, *fresh;
    if (atomic_load_explicit(&old->refs, memory_order_acquire) == 1 && old->owned && old->form == &skv_form_dense) {
        return SKIVE_OK;
    }
    SKV_TRY(create_empty(ctx, &fresh));
    skive_status status = skv_storage_inflate(ctx, old, &fresh->tensor);
    if (status != SKIVE_OK) {
        skv_storage_release(fresh);
        return status;
    }
    *storage = fresh;
    skv_storage_release(old);
    return SKIVE_OK;
}
