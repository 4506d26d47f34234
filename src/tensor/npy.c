/* NumPy's .npy files (numpy.lib.format, versions 1.0 to 3.0).
 *
 * The header is the text of a Python dictionary; only what NumPy itself writes is accepted, in any order of keys. Types
 * that NumPy does not have are widened on saving: bfloat16 to float32, int4 and uint4 to 8 bits. Strings
 * are npy_text.c's. */
#include <inttypes.h>
#include <stdio.h>

#include "base/endian.h"
#include "tensor/npy_text.h"

static const char magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

typedef struct npy_type {
    skive_dtype dtype;
    const char *text; /* kind and bytes, after the byte order */
} npy_type;

static const npy_type types[] = {
    {SKIVE_F16, "f2"}, {SKIVE_F32, "f4"}, {SKIVE_F64, "f8"}, {SKIVE_I8, "i1"},  {SKIVE_I16, "i2"}, {SKIVE_I32, "i4"},
    {SKIVE_I64, "i8"}, {SKIVE_U8, "u1"},  {SKIVE_U16, "u2"}, {SKIVE_U32, "u4"}, {SKIVE_U64, "u8"}, {SKIVE_BOOL, "b1"},
};

typedef struct npy_header {
    skive_context *ctx;
    const char *path;
    const char *at, *end; /* of the dictionary's text */
    skive_dtype dtype;
    bool big, fortran; /* big-endian; the first dimension changes fastest */
    bool seen_descr, seen_order, seen_shape;
    size_t text_width; /* of strings */
    bool text_bytes;
    int rank;
    int64_t dims[SKIVE_MAX_RANK];
} npy_header;

static skive_status damaged(npy_header *h, const char *what) {
    return skv_fail_at(h->ctx, SKIVE_ERR_FORMAT, h->path, "%s: damaged .npy header: %s", h->path, what);
}

static void skip_space(npy_header *h) {
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n' || *h->at == '\t')) h->at++;
}

static bool accept(npy_header *h, char c) {
    skip_space(h);
    if (h->at == h->end || *h->at != c) return false;
    h->at++;
    return true;
}

static bool accept_word(npy_header *h, const char *word) {
    size_t n = strlen(word);
    skip_space(h);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n) != 0) return false;
    h->at += n;
    return true;
}

/* A quoted string without escapes. */
static bool accept_string(npy_header *h, char *out, size_t size) {
    char quote = accept(h, '\'') ? '\'' : accept(h, '"') ? '"' : '\0';
    size_t n = 0;
    if (!quote) return false;
    while (h->at < h->end && *h->at != quote) {
        if (n + 1 >= size || *h->at == '\\') return false;
        out[n++] = *h->at++;
    }
    out[n] = '\0';
    if (h->at == h->end) return false;
    h->at++;
    return true;
}

/* "U12": characters, "S12": bytes. */
static bool is_text(npy_header *h, const char *type) {
    size_t width = 0;
    if ((type[0] != 'U' && type[0] != 'S') || !type[1]) return false;
    for (const char *p = type + 1; *p; p++) {
        if (*p < '0' || *p > '9' || !skv_mul_size(width, 10, &width) ||
            !skv_add_size(width, (size_t)(*p - '0'), &width))
            return false;
    }
    h->dtype = SKIVE_STRING;
    h->text_width = width;
    h->text_bytes = type[0] == 'S';
    return true;
}

static skive_status parse_descr(npy_header *h) {
    char text[32];
    skip_space(h);
    if (h->at < h->end && *h->at == '[') {
        return skv_fail_at(h->ctx, SKIVE_ERR_UNSUPPORTED, h->path,
                           "%s: a structured array; save one plain array per file", h->path);
    }
    if (!accept_string(h, text, sizeof text)) return damaged(h, "'descr' is not a string");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (text[0] == '\0' || strcmp(text + 1, types[i].text) != 0 || !strchr("<>|=", text[0])) continue;
        h->dtype = types[i].dtype;
        h->big = text[0] == '>' || (text[0] == '=' && SKV_BIG_ENDIAN);
        return SKIVE_OK;
    }
    if (text[0] && strchr("<>|=", text[0]) && is_text(h, text + 1)) {
        h->big = text[0] == '>' || (text[0] == '=' && SKV_BIG_ENDIAN);
        return SKIVE_OK;
    }
    return skv_fail_at(h->ctx, SKIVE_ERR_UNSUPPORTED, h->path,
                       "%s: elements of type '%s' are not supported; save the array as numbers, bool or str", h->path,
                       text);
}

