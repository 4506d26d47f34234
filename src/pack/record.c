/* One parameter's record: written in the form and with the coders that make it smallest, and read back.
 *
 * Symbols are arranged in one of three ways: all in one stream; the gaps between nonzero symbols, followed by these; or
 * a bitmap, followed by these. Numbers are stored raw, in byte planes of equal significance, or as varints. */
#include <string.h>

#include "base/endian.h"
#include "pack/pack.h"
#include "tensor/strings.h"

enum {
    HAS_SYMBOLS = 1,
    HAS_TABLE = 2,
    HAS_VALUES = 4,
    TRAINABLE = 8,
    ARRANGEMENT_AT = 4,
    IS_ALIAS = 64,
    KEEPS_ZEROS = 128
};
enum { TOGETHER, GAPS, BITMAP, ARRANGEMENTS };
enum { RAW, PLANES, VARINTS };
enum { ESCAPE = 255 }; /* as a gap: 255 zeros and no weight */

/* ---- streams ---- a varint of 8 * bytes + coder, then the bytes */

enum { CONTEXT_WITHOUT_ZERO = 1 << 16 }; /* number of symbols on which adaptive coding is tried before it is skipped */

static bool worth_trying(const skv_coder *c, const skv_coder *only, const skv_symbol_shape *s) {
    if (only) return c == only;
    return s->zero >= 0 || s->n <= CONTEXT_WITHOUT_ZERO || strcmp(c->name, "context") != 0;
}

static skive_status write_stream(skive_context *ctx, const skv_symbol_shape *s, const uint8_t *symbols,
                                 const skv_coder *only, skv_bytes *out, skv_record_sizes *sizes) {
    skv_bytes best = skv_bytes_to(ctx);
    const skv_coder *coder = NULL;
    skive_status status = SKIVE_OK;
    for (size_t i = 0; i < skv_coder_count(); i++) {
        skv_bytes tried = skv_bytes_to(ctx);
        if (!worth_trying(skv_coder_at(i), only, s)) continue;
        status = skv_coder_at(i)->encode(ctx, s, symbols, &tried);
        if (status != SKIVE_OK || (coder && tried.n >= best.n)) {
            skv_bytes_free(&tried);
            if (status != SKIVE_OK) break;
            continue;
        }
        skv_bytes_free(&best);
        best = tried;
        coder = skv_coder_at(i);
    }
    if (status == SKIVE_OK && coder) {
        skv_bytes_varint(out, (uint64_t)best.n * 8 + coder->code);
        skv_bytes_put(out, best.data, best.n);
        if (!sizes->coder || best.n > sizes->largest) {
            sizes->largest = best.n;
            sizes->coder = coder;
        }
        status = out->status;
    }
    skv_bytes_free(&best);
    return status;
}

static skive_status read_stream(skive_context *ctx, const skv_symbol_shape *s, skv_reader *in, uint8_t *symbols,
                                skv_record_sizes *sizes) {
    const uint64_t head = skv_read_varint(in);
    const skv_coder *coder = skv_coder_by_code(head & 7u);
    if (!coder)
        return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "coder %u is from a newer version of the format",
                        (unsigned)head & 7u);
    if (in->failed || head / 8 > skv_read_left(in)) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a stream is truncated");
    skv_reader part = skv_read_part(in, (size_t)(head / 8));
    if (!sizes->coder || head / 8 > sizes->largest) {
        sizes->largest = (size_t)(head / 8);
        sizes->coder = coder;
    }
    SKV_TRY(coder->decode(ctx, s, &part, symbols));
    if (part.failed || part.at != part.end)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a stream is %s than its symbols", part.failed ? "shorter" : "longer");
    return SKIVE_OK;
}

/* ---- symbols ---- */

static size_t columns_of(const skv_coded *c) {
    const int64_t count = skv_coded_count(c);
    const int64_t columns = c->rank > 1 && c->dims[0] > 0 ? count / c->dims[0] : count;
    return columns > 0 ? (size_t)columns : 1;
}

/* The nonzero symbols, renumbered: those above zero are one lower. */
static size_t take_kept(const skv_coded *c, uint8_t *kept) {
    const size_t n = (size_t)skv_coded_count(c);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (c->symbols[i] != c->zero) kept[at++] = (uint8_t)(c->symbols[i] - (c->symbols[i] > c->zero));
    }
    return at;
}

