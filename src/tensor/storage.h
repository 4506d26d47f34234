/* Parameters: counted storages, shared between graphs, possibly mapped read-only from a file.
 *
 * Whoever wants to write first calls skv_storage_make_unique. The count is atomic, so graphs on different threads may
 * share a storage; its contents are immutable while the count is above one. */
#ifndef SKV_STORAGE_H
#define SKV_STORAGE_H

#include <skive/tensor.h>

#include "base/base.h"

typedef struct skv_storage skv_storage;
typedef struct skv_form skv_form;

/* A parameter in one of the storage forms: a symbol an element, what the symbols mean, and the numbers that are kept as
 * they are. Which members are there is the form's affair. */
typedef struct skv_coded {
    const skv_form *form;
    skive_dtype dtype; /* of the dense parameter */
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
    uint8_t *symbols;  /* [count], in the order of the values they stand for; NULL: none */
    unsigned alphabet; /* each is below it: 1 to 256 */
    int zero;          /* the symbol of 0 (or, of integers, the commonest); -1: none */
    float *table;      /* [n_table] values by symbol, or scales */
    int64_t n_table;
    int64_t group;       /* so many elements in a row share a scale; 0: element i has scale i % n_table */
    skive_tensor values; /* rank 1: all elements, or those whose symbol is not zero */
} skv_coded;
void skv_coded_free(skive_context *ctx, skv_coded *coded);
int64_t skv_coded_count(const skv_coded *coded);    /* of elements */
int64_t skv_coded_nonzeros(const skv_coded *coded); /* of a float32 parameter */
/* Those elements of a float32 parameter that have symbols and are not zero, in order: out[skv_coded_nonzeros]. */
void skv_coded_nonzero_values(const skv_coded *coded, float *out);

/* How a parameter is kept: dense, or one of the compressed forms. One record a form, listed in forms.inc. */
struct skv_form {
    const char *name;
    const char *brief;
    uint8_t code; /* its number in files, for ever */
    /* Rounds a float32 parameter to what the form can hold; `arg` is what was written behind a colon, or NULL. NULL:
     * there is nothing to round, or other rooms do it (a codebook). ERR_ARGUMENT, ERR_NUMERIC. */
    skive_status (*round)(skive_context *ctx, const char *arg, skive_tensor *t);
    /* Describes the parameter exactly, to the bit; *fits false and nothing allocated where the form cannot. */
    skive_status (*describe)(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits);
    /* Why this cannot be of the form (numbers of table entries, kinds of values), NULL when it can: for what was read
     * from a file. The symbols are known to lie in the alphabet. */
    const char *(*fault)(const skv_coded *coded);
    /* Element i by its symbol; NULL where values stand apart. */
    float (*value)(const skv_coded *coded, int64_t i);
    /* What a symbol stands for; where the form is `scaled`, times the scale of the element. NULL with `value`. */
    float (*level)(const skv_coded *coded, unsigned symbol);
    bool scaled;
    /* The dense data, exactly; `out` has the parameter's type and shape. Cannot fail on what has no fault. */
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
    skive_context *ctx; /* made through it and freed through it */
    const skv_form *form;
    skv_coded *coded;    /* of every form but dense */
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

/* Takes what *coded holds; on failure it stays the caller's. */
skive_status skv_storage_take_coded(skive_context *ctx, skv_coded *coded, skv_storage **out);
/* The parameter as a dense tensor of its own, freed by skive_tensor_free. */
skive_status skv_storage_inflate(skive_context *ctx, const skv_storage *storage, skive_tensor *out);

skv_storage *skv_storage_retain(skv_storage *storage); /* gives it back; NULL is accepted */
void skv_storage_release(skv_storage *storage);        /* NULL is accepted */

/* Makes *storage writable: a storage that is shared, mapped or not dense is replaced by a dense copy of its own (the
 * reference held is released). On failure nothing changes. */
skive_status skv_storage_make_unique(skive_context *ctx, skv_storage **storage);

#endif