static skive_status parse_shape(npy_header *h) {
    if (!accept(h, '(')) return damaged(h, "'shape' is not a tuple");
    while (!accept(h, ')')) {
        int64_t dim = 0;
        skip_space(h);
        const char *first = h->at;
        for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++) {
            if (!skv_mul_i64(dim, 10, &dim) || !skv_add_i64(dim, *h->at - '0', &dim)) {
                return damaged(h, "a dimension is too large");
            }
        }
        if (h->at == first) return damaged(h, "'shape' contains something that is not a whole number");
        if (h->rank == SKIVE_MAX_RANK) {
            return skv_fail_at(h->ctx, SKIVE_ERR_LIMIT, h->path, "%s: more than %d dimensions", h->path,
                               SKIVE_MAX_RANK);
        }
        h->dims[h->rank++] = dim;
        if (accept(h, ',')) continue;
        if (!accept(h, ')')) return damaged(h, "'shape' is not closed");
        break;
    }
    return SKIVE_OK;
}

static skive_status parse_dictionary(npy_header *h) {
    char key[32];
    if (!accept(h, '{')) return damaged(h, "there is no dictionary");
    while (!accept(h, '}')) {
        if (!accept_string(h, key, sizeof key) || !accept(h, ':')) return damaged(h, "a key is expected");
        if (strcmp(key, "descr") == 0 && !h->seen_descr) {
            SKV_TRY(parse_descr(h));
            h->seen_descr = true;
        } else if (strcmp(key, "fortran_order") == 0 && !h->seen_order) {
            h->fortran = accept_word(h, "True");
            if (!h->fortran && !accept_word(h, "False")) return damaged(h, "'fortran_order' is neither True nor False");
            h->seen_order = true;
        } else if (strcmp(key, "shape") == 0 && !h->seen_shape) {
            SKV_TRY(parse_shape(h));
            h->seen_shape = true;
        } else {
            return damaged(h, "a key is unknown or occurs twice");
        }
        if (!accept(h, ',')) {
            if (!accept(h, '}')) return damaged(h, "the dictionary is not closed");
            break;
        }
    }
    skip_space(h);
    if (h->at != h->end) return damaged(h, "there is text after the dictionary");
    if (!h->seen_descr || !h->seen_order || !h->seen_shape) return damaged(h, "a key is missing");
    if (h->fortran && h->rank > 1) {
        return skv_fail_at(h->ctx, SKIVE_ERR_UNSUPPORTED, h->path,
                           "%s: stored in Fortran order; save it with numpy.ascontiguousarray", h->path);
    }
    return SKIVE_OK;
}

/* Where the header's text begins and ends. */
static skive_status find_header(npy_header *h, const unsigned char *data, size_t have, size_t *start, size_t *length) {
    if (have < 10 || memcmp(data, magic, sizeof magic) != 0) {
        return skv_fail_at(h->ctx, SKIVE_ERR_FORMAT, h->path, "%s: not a .npy file", h->path);
    }
    if (data[6] < 1 || data[6] > 3) {
        return skv_fail_at(h->ctx, SKIVE_ERR_UNSUPPORTED, h->path,
                           "%s: .npy version %u.%u is not supported (versions 1 to 3 are)", h->path, (unsigned)data[6],
                           (unsigned)data[7]);
    }
    *length = (size_t)data[8] | (size_t)data[9] << 8;
    *start = 10;
    if (data[6] > 1) {
        if (have < 12) return damaged(h, "the file ends in the middle of it");
        *length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
        *start = 12;
    }
    return *length > have - *start ? damaged(h, "the file ends in the middle of it") : SKIVE_OK;
}