static size_t take_gaps(const skv_coded *c, uint8_t *gaps, unsigned *alphabet) {
    const size_t n = (size_t)skv_coded_count(c);
    size_t at = 0, gap = 0;
    *alphabet = 1;
    for (size_t i = 0; i < n; i++) {
        if (c->symbols[i] == c->zero && ++gap < ESCAPE) continue;
        if (c->symbols[i] == c->zero) {
            gaps[at] = ESCAPE;
        } else {
            gaps[at] = (uint8_t)gap;
        }
        if (gaps[at] + 1u > *alphabet) *alphabet = gaps[at] + 1u;
        at++;
        gap = 0;
    }
    return at;
}

static skv_symbol_shape shape_of_kept(const skv_coded *c, size_t n) {
    return (skv_symbol_shape){
        .n = n, .columns = n ? n : 1, .alphabet = c->alphabet > 1 ? c->alphabet - 1 : 1, .zero = -1};
}

static skv_symbol_shape shape_of_mask(const skv_coded *c) {
    return (skv_symbol_shape){.n = (size_t)skv_coded_count(c), .columns = columns_of(c), .alphabet = 2, .zero = 0};
}

/* The purpose of a single stream of all symbols: positions, if symbols are only flags; values, if none is zero. */
static size_t *whole(const skv_coded *c, skv_record_sizes *sizes) {
    if (c->zero < 0) return &sizes->values;
    return c->form == &skv_form_sparse ? &sizes->positions : &sizes->together;
}

static skive_status write_arranged(skive_context *ctx, const skv_coded *c, int arrangement, const skv_coder *only,
                                   uint8_t *room, skv_bytes *out, skv_record_sizes *sizes) {
    const size_t count = (size_t)skv_coded_count(c);
    if (arrangement == TOGETHER) {
        const skv_symbol_shape all = {.n = count, .columns = columns_of(c), .alphabet = c->alphabet, .zero = c->zero};
        SKV_TRY(write_stream(ctx, &all, c->symbols, only, out, sizes));
        *whole(c, sizes) = out->n;
        return SKIVE_OK;
    }
    if (arrangement == GAPS) {
        unsigned alphabet;
        const size_t n = take_gaps(c, room, &alphabet);
        const skv_symbol_shape gaps = {.n = n, .columns = n ? n : 1, .alphabet = alphabet, .zero = -1};
        skv_bytes_varint(out, n);
        skv_bytes_u8(out, alphabet - 1);
        SKV_TRY(write_stream(ctx, &gaps, room, only, out, sizes));
    } else {
        const skv_symbol_shape mask = shape_of_mask(c);
        for (size_t i = 0; i < count; i++) room[i] = c->symbols[i] != c->zero;
        SKV_TRY(write_stream(ctx, &mask, room, only, out, sizes));
    }
    sizes->positions = out->n;
    const size_t n = take_kept(c, room);
    const skv_symbol_shape kept = shape_of_kept(c, n);
    if (kept.alphabet > 1) SKV_TRY(write_stream(ctx, &kept, room, only, out, sizes));
    sizes->values = out->n - sizes->positions;
    return out->status;
}

/* Tries the applicable arrangements and appends the shortest. */
static skive_status write_symbols(skive_context *ctx, const skv_coded *c, const skv_coder *only, skv_bytes *out,
                                  int *arrangement, skv_record_sizes *sizes) {
    skv_bytes best = skv_bytes_to(ctx);
    skv_record_sizes best_sizes = {0};
    uint8_t *room = NULL;
    bool found = false;
    SKV_TRY(skv_alloc(ctx, (size_t)skv_coded_count(c), &room));
    skive_status status = SKIVE_OK;
    for (int a = 0; a < ARRANGEMENTS && status == SKIVE_OK; a++) {
        skv_bytes tried = skv_bytes_to(ctx);
        skv_record_sizes tried_sizes = {0};
        if (a != TOGETHER && c->zero < 0) continue;
        status = write_arranged(ctx, c, a, only, room, &tried, &tried_sizes);
        if (status == SKIVE_OK && (!found || tried.n < best.n)) {
            skv_bytes_free(&best);
            best = tried;
            best_sizes = tried_sizes;
            *arrangement = a;
            found = true;
        } else {
            skv_bytes_free(&tried);
        }
    }
    skv_free(ctx, room);
    if (status == SKIVE_OK) skv_bytes_put(out, best.data, best.n);
    skv_bytes_free(&best);
    *sizes = best_sizes;
    return status == SKIVE_OK ? out->status : status;
}

