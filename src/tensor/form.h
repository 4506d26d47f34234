/* Helpers shared by the storage forms. */
#ifndef SKV_TENSOR_FORM_H
#define SKV_TENSOR_FORM_H

#include "tensor/storage.h"
#include "tensor/tensor.h"

/* A description of `t` with nothing in it yet. */
skv_coded skv_coded_of(const skv_form *form, const skive_tensor *t);
/* Are all the floats of a table finite? */
bool skv_table_finite(const skv_coded *c);
extern const char skv_lacks_symbols[], skv_needs_no_symbols[]; /* faults */
static inline float skv_scale_of(const skv_coded *c, int64_t i) {
    return c->table[c->group > 0 ? i / c->group : i % c->n_table];
}

/* A form of symbols and scales: the common scale of n elements, negative if there is none, and an element's symbol. */
typedef struct skv_scaled {
    const skv_form *form;
    unsigned alphabet;
    int zero;
    float (*scale)(const skv_form *form, const float *x, int64_t n);
    unsigned (*symbol)(const skv_form *form, float x, float scale);
} skv_scaled;
/* Describes t with one scale for all, or else for each channel, or for each 128, 64 or 32 elements of a row. */
skive_status skv_scaled_describe(skive_context *ctx, const skv_scaled *s, const skive_tensor *t, skv_coded *out,
                                 bool *fits);
/* Elements one by one by the form's `value`. */
void skv_restore_values(const skv_coded *c, skive_tensor *out);
/* The error in type, symbols or scales of such a form, or NULL. */
const char *skv_scaled_fault(const skv_coded *c, unsigned alphabet, int zero);

#endif