skive_status skv_npy_head(skive_context *ctx, const char *path, const void *head, size_t have, uint64_t size,
                          skv_npy_info *out) {
    npy_header h = {.ctx = ctx, .path = path};
    size_t start = 0, length = 0, bytes;
    int64_t count;
    char text[SKV_DIMS_TEXT];
    SKV_TRY(find_header(&h, head, have, &start, &length));
    h.at = (const char *)head + start;
    h.end = h.at + length;
    SKV_TRY(parse_dictionary(&h));
    const uint64_t left = size - start - length;
    bool countable = skv_dims_count(h.rank, h.dims, &count) && skv_dtype_bytes(h.dtype, count, &bytes);
    if (countable && h.dtype == SKIVE_STRING)
        countable =
            skv_mul_size(h.text_width, h.text_bytes ? 1 : 4, &bytes) && skv_mul_size(bytes, (size_t)count, &bytes);
    if (!countable) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: shape %s is too large", path,
                           skv_dims_text(h.rank, h.dims, text, sizeof text));
    }
    if (bytes != left) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: %s%s needs %zu bytes, but the file has %llu", path,
                           skive_dtype_name(h.dtype), skv_dims_text(h.rank, h.dims, text, sizeof text), bytes,
                           (unsigned long long)left);
    }
    *out = (skv_npy_info){.dtype = h.dtype, .big = h.big, .rank = h.rank, .start = start + length, .bytes = bytes};
    out->text_width = h.text_width;
    out->text_bytes = h.text_bytes;
    memcpy(out->dims, h.dims, sizeof out->dims);
    return SKIVE_OK;
}

skive_status skv_npy_open(skive_context *ctx, const char *path, skv_npy_info *out) {
    enum { HEAD = 1 << 17 }; /* more than the longest header that numpy writes by default */
    skv_reader *r = NULL;
    unsigned char *head = NULL;
    skive_status status;
    SKV_TRY(skv_reader_open(ctx, path, &r));
    const size_t n = skv_reader_size(r) < HEAD ? (size_t)skv_reader_size(r) : HEAD;
    SKV_GO(status, done, skv_alloc(ctx, n + 1, &head));
    SKV_GO(status, done, skv_reader_at(r, 0, head, n));
    status = skv_npy_head(ctx, path, head, n, skv_reader_size(r), out);
    if (status == SKIVE_OK && out->dtype == SKIVE_STRING)
        status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path,
                             "%s: has text, which cannot be samples; save the array as numbers, or give a csv", path);
done:
    skv_free(ctx, head);
    skv_reader_close(r);
    return status;
}

/* The tensor takes over the memory of the file on success: data sets may be as large as memory. */
skive_status skv_npy_parse(skive_context *ctx, const char *path, void *data, size_t size, skive_tensor *out) {
    skv_npy_info info;
    SKV_TRY(skv_npy_head(ctx, path, data, size, size, &info));
    if (info.dtype == SKIVE_STRING) {
        SKV_TRY(skv_npy_text_read(ctx, path, &info, (const unsigned char *)data + info.start, out));
        skv_free(ctx, data);
        return SKIVE_OK;
    }
    memmove(data, (unsigned char *)data + info.start, info.bytes);
    *out = (skive_tensor){.dtype = info.dtype, .rank = info.rank, .data = data};
    for (int d = 0; d < info.rank; d++) out->dims[d] = info.dims[d];
    if (info.big != SKV_BIG_ENDIAN) skv_swap_elements(data, info.bytes, skv_dtype_align(info.dtype));
    return SKIVE_OK;
}

skive_status skive_tensor_load_npy(skive_context *ctx, const char *path, skive_tensor *out) {
    SKV_NEED(ctx, "ctx, path, out", ctx, path, out);
    void *data;
    size_t size;
    memset(out, 0, sizeof *out);
    SKV_TRY(skv_file_read(ctx, path, 0, &data, &size));
    const skive_status status = skv_npy_parse(ctx, path, data, size, out);
    if (status != SKIVE_OK) skv_free(ctx, data);
    return status;
}

/* ---- writing ---- */

struct skive_npy_stream {
    skive_context *ctx;
    skv_writer *writer;
    char *path;
    skive_tensor whole; /* type and shape; no data */
    skive_dtype stored; /* what the file holds */
    size_t text_width;  /* of strings: characters */
    int64_t rows;       /* written so far */
};