static skive_status read_gaps(skive_context *ctx, const skv_coded *c, skv_reader *in, uint8_t *mask, size_t *n_kept,
                              skv_record_sizes *sizes) {
    const size_t count = (size_t)skv_coded_count(c);
    const uint64_t n = skv_read_varint(in);
    const unsigned alphabet = skv_read_u8(in) + 1;
    uint8_t *gaps = NULL;
    if (in->failed || n > count) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "more gaps than elements");
    const skv_symbol_shape s = {.n = (size_t)n, .columns = n ? (size_t)n : 1, .alphabet = alphabet, .zero = -1};
    SKV_TRY(skv_alloc(ctx, (size_t)n, &gaps));
    skive_status status = read_stream(ctx, &s, in, gaps, sizes);
    size_t at = 0;
    memset(mask, 0, count);
    *n_kept = 0;
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) {
        at += gaps[i];
        if (gaps[i] == ESCAPE) {
            if (at > count) at = count + 1;
        } else if (at < count) {
            mask[at++] = 1;
            (*n_kept)++;
            continue;
        }
        if (at > count || gaps[i] != ESCAPE)
            status = SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "gaps lead beyond the last element");
    }
    skv_free(ctx, gaps);
    return status;
}

static skive_status read_kept(skive_context *ctx, const skv_coded *c, skv_reader *in, size_t n_kept,
                              skv_record_sizes *sizes) {
    const size_t count = (size_t)skv_coded_count(c);
    const skv_symbol_shape s = shape_of_kept(c, n_kept);
    uint8_t *kept = NULL;
    SKV_TRY(skv_alloc_array(ctx, n_kept + 1, 1, &kept));
    const skive_status status = s.alphabet > 1 ? read_stream(ctx, &s, in, kept, sizes) : SKIVE_OK;
    size_t at = 0;
    for (size_t i = 0; i < count && status == SKIVE_OK; i++) {
        const unsigned symbol = c->symbols[i] ? kept[at++] : 0;
        c->symbols[i] = (uint8_t)(c->symbols[i] ? symbol + (symbol >= (unsigned)c->zero) : (unsigned)c->zero);
    }
    skv_free(ctx, kept);
    return status;
}

static skive_status read_symbols(skive_context *ctx, skv_coded *c, int arrangement, skv_reader *in,
                                 skv_record_sizes *sizes) {
    const size_t count = (size_t)skv_coded_count(c);
    const uint8_t *const start = in->at;
    size_t n_kept = 0;
    SKV_TRY(skv_alloc(ctx, count, &c->symbols));
    if (arrangement == TOGETHER) {
        const skv_symbol_shape all = {.n = count, .columns = columns_of(c), .alphabet = c->alphabet, .zero = c->zero};
        SKV_TRY(read_stream(ctx, &all, in, c->symbols, sizes));
        *whole(c, sizes) = (size_t)(in->at - start);
        return SKIVE_OK;
    }
    if (c->zero < 0 || c->alphabet < 2)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "it lists nonzero positions, but no weight is zero");
    if (arrangement == GAPS) {
        SKV_TRY(read_gaps(ctx, c, in, c->symbols, &n_kept, sizes));
    } else {
        const skv_symbol_shape mask = shape_of_mask(c);
        SKV_TRY(read_stream(ctx, &mask, in, c->symbols, sizes));
        for (size_t i = 0; i < count; i++) n_kept += c->symbols[i];
    }
    sizes->positions = (size_t)(in->at - start);
    SKV_TRY(read_kept(ctx, c, in, n_kept, sizes));
    sizes->values = (size_t)(in->at - start) - sizes->positions;
    return SKIVE_OK;
}

/* ---- numbers ---- */

static bool is_integer(skive_dtype dtype) {
    int64_t low;
    uint64_t high;
    return skv_dtype_int_range(dtype, &low, &high);
}

