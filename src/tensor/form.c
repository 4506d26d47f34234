/* The list of storage forms, and the memory of a coded parameter. */
#include <string.h>

#include "tensor/storage.h"
#include "tensor/tensor.h"

static const skv_form *const forms[] = {
#define X(name) &skv_form_##name,
#include "tensor/forms.inc"
#undef X
};

const skv_form *skv_form_find(const char *name) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i]->name, name) == 0) return forms[i];
    }
    return NULL;
}

const skv_form *skv_form_by_code(unsigned code) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (forms[i]->code == code) return forms[i];
    }
    return NULL;
}

void skv_coded_free(skive_context *ctx, skv_coded *coded) {
    skv_free(ctx, coded->symbols);
    skv_free(ctx, coded->table);
    skive_tensor_free(ctx, &coded->values);
    *coded = (skv_coded){0};
}

int64_t skv_coded_count(const skv_coded *coded) {
    int64_t count = 0;
    return skv_dims_count(coded->rank, coded->dims, &count) ? count : 0;
}

int64_t skv_coded_nonzeros(const skv_coded *coded) {
    int64_t n = 0;
    const int64_t symbols = coded->symbols ? skv_coded_count(coded) : 0;
    for (int64_t i = 0; i < symbols; i++) n += coded->symbols[i] != coded->zero;
    for (int64_t i = 0; !coded->symbols && i < skive_tensor_count(&coded->values); i++)
        n += skv_load_f64(coded->values.dtype, coded->values.data, (size_t)i) != 0;
    return n;
}

void skv_coded_nonzero_values(const skv_coded *coded, float *out) {
    const int64_t n = coded->symbols ? skv_coded_count(coded) : 0;
    int64_t at = 0;
    if (coded->values.data) {
        skv_to_f32(coded->values.dtype, coded->values.data, 0, (size_t)skive_tensor_count(&coded->values), out);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (coded->symbols[i] != coded->zero) out[at++] = coded->form->value(coded, i);
    }
}

size_t skv_form_count(void) { return sizeof forms / sizeof forms[0]; }
const skv_form *skv_form_at(size_t index) { return index < skv_form_count() ? forms[index] : NULL; }
