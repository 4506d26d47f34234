/* The codebook form: at most 256 different float32 values, and an index into them for each element. */
#include <stdlib.h>

#include "tensor/form.h"

enum { MOST = 256, SLOTS = 1024 };

/* Floats in the order of their values, -0 before 0: bits that compare as integers do. */
static int32_t order_of(float x) {
    const int32_t bits = (int32_t)skv_f32_bits(x);
    return bits < 0 ? INT32_MIN - bits - 1 : bits;
}

static int by_value(const void *a, const void *b) {
    const int32_t x = order_of(*(const float *)a), y = order_of(*(const float *)b);
    return (x > y) - (x < y);
}

typedef struct distinct {
    float value[SLOTS];
    int16_t symbol[SLOTS]; /* -1: empty */
    float sorted[MOST];
    int n;
} distinct;

static unsigned slot_of(const distinct *d, float x) {
    const uint32_t bits = skv_f32_bits(x);
    unsigned at = (bits * 2654435761u) >> 22;
    while (d->symbol[at] >= 0 && skv_f32_bits(d->value[at]) != bits) at = (at + 1) % SLOTS;
    return at;
}

/* False as soon as there are too many, or one is not finite. */
static bool collect(distinct *d, const float *x, int64_t n) {
    memset(d->symbol, 0xff, sizeof d->symbol);
    d->n = 0;
    for (int64_t i = 0; i < n; i++) {
        const unsigned at = slot_of(d, x[i]);
        if (d->symbol[at] >= 0) continue;
        if (d->n == MOST || !isfinite(x[i])) return false;
        d->value[at] = x[i];
        d->symbol[at] = 0;
        d->sorted[d->n++] = x[i];
    }
    qsort(d->sorted, (size_t)d->n, sizeof *d->sorted, by_value);
    for (int k = 0; k < d->n; k++) d->symbol[slot_of(d, d->sorted[k])] = (int16_t)k;
    return true;
}

static skive_status fill(skive_context *ctx, const distinct *d, const skive_tensor *t, skv_coded *c) {
    const int64_t n = skive_tensor_count(t);
    const float *x = t->data;
    c->alphabet = (unsigned)d->n;
    c->n_table = d->n;
    SKV_TRY(skv_alloc(ctx, (size_t)d->n * sizeof(float), &c->table));
    memcpy(c->table, d->sorted, (size_t)d->n * sizeof(float));
    for (int k = 0; k < d->n; k++) {
        if (skv_f32_bits(d->sorted[k]) == 0) c->zero = k;
    }
    SKV_TRY(skv_alloc(ctx, (size_t)n, &c->symbols));
    for (int64_t i = 0; i < n; i++) c->symbols[i] = (uint8_t)d->symbol[slot_of(d, x[i])];
    return SKIVE_OK;
}

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    distinct *d = NULL;
    skv_coded c = skv_coded_of(&skv_form_codebook, t);
    *fits = false;
    if (t->dtype != SKIVE_F32 || skive_tensor_count(t) < 1) return SKIVE_OK;
    SKV_TRY(skv_alloc(ctx, sizeof *d, &d));
    skive_status status = SKIVE_OK;
    *fits = collect(d, t->data, skive_tensor_count(t));
    if (*fits) status = fill(ctx, d, t, &c);
    skv_free(ctx, d);
    if (status == SKIVE_OK) {
        if (*fits) *out = c;
        return SKIVE_OK;
    }
    skv_coded_free(ctx, &c);
    return status;
}

static const char *fault(const skv_coded *c) {
    if (c->dtype != SKIVE_F32) return "this form stores float32 only";
    if (!c->symbols) return skv_lacks_symbols;
    if (c->n_table < 1 || c->n_table != (int64_t)c->alphabet) return "its codebook does not have one value per symbol";
    if (!skv_table_finite(c)) return "its codebook contains NaN or infinity";
    for (int64_t k = 1; k < c->n_table; k++) {
        if (order_of(c->table[k]) <= order_of(c->table[k - 1]))
            return "the values of its codebook are not in ascending order";
    }
    if (c->zero >= 0 && skv_f32_bits(c->table[c->zero]) != 0) return "the codebook entry marked as zero is not zero";
    return NULL;
}

static float level(const skv_coded *c, unsigned symbol) { return c->table[symbol]; }
static float value(const skv_coded *c, int64_t i) { return level(c, c->symbols[i]); }

const skv_form skv_form_codebook = {
    .name = "codebook",
    .brief = "at most 256 values, and an index into them for each element",
    .code = 8,
    .describe = describe,
    .fault = fault,
    .value = value,
    .level = level,
    .restore = skv_restore_values,
};