static skive_status write_planes(skive_context *ctx, const skive_tensor *t, const skv_coder *only, skv_bytes *out,
                                 skv_record_sizes *sizes) {
    const size_t width = (size_t)skive_dtype_bits(t->dtype) / 8, n = (size_t)skive_tensor_count(t);
    const skv_symbol_shape s = {.n = n, .columns = n ? n : 1, .alphabet = 256, .zero = -1};
    uint8_t *plane = NULL;
    skive_status status = SKIVE_OK;
    SKV_TRY(skv_alloc(ctx, n, &plane));
    skv_bytes_u8(out, PLANES);
    for (size_t k = 0; k < width && status == SKIVE_OK; k++) {
        const size_t at = skv_byte_at(width, k);
        for (size_t i = 0; i < n; i++) plane[i] = ((const uint8_t *)t->data)[i * width + at];
        status = write_stream(ctx, &s, plane, only, out, sizes);
    }
    skv_free(ctx, plane);
    return status == SKIVE_OK ? out->status : status;
}

static void write_varints(const skive_tensor *t, skv_bytes *out) {
    skv_bytes_u8(out, VARINTS);
    for (int64_t i = 0; i < skive_tensor_count(t); i++)
        skv_bytes_signed(out, skv_load_i64(t->dtype, t->data, (size_t)i));
}

/* Types of 16 bits and more, and the bytes of strings. */
static skive_status write_numbers(skive_context *ctx, const skive_tensor *t, const skv_coder *only, skv_bytes *out,
                                  skv_record_sizes *sizes) {
    skv_bytes planes = skv_bytes_to(ctx), varints = skv_bytes_to(ctx);
    skv_record_sizes planes_sizes = *sizes;
    const size_t raw = skive_tensor_bytes(t) + 1;
    skive_status status = write_planes(ctx, t, only, &planes, &planes_sizes);
    if (is_integer(t->dtype) && t->dtype != SKIVE_U64) write_varints(t, &varints);
    if (status == SKIVE_OK) status = varints.status;
    if (status == SKIVE_OK && varints.n && varints.n <= raw && varints.n <= planes.n) {
        skv_bytes_put(out, varints.data, varints.n);
    } else if (status == SKIVE_OK && raw <= planes.n) {
        skv_bytes_u8(out, RAW);
        skv_bytes_elements(out, t->data, skive_tensor_bytes(t), skv_dtype_align(t->dtype));
    } else if (status == SKIVE_OK) {
        skv_bytes_put(out, planes.data, planes.n);
        *sizes = planes_sizes;
    }
    skv_bytes_free(&planes);
    skv_bytes_free(&varints);
    return status == SKIVE_OK ? out->status : status;
}

static skive_status read_planes(skive_context *ctx, skv_reader *in, skive_tensor *t, skv_record_sizes *sizes) {
    const size_t width = (size_t)skive_dtype_bits(t->dtype) / 8, n = (size_t)skive_tensor_count(t);
    const skv_symbol_shape s = {.n = n, .columns = n ? n : 1, .alphabet = 256, .zero = -1};
    uint8_t *plane = NULL;
    skive_status status = SKIVE_OK;
    SKV_TRY(skv_alloc(ctx, n, &plane));
    for (size_t k = 0; k < width && status == SKIVE_OK; k++) {
        const size_t at = skv_byte_at(width, k);
        status = read_stream(ctx, &s, in, plane, sizes);
        for (size_t i = 0; i < n && status == SKIVE_OK; i++) ((uint8_t *)t->data)[i * width + at] = plane[i];
    }
    skv_free(ctx, plane);
    return status;
}

static skive_status read_varints(skive_context *ctx, skv_reader *in, skive_tensor *t) {
    int64_t low = 0;
    uint64_t high = 0;
    if (!skv_dtype_int_range(t->dtype, &low, &high) || t->dtype == SKIVE_U64)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "varints as %s", skive_dtype_name(t->dtype));
    for (int64_t i = 0; i < skive_tensor_count(t); i++) {
        const int64_t value = skv_read_signed(in);
        if (value < low || (value > 0 && (uint64_t)value > high))
            return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "an element does not fit %s", skive_dtype_name(t->dtype));
        skv_store_i64(t->dtype, t->data, (size_t)i, value);
    }
    return in->failed ? SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "numbers are truncated") : SKIVE_OK;
}

