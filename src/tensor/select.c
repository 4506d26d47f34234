/* Tensors with some indices of their axes left out. */
#include "tensor/strings.h"

/* Elements first .. first + n - 1 of `from` go to place `at` of `to`. */
static void copy_run(skive_dtype dtype, void *to, int64_t at, const void *from, int64_t first, int64_t n) {
    const int bits = skive_dtype_bits(dtype);
    if (bits >= 8) {
        const size_t size = (size_t)bits / 8;
        memcpy((char *)to + (size_t)at * size, (const char *)from + (size_t)first * size, (size_t)n * size);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const unsigned value = skv_load_narrow((unsigned)bits, from, (size_t)(first + i));
        skv_store_narrow((unsigned)bits, to, (size_t)(at + i), value);
    }
}

static int64_t count_kept(const bool *keep, int64_t n) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) kept += keep[i];
    return kept;
}

/* Strings do not stay in the tensor from which they are taken. */
static skive_status own_text(skive_context *ctx, skive_tensor *t) {
    const skive_status status = skv_strings_own(ctx, t);
    if (status != SKIVE_OK) skive_tensor_free(ctx, t);
    return status;
}

skive_status skv_tensor_select(skive_context *ctx, const skive_tensor *t, const bool *const *keep, skive_tensor *out) {
    int64_t dims[SKIVE_MAX_RANK] = {0}, index[SKIVE_MAX_RANK] = {0}, at = 0, first = 0;
    int last = -1;
    for (int d = 0; d < t->rank; d++) {
        dims[d] = keep[d] ? count_kept(keep[d], t->dims[d]) : t->dims[d];
        if (keep[d]) last = d;
    }
    SKV_TRY(skive_tensor_create(ctx, t->dtype, t->rank, dims, out));
    const int64_t count = skive_tensor_count(t);
    if (last < 0) {
        if (count > 0) copy_run(t->dtype, out->data, 0, t->data, 0, count);
        return own_text(ctx, out);
    }
    /* Runs: what lies behind one index of the last axis that loses any. */
    int64_t run = 1;
    for (int d = last + 1; d < t->rank; d++) run *= t->dims[d];
    for (; first < count && run > 0; first += run) {
        bool kept = true;
        for (int d = 0; d <= last && kept; d++) kept = !keep[d] || keep[d][index[d]];
        if (kept) {
            copy_run(t->dtype, out->data, at, t->data, first, run);
            at += run;
        }
        for (int d = last; d >= 0 && ++index[d] == t->dims[d]; d--) index[d] = 0;
    }
    return own_text(ctx, out);
}