static skive_dtype stored_as(skive_dtype dtype) {
    return dtype == SKIVE_BF16 || skv_dtype_is_small_float(dtype) ? SKIVE_F32
           : dtype == SKIVE_U4 || dtype == SKIVE_U2               ? SKIVE_U8
           : dtype == SKIVE_I4 || dtype == SKIVE_I2               ? SKIVE_I8
                                                                  : dtype;
}

static skive_status write_header(skv_writer *w, const skive_tensor *t, skive_dtype stored, size_t text_width) {
    char width[32], shape[SKV_DIMS_TEXT], header[512];
    const char *type = NULL;
    size_t at = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == stored) type = types[i].text;
    (void)snprintf(width, sizeof width, "U%zu", text_width);
    if (stored == SKIVE_STRING) type = width;
    if (!type) return SKIVE_ERR_INTERNAL;
    for (int i = 0; i < t->rank; i++) {
        at += (size_t)snprintf(shape + at, sizeof shape - at, i ? ", %" PRId64 : "%" PRId64, t->dims[i]);
    }
    if (t->rank == 1) at += (size_t)snprintf(shape + at, sizeof shape - at, ",");
    shape[at] = '\0';
    const char *order = skive_dtype_bits(stored) == 8 ? "|" : "<";
    const int length = snprintf(header + 10, sizeof header - 10,
                                "{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, type, shape);
    const size_t text = (size_t)length, whole = skv_align_up(10 + text + 1, 64);
    memcpy(header, magic, sizeof magic);
    header[6] = 1;
    header[7] = 0;
    header[8] = (char)((whole - 10) & 255u);
    header[9] = (char)((whole - 10) >> 8);
    memset(header + 10 + text, ' ', whole - 10 - text);
    header[whole - 1] = '\n';
    return skv_writer_write(w, header, whole);
}

static skive_status write_elements(skive_context *ctx, skv_writer *w, const skive_tensor *t, skive_dtype stored) {
    skive_tensor converted = {.dtype = SKIVE_DTYPE_NONE};
    if (stored != t->dtype) SKV_TRY(skv_tensor_convert(ctx, t, stored, &converted));
    const skive_tensor *from = stored != t->dtype ? &converted : t;
    const skive_status status =
        skv_writer_write_elements(w, from->data, skive_tensor_bytes(from), skv_dtype_align(from->dtype));
    skive_tensor_free(ctx, &converted);
    return status;
}

void skive_npy_stream_free(skive_npy_stream *s) {
    if (!s) return;
    skv_writer_abort(s->writer);
    skv_free(s->ctx, s->path);
    skv_free(s->ctx, s);
}

static skive_status open_stream(skive_context *ctx, const char *path, skive_dtype dtype, int rank, const int64_t *dims,
                                size_t text_width, skive_npy_stream **out) {
    skive_npy_stream *s = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *s, &s));
    s->ctx = ctx;
    s->whole = (skive_tensor){.dtype = dtype, .rank = rank};
    for (int d = 0; d < rank && rank <= SKIVE_MAX_RANK; d++) s->whole.dims[d] = dims[d];
    s->stored = stored_as(dtype);
    s->text_width = text_width;
    SKV_GO(status, fail, skv_strdup(ctx, path, &s->path));
    if (rank < 0 || rank > SKIVE_MAX_RANK || skive_tensor_count(&s->whole) < 0 || !skv_dtype_valid(dtype)) {
        status = skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, path, "%s: the tensor to save has no valid shape or type", path);
        goto fail;
    }
    SKV_GO(status, fail, skv_writer_open(ctx, path, &s->writer));
    SKV_GO(status, fail, write_header(s->writer, &s->whole, s->stored, text_width));
    *out = s;
    return SKIVE_OK;
fail:
    skive_npy_stream_free(s);
    return status;
}

skive_status skive_npy_stream_open(skive_context *ctx, const char *path, skive_dtype dtype, int rank,
                                   const int64_t *dims, skive_npy_stream **out) {
    SKV_NEED(ctx, "ctx, path, out, dims", ctx, path, out, dims || rank == 0);
    if (dtype != SKIVE_STRING) return open_stream(ctx, path, dtype, rank, dims, 0, out);
    *out = NULL;
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path,
                       "%s: strings cannot be written part by part: all have the width of the longest", path);
}