static skive_status read_numbers(skive_context *ctx, skv_reader *in, skive_dtype dtype, int64_t n, skive_tensor *out,
                                 skv_record_sizes *sizes) {
    const unsigned mode = skv_read_u8(in);
    if (skive_dtype_bits(dtype) < 8 || dtype == SKIVE_STRING)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "numbers have unknown type %d", (int)dtype);
    if (mode == RAW) {
        const skive_tensor view = skv_tensor_view(dtype, 1, &n, NULL);
        if (in->failed || skive_tensor_bytes(&view) > skv_read_left(in))
            return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "numbers are truncated");
    }
    SKV_TRY(skive_tensor_create(ctx, dtype, 1, &n, out));
    if (mode == PLANES) return read_planes(ctx, in, out, sizes);
    if (mode == VARINTS) return read_varints(ctx, in, out);
    if (mode != RAW)
        return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "numbers use encoding %u of a newer version of the format", mode);
    const size_t bytes = skive_tensor_bytes(out);
    const uint8_t *data = skv_read_bytes(in, bytes);
    if (data && bytes) {
        memcpy(out->data, data, bytes);
        skv_little_endian(out->data, bytes, skv_dtype_align(dtype));
    }
    return SKIVE_OK;
}

/* The floats of a codebook, or scales, in 16 bits if these represent them exactly. */
static skive_status write_table(skive_context *ctx, const skv_coded *c, const skv_coder *only, skv_bytes *out,
                                skv_record_sizes *sizes) {
    static const skive_dtype narrow[] = {SKIVE_F16, SKIVE_BF16};
    const skive_tensor full = skv_tensor_view(SKIVE_F32, 1, &c->n_table, c->table);
    skive_tensor half = {0};
    for (size_t k = 0; k < 2 && !half.data; k++) {
        skive_tensor tried = {0}, back = {0};
        SKV_TRY(skv_tensor_convert(ctx, &full, narrow[k], &tried));
        skive_status status = skv_tensor_convert(ctx, &tried, SKIVE_F32, &back);
        if (status == SKIVE_OK && skv_tensor_same(&back, &full))
            half = tried;
        else
            skive_tensor_free(ctx, &tried);
        skive_tensor_free(ctx, &back);
        SKV_TRY(status);
    }
    const skive_tensor *t = half.data ? &half : &full;
    skv_bytes_varint(out, (uint64_t)c->n_table);
    skv_bytes_varint(out, (uint64_t)c->group);
    skv_bytes_u8(out, (unsigned)t->dtype);
    const skive_status status = write_numbers(ctx, t, only, out, sizes);
    skive_tensor_free(ctx, &half);
    return status;
}

static skive_status read_table(skive_context *ctx, skv_reader *in, uint64_t max_bytes, skv_coded *c,
                               skv_record_sizes *sizes) {
    const uint64_t n = skv_read_varint(in), group = skv_read_varint(in);
    const skive_dtype dtype = (skive_dtype)skv_read_u8(in);
    skive_tensor t = {0};
    if (in->failed || n > max_bytes / sizeof(float) || n > (uint64_t)skv_coded_count(c) + SKV_ALPHABET_MAX ||
        group > INT64_MAX)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a table has %llu numbers", (unsigned long long)n);
    if (dtype != SKIVE_F32 && dtype != SKIVE_F16 && dtype != SKIVE_BF16)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a table has type %d", (int)dtype);
    skive_status status = read_numbers(ctx, in, dtype, (int64_t)n, &t, sizes);
    if (status == SKIVE_OK) status = skv_alloc_array(ctx, (size_t)n + 1, sizeof(float), &c->table);
    if (status == SKIVE_OK) {
        skv_to_f32(dtype, t.data, 0, (size_t)n, c->table);
        c->n_table = (int64_t)n;
        c->group = (int64_t)group;
    }
    skive_tensor_free(ctx, &t);
    return status;
}

/* ---- whole records ---- */

static unsigned marks_bits(unsigned marks) {
    return (marks & SKV_RECORD_TRAINABLE ? TRAINABLE : 0u) | (marks & SKV_RECORD_KEEPS_ZEROS ? KEEPS_ZEROS : 0u);
}

static unsigned marks_of(unsigned flags) {
    return (flags & TRAINABLE ? SKV_RECORD_TRAINABLE : 0u) | (flags & KEEPS_ZEROS ? SKV_RECORD_KEEPS_ZEROS : 0u);
}

