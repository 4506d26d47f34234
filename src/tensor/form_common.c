/* Helpers of the storage forms: empty descriptions and groups with a common scale. */
#include "tensor/form.h"

const char skv_lacks_symbols[] = "it has no symbols",
           skv_needs_no_symbols[] = "it has symbols, which this form does not use";

skv_coded skv_coded_of(const skv_form *form, const skive_tensor *t) {
    skv_coded c = {.form = form, .dtype = t->dtype, .rank = t->rank, .zero = -1};
    memcpy(c.dims, t->dims, sizeof c.dims);
    return c;
}

bool skv_table_finite(const skv_coded *c) {
    for (int64_t i = 0; i < c->n_table; i++) {
        if (!isfinite(c->table[i])) return false;
    }
    return true;
}

/* Is there a scale for every element? */
static bool scales_cover(const skv_coded *c) {
    const int64_t count = skv_coded_count(c);
    if (c->n_table < 1 || c->group < 0) return count == 0;
    return c->group == 0 || (count + c->group - 1) / c->group <= c->n_table;
}

static int64_t per_channel(const skive_tensor *t) {
    const int64_t count = skive_tensor_count(t);
    return t->rank > 1 && t->dims[0] > 0 ? count / t->dims[0] : count;
}

enum { MOST_GROUPS = 64, LARGEST_GROUP = 4096, SMALLEST_GROUP = 4 };
/* The group sizes worth trying for `t`, the largest first; 0 at the end. Below a channel those that divide a row, as
 * grids have them (skv_quantizer_group). */
static void group_candidates(const skive_tensor *t, int64_t groups[MOST_GROUPS + 3]) {
    const int64_t count = skive_tensor_count(t), channel = per_channel(t);
    const int64_t row = t->rank > 2 ? channel : t->rank > 0 ? t->dims[t->rank - 1] : 1;
    int n = 0;
    groups[n++] = count;
    if (channel > 1 && channel < count) groups[n++] = channel;
    for (int64_t size = row - 1 < LARGEST_GROUP ? row - 1 : LARGEST_GROUP; size >= SMALLEST_GROUP; size--)
        if (row % size == 0 && n < MOST_GROUPS) groups[n++] = size;
    groups[n] = 0;
}

static skive_status with_groups(skive_context *ctx, const skv_scaled *s, const skive_tensor *t, skv_coded *c,
                                bool *fits) {
    const int64_t count = skive_tensor_count(t), group = c->group;
    const float *x = t->data;
    *fits = false;
    c->n_table = (count + group - 1) / group;
    SKV_TRY(skv_alloc_array(ctx, (size_t)c->n_table, sizeof(float), &c->table));
    for (int64_t k = 0; k < c->n_table; k++) {
        const int64_t left = count - k * group;
        c->table[k] = s->scale(s->form, x + k * group, left < group ? left : group);
        if (c->table[k] < 0) return SKIVE_OK;
    }
    SKV_TRY(skv_alloc(ctx, (size_t)count, &c->symbols));
    for (int64_t i = 0; i < count; i++) c->symbols[i] = (uint8_t)s->symbol(s->form, x[i], c->table[i / group]);
    *fits = true;
    return SKIVE_OK;
}

skive_status skv_scaled_describe(skive_context *ctx, const skv_scaled *s, const skive_tensor *t, skv_coded *out,
                                 bool *fits) {
    int64_t groups[MOST_GROUPS + 3];
    *fits = false;
    if (t->dtype != SKIVE_F32 || skive_tensor_count(t) < 1) return SKIVE_OK;
    group_candidates(t, groups);
    for (int k = 0; groups[k]; k++) {
        skv_coded c = skv_coded_of(s->form, t);
        c.alphabet = s->alphabet;
        c.zero = s->zero;
        c.group = groups[k];
        const skive_status status = with_groups(ctx, s, t, &c, fits);
        if (status == SKIVE_OK && *fits) {
            *out = c;
            return SKIVE_OK;
        }
        skv_coded_free(ctx, &c);
        SKV_TRY(status);
    }
    return SKIVE_OK;
}

const char *skv_scaled_fault(const skv_coded *c, unsigned alphabet, int zero) {
    if (c->dtype != SKIVE_F32) return "this form stores float32 only";
    if (!c->symbols) return skv_lacks_symbols;
    if (c->alphabet != alphabet || c->zero != zero) return "its alphabet is not that of the form";
    if (!scales_cover(c)) return "it has too few scales";
    if (!skv_table_finite(c)) return "a scale is NaN or infinite";
    return NULL;
}

void skv_restore_values(const skv_coded *c, skive_tensor *out) {
    float *x = out->data;
    const int64_t n = skive_tensor_count(out);
    for (int64_t i = 0; i < n; i++) x[i] = c->form->value(c, i);
}