/* The whole tensor, or some of the entries along its first axis. */
static bool continues(const skive_npy_stream *s, const skive_tensor *t) {
    if (t->dtype != s->whole.dtype || t->rank != s->whole.rank) return false;
    for (int d = 1; d < t->rank; d++)
        if (t->dims[d] != s->whole.dims[d]) return false;
    return t->rank == 0 ? s->rows == 0 : t->dims[0] >= 0 && t->dims[0] <= s->whole.dims[0] - s->rows;
}

skive_status skive_npy_stream_write(skive_npy_stream *s, const skive_tensor *part) {
    SKV_NEED(s ? s->ctx : NULL, "stream, part", s, part);
    if (!continues(s, part)) {
        char have[SKV_DIMS_TEXT + 32], all[SKV_DIMS_TEXT + 32];
        return skv_fail_at(
            s->ctx, SKIVE_ERR_SHAPE, s->path, "%s: a part %s does not continue %s, of which %lld are written", s->path,
            skv_tensor_text(part, have, sizeof have), skv_tensor_text(&s->whole, all, sizeof all), (long long)s->rows);
    }
    s->rows += part->rank == 0 ? 1 : part->dims[0];
    if (part->dtype == SKIVE_STRING) return skv_npy_text_write(s->ctx, s->writer, part, s->text_width);
    return write_elements(s->ctx, s->writer, part, s->stored);
}

static skive_status complete(const skive_npy_stream *s) {
    const int64_t want = s->whole.rank == 0 ? 1 : s->whole.dims[0];
    if (s->rows == want) return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_ARGUMENT, s->path, "%s: %lld of %lld entries were written", s->path,
                       (long long)s->rows, (long long)want);
}

skive_status skive_npy_streams_commit(skive_npy_stream **streams, size_t n) {
    skive_status status = streams || !n ? SKIVE_OK : SKIVE_ERR_ARGUMENT;
    for (size_t i = 0; status == SKIVE_OK && i < n; i++)
        status = streams[i] ? complete(streams[i]) : SKIVE_ERR_ARGUMENT;
    for (size_t i = 0; streams && i < n; i++) {
        if (status == SKIVE_OK) {
            status = skv_writer_commit(streams[i]->writer);
            streams[i]->writer = NULL;
        }
        skive_npy_stream_free(streams[i]);
        streams[i] = NULL;
    }
    return status;
}

skive_status skive_tensor_save_npy(skive_context *ctx, const char *path, const skive_tensor *tensor) {
    SKV_NEED(ctx, "ctx, path, tensor", ctx, path, tensor);
    return skive_tensors_save_npy(ctx, &path, tensor, 1);
}

skive_status skive_tensors_save_npy(skive_context *ctx, const char *const *paths, const skive_tensor *tensors,
                                    size_t n) {
    SKV_NEED(ctx, "ctx, paths, tensors", ctx, paths || !n, tensors || !n);
    skive_npy_stream **streams = NULL;
    for (size_t i = 0; i < n; i++)
        if (!paths[i]) return SKIVE_ERR_ARGUMENT;
    SKV_TRY(skv_alloc_array(ctx, n + 1, sizeof *streams, &streams));
    skive_status status = SKIVE_OK;
    for (size_t i = 0; status == SKIVE_OK && i < n; i++) {
        const skive_tensor *t = &tensors[i];
        size_t width = 0;
        if (t->dtype == SKIVE_STRING) status = skv_npy_text_width(ctx, paths[i], t, &width);
        if (status == SKIVE_OK) status = open_stream(ctx, paths[i], t->dtype, t->rank, t->dims, width, &streams[i]);
        if (status == SKIVE_OK) status = skive_npy_stream_write(streams[i], t);
    }
    if (status == SKIVE_OK) status = skive_npy_streams_commit(streams, n);
    for (size_t i = 0; i < n; i++) skive_npy_stream_free(streams[i]);
    skv_free(ctx, streams);
    return status;
}
