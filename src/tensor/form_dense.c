/* The dense form: elements of the parameter's own type, row-major. Elements of at most 8 bits are symbols, in ascending
 * order of their values; of wider types all values are stored. Strings are stored as the
 * bytes of their text, each with a NUL; skv_strings_parse restores them. */
#include "tensor/form.h"
#include "tensor/strings.h"

static unsigned alphabet_of(skive_dtype dtype) { return 1u << skive_dtype_bits(dtype); }

/* Maps two's complement to ascending symbols: the smallest number is symbol 0. */
static unsigned sign_bit(skive_dtype dtype) {
    return dtype == SKIVE_I8 ? 128u : dtype == SKIVE_I4 ? 8u : dtype == SKIVE_I2 ? 2u : 0u;
}

static int commonest(const uint8_t *symbols, int64_t n) {
    int64_t counts[256] = {0};
    int best = 0;
    for (int64_t i = 0; i < n; i++) counts[symbols[i]]++;
    for (int k = 1; k < 256; k++) best = counts[k] > counts[best] ? k : best;
    return best;
}

static skive_status describe(skive_context *ctx, const skive_tensor *t, skv_coded *out, bool *fits) {
    const int64_t n = skive_tensor_count(t);
    const int bits = skive_dtype_bits(t->dtype);
    skv_coded c = skv_coded_of(&skv_form_dense, t);
    *fits = true;
    if (t->dtype == SKIVE_STRING) {
        size_t bytes;
        if (!skv_strings_bytes(t, &bytes) || bytes > INT64_MAX)
            return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "a parameter has too much text");
        const int64_t length = (int64_t)bytes;
        SKV_TRY(skive_tensor_create(ctx, SKIVE_U8, 1, &length, &c.values));
        skv_strings_join(t, c.values.data);
    } else if (bits > 8) {
        skive_tensor flat = *t;
        flat.rank = 1;
        flat.dims[0] = n;
        SKV_TRY(skive_tensor_copy(ctx, &flat, &c.values));
    } else {
        SKV_TRY(skv_alloc(ctx, (size_t)n, &c.symbols));
        if (bits < 8)
            for (int64_t i = 0; i < n; i++) c.symbols[i] = (uint8_t)skv_load_narrow((unsigned)bits, t->data, (size_t)i);
        else if (n)
            memcpy(c.symbols, t->data, (size_t)n);
        for (int64_t i = 0; i < n; i++) c.symbols[i] ^= (uint8_t)sign_bit(t->dtype);
        c.alphabet = alphabet_of(t->dtype);
        c.zero = commonest(c.symbols, n);
    }
    *out = c;
    return SKIVE_OK;
}

static const char *fault(const skv_coded *c) {
    if (skive_dtype_bits(c->dtype) <= 8 && !c->symbols) return skv_lacks_symbols;
    if (skive_dtype_bits(c->dtype) <= 8)
        return c->alphabet != alphabet_of(c->dtype) ? "its symbols do not fit its type" : NULL;
    if (c->symbols) return skv_needs_no_symbols;
    if (c->dtype == SKIVE_STRING) return c->values.dtype == SKIVE_U8 ? NULL : "its strings are not bytes";
    if (c->values.dtype != c->dtype || skive_tensor_count(&c->values) != skv_coded_count(c))
        return "it does not have one value per element";
    return NULL;
}

static void restore(const skv_coded *c, skive_tensor *out) {
    const int64_t n = skive_tensor_count(out);
    if (c->dtype == SKIVE_STRING) return; /* their text needs memory of its own; see above */
    if (skive_dtype_bits(c->dtype) > 8) {
        if (n) memcpy(out->data, c->values.data, skive_tensor_bytes(out));
        return;
    }
    const unsigned bits = (unsigned)skive_dtype_bits(c->dtype);
    if (bits < 8) {
        for (int64_t i = 0; i < n; i++)
            skv_store_narrow(bits, out->data, (size_t)i, c->symbols[i] ^ sign_bit(c->dtype));
        return;
    }
    for (int64_t i = 0; i < n; i++) ((uint8_t *)out->data)[i] = (uint8_t)(c->symbols[i] ^ sign_bit(c->dtype));
}

const skv_form skv_form_dense = {
    .name = "dense",
    .brief = "every element in its own type",
    .code = 0,
    .describe = describe,
    .fault = fault,
    .restore = restore,
};
