/* Parameters: reference-counted storages, shared between graphs, possibly pointing into the buffer of a file.
 *
 * skv_storage_make_unique must be called before writing. The count is atomic, so graphs on different threads may share
 * a storage; its contents are immutable while the count is above one. */
#ifndef SKV_STORAGE_H
#define SKV_STORAGE_H

#include <skive/tensor.h>

#include "base/base.h"

typedef struct skv_storage skv_storage;
typedef struct skv_form skv_form;

/* A parameter in one of the storage forms: one symbol per element, the meaning of the symbols, and numbers that are
 * stored directly. The form determines which members are used. */
typedef struct skv_coded {
    const skv_form *form;
    skive_dtype dtype; /* of the dense parameter */
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
    uint8_t *symbols;  /* [count], in the order of the values they represent; NULL: none */
    unsigned alphabet; /* number of symbols, 1 to 256 */
    int zero;          /* the symbol of 0 (or, of integers, the commonest); -1: none */
    float *table;      /* [n_table] values by symbol, or scales */
    int64_t n_table;
    int64_t group;       /* number of consecutive elements that share a scale; 0: element i has scale i % n_table */
    skive_tensor values; /* rank 1: all elements, or those whose symbol is not that of zero */
} skv_coded;
void skv_coded_free(skive_context *ctx, skv_coded *coded);
int64_t skv_coded_count(const skv_coded *coded);    /* of elements */
int64_t skv_coded_nonzeros(const skv_coded *coded); /* of a float32 parameter */
/* Those elements of a float32 parameter that have symbols and are not zero, in order: out[skv_coded_nonzeros]. */
void skv_coded_nonzero_values(const skv_coded *coded, float *out);

/* The storage form of a parameter: dense, or one of the compressed forms. Forms describe and restore; what rounds to
 * numbers that a form holds is a number grid (tensor/grid.h). One record per form, listed in forms.inc. */
struct skv_form {
    const char *name;
    const char *brief;
    uint8_t code; /* its number in files; must never change */
    /* Describes the parameter exactly, to the bit; *fits is false and nothing is allocated if the form cannot. */
    skive_status (*describe)(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits);
    /* The reason why this is not valid for the form (number of table entries, types of values), NULL if it is: for data
     * read from a file. The symbols are known to be in the alphabet. */
    const char *(*fault)(const skv_coded *coded);
    /* Element i by its symbol; NULL if values are stored separately. */
    float (*value)(const skv_coded *coded, int64_t i);
    /* The value of a symbol; if the form is `scaled`, to be multiplied by the scale of the element. NULL if `value`
     * is. */
    float (*level)(const skv_coded *coded, unsigned symbol);
    bool scaled;
    /* Restores the dense data exactly; `out` has the parameter's type and shape. Cannot fail if there is no fault. */
    void (*restore)(const skv_coded *coded, skive_tensor *out);
};

#define X(name) extern const skv_form skv_form_##name;
#include "tensor/forms.inc"
#undef X

const skv_form *skv_form_find(const char *name); /* NULL when unknown */
const skv_form *skv_form_by_code(unsigned code);
size_t skv_form_count(void);
const skv_form *skv_form_at(size_t index); /* in list order; NULL past the end */

struct skv_storage {
    atomic_size_t refs;
    skive_context *ctx; /* allocates and frees it */
    const skv_form *form;
    skv_coded *coded;    /* of every form but dense */
    skive_tensor tensor; /* dense view; for another form type and shape with data NULL */
    bool owned;          /* tensor.data is freed with the storage */
    skv_map *map;        /* the file tensor.data points into, or NULL */
};

/* Each returns one reference. ERR_ARGUMENT, ERR_LIMIT, ERR_MEMORY. */
skive_status skv_storage_create(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                skv_storage **out);                                                      /* zeroed */
skive_status skv_storage_from_tensor(skive_context *ctx, const skive_tensor *tensor, skv_storage **out); /* copies */
/* Moves: *tensor must own its data and is left empty on success, untouched on failure. */
skive_status skv_storage_take(skive_context *ctx, skive_tensor *tensor, skv_storage **out);
/* The elements as files have them: little-endian, at any address. They are copied. */
skive_status skv_storage_from_bytes(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims,
                                    const void *bytes, skv_storage **out);
/* The same at `offset` of the map, which is retained; copied only if it is misaligned for the type or the processor's
 * order of bytes is another one. ERR_FORMAT if it is not inside the map. */
skive_status skv_storage_map(skive_context *ctx, skive_dtype dtype, int rank, const int64_t *dims, skv_map *map,
                             size_t offset, skv_storage **out);

/* Takes over the contents of *coded; on failure the caller keeps them. */
skive_status skv_storage_take_coded(skive_context *ctx, skv_coded *coded, skv_storage **out);
/* The parameter as a new dense tensor, freed by skive_tensor_free. */
skive_status skv_storage_inflate(skive_context *ctx, const skv_storage *storage, skive_tensor *out);

skv_storage *skv_storage_retain(skv_storage *storage); /* releases it; NULL is accepted */
void skv_storage_release(skv_storage *storage);        /* NULL is accepted */

/* Makes *storage writable: a storage that is shared, mapped or not dense is replaced by a dense copy of its own (the
 * reference held is released). On failure nothing changes. */
skive_status skv_storage_make_unique(skive_context *ctx, skv_storage **storage);

#endif
