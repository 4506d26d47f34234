/* Parameters: counted storages, shared between graphs, possibly mapped read-only from a file.
 *
 * Whoever wants to write first calls skv_storage_make_unique. The count is atomic, so graphs on different threads may
 * share a storage; its contents are immutable while the count is above one. */
#ifndef SKV_STORAGE_H
#define SKV_STORAGE_H

#include <skive/tensor.h>

#include "base/base.h"

typedef struct skv_storage skv_storage;

/* How a parameter is kept: dense, or one of the compressed forms. One record a form, listed in forms.inc. */
typedef struct skv_form {
    const char *name;
    const char *brief;
    /* The parameter as a dense tensor of its own, freed by skive_tensor_free. */
    skive_status (*inflate)(skive_context *ctx, const skv_storage *storage, skive_tensor *out);
} skv_form;

#define X(name) extern const skv_form skv_form_##name;
#include "tensor/forms.inc"
#undef X

const skv_form *skv_form_find(const char *name); /* NULL when unknown */
const skv_form *skv_form_at(size_t index);       /* in list order; NULL past the end */

struct skv_storage {
    atomic_size_t refs;
    skive_context *ctx; /* made through it and freed through it */
    const skv_form *form;
    skive_tensor tensor; /* dense view; for another form type and shape with data NULL */
    bool owned;          /* tensor.data is freed with the storage */
    skv_map *map;        /* the file tensor.data points into, or NULL */
};

/* Each gives one reference. ERR_ARGUMENT, ERR_LIMIT, ERR_MEMORY. */
skive_status skv_storage_create(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                skv_storage **out);                                                      /* zeroed */
skive_status skv_storage_from_tensor(skive_context *ctx, const skive_tensor *tensor, skv_storage **out); /* copies */
/* Moves: *tensor must own its data and is left empty on success, untouched on failure. */
skive_status skv_storage_take(skive_context *ctx, skive_tensor *tensor, skv_storage **out);
/* Data at `offset` of the map, which is retained; copied instead where the file has it misaligned for the type.
 * ERR_FORMAT when it does not lie inside the map. */
skive_status skv_storage_map(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, skv_map *map,
                             size_t offset, skv_storage **out);

skv_storage *skv_storage_retain(skv_storage *storage); /* gives it back; NULL is accepted */
void skv_storage_release(skv_storage *storage);        /* NULL is accepted */

/* Makes *storage writable: a storage that is shared, mapped or not dense is replaced by a dense copy of its own (the
 * reference held is released). On failure nothing changes. */
skive_status skv_storage_make_unique(skive_context *ctx, skv_storage **storage);

#endif