static skive_status write_coded(skive_context *ctx, const skv_coded *c, unsigned marks, const skv_coder *only,
                                skv_bytes *out, skv_record_sizes *sizes) {
    skv_bytes symbols = skv_bytes_to(ctx);
    int arrangement = TOGETHER;
    skive_status status = SKIVE_OK;
    *sizes = (skv_record_sizes){0};
    if (c->symbols) SKV_GO(status, done, write_symbols(ctx, c, only, &symbols, &arrangement, sizes));
    skv_bytes_u8(out, (c->symbols ? HAS_SYMBOLS : 0u) | (c->table ? HAS_TABLE : 0u) |
                          (c->values.data ? HAS_VALUES : 0u) | marks_bits(marks) |
                          (unsigned)arrangement << ARRANGEMENT_AT);
    skv_bytes_u8(out, c->form->code);
    skv_bytes_u8(out, (unsigned)c->dtype);
    skv_bytes_u8(out, (unsigned)c->rank);
    for (int d = 0; d < c->rank; d++) skv_bytes_varint(out, (uint64_t)c->dims[d]);
    if (c->symbols) {
        skv_bytes_u8(out, c->alphabet - 1);
        skv_bytes_varint(out, (unsigned)(c->zero + 1));
        skv_bytes_put(out, symbols.data, symbols.n);
    }
    if (c->table) {
        const size_t before = out->n;
        SKV_GO(status, done, write_table(ctx, c, only, out, sizes));
        sizes->table = out->n - before;
    }
    if (c->values.data) {
        const size_t before = out->n;
        skv_bytes_u8(out, (unsigned)c->values.dtype);
        if (c->dtype == SKIVE_STRING) skv_bytes_varint(out, (uint64_t)skive_tensor_count(&c->values));
        SKV_GO(status, done, write_numbers(ctx, &c->values, only, out, sizes));
        sizes->values += out->n - before;
    }
    status = out->status;
done:
    skv_bytes_free(&symbols);
    return status;
}

skive_status skv_record_write(skive_context *ctx, const skive_tensor *t, unsigned marks, const skv_coder *only,
                              skv_bytes *out, const skv_form **form, skv_record_sizes *sizes) {
    skv_bytes best = skv_bytes_to(ctx);
    skive_status status = SKIVE_OK;
    *form = NULL;
    for (size_t i = 0; skv_form_at(i) && status == SKIVE_OK; i++) {
        skv_coded coded = {0};
        skv_bytes tried = skv_bytes_to(ctx);
        skv_record_sizes tried_sizes;
        bool fits = false;
        status = skv_form_at(i)->describe(ctx, t, &coded, &fits);
        if (status == SKIVE_OK && fits) {
            status = write_coded(ctx, &coded, marks, only, &tried, &tried_sizes);
            if (status == SKIVE_OK && (!*form || tried.n < best.n)) {
                const skv_bytes worse = best;
                best = tried;
                tried = worse;
                *form = skv_form_at(i);
                *sizes = tried_sizes;
            }
        }
        skv_bytes_free(&tried);
        skv_coded_free(ctx, &coded);
    }
    if (status == SKIVE_OK) {
        skv_bytes_put(out, best.data, best.n);
        status = out->status;
    }
    skv_bytes_free(&best);
    return status;
}

void skv_record_write_alias(skv_bytes *out, uint64_t of, unsigned marks) {
    skv_bytes_u8(out, IS_ALIAS | marks_bits(marks));
    skv_bytes_varint(out, of);
}

static skive_status read_head(skive_context *ctx, skv_reader *in, uint64_t max_bytes, skv_coded *c) {
    const unsigned form = skv_read_u8(in), dtype = skv_read_u8(in), rank = skv_read_u8(in);
    int64_t count;
    size_t bytes;
    c->form = skv_form_by_code(form);
    c->zero = -1;
    c->dtype = (skive_dtype)dtype;
    if (in->failed) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "it is truncated");
    if (!c->form) return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "form %u is from a newer version of the format", form);
    if (!skv_dtype_valid(c->dtype) || rank > SKIVE_MAX_RANK)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "element type %u with %u dimensions", dtype, rank);
    for (unsigned d = 0; d < rank; d++) {
        const uint64_t size = skv_read_varint(in);
        if (size > INT64_MAX) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "a dimension is too large");
        c->dims[d] = (int64_t)size;
    }
    c->rank = (int)rank;
    if (in->failed) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "it is truncated");
    if (!skv_dims_count(c->rank, c->dims, &count) || !skv_dtype_bytes(c->dtype, count, &bytes) || bytes > max_bytes)
        return SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "it needs more than %llu bytes (option max_tensor_bytes)",
                        (unsigned long long)max_bytes);
    return SKIVE_OK;
}

/* Strings: their bytes, counted with their NULs. */
static skive_status read_text_size(skive_context *ctx, skv_reader *in, skive_dtype dtype, uint64_t max_bytes,
                                   int64_t *out) {
    const uint64_t n = skv_read_varint(in);
    if (in->failed || dtype != SKIVE_U8 || n > max_bytes || n > INT64_MAX)
        return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "its strings are not text of at most %llu bytes",
                        (unsigned long long)max_bytes);
    *out = (int64_t)n;
    return SKIVE_OK;
}

static skive_status read_body(skive_context *ctx, unsigned flags, skv_reader *in, uint64_t max_bytes, skv_record *r) {
    skv_coded *c = &r->coded;
    if (flags & HAS_SYMBOLS) {
        c->alphabet = skv_read_u8(in) + 1;
        const uint64_t zero = skv_read_varint(in);
        if (in->failed || zero > c->alphabet)
            return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "its symbol for zero is outside its alphabet");
        c->zero = (int)zero - 1;
        SKV_TRY(read_symbols(ctx, c, flags >> ARRANGEMENT_AT & 3, in, &r->sizes));
    }
    if (flags & HAS_TABLE) {
        const uint8_t *const start = in->at;
        SKV_TRY(read_table(ctx, in, max_bytes, c, &r->sizes));
        r->sizes.table = (size_t)(in->at - start);
    }
    if (flags & HAS_VALUES) {
        const uint8_t *const start = in->at;
        const int64_t count = skv_coded_count(c);
        int64_t n = c->symbols ? 0 : count;
        for (int64_t i = 0; c->symbols && i < count; i++) n += c->symbols[i] != c->zero;
        const skive_dtype dtype = (skive_dtype)skv_read_u8(in);
        if (c->dtype == SKIVE_STRING) SKV_TRY(read_text_size(ctx, in, dtype, max_bytes, &n));
        SKV_TRY(read_numbers(ctx, in, dtype, n, &c->values, &r->sizes));
        r->sizes.values += (size_t)(in->at - start);
    }
    return SKIVE_OK;
}

skive_status skv_record_read(skive_context *ctx, skv_reader *in, uint64_t max_bytes, skv_record *out) {
    const unsigned flags = skv_read_u8(in);
    *out = (skv_record){.marks = marks_of(flags), .is_alias = (flags & IS_ALIAS) != 0};
    if (in->failed) return SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "it is truncated");
    if ((flags >> ARRANGEMENT_AT & 3) >= ARRANGEMENTS)
        return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "it is from a newer version of the format");
    if (out->is_alias) {
        out->alias_of = skv_read_varint(in);
        return in->failed ? SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "it is truncated") : SKIVE_OK;
    }
    skive_status status = read_head(ctx, in, max_bytes, &out->coded);
    if (status == SKIVE_OK) status = read_body(ctx, flags, in, max_bytes, out);
    if (status == SKIVE_OK && in->failed) status = SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "it is truncated");
    if (status == SKIVE_OK) {
        const char *fault = out->coded.form->fault(&out->coded);
        if (fault) status = SKV_FAIL(ctx, SKIVE_ERR_FORMAT, "%s", fault);
    }
    if (status != SKIVE_OK) skv_coded_free(ctx, &out->coded);
    return status;
}

skive_status skv_record_to_storage(skive_context *ctx, skv_record *r, bool keep_coded, skv_storage **out) {
    skv_coded *c = &r->coded;
    skive_tensor dense = {0};
    if (keep_coded && c->form != &skv_form_dense) return skv_storage_take_coded(ctx, c, out);
    if (c->dtype == SKIVE_STRING) {
        const size_t bytes = (size_t)skive_tensor_count(&c->values);
        SKV_TRY(skv_strings_parse(ctx, c->rank, c->dims, c->values.data, bytes, &dense));
    } else {
        SKV_TRY(skive_tensor_create(ctx, c->dtype, c->rank, c->dims, &dense));
        c->form->restore(c, &dense);
    }
    skv_coded_free(ctx, c);
    const skive_status status = skv_storage_take(ctx, &dense, out);
    skive_tensor_free(ctx, &dense);
    return status;
}
